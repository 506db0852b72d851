"""From bytes to pixels: orientations, crops, changes and renditions, against the long way round."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL import ImageOps
from PIL.Image import Resampling

from voyager.derived.picture import Picture
from voyager.images import probe
from voyager.samples import photo_paths
from voyager.train.augment import NONE, Change, Mix, plan_batch
from voyager.train.rendering import blend, render, squares, upright_boxes, upright_sizes
from voyager.train.renditions import Rendition, parse_rendition

EDGE = Path(__file__).parents[1] / "data" / "image_edge"
UPRIGHT = EDGE / "exif_orientation" / "Landscape_0.jpg"
TURNED = [EDGE / "exif_orientation" / f"Landscape_{number}.jpg" for number in (5, 6)]
PHOTOS = [path.read_bytes() for path in photo_paths()[::20]]
PLAIN = Change((0, 0, 1, 1), False, False, (1, 1, 1), 0, 0, (0, 0, 0, 0))


def drawn(data: bytes, change: Change, frame: tuple[float, float], side: int = 64) -> np.ndarray:
    out = np.full((side, side, 3), 7, np.uint8)
    assert render(data, change, frame, out)
    return out


def the_long_way(data: bytes, box: tuple[float, float, float, float], side: int = 64) -> np.ndarray:
    with PIL.Image.open(io.BytesIO(data)) as opened:
        image = ImageOps.exif_transpose(opened.convert("RGB"))
    return np.asarray(image.resize((side, side), Resampling.BILINEAR, box))


def off(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.int32) - other).mean())


def turned(data: bytes, orientation: int) -> tuple[bytes, PIL.Image.Image]:
    """Lossless bytes of an image that is stored turned, and how it is to look."""
    with PIL.Image.open(io.BytesIO(data)) as opened:
        stored = opened.convert("RGB").resize((90, 120))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    stored.save(out, "PNG", exif=exif)
    with PIL.Image.open(io.BytesIO(out.getvalue())) as opened:
        return out.getvalue(), ImageOps.exif_transpose(opened).convert("RGB")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_with_their_image(orientation: int) -> None:
    """A box of one colour in the stored pixels is all that is seen in the turned ones."""
    data, _ = turned(PHOTOS[0], orientation)
    with PIL.Image.open(io.BytesIO(data)) as opened:
        stored = np.array(opened)
    stored[30:50, 10:40] = (255, 0, 0)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    PIL.Image.fromarray(stored).save(out, "PNG", exif=exif)
    info = probe(out.getvalue())
    assert info is not None
    assert info.orientation == orientation
    sizes, turns = np.array([[90, 120]], np.int32), np.array([orientation], np.uint8)
    (box,) = upright_boxes(np.array([[10, 30, 40, 50]], np.float32), sizes, turns)
    ((width, height),) = upright_sizes(sizes, turns)
    assert (width, height) == ((120, 90) if orientation > 4 else (90, 120))
    inside = (box[0] + 2, box[1] + 2, box[2] - 2, box[3] - 2)
    seen = drawn(out.getvalue(), PLAIN._replace(box=inside), (width, height), 16)
    assert (seen == (255, 0, 0)).all()
    wider = (box[0] - 4, box[1] - 4, box[2] + 4, box[3] + 4)
    around = drawn(out.getvalue(), PLAIN._replace(box=wider), (width, height), 16)
    assert not (around == (255, 0, 0)).all(axis=2)[[0, 0, -1, -1], [0, -1, 0, -1]].any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_images_are_seen_upright(orientation: int) -> None:
    data, upright = turned(PHOTOS[1], orientation)
    box = (11.5, 7.25, 71.5, 80)
    expected = np.asarray(upright.resize((64, 64), Resampling.BILINEAR, box))
    assert off(drawn(data, PLAIN._replace(box=box), upright.size), expected) == 0


@pytest.mark.parametrize("path", [UPRIGHT, *TURNED], ids=lambda path: path.stem)
def test_real_turned_photographs(path: Path) -> None:
    data = path.read_bytes()
    with PIL.Image.open(path) as opened:
        width, height = ImageOps.exif_transpose(opened).size
    box = (width / 8, height / 8, width / 2, height / 2)
    assert off(drawn(data, PLAIN._replace(box=box), (width, height)), the_long_way(data, box)) < 1


@pytest.mark.parametrize("data", PHOTOS, ids=range(len(PHOTOS)))
def test_a_part_is_resized_as_in_the_whole(data: bytes) -> None:
    width, height = Picture(data).size
    for box in (
        (0.0, 0.0, width, height),
        (10.3, 20.7, 200.1, 180.9),
        (width - 40.5, height - 30.5, width, height),
        (3.0, 4.0, 67.0, 68.0),
        (width / 3, height / 3, width / 3 + 20, height / 3 + 30),
    ):
        seen = drawn(data, PLAIN._replace(box=box), (width, height))
        assert off(seen, the_long_way(data, box)) < 0.3


def test_a_large_jpeg_is_decoded_in_small() -> None:
    with PIL.Image.open(io.BytesIO(PHOTOS[0])) as opened:
        width, height = opened.size
    box = (0.0, 0.0, width, height)
    seen = drawn(PHOTOS[0], PLAIN._replace(box=box), (width, height), 24)
    assert 0 < off(seen, the_long_way(PHOTOS[0], box, 24)) < 1


def test_changes_do_what_they_say() -> None:
    data = PHOTOS[2]
    width, height = Picture(data).size
    frame, whole = (width, height), PLAIN._replace(box=(0, 0, width, height))
    plain = drawn(data, whole, frame)
    assert np.array_equal(drawn(data, whole._replace(flip=True), frame), plain[:, ::-1])
    assert np.array_equal(drawn(data, whole._replace(flip_down=True), frame), plain[::-1])
    brighter = drawn(data, whole._replace(colour=(1.2, 1, 1)), frame)
    assert off(brighter, np.minimum(plain * 1.2, 255)) < 1
    grey = drawn(data, whole._replace(colour=(1, 1, 0)), frame)
    assert np.ptp(grey.astype(int), axis=2).max() <= 1
    flat = drawn(data, whole._replace(colour=(1, 0, 1)), frame)
    assert flat.std() < 1
    assert abs(flat.mean() - plain.mean()) < 12
    half = drawn(data, whole._replace(turn=180.0), frame)
    assert off(half, plain[::-1, ::-1]) < 1
    blurred = drawn(data, whole._replace(blur=2.0), frame)
    assert np.abs(np.diff(blurred.astype(int), axis=0)).mean() < (
        0.7 * np.abs(np.diff(plain.astype(int), axis=0)).mean()
    )
    erased = drawn(data, whole._replace(erase=(0.25, 0.5, 0.75, 1.0)), frame)
    assert (erased[32:, 16:48] == (124, 116, 104)).all()
    assert np.array_equal(erased[:32], plain[:32])


def test_bytes_without_a_picture_draw_nothing() -> None:
    out = np.zeros((8, 8, 3), np.uint8)
    bad = sorted((EDGE / "image-rs" / "bad").rglob("*.*"))
    for data in (b"", b"no image", PHOTOS[0][:200], PHOTOS[0][: len(PHOTOS[0]) // 2]):
        assert not render(data, PLAIN, (1, 1), out) or data == PHOTOS[0][: len(PHOTOS[0]) // 2]
    for path in bad:
        render(path.read_bytes(), PLAIN, (1, 1), out)


def test_one_pixel_and_long_images_are_drawn() -> None:
    for size in ((1, 1), (1, 300), (300, 1), (3, 2)):
        out = io.BytesIO()
        PIL.Image.new("RGB", size, (9, 99, 199)).save(out, "PNG")
        for box in ((0, 0, *size), (0.1, 0.1, 0.2, 0.2), (size[0] - 0.5, size[1] - 0.5, *size)):
            assert (drawn(out.getvalue(), PLAIN._replace(box=box), size, 8) == (9, 99, 199)).all()


@pytest.mark.parametrize("setting", ["256", "256-q95"])
def test_a_rendition_shows_the_same(setting: str) -> None:
    """PSNR of 36 dB and more, at the crop that an evaluation looks at."""
    rendition = parse_rendition(setting)
    assert rendition is not None
    found = []
    for data in PHOTOS:
        width, height = Picture(data).size
        frame = np.array([[0, 0, width, height]], np.float64)
        (change,) = plan_batch(
            NONE, frame, np.zeros(1, np.int64), size=224, seed=0, epoch=0, whole=True
        ).changes()
        small = rendition.method.prepare(Picture(data))
        one, other = (drawn(given, change, (width, height), 224) for given in (data, small))
        found.append(10 * np.log10(255**2 / ((one.astype(np.float64) - other) ** 2).mean()))
    assert np.mean(found) >= {"256": 36, "256-q95": 38}[setting]


def test_squares_show_some_surroundings_and_stay_inside() -> None:
    sizes = np.array([[100, 80]] * 4, np.float64)
    boxes = np.array([[40, 30, 60, 40], [0, 0, 20, 10], [90, 70, 100, 80], [0, 0, 100, 80]], float)
    found = squares(boxes, sizes)
    assert found[0].tolist() == [35, 20, 65, 50]
    assert found[1].tolist() == [0, 0, 30, 30]
    assert found[2].tolist() == [85, 65, 100, 80]
    assert found[3].tolist() == [0, 0, 100, 80]


def test_blending_pictures() -> None:
    images = np.stack([np.full((8, 8, 3), level, np.uint8) for level in (0, 100, 200)])
    partner = np.array([1, 2, 0])
    mixed = images.copy()
    share = blend(mixed, Mix(partner, 0.75, None))
    assert share == 0.75
    assert [int(one.mean()) for one in mixed] == [25, 125, 150]
    cut = images.copy()
    share = blend(cut, Mix(partner, 0.75, (0.5, 0.5, 1.0, 1.0)))
    assert share == 0.75
    assert (cut[0, 4:, 4:] == 100).all()
    assert (cut[0, :4] == 0).all()
    assert Rendition(384, 95).setting == "384-q95"
