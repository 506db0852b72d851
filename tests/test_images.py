"""Headers are read as Pillow reads them, and no bytes at all make the probe raise."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from voyager.images import IMAGE_EXTENSIONS, ImageInfo, probe

EDGE = Path(__file__).parent / "data" / "image_edge"
SAMPLES = Path(__file__).parents[1] / "voyager" / "samples" / "clothing"
GOOD = sorted(
    path
    for path in EDGE.rglob("*")
    if path.suffix in IMAGE_EXTENSIONS and "bad" not in path.relative_to(EDGE).parts
)
TYPES = {"jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heif"}
ORIENTATION = 274


def name_of(path: Path) -> str:
    return path.relative_to(EDGE).as_posix()


def by_pillow(data: bytes) -> tuple[str, int, int, int]:
    """Type, stored size and orientation as Pillow's header readers tell them."""
    with Image.open(io.BytesIO(data)) as image:
        # Pillow reports an orientation that no camera writes as it is, and decodes pixels to look
        # for one behind those of a PNG.
        orientation = image.info.get("exif") and image.getexif().get(ORIENTATION)
        width, height = image.size
        if image.format == "TIFF":  # Pillow turns these while it decodes, and gives that size
            orientation = image.tag_v2.get(ORIENTATION)
            width, height = image.tag_v2[256], image.tag_v2[257]
        return str(image.format).lower(), width, height, orientation or 1


def drawn(mode: str = "RGB", size: tuple[int, int] = (48, 31)) -> Image.Image:
    gradient = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (gradient, gradient.rotate(180), gradient)).convert(mode)


def encoded(kind: str, orientation: int | None = None, **options: object) -> bytes:
    """A small picture, 48x31, with an EXIF orientation if one is given."""
    out = io.BytesIO()
    if orientation is not None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    drawn().save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("path", GOOD, ids=name_of)
def test_good_files_read_as_pillow_reads_them(path: Path) -> None:
    data = path.read_bytes()
    info = probe(data, path.name)
    assert info is not None
    assert info.problem is None
    assert (info.type, info.width, info.height, info.orientation) == by_pillow(data)
    assert probe(memoryview(data)) == info


def test_there_are_files_of_every_kind_to_read() -> None:
    assert len(GOOD) > 50
    assert {path.suffix for path in GOOD} == {".jpg", ".png", ".gif", ".webp"}


def test_sample_photographs_are_sound() -> None:
    for path in SAMPLES.rglob("*.jpg"):
        info = probe(path.read_bytes(), path.name)
        assert info is not None
        assert info.problem is None


@pytest.mark.parametrize(
    ("name", "width", "height", "problem"),
    [
        ("Bad_reallybig.bmp", 3_000_000, 2_000_000, "header claims 3000000x2000000"),
        ("Bad_height.bmp", 6, 2_147_483_647, "header claims 6x2147483647"),
        ("Bad_width.bmp", 2_147_483_647, 6, "header claims 2147483647x6"),
        ("Bad_shortfile.bmp", 127, 64, "truncated"),
        ("Bad_unusual_extend_buffer_usage.bmp", 2554, 18803, "truncated"),
        ("Bad_badbitcount.bmp", 127, 64, "damaged header"),
    ],
)
def test_bad_bitmaps_are_recorded_and_flagged(
    name: str, width: int, height: int, problem: str
) -> None:
    data = (EDGE / "image-rs" / "bad" / "bmp" / name).read_bytes()
    assert probe(data) == ImageInfo("bmp", width, height, 1, problem)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation(kind: str, orientation: int) -> None:
    data = encoded(kind, orientation)
    assert probe(data) == ImageInfo(kind.lower(), 48, 31, orientation)
    assert by_pillow(data) == (kind.lower(), 48, 31, orientation)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientations_that_do_not_exist_are_upright(kind: str) -> None:
    assert probe(encoded(kind, 9)) == ImageInfo(kind.lower(), 48, 31, 1)


def test_first_camera_orientation_of_a_real_file() -> None:
    info = probe((EDGE / "exif_orientation" / "Landscape_6.jpg").read_bytes())
    assert info == ImageInfo("jpeg", 1200, 1800, 6)


def test_orientation_behind_the_pixels_of_a_png() -> None:
    data = encoded("PNG", 6)
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    iend = data.index(b"IEND") - 4
    moved = data[:start] + data[end:iend] + data[start:end] + data[iend:]
    assert probe(moved) == ImageInfo("png", 48, 31, 6)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("BMP", {}),
        ("DIB", {}),
        ("GIF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"big_tiff": True}),
        ("WEBP", {"lossless": True}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"restart_marker_blocks": 1}),
    ],
)
def test_encoders_of_pillow(kind: str, options: dict[str, object]) -> None:
    expected = None if kind == "DIB" else ImageInfo(kind.lower(), 48, 31)
    assert probe(encoded(kind, **options)) == expected


def test_big_endian_tiff() -> None:
    data = b"MM\0*\0\0\0\x08\0\x03" + b"".join(
        tag.to_bytes(2, "big") + b"\0\x03\0\0\0\x01" + value.to_bytes(2, "big") + b"\0\0"
        for tag, value in ((256, 640), (257, 480), (274, 3))
    )
    assert probe(data) == ImageInfo("tiff", 640, 480, 3)


def test_bitmap_with_the_oldest_header_and_one_whose_rows_run_downwards() -> None:
    core = b"BM" + bytes(8) + (26).to_bytes(4, "little") + b"\x0c\0\0\0\x02\0\x03\0\x01\0\x18\0"
    assert probe(core + bytes(24)) == ImageInfo("bmp", 2, 3)
    upwards = bytearray(encoded("BMP"))
    upwards[22:26] = (-31).to_bytes(4, "little", signed=True)
    assert probe(bytes(upwards)) == ImageInfo("bmp", 48, 31)


def test_heif_and_avif_differ_by_brand_alone() -> None:
    avif = encoded("AVIF", 6)
    assert avif[8:12] == b"avif"
    assert probe(avif[:8] + b"heic" + avif[12:]) == ImageInfo("heif", 48, 31, 6)
    assert probe(avif[:8] + b"mif1" + avif[12:]) == ImageInfo("avif", 48, 31, 6)
    assert probe(avif[:8] + b"isom" + avif[12:]) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"])
def test_every_cut_of_a_file_is_noticed(kind: str) -> None:
    data = encoded(kind)
    assert probe(data) == ImageInfo(kind.lower(), 48, 31)
    for size in range(len(data)):
        info = probe(data[:size], f"a.{kind.lower()}")
        assert info is not None
        # A byte of the pixels may happen to look like the one-byte end mark of a GIF.
        if kind != "GIF" or data[size - 1 : size] != b";":
            assert info.problem is not None, size


def test_what_follows_the_end_is_no_problem() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        assert probe(encoded(kind) + bytes(1000)) == ImageInfo(kind.lower(), 48, 31)
    film = b"\0\0\0\x18ftypmp42" + bytes(5000)
    assert probe(encoded("JPEG") + film) == ImageInfo("jpeg", 48, 31)


def test_the_name_counts_only_where_the_content_says_nothing() -> None:
    assert probe(b"", "a.jpg") == ImageInfo("jpeg", 0, 0, 1, "zero bytes")
    assert probe(b"hello", "A.JPG") == ImageInfo("jpeg", 0, 0, 1, "not jpeg data")
    assert probe(b"hello", "notes.txt") is None
    assert probe(b"") is None
    assert probe(encoded("PNG"), "a.jpg") == ImageInfo("png", 48, 31)
    assert probe(encoded("TIFF"), "a.nef") is None
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    info = probe(pointer, "a.jpg")
    assert info is not None
    assert info.problem == "a Git LFS pointer, not the image"


def test_icons_and_licences_are_plain_files() -> None:
    for path in EDGE.rglob("*"):
        if path.is_file() and path.suffix not in IMAGE_EXTENSIONS:
            assert probe(path.read_bytes(), path.name) is None


def test_a_claim_must_be_backed_by_bytes() -> None:
    data = bytearray(encoded("PNG"))
    data[16:24] = (20_000).to_bytes(4, "big") * 2
    assert probe(bytes(data)) == ImageInfo("png", 20_000, 20_000, 1, "header claims 20000x20000")
    data[16:24] = (16_000).to_bytes(4, "big") * 2
    assert probe(bytes(data)) == ImageInfo("png", 16_000, 16_000)
    data[16:20] = bytes(4)
    assert probe(bytes(data)) == ImageInfo("png", 0, 16_000, 1, "header claims 0x16000")


def test_hostile_headers_take_no_time() -> None:
    many = 300_000
    assert probe(b"\xff\xd8" + b"\xff\xe0\0\x02" * many, "a.jpg") is not None
    assert probe(encoded("PNG")[:33] + bytes(12) * many) is not None
    assert probe(b"GIF89a" + bytes(7) + b"!\xfe" + b"\x01\0" * many) is not None
    assert probe(b"\0\0\0\x0cftypheic" + b"\0\0\0\x08free" * many) is not None
    assert probe(b"II*\0\x08\0\0\0\xff\xff" + bytes(12) * many) is not None


def check(data: bytes) -> None:
    for name in ("", "a.jpg"):
        info = probe(data, name)
        if info is not None:
            assert info.type in TYPES
            assert 0 <= info.width < 1 << 32
            assert 0 <= info.height < 1 << 32
            assert 1 <= info.orientation <= 8
            assert info.problem is not None or info.width * info.height
        assert probe(memoryview(data), name) == info


MAGICS = [encoded(kind, 6)[:64] for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")]
MAGICS += [encoded("GIF")[:20], encoded("BMP")[:60], b"II+\0", b"MM\0+\0\x08\0\0"]


@given(st.sampled_from(MAGICS), st.integers(0, 64), st.binary(max_size=300))
def test_any_bytes_behind_a_good_start(magic: bytes, keep: int, rest: bytes) -> None:
    check(magic[:keep] + rest)


@pytest.mark.parametrize("path", [*GOOD[::7], *(EDGE / "image-rs" / "bad").rglob("*.*")], ids=str)
def test_mutations_of_real_files(path: Path) -> None:
    mutate(path.read_bytes(), rounds=60)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_mutations_of_headers(kind: str) -> None:
    mutate(encoded(kind, None if kind in ("GIF", "BMP") else 6), rounds=1500)


@pytest.mark.deep
@pytest.mark.parametrize("path", GOOD, ids=name_of)
def test_many_mutations_of_real_files(path: Path) -> None:
    mutate(path.read_bytes(), rounds=20_000)


def mutate(data: bytes, *, rounds: int) -> None:
    """Flip, drop and cut bytes, mostly near the start, where the header is."""
    chance = random.Random(len(data))
    for _ in range(rounds):
        bad = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            if not bad:
                break
            place = min(int(chance.expovariate(1 / 40)), len(bad) - 1)
            match chance.randrange(4):
                case 0:
                    bad[place] = chance.randrange(256)
                case 1:
                    bad[place : place + 4] = chance.choice((b"\xff" * 4, bytes(4), b"\x80\0\0\0"))
                case 2:
                    del bad[place : place + chance.randint(1, 8)]
                case 3:
                    del bad[chance.randrange(len(bad)) :]
        check(bytes(bad))
