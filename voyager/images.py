"""What an image says of itself in its header: type, size, orientation, and whether it is whole.

Nothing here decodes a pixel or allocates by a size that a header claims, so any bytes may be
probed. Sizes are of the stored frame, before the orientation is applied.
"""

from __future__ import annotations

import os.path
import struct
from collections.abc import Callable, Iterator
from struct import Struct

import msgspec

__all__ = ["IMAGE_EXTENSIONS", "ImageInfo", "probe"]

Bytes = bytes | memoryview


class ImageInfo(msgspec.Struct, frozen=True):
    """The header of an image; `width` and `height` are 0 where they could not be read.

    `type` is one of jpeg, png, webp, gif, bmp, tiff, avif, heif; `orientation` is EXIF's, 1 to 8;
    `problem` says in a few words what is wrong, None for a sound image. (A msgspec struct, because
    a frozen dataclass takes a third of the time of a probe to fill.)
    """

    type: str
    width: int
    height: int
    orientation: int = 1
    problem: str | None = None


IMAGE_EXTENSIONS = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".png": "png",
    ".apng": "png",
    ".webp": "webp",
    ".gif": "gif",
    ".bmp": "bmp",
    ".dib": "bmp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".avif": "avif",
    ".heic": "heif",
    ".heif": "heif",
    ".hif": "heif",
}
"""File name extensions (lower case, with the dot) of images, and the type that each promises."""

# Camera raw files open like a TIFF, but their first directory is often only a thumbnail.
_RAW_EXTENSIONS = {".arw", ".cr2", ".dng", ".iiq", ".nef", ".nrw", ".orf", ".pef", ".srw"}

# A claim of more pixels than this must be backed by bytes: even plain colour packs worse than
# 100 pixels a byte in all but a decompression bomb.
_MANY_PIXELS = 1 << 28
_PIXELS_PER_BYTE = 100

# No real file has this many segments, chunks or boxes before what is looked for; hostile ones do.
_MAX_STEPS = 1 << 14

_TRUNCATED = "truncated"
_DAMAGED = "damaged header"

_u16 = Struct(">H").unpack_from
_u32 = Struct(">I").unpack_from
_two_u16 = Struct(">HH").unpack_from
_two_u32 = Struct(">II").unpack_from
_little_u32 = Struct("<I").unpack_from
_little_two_u16 = Struct("<HH").unpack_from


def probe(data: Bytes, name: str = "") -> ImageInfo | None:
    """Read the header of an image; None when `data` is not one.

    The content decides. Only where it is of no known type does the extension of `name` count: a
    broken file called `x.jpg` is an image with a problem, and is kept as it is. Never raises.
    """
    magic = bytes(data[:18])
    if magic[:3] == b"\xff\xd8\xff":
        return _guarded(_jpeg, "jpeg", data)
    if magic[:8] == _PNG_MAGIC:
        return _guarded(_png, "png", data)
    found = _recognise(magic, data)
    extension = os.path.splitext(name)[1].lower() if name else ""
    if found is None:
        return _unrecognised(magic, data, extension)
    kind, parser = found
    if kind == "tiff" and extension in _RAW_EXTENSIONS:
        return None
    return _guarded(parser, kind, data)


_Parser = Callable[[Bytes], ImageInfo]


def _guarded(parser: _Parser, kind: str, data: Bytes) -> ImageInfo:
    """Run a parser; a header that ends too early is a truncated image."""
    try:
        return parser(data)
    except (struct.error, IndexError, OverflowError):
        return ImageInfo(kind, 0, 0, 1, _TRUNCATED)


def _recognise(magic: bytes, data: Bytes) -> tuple[str, _Parser] | None:
    if magic[:4] == b"RIFF" and magic[8:12] == b"WEBP":
        return "webp", _webp
    if magic[:6] in (b"GIF89a", b"GIF87a"):
        return "gif", _gif
    if magic[:4] in _TIFF_MAGIC:
        return "tiff", _tiff
    if magic[:2] == b"BM" and magic[14:18] in _BMP_HEADERS:
        return "bmp", _bmp
    if magic[4:8] == b"ftyp":
        return _recognise_brand(magic[8:12], bytes(data[16 : min(_u32(magic)[0], 128)]))
    return None


def _recognise_brand(major: bytes, compatible: bytes) -> tuple[str, _Parser] | None:
    if major in _AVIF_BRANDS or (major in _COMMON_BRANDS and b"avif" in compatible):
        return "avif", _avif
    if major in _HEIF_BRANDS or major in _COMMON_BRANDS:
        return "heif", _heif
    return None


def _unrecognised(magic: bytes, data: Bytes, extension: str) -> ImageInfo | None:
    kind = IMAGE_EXTENSIONS.get(extension)
    if kind is None:
        return None
    if not len(data):
        return ImageInfo(kind, 0, 0, 1, "zero bytes")
    if magic.startswith(b"version https://"):
        return ImageInfo(kind, 0, 0, 1, "a Git LFS pointer, not the image")
    return ImageInfo(kind, 0, 0, 1, f"not {kind} data")


def _info(
    kind: str, width: int, height: int, orientation: int, size: int, *, problem: str | None
) -> ImageInfo:
    """Fill in an ImageInfo; a size that `size` bytes cannot hold is the first of its problems."""
    pixels = width * height
    if pixels == 0 or (pixels > _MANY_PIXELS and pixels > _PIXELS_PER_BYTE * size):
        problem = f"header claims {width}x{height}"
    return ImageInfo(kind, width, height, orientation, problem)


# --- JPEG: ISO/IEC 10918-1 annex B ---

_FRAMES = frozenset(range(0xFFC0, 0xFFD0)) - {0xFFC4, 0xFFC8, 0xFFCC}
_APP1 = 0xFFE1
_ALONE = frozenset({0xFF01, *range(0xFFD0, 0xFFD9)})
_ENDS = frozenset({0xFFD9, 0xFFDA})


def _jpeg(data: Bytes) -> ImageInfo:
    orientation = 0
    at = 2
    for _ in range(_MAX_STEPS):
        marker, length = _two_u16(data, at)
        if marker in _FRAMES:
            height, width = _two_u16(data, at + 5)
            whole = data[-2:] == b"\xff\xd9" or _jpeg_ends(data, at)
            problem = None if whole else _TRUNCATED
            return _info("jpeg", width, height, orientation or 1, len(data), problem=problem)
        if marker == _APP1 and not orientation and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _exif_orientation(data[at + 10 : at + 2 + length])
        if marker < 0xFF00 or marker == 0xFFFF:  # fill bytes, or dirt that decoders step over
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker in _ENDS or length < 2:
            break
        else:
            at += 2 + length
    return ImageInfo("jpeg", 0, 0, orientation or 1, _DAMAGED)


def _jpeg_ends(data: Bytes, start: int) -> bool:
    """Whether an end marker follows the frame; cameras append padding, previews, even films."""
    return bytes(data).rfind(b"\xff\xd9", start) >= 0


# --- PNG: W3C PNG, third edition ---

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def _png(data: Bytes) -> ImageInfo:
    if data[12:16] != b"IHDR":
        return ImageInfo("png", 0, 0, 1, _DAMAGED if len(data) >= 24 else _TRUNCATED)
    width, height = _two_u32(data, 16)
    orientation, ended = 1, True
    at, size = 33, len(data)
    for _ in range(_MAX_STEPS):
        if at + 12 > size:
            ended = False
            break
        length, chunk = _two_u32(data, at)
        if chunk == 0x49454E44:  # IEND
            break
        if chunk == 0x65584966:  # eXIf
            orientation = _exif_orientation(data[at + 8 : at + 8 + length])
        at += 12 + length
    return _info("png", width, height, orientation, size, problem=None if ended else _TRUNCATED)


# --- WebP: RFC 9649 ---


def _webp(data: Bytes) -> ImageInfo:
    size = len(data)
    end = 8 + _little_u32(data, 4)[0]
    kind = data[12:16]
    orientation = 1
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        if data[20] & 0x08:
            orientation = _webp_orientation(data, min(end, size))
    elif kind == b"VP8L" and data[20] == 0x2F:
        bits = _little_u32(data, 21)[0]
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in _little_two_u16(data, 26))
    else:
        return ImageInfo("webp", 0, 0, 1, _DAMAGED if size >= 30 else _TRUNCATED)
    return _info(
        "webp", width, height, orientation, size, problem=_TRUNCATED if end > size else None
    )


def _webp_orientation(data: Bytes, end: int) -> int:
    at = 30
    for _ in range(_MAX_STEPS):
        if at + 8 > end:
            break
        length = _little_u32(data, at + 4)[0]
        if data[at : at + 4] == b"EXIF":
            body = data[at + 8 : at + 8 + length]
            return _exif_orientation(body[6:] if body[:6] == b"Exif\0\0" else body)
        at += 8 + length + (length & 1)
    return 1


# --- GIF: GIF89a specification ---


def _gif(data: Bytes) -> ImageInfo:
    width, height = _little_two_u16(data, 6)
    at = 13 + _gif_colours(data[10])
    for _ in range(_MAX_STEPS):
        block = data[at]
        if block == 0x2C:  # the first frame; decoders grow the screen until it fits
            left, top = _little_two_u16(data, at + 1)
            across, down = _little_two_u16(data, at + 5)
            width, height = max(width, left + across), max(height, top + down)
            break
        if block != 0x21:
            return _info("gif", width, height, 1, len(data), problem=_DAMAGED)
        at = _gif_after_blocks(data, at + 2)
    whole = data[-1] == 0x3B or bytes(data[at:]).rstrip(b"\0").endswith(b";")
    return _info("gif", width, height, 1, len(data), problem=None if whole else _TRUNCATED)


def _gif_colours(flags: int) -> int:
    """Bytes of the colour table that `flags` announces."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_after_blocks(data: Bytes, at: int) -> int:
    """The place behind a run of data sub-blocks."""
    for _ in range(_MAX_STEPS):
        length = data[at]
        at += 1 + length
        if not length:
            break
    return at


# --- BMP ---

_BMP_HEADERS = {size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124)}
_bmp_core = Struct("<HHHH").unpack_from
_bmp_info = Struct("<iiHHI").unpack_from


def _bmp(data: Bytes) -> ImageInfo:
    size = len(data)
    pixels_at, header = Struct("<II").unpack_from(data, 10)
    if header == 12:
        width, height, _, depth = _bmp_core(data, 18)
        packing = 0
    else:
        width, height, _, depth, packing = _bmp_info(data, 18)
    width, height = abs(width), abs(height)  # rows of a negative height run downwards
    if depth not in (0, 1, 2, 4, 8, 16, 24, 32, 64):
        return _info("bmp", width, height, 1, size, problem=_DAMAGED)
    if packing in (0, 3, 6):
        end = pixels_at + (width * depth + 31) // 32 * 4 * height
    else:
        end = _little_u32(data, 2)[0]
    return _info("bmp", width, height, 1, size, problem=_TRUNCATED if end > size else None)


# --- TIFF 6 and BigTIFF, and EXIF, which is a TIFF without pixels ---

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SHORT, _LONG, _LONG8 = 3, 4, 16
_NUMBERS = {
    order: {
        _SHORT: Struct(order + "H").unpack_from,
        _LONG: Struct(order + "I").unpack_from,
        _LONG8: Struct(order + "Q").unpack_from,
    }
    for order in "<>"
}
_NUMBER_BYTES = {_SHORT: 2, _LONG: 4, _LONG8: 8}
_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274
_PIXEL_PLACES = ((273, 279), (324, 325))  # offsets and byte counts: of strips, of tiles


class _Directory:
    """The unsigned integers of the first directory of a TIFF."""

    __slots__ = ("_data", "_entries", "_numbers", "_word")

    def __init__(self, data: Bytes) -> None:
        big = data[2] + data[3] == 43
        self._data = data
        self._word = _LONG8 if big else _LONG
        self._numbers = numbers = _NUMBERS["<" if data[0] == 0x49 else ">"]
        start = numbers[self._word](data, 8 if big else 4)[0]
        count = numbers[_LONG8 if big else _SHORT](data, start)[0]
        first, step = (start + 8, 20) if big else (start + 2, 12)
        places = range(first, first + step * min(count, _MAX_STEPS), step)
        short = numbers[_SHORT]
        self._entries = {short(data, at)[0]: at for at in places}

    def number(self, tag: int, *, last: bool = False) -> int | None:
        """The first (or last) value of a tag, None where there is none that is a number."""
        at = self._entries.get(tag)
        if at is None:
            return None
        kind = self._numbers[_SHORT](self._data, at + 2)[0]
        count = self._numbers[self._word](self._data, at + 4)[0]
        if kind not in _NUMBER_BYTES or not count:
            return None
        size = _NUMBER_BYTES[kind]
        room = _NUMBER_BYTES[self._word]
        place = at + 4 + room
        if size * count > room:
            place = self._numbers[self._word](self._data, place)[0]
        if last:
            place += size * (count - 1)
        value: int = self._numbers[kind](self._data, place)[0]
        return value


def _exif_orientation(data: Bytes) -> int:
    """The orientation that an EXIF block tells, 1 where it tells none that makes sense."""
    try:
        return _orientation(_Directory(data))
    except (struct.error, IndexError, OverflowError):
        return 1


def _orientation(directory: _Directory) -> int:
    value = directory.number(_ORIENTATION)
    return value if value is not None and 1 <= value <= 8 else 1


def _tiff(data: Bytes) -> ImageInfo:
    directory = _Directory(data)
    width, height = directory.number(_WIDTH), directory.number(_HEIGHT)
    if width is None or height is None or max(width, height) >> 32:
        return ImageInfo("tiff", 0, 0, 1, _DAMAGED)
    ends = [
        (directory.number(offsets, last=True) or 0) + (directory.number(counts, last=True) or 0)
        for offsets, counts in _PIXEL_PLACES
    ]
    problem = _TRUNCATED if max(ends) > len(data) else None
    return _info("tiff", width, height, _orientation(directory), len(data), problem=problem)


# --- AVIF and HEIF: ISO/IEC 23008-12, boxes of ISO/IEC 14496-12 ---

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_COMMON_BRANDS = frozenset({b"mif1", b"msf1"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_PIXEL_BOXES = frozenset({b"mdat", b"imda"})

# (quarter turns anticlockwise, mirror: None, 0 = top and bottom change places, 1 = left and right)
_TURNS = {
    (0, None): 1,
    (0, 0): 4,
    (0, 1): 2,
    (1, None): 8,
    (1, 0): 5,
    (1, 1): 7,
    (2, None): 3,
    (2, 0): 2,
    (2, 1): 4,
    (3, None): 6,
    (3, 0): 7,
    (3, 1): 5,
}


def _avif(data: Bytes) -> ImageInfo:
    return _heif(data, "avif")


def _heif(data: Bytes, kind: str = "heif") -> ImageInfo:
    size = len(data)
    boxes = list(_boxes(data, 0, size))
    meta = next(((start, end) for name, start, end in boxes if name == b"meta"), None)
    whole = boxes[-1][2] <= size and any(name in _PIXEL_BOXES for name, _, _ in boxes)
    if meta is None:
        return ImageInfo(kind, 0, 0, 1, _DAMAGED if whole else _TRUNCATED)
    properties = _primary_properties(data, *meta)
    if b"ispe" not in properties:
        return ImageInfo(kind, 0, 0, 1, _DAMAGED)
    width, height = _two_u32(data, properties[b"ispe"] + 4)
    turn = data[properties[b"irot"]] & 3 if b"irot" in properties else 0
    mirror = data[properties[b"imir"]] & 1 if b"imir" in properties else None
    problem = None if whole else _TRUNCATED
    return _info(kind, width, height, _TURNS[turn, mirror], size, problem=problem)


def _boxes(data: Bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start of the body, end) of the boxes between two places."""
    for _ in range(_MAX_STEPS):
        if at + 8 > end:
            break
        length, start = _u32(data, at)[0], at + 8
        if length == 1:  # 64 bits of length follow
            length, start = int.from_bytes(data[start : start + 8], "big"), at + 16
        elif length == 0:
            length = end - at
        if length < start - at:
            break
        yield bytes(data[at + 4 : at + 8]), start, at + length
        at += length


def _primary_properties(data: Bytes, start: int, end: int) -> dict[bytes, int]:
    """Where the properties of the primary item start, by type; from the body of a `meta` box."""
    parts = {name: (at, stop) for name, at, stop in _boxes(data, start + 4, end)}
    if b"pitm" not in parts or b"iprp" not in parts:
        return {}
    at = parts[b"pitm"][0]
    primary = _u32(data, at + 4)[0] if data[at] else _u16(data, at + 4)[0]
    parts = {name: (at, stop) for name, at, stop in _boxes(data, *parts[b"iprp"])}
    if b"ipco" not in parts or b"ipma" not in parts:
        return {}
    properties = [(name, at) for name, at, _ in _boxes(data, *parts[b"ipco"])]
    wanted = _associations(data, parts[b"ipma"][0], primary)
    return {name: at for index, (name, at) in enumerate(properties, 1) if index in wanted}


def _associations(data: Bytes, at: int, item: int) -> set[int]:
    """The numbers, from 1, of the properties that an `ipma` box gives to an item."""
    long_ids, long_numbers = data[at] > 0, data[at + 3] & 1
    entries = _u32(data, at + 4)[0]
    at += 8
    for _ in range(min(entries, _MAX_STEPS)):
        found = _u32(data, at)[0] if long_ids else _u16(data, at)[0]
        at += 4 if long_ids else 2
        count = data[at]
        at += 1
        if found == item:
            if long_numbers:
                return {_u16(data, at + 2 * index)[0] & 0x7FFF for index in range(count)}
            return {number & 0x7F for number in data[at : at + count]}
        at += count * (2 if long_numbers else 1)
    return set()
