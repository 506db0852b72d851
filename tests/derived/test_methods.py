"""Laws of every method, and what each of them says is equal or alike."""

from __future__ import annotations

import io

import numpy as np
import pytest
from derived_images import VARIANTS, encoded, photos, picture
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from voyager.derived import jpeg
from voyager.derived.decode import quietly, sound_header
from voyager.derived.jpeg import plain_pixels
from voyager.derived.perceptual_hash import HASH_BYTES, TURNS, turned
from voyager.derived.registry import METHODS, Method, method_of, rendition, run
from voyager.errors import NotFoundError
from voyager.schema.transform import ORIENTATIONS
from voyager.store.ids import blob_id

ALL = pytest.mark.parametrize(
    "method", [*METHODS.values(), rendition(64), rendition(64, 95)], ids=str
)

_TRANSPOSE = {
    "mirror": Image.Transpose.FLIP_LEFT_RIGHT,
    "rot180": Image.Transpose.ROTATE_180,
    "flip": Image.Transpose.FLIP_TOP_BOTTOM,
    "transpose": Image.Transpose.TRANSPOSE,
    "rot90": Image.Transpose.ROTATE_270,
    "transverse": Image.Transpose.TRANSVERSE,
    "rot270": Image.Transpose.ROTATE_90,
}


def value(method: str | Method, data: bytes) -> bytes | None:
    method = METHODS[method] if isinstance(method, str) else method
    return method([blob_id(data)], [data])[0]


def hash_of(data: bytes) -> np.ndarray:
    found = value("phash", data)
    assert found is not None
    return np.frombuffer(found, np.uint8)[None, :HASH_BYTES]


def distance(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.bitwise_count(one ^ other).sum())


@ALL
def test_a_batch_gives_what_single_images_give_in_any_order(method: Method) -> None:
    images = photos(24)
    ids, data = list(images), list(images.values())
    together = method(ids, data)
    assert together == [method([one], [images[one]])[0] for one in ids]
    assert method(ids[::-1], data[::-1]) == together[::-1]
    assert method(ids[5:12], data[5:12]) == together[5:12]
    assert len(set(together)) > len(together) // 3
    assert method.size is None or {len(one or b"") for one in together} == {method.size}


@ALL
def test_what_cannot_be_decoded_has_no_value_and_spoils_no_batch(method: Method) -> None:
    good = next(iter(photos().values()))
    vast = bytearray(encoded(Image.new("RGB", (8, 8)), "BMP"))
    vast[18:26] = (1 << 30).to_bytes(4, "little") * 2
    bad = [b"", b"no image", good[: len(good) // 2], good[:200], bytes(vast), b"BM" + bytes(60)]
    values = method([b"x" * 32] * 7, [*bad, good])
    assert values[-1] == value(method, good)
    if method.cost == "cheap":  # a header may be sound where the pixels are not
        assert values[:2] == [None, None]
    else:
        assert values[:-1] == [None] * 6


def test_methods_share_a_decode_and_give_the_same_values() -> None:
    data = list(photos(5).values())
    ids = list(photos(5))
    assert run(list(METHODS.values()), data) == [one(ids, data) for one in METHODS.values()]


def test_an_unknown_method_is_named() -> None:
    assert method_of("phash") is METHODS["phash"]
    with pytest.raises(
        NotFoundError, match="no derived value 'phush'; there are probe, pixels, phash"
    ):
        method_of("phush")


# --- pixels ---


def by_pillow(data: bytes, scale: int) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    if scale > 1:
        image.draft("RGB", (image.width // scale, image.height // scale))
    return np.asarray(image.convert("RGB"))


def by_simplejpeg(data: bytes, scale: int) -> np.ndarray | None:
    info = sound_header(data)
    return None if info is None else plain_pixels(data, info, scale)


@pytest.mark.parametrize("size", [(400, 300), (401, 303), (77, 33), (17, 9), (2, 3), (1, 40)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_simplejpeg_and_pillow_decode_to_the_same_pixels(size: tuple[int, int], mode: str) -> None:
    image = picture(next(iter(photos().values()))).resize(size).convert(mode)
    for subsampling in (0, 1, 2):
        for progressive in (False, True):
            data = encoded(image, subsampling=subsampling, progressive=progressive)
            for scale in (1, 2, 4, 8):
                if scale == 1 or min(size) >= 2 * scale:
                    found = by_simplejpeg(data, scale)
                    assert found is not None
                    assert np.array_equal(found, by_pillow(data, scale))


@given(st.data())
@examples(60, deep=2000)
def test_what_simplejpeg_decodes_of_damaged_bytes_pillow_decodes_alike(data: st.DataObject) -> None:
    content = bytearray(next(iter(photos().values())))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(2, len(content) - 1))] = data.draw(st.integers(0, 255))
    scale = data.draw(st.sampled_from([1, 2, 4, 8]))
    found = by_simplejpeg(bytes(content), scale)
    if found is not None:
        with quietly():
            assert np.array_equal(found, by_pillow(bytes(content), scale))


def test_values_are_the_same_without_simplejpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    data = list(photos(12).values())
    methods = list(METHODS.values())
    expected = run(methods, data)
    monkeypatch.setattr(jpeg, "_library", lambda: None)
    assert run(methods, data) == expected


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_lossless_copies_have_the_same_pixels(kind: str, mode: str) -> None:
    image = picture(next(iter(photos().values()))).convert(mode)
    first = encoded(image, "PNG", compress_level=1)
    assert value("pixels", encoded(image, kind)) == value("pixels", first)
    assert value("pixels", encoded(image.convert("RGB"), "WEBP", lossless=True)) == (
        value("pixels", first)
    )


def test_metadata_does_not_count_and_every_pixel_does() -> None:
    data = next(iter(photos().values()))
    comment = data[:2] + b"\xff\xfe\0\x07hello" + data[2:]
    assert value("pixels", comment) == value("pixels", data)
    image = picture(data)
    changed = image.copy()
    red, green, blue = image.getpixel((3, 5))
    changed.putpixel((3, 5), (red, green, blue ^ 1))
    assert value("pixels", encoded(changed, "PNG")) != value("pixels", encoded(image, "PNG"))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_an_image_turned_by_its_metadata_equals_the_turned_image(
    orientation: int, kind: str
) -> None:
    image = picture(next(iter(photos().values()))).resize((40, 30))
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = ORIENTATIONS[orientation]
    upright = image if turn == "none" else image.transpose(_TRANSPOSE[turn])
    stored = encoded(image, kind, exif=exif)
    for name in set(METHODS) - {"probe"}:
        assert value(name, stored) == value(name, encoded(upright, "PNG")), name


def test_the_shape_counts_and_hidden_colours_do_not() -> None:
    assert len({value("pixels", encoded(Image.new("L", size), "PNG")) for size in
                [(4, 9), (9, 4), (6, 6), (12, 3)]}) == 4  # fmt: skip
    clear = Image.new("RGBA", (8, 8), (1, 2, 3, 0))
    other = Image.new("RGBA", (8, 8), (200, 2, 3, 0))
    opaque = Image.new("RGBA", (8, 8), (1, 2, 3, 255))
    same = value("pixels", encoded(clear, "PNG"))
    assert same == value("pixels", encoded(other, "PNG"))
    assert same != value("pixels", encoded(opaque, "PNG"))
    plain = encoded(Image.new("RGB", (8, 8), (1, 2, 3)), "PNG")
    assert value("pixels", encoded(opaque, "PNG")) == value("pixels", plain)


def test_deep_greys_count_as_they_are() -> None:
    levels = np.arange(64, dtype=np.uint16).reshape(8, 8)
    dim, bright = (encoded(Image.fromarray(levels * by), "PNG") for by in (100, 1000))
    assert value("pixels", dim) != value("pixels", bright)
    assert value("pixels", encoded(Image.fromarray(levels * 100), "TIFF")) == value("pixels", dim)


def test_later_frames_count() -> None:
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 90, 180)]
    out = io.BytesIO()
    frames[0].save(out, "TIFF", save_all=True, append_images=frames[1:])
    fewer = io.BytesIO()
    frames[0].save(fewer, "TIFF", save_all=True, append_images=frames[1:2])
    assert len({value("pixels", one.getvalue()) for one in (out, fewer)}) == 2
    assert value("phash", out.getvalue()) == value("phash", fewer.getvalue())


# --- phash ---


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_a_photograph_stay_within_the_threshold(variant: str) -> None:
    turn = "mirror" if variant == "mirrored" else "none"
    far = [
        distance(turned(hash_of(data), turn), hash_of(VARIANTS[variant](picture(data))))
        for data in photos().values()
    ]
    assert max(far) <= 30
    assert sorted(far)[50] <= 8


def test_the_hash_of_a_turned_image_is_the_turned_hash() -> None:
    for data in photos(10).values():
        image = picture(data)
        straight = hash_of(encoded(image, "BMP"))
        for turn, transpose in _TRANSPOSE.items():
            actual = hash_of(encoded(image.transpose(transpose), "BMP"))
            sides_change = turn in ("transpose", "transverse", "rot90", "rot270")
            assert distance(turned(straight, turn), actual) <= (4 if sides_change else 0), turn


def test_turns_are_a_group() -> None:
    hashes = np.random.default_rng(1).integers(0, 256, (20, HASH_BYTES), np.uint8)
    assert len({turned(hashes, turn).tobytes() for turn in TURNS}) == 8
    assert (turned(hashes, "none") == hashes).all()
    for turn in set(TURNS) - {"rot90", "rot270"}:
        assert (turned(turned(hashes, turn), turn) == hashes).all(), turn
    assert (turned(turned(hashes, "rot90"), "rot270") == hashes).all()
    assert (turned(turned(hashes, "rot90"), "rot90") == turned(hashes, "rot180")).all()


def test_the_values_of_a_drawn_image_never_change() -> None:
    """Written down: other bytes here ask for another version of the method."""
    across, down = np.meshgrid(np.arange(64), np.arange(64))
    levels = np.stack([across * 4, down * 4, (across * down) % 256], axis=-1).astype(np.uint8)
    data = encoded(Image.fromarray(levels), "PNG")
    found = {str(one): value(one, data) for one in METHODS.values() if one.size}
    assert {name: blob_id(one or b"").hex()[:16] for name, one in found.items()} == {
        "probe 1": "f1c2f26ea3ae32f2",
        "pixels 1": "38e0d4f30a2a821e",
        "phash 2": "6734a59e2571317f",
        "sketch 1": "297e4a3ac19fceaa",
        "likeness 1": "df17e6b80d4f7089",
        "statistics 1": "168e7b57b0dcc48d",
    }
