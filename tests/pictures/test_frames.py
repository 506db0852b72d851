"""Images are decoded upright, within limits, and what cannot be shown says why."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from voyager import schema, wire
from voyager.errors import NotFoundError
from voyager.images import probe
from voyager.pictures import MOST_PIXELS, Bounds, Mark, View, blank, frame_of, read_frame, whole
from voyager.samples import photo_paths
from voyager.schema import Box

EDGE = Path(__file__).parents[1] / "data" / "image_edge"
LANDSCAPE = EDGE / "exif_orientation"
ORIENTATION = 274
INVERSE = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_90,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_270,
}


def upright() -> Pillow.Image:
    with Pillow.open(LANDSCAPE / "Landscape_0.jpg") as image:
        return image.resize((180, 120))


def stored(orientation: int, kind: str) -> bytes:
    """The landscape as a camera stores it that is held in one of the eight ways."""
    image = upright()
    turned = image if orientation == 1 else image.transpose(INVERSE[orientation])
    exif = Pillow.Exif()
    exif[ORIENTATION] = orientation
    out = io.BytesIO()
    turned.save(out, kind, exif=exif)
    return out.getvalue()


def stored_box(orientation: int, box: Bounds) -> Box:
    """Where a box of the upright picture lies among the stored pixels."""
    flag = Pillow.new("L", (180, 120))
    flag.paste(255, tuple(map(int, (box.left, box.top, box.right, box.bottom))))
    turned = flag if orientation == 1 else flag.transpose(INVERSE[orientation])
    return Box(*turned.getbbox())


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_give_one_upright_picture_with_the_mark_at_one_spot(orientation, kind):
    spot = Bounds(30, 20, 80, 50)
    frame = read_frame(stored(orientation, kind))
    picture = whole(frame, [Mark(stored_box(orientation, spot), caption="sky")])
    expected = whole(read_frame(stored(1, "PNG")), [Mark(Box(30, 20, 80, 50), caption="sky")])
    assert (frame.width, frame.height) == (180, 120)
    difference = np.abs(np.asarray(picture, int) - np.asarray(expected))
    assert difference.max() < 60, "a line drawn the other way round may differ by a quarter pixel"
    assert np.count_nonzero(difference) < 2000
    assert not difference[:15].any() and not difference[25:45, 35:75].any()


@pytest.mark.parametrize("number", [5, 6])
def test_photos_of_a_turned_camera_look_as_the_one_that_was_not(number):
    straight = read_frame((LANDSCAPE / "Landscape_0.jpg").read_bytes())
    turned = read_frame((LANDSCAPE / f"Landscape_{number}.jpg").read_bytes())
    assert (turned.width, turned.height) == (straight.width, straight.height)
    small = [np.asarray(whole(frame, (), max_side=90), float) for frame in (straight, turned)]
    assert np.abs(small[0] - small[1]).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_view_leads_back(orientation):
    view = View.upright(orientation, 30, 20).moved(3, 4).scaled(2, 5)
    a, b, c, d, e, f = view.inverse()
    ((x, y),) = view.of(np.array([[7.0, 11.0]]))
    assert (a * x + b * y + c, d * x + e * y + f) == pytest.approx((7, 11))


def test_a_photo_is_as_it_was_and_smaller_on_demand():
    data = photo_paths()[0].read_bytes()
    with Pillow.open(io.BytesIO(data)) as image:
        size, pixels = image.size, np.asarray(image.convert("RGB"))
    assert np.array_equal(np.asarray(whole(read_frame(data), ())), pixels)
    less = read_frame(data, most=100)
    assert less.pixels.size < size
    assert (less.width, less.height) == size
    assert max(whole(less, (), max_side=100).size) == 100


def test_marks_of_a_smaller_picture_lie_where_they_should():
    data = stored(1, "JPEG")
    picture = np.asarray(whole(read_frame(data, most=45), [Mark(Box(40, 40, 80, 80))], max_side=45))
    plain = np.asarray(whole(read_frame(data, most=45), (), max_side=45))
    ys, xs = np.nonzero((picture != plain).any(axis=2))
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == pytest.approx((8, 8, 21, 21), abs=1)


def test_deep_greys_are_stretched_and_clear_pixels_are_paper():
    deep = io.BytesIO()
    Pillow.fromarray(np.arange(1000, 1100, dtype=np.uint16).reshape(10, 10)).save(deep, "PNG")
    levels = np.asarray(read_frame(deep.getvalue()).pixels)
    assert (levels.min(), levels.max()) == (0, 255)
    clear = io.BytesIO()
    Pillow.new("RGBA", (4, 4), (0, 0, 0, 0)).save(clear, "PNG")
    assert np.asarray(read_frame(clear.getvalue()).pixels).min() == 255


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(1 << 14, 1 << 14), (1 << 31, 1 << 31), (MOST_PIXELS + 1, 1)])
def test_a_bomb_is_never_decoded(size, monkeypatch):
    monkeypatch.setattr(Pillow, "open", None)
    frame = read_frame(bomb(*size))
    assert frame.pixels is None
    assert "too large to show" in frame.missing


@pytest.mark.parametrize(
    "path", sorted(p for p in EDGE.rglob("*") if p.is_file() and not p.name.startswith("LICENSE"))
)
def test_any_file_gives_a_frame(path):
    data = path.read_bytes()
    frame = read_frame(data)
    picture = whole(frame, [Mark(Box(1, 1, 8, 8))], max_side=64)
    assert max(picture.size) <= 64
    assert (frame.pixels is None) == bool(frame.missing)
    info = probe(data)
    if info is None or info.width * info.height == 0:
        assert frame.missing


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_truncated_photo_gives_a_frame(cut):
    data = photo_paths()[0].read_bytes()
    assert read_frame(data[:cut]).missing
    assert (
        read_frame(data[: len(data) // 2 + cut]).missing == "jpeg image cannot be read: truncated"
    )


def row(**fields: object) -> schema.Image:
    return schema.Image(**fields)


class TestMissing:
    def absent(self, _: bytes) -> bytes:
        raise NotFoundError("blob 00ff is not here")

    def test_a_pending_image_is_as_large_as_its_row_says_and_turned(self):
        frame = frame_of(row(width=300, height=200, orientation=6), self.absent)
        assert (frame.width, frame.height, frame.pixels) == (200, 300, None)
        assert frame.missing == "image is not here yet"

    def test_a_purged_image_says_so(self):
        assert frame_of(row(purged=True), self.absent).missing == "image was purged"

    def test_bytes_that_cannot_be_had_say_why(self):
        image = row(blob=wire.blob_ref(bytes(32)), width=300, height=200)
        assert frame_of(image, self.absent).missing == "blob 00ff is not here"

    def test_bytes_that_are_no_image_say_so(self):
        image = row(blob=wire.blob_ref(bytes(32)), width=300, height=200)
        frame = frame_of(image, lambda _: b"text")
        assert (frame.width, frame.missing) == (300, "image cannot be read: unknown type")

    def test_it_is_drawn_grey_with_words_and_marks(self):
        picture = whole(blank("image is not here yet"), [Mark(Box(10, 10, 60, 60))])
        colours = {colour for _, colour in picture.getcolors(1 << 20)}
        assert (255, 255, 255) in colours, "words"
        assert (230, 159, 0) in colours, "a mark"
        assert picture.getpixel((400, 20)) == picture.getpixel((20, 400)), "plain"

    def test_a_row_that_claims_any_size_makes_no_large_picture(self):
        image = row(width=10**9, height=10**6)
        assert whole(frame_of(image, self.absent), ()).size == (1024, 1)
