"""Cut-outs before and after, and whole samples as `vgr show --png` has them."""

from __future__ import annotations

import io
import re
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image as Pillow

from voyager import schema, wire
from voyager.errors import NotFoundError
from voyager.pictures import (
    Bounds,
    Legend,
    Mark,
    Side,
    before_after,
    blank,
    colour_of,
    read_frame,
    region_marks,
    sample_marks,
    sample_picture,
    window_around,
)
from voyager.samples import photo_paths
from voyager.schema import Box, Keypoints, Label, Mask, Polygon, Region, Sample
from voyager.schema.rle import mask_of_array

PHOTO = photo_paths()[0].read_bytes()
BLOB = wire.blob_ref(bytes(32))


def absent(_: bytes) -> bytes:
    raise NotFoundError("not here")


def photo(_: bytes) -> bytes:
    return PHOTO


def decoded(uri: str) -> Pillow.Image:
    found = re.fullmatch(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", uri)
    return Pillow.open(io.BytesIO(b64decode(found[1])))


class TestCrops:
    def test_both_sides_have_one_window_and_one_size(self):
        frame = read_frame(PHOTO)
        old, new = Mark(Box(100, 100, 160, 160)), Mark(Box(120, 130, 180, 190))
        before, after = before_after(Side(frame, (old,)), Side(frame, (new,)), about="dress moved")
        assert (before.caption, after.caption) == ("before", "after")
        assert before.alt == "dress moved, before"
        assert (before.width, before.height) == (after.width, after.height) == (240, 240)
        assert len(before.data_uri) < 60_000
        difference = np.asarray(decoded(before.data_uri), int) - np.asarray(decoded(after.data_uri))
        assert np.abs(difference[:20]).max() < 40, "the same surroundings"
        assert np.abs(difference).max() > 80, "other marks"

    def test_a_side_that_is_not_there_has_no_picture(self):
        side = Side(read_frame(PHOTO), (Mark(Box(10, 10, 60, 60)),))
        (only,) = before_after(None, side)
        assert only.caption == "after"
        assert before_after(None, None) == ()

    def test_an_image_that_is_not_here_is_grey_and_says_so(self):
        side = Side(blank("image was purged"), (Mark(Box(10, 10, 60, 60)),))
        (picture,) = before_after(side, None)
        assert np.asarray(decoded(picture.data_uri)).std() > 1

    def test_the_window_holds_the_marks_and_lies_in_the_image(self):
        frame = read_frame(PHOTO)
        window = window_around([Side(frame, (Mark(Box(2, 3, 50, 30)), Mark(Box(60, 5, 80, 9))))])
        assert window.common(frame.bounds) == window
        assert window.common(Bounds(2, 3, 80, 30)) == Bounds(2, 3, 80, 30)
        assert window.width == pytest.approx(window.height)

    def test_without_marks_or_with_marks_elsewhere_it_is_the_whole_image(self):
        frame = read_frame(PHOTO)
        assert window_around([Side(frame)]) == frame.bounds
        assert window_around([Side(frame, (Mark(Box(1e6, 1e6, 2e6, 2e6)),))]) == frame.bounds

    def test_a_speck_is_not_enlarged_without_limit(self):
        window = window_around([Side(read_frame(PHOTO), (Mark(Box(100, 100, 100, 100)),))])
        assert window.width == pytest.approx(30)

    def test_images_of_two_sizes_share_a_window(self):
        small = io.BytesIO()
        Pillow.new("RGB", (40, 30), (255, 0, 0)).save(small, "PNG")
        pair = before_after(Side(read_frame(small.getvalue())), Side(read_frame(PHOTO)))
        before = np.asarray(decoded(pair[0].data_uri), int)
        assert before[2, 2][0] > 200
        assert abs(before[-2, -2] - before[-2, -2].mean()).max() < 12, "grey beyond the image"


def label(text: str, **fields: object) -> Label:
    return Label(task="category", value=text, **fields)


def region(number: int, *, text: str = "dress", **fields: object) -> Region:
    fields.setdefault("geometries", {"box": Box(20, 20, 200, 200)})
    return Region(id=bytes([number]) * 16, labels=(label(text),), **fields)


def sample(*regions: Region, **fields: object) -> Sample:
    fields.setdefault("image", schema.Image(blob=BLOB, type="jpeg", width=400, height=533))
    return Sample(uid=bytes(16), regions=regions, **fields)


class TestMarks:
    def test_a_region_has_its_class_and_score_and_the_colour_of_the_class(self):
        (mark,) = region_marks(region(1, score=0.834), absent)
        assert mark == Mark(Box(20, 20, 200, 200), colour_of("dress"), "dress 0.83")

    def test_what_is_proposed_is_dashed_and_what_was_rejected_is_not_shown(self):
        proposed, rejected = region(1, state="proposed"), region(2, state="rejected")
        (mark,) = sample_marks(sample(proposed, rejected), absent)
        assert mark.style == "dashed"

    def test_only_the_primary_geometry_has_caption_and_tint(self):
        shapes = {"box": Box(0, 0, 9, 9), "polygon": Polygon((((0, 0, 9, 0, 9, 9),),))}
        marks = region_marks(region(1, geometries=shapes, primary="polygon"), absent)
        assert [(mark.caption, mark.fill) for mark in marks] == [("", 0.0), ("dress", None)]

    def test_the_skeleton_is_that_of_the_task(self):
        points = {"keypoints": Keypoints((1, 1, 5, 5), (2, 2))}
        legend = Legend(skeletons={"category": ((0, 1),)})
        (mark,) = region_marks(region(1, geometries=points), absent, legend)
        assert mark.skeleton == ((0, 1),)

    def test_a_mask_in_a_blob_is_fetched_and_left_out_where_it_cannot_be(self):
        mask = mask_of_array(np.eye(30, dtype=bool))
        far = region(1, geometries={"mask": Mask(30, 30, BLOB)})
        (mark,) = region_marks(far, lambda _: mask.counts)
        assert mark.geometry == mask
        assert sample_picture(sample(far), absent)


class TestSamplePicture:
    def shown(self, made: bytes) -> Pillow.Image:
        image = Pillow.open(io.BytesIO(made))
        assert image.format == "PNG"
        return image.convert("RGB")

    def test_it_is_the_photo_with_its_regions_and_labels(self):
        picture = self.shown(sample_picture(sample(region(1), labels=(label("hat"),)), photo))
        bare = self.shown(sample_picture(sample(), photo))
        assert picture.size == bare.size == read_frame(PHOTO).pixels.size
        touched = (np.asarray(picture) != np.asarray(bare)).any(axis=2)
        assert touched[195:205, 50:150].any(), "the lower side of the box"
        assert touched[-30:, :80].any(), "the label of the image in the corner"
        assert not touched[250:-40].any()

    def test_it_can_be_made_smaller(self):
        assert max(self.shown(sample_picture(sample(region(1)), photo, max_side=128)).size) == 128

    def test_without_the_image_it_is_a_placeholder(self):
        pending = sample(region(1), image=schema.Image(width=400, height=300))
        assert self.shown(sample_picture(pending, absent)).size == (400, 300)
        assert self.shown(sample_picture(sample(image=schema.Image()), absent)).size == (640, 480)
