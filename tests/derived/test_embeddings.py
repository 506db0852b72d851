"""The built-in descriptor, embeddings as derived values, and crops of regions."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from derived_images import VARIANTS, encoded, forbidden, photos, picture, reader
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import voyager.derived.picture as decoding
from voyager.derived.cache import DerivedCache
from voyager.derived.crops import Crop, crop_id, crop_of
from voyager.derived.embeddings import (
    default_embedder,
    embedding,
    likenesses,
    open_embedder,
    refuse_mixing,
    vectors,
)
from voyager.derived.picture import Picture
from voyager.derived.registry import METHODS, run
from voyager.errors import NotFoundError, UsageError
from voyager.images import ImageInfo
from voyager.schema.transform import ORIENTATIONS
from voyager.store.ids import blob_id

DEFAULT = default_embedder()
METHOD = embedding(DEFAULT)

_TRANSPOSE = {
    "none": None,
    "mirror": Image.Transpose.FLIP_LEFT_RIGHT,
    "rot180": Image.Transpose.ROTATE_180,
    "flip": Image.Transpose.FLIP_TOP_BOTTOM,
    "transpose": Image.Transpose.TRANSPOSE,
    "rot90": Image.Transpose.ROTATE_270,
    "transverse": Image.Transpose.TRANSVERSE,
    "rot270": Image.Transpose.ROTATE_90,
}


def vector(image: bytes | Picture) -> np.ndarray:
    [found] = METHOD([b""], [image])
    assert found is not None
    return np.frombuffer(found, "<f2").astype(np.float32)


def likeness(one: bytes | Picture, other: bytes | Picture) -> float:
    return float(vector(one) @ vector(other))


def first_photo() -> bytes:
    return next(iter(photos().values()))


# --- values ---


def test_a_value_is_256_halves_and_a_unit_vector(tmp_path: Path) -> None:
    assert METHOD.size == 512
    assert METHOD.name == f"embedding-{DEFAULT.model_id.hex()[:16]}"
    values = DerivedCache(tmp_path).compute(METHOD, photos(), reader(photos()))
    rows = vectors(values)
    assert rows.shape == (100, 256)
    assert rows.dtype == np.float32
    assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-5
    assert vectors(DerivedCache(tmp_path).compute(METHOD, photos(), forbidden)).tolist() == (
        rows.tolist()
    )


def test_a_batch_gives_what_single_images_give() -> None:
    images = photos(24)
    ids, data = list(images), list(images.values())
    together = METHOD(ids, data)
    assert together == [METHOD([one], [images[one]])[0] for one in ids]
    assert METHOD(ids[::-1], data[::-1]) == together[::-1]


def test_the_method_can_go_to_another_process() -> None:
    again = pickle.loads(pickle.dumps(METHOD))
    assert again([b""], [first_photo()]) == METHOD([b""], [first_photo()])
    assert again.name == METHOD.name


def test_the_decode_is_shared_with_the_perceptual_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    data = list(photos(5).values())
    alone = METHOD([b""] * 5, data)
    asked: list[int] = []
    decode = decoding.plain_pixels

    def counted(data: bytes, info: ImageInfo, scale: int) -> NDArray[np.uint8] | None:
        asked.append(scale)
        return decode(data, info, scale)

    monkeypatch.setattr(decoding, "plain_pixels", counted)
    assert run([METHOD, METHODS["phash"]], data)[0] == alone
    assert len(asked) == len(data)


def test_the_vector_of_a_photograph_never_changes() -> None:
    """Written down: other numbers here ask for another `descriptor.VERSION`."""
    assert DEFAULT.model_id == blake3(b"voyager descriptor 2").digest()
    found = vector(first_photo())
    assert np.abs(found[GOLDEN_PLACES] - GOLDEN).max() < 2e-3


GOLDEN_PLACES = [2, 30, 32, 66, 91, 122, 144, 146, 156, 186, 216, 224, 232, 242, 254, 255]
GOLDEN = [
    -0.193,
    0.163,
    -0.152,
    0.161,
    0.138,
    -0.22,
    0.179,
    -0.209,
    0.133,
    -0.155,
    0.088,
    0.07,
    0.083,
    0.095,
    0.145,
    0.076,
]


# --- what is equal, and what is alike ---


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_an_image_turned_by_its_metadata_equals_the_turned_image(
    orientation: int, kind: str
) -> None:
    image = picture(first_photo()).resize((90, 120))
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = _TRANSPOSE[ORIENTATIONS[orientation]]
    upright = image if turn is None else image.transpose(turn)
    stored = vector(encoded(image, kind, exif=exif))
    assert np.array_equal(stored, vector(encoded(upright, "PNG")))


def test_a_mirrored_image_has_the_same_vector_and_an_upset_one_another() -> None:
    for data in photos(20).values():
        image = picture(data)
        straight = encoded(image, "BMP")
        mirrored = encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "BMP")
        assert likeness(straight, mirrored) > 0.999
        assert likeness(straight, encoded(image.rotate(180), "BMP")) < 0.9


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_nearest_to_its_photograph(variant: str) -> None:
    known = np.stack([vector(data) for data in photos().values()])
    changed = np.stack([vector(VARIANTS[variant](picture(data))) for data in photos(25).values()])
    assert (changed @ known.T).argmax(axis=1).tolist() == list(range(25))


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "I;16", "1", "LA"])
def test_images_of_every_mode_have_a_vector(mode: str) -> None:
    image = picture(first_photo()).resize((80, 60))
    grey = image.convert("L")
    if mode == "I;16":
        deep = np.asarray(grey, np.uint16) * 257
        assert likeness(encoded(Image.fromarray(deep), "PNG"), encoded(grey, "PNG")) > 0.98
    else:
        stored = encoded(image.convert(mode), "TIFF" if mode == "CMYK" else "PNG")
        assert likeness(stored, encoded(image, "PNG")) > (0.7 if mode == "1" else 0.85)


def test_grey_and_cmyk_jpegs_have_a_vector() -> None:
    image = picture(first_photo())
    whole = encoded(image, quality=90)
    assert likeness(encoded(image.convert("CMYK"), quality=90), whole) > 0.99
    assert likeness(encoded(image.convert("L"), quality=90), whole) > 0.85


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3), (8, 8)])
def test_tiny_and_thin_images_have_a_vector(size: tuple[int, int]) -> None:
    for colour in ((0, 0, 0), (255, 255, 255), (250, 3, 90)):
        found = vector(encoded(Image.new("RGB", size, colour), "PNG"))
        assert np.isfinite(found).all()
        assert abs(float(np.linalg.norm(found)) - 1) < 1e-3


def test_plain_images_are_told_apart_by_their_colour() -> None:
    plain = {
        name: vector(encoded(Image.new("RGB", (64, 64), name), "PNG"))
        for name in ("red", "darkred", "blue", "white", "black")
    }
    assert plain["red"] @ plain["darkred"] > plain["red"] @ plain["blue"]
    assert plain["white"] @ plain["black"] < 0.5


def test_what_cannot_be_decoded_or_claims_too_much_has_no_value() -> None:
    good = first_photo()
    vast = bytearray(encoded(Image.new("RGB", (8, 8)), "BMP"))
    vast[18:26] = (1 << 30).to_bytes(4, "little") * 2
    bomb = encoded(Image.new("L", (8, 8)), "PNG")
    bomb = bomb[:16] + struct.pack(">II", 100_000, 100_000) + bomb[24:]
    bad = [b"", b"no image", good[: len(good) // 2], bytes(vast), bomb]
    found = METHOD([b""] * 6, [*bad, good])
    assert found == [None] * 5 + METHOD([b""], [good])


# --- models are not mixed ---


class Other:
    """A model that sees nothing but light."""

    model_id = bytes(32)
    name = "other"
    dims = 256
    text = None

    def prepare(self, picture: Picture, /) -> np.ndarray:
        return np.asarray(picture.full.convert("L").resize((16, 16)), np.float32).ravel()

    def embed(self, prepared: list[np.ndarray], /) -> np.ndarray:
        rows = np.stack(prepared)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_vectors_of_two_models_are_not_compared(tmp_path: Path) -> None:
    cache = DerivedCache(tmp_path)
    other = embedding(Other())
    mine, theirs = (cache.compute(one, photos(5), reader(photos())) for one in (METHOD, other))
    ours = likenesses(mine, mine)
    assert np.abs(np.diag(ours) - 1).max() < 1e-5
    names = f"{DEFAULT.model_id.hex()[:16]} .* {'0' * 16}"
    with pytest.raises(UsageError, match=names):
        likenesses(mine, theirs)
    with pytest.raises(UsageError, match=names):
        refuse_mixing(DEFAULT.model_id, bytes(32))
    refuse_mixing(DEFAULT.model_id, DEFAULT.model_id.hex()[:16])


def test_other_values_are_no_embeddings(tmp_path: Path) -> None:
    hashes = DerivedCache(tmp_path).compute(METHODS["phash"], photos(2), reader(photos()))
    with pytest.raises(UsageError, match=r"phash \d are no embeddings"):
        vectors(hashes)


def test_a_model_that_gives_no_number_gives_no_value() -> None:
    class Broken(Other):
        def embed(self, prepared: list[np.ndarray], /) -> np.ndarray:
            rows = super().embed(prepared)
            rows[0] = np.nan
            return rows

    first, second = embedding(Broken())([b"", b""], list(photos(2).values()))
    assert first is None
    assert second is not None


def test_a_model_is_found_by_name() -> None:
    assert open_embedder("default").model_id == DEFAULT.model_id
    assert open_embedder("default").text is None
    with pytest.raises(NotFoundError, match="no model 'clop': neither 'default', nor a folder"):
        open_embedder("clop")


# --- crops ---


def test_the_id_of_a_crop_is_of_image_and_box() -> None:
    """Written down, since derived values are kept under it."""
    blob = blob_id(b"image")
    box = (1, -2, 3, 4)
    told = b"region\0" + blob + struct.pack("<4i", *box)
    assert crop_id(blob, box) == Crop(blob, box).id == blake3(told).digest()
    assert len({crop_id(blob, one) for one in [(0, 0, 1, 1), (0, 0, 1, 2), (0, 0, 2, 1)]}) == 3
    assert crop_id(blob_id(b"other"), box) != crop_id(blob, box)


@given(*[st.floats(-50, 150, allow_nan=False)] * 4, st.integers(1, 99), st.integers(1, 99))
@settings(max_examples=60, deadline=None)
def test_a_crop_lies_in_its_image_and_holds_its_region(
    a: float, b: float, c: float, d: float, width: int, height: int
) -> None:
    bounds = (min(a, c), min(b, d), max(a, c), max(b, d))
    left, top, right, bottom = crop_of(bytes(32), bounds, width, height).box
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    if bounds[0] >= 0 and bounds[2] <= width and bounds[2] > bounds[0]:
        assert left <= bounds[0]
        assert right >= bounds[2]
        assert right - left < bounds[2] - bounds[0] + 2


def test_a_crop_has_the_vector_of_the_image_cut_out() -> None:
    image = picture(first_photo()).resize((300, 400))
    stored = encoded(image, "PNG")
    box = (40, 100, 171, 320)
    cut = encoded(image.crop(box), "PNG")
    assert np.array_equal(vector(Crop(b"", box).picture(Picture(stored))), vector(cut))


def test_a_crop_of_a_turned_image_is_upright() -> None:
    image = picture(first_photo()).resize((300, 400))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = encoded(image.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    # Stored pixels lie on their side: the upright x runs up from the bottom.
    part = vector(Picture(stored).crop((100, 300 - 171, 320, 300 - 40)))
    assert np.array_equal(part, vector(encoded(image.crop((40, 100, 171, 320)), "PNG")))


def test_regions_are_embedded_once_and_the_thing_is_found_in_its_picture(tmp_path: Path) -> None:
    """A photograph pasted into a larger scene is nearest to itself by its region, not whole."""
    scenes, crops = {}, {}
    for data in photos(12).values():
        scene = Image.new("RGB", (640, 480), (90, 120, 60))
        ImageDraw.Draw(scene).rectangle((300, 20, 620, 300), fill=(200, 30, 30))
        scene.paste(picture(data).resize((150, 200)), (60, 200))
        stored = encoded(scene, quality=92)
        crop = crop_of(blob_id(stored), (60.4, 200.2, 209.6, 399.7), 640, 480)
        scenes[crop.blob], crops[crop.id] = stored, crop

    def read(ids: Sequence[bytes]) -> Iterable[tuple[bytes, Picture]]:
        return ((one, crops[one].picture(Picture(scenes[crops[one].blob]))) for one in ids)

    cache = DerivedCache(tmp_path)
    found = cache.compute(METHOD, crops, read)
    whole = cache.compute(METHOD, photos(), reader(photos()))
    assert likenesses(found, whole).argmax(axis=1).tolist() == list(range(12))
    assert len(cache.compute(METHOD, crops, forbidden)) == 12
