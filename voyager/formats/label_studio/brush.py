"""Label Studio's run-length code of brush masks, both ways.

It is that of the JavaScript package `@thi.ng/rle-pack`, over the RGBA bytes of the image by rows. A
bit stream, high bit first: 32 bits the number of values, 5 bits their width less one, four times
4 bits the widths of run lengths less one; then runs: 1 bit whether the value repeats, 2 bits which
of the four widths, the length less one, and the value once, or that many values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from voyager.schema import Mask, rle
from voyager.schema.values import BadValueError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHANNELS = 4
_OPAQUE = 128
_LENGTH_BITS = (3, 4, 8, 16)
_VALUE_BITS = 8
_MOST_PIXELS = 1 << 26


class _Bits:
    """A stream of bits over bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._end = 8 * len(data)

    def read(self, count: int) -> int:
        """The next bits, up to 32, as a number."""
        at = self._at
        self._at = at + count
        if self._at > self._end:
            raise BadValueError("rle: ends within a run")
        window = self._data[at >> 3 : (at >> 3) + 5]
        left = 8 * len(window) - (at & 7) - count
        return int.from_bytes(window, "big") >> left & (1 << count) - 1


def decode_brush(codes: Sequence[int], height: int, width: int) -> tuple[Mask, bool]:
    """The mask of a brush, opaque where alpha is at least half; whether any pixel lay between.

    BadValueError for codes that are no bytes, are cut short, or do not fill the image.
    """
    import numpy as np

    if not 0 < height * width <= _MOST_PIXELS:
        raise BadValueError(f"rle: {height} × {width} is no size of a mask")
    try:
        bits = _Bits(bytes(codes))
    except (TypeError, ValueError):
        raise BadValueError("rle: expected numbers from 0 to 255") from None
    pairs = list(_runs(bits, _CHANNELS * height * width))
    values = np.array([value for value, _ in pairs], np.uint8)
    flat = np.repeat(values, [length for _, length in pairs])
    alpha = flat[_CHANNELS - 1 :: _CHANNELS].reshape(height, width)
    soft = bool(((alpha > 0) & (alpha < 255)).any())
    return rle.mask_of_array(alpha >= _OPAQUE), soft


def _runs(bits: _Bits, expected: int) -> Iterator[tuple[int, int]]:
    """(value, how often) until all values of the image are there."""
    count = bits.read(32)
    if count != expected:
        raise BadValueError(f"rle: {count} values, the image has {expected}")
    value_bits = bits.read(5) + 1
    lengths = [bits.read(4) + 1 for _ in range(4)]
    if value_bits != _VALUE_BITS:
        raise BadValueError(f"rle: values of {value_bits} bits, expected {_VALUE_BITS}")
    done = 0
    while done < expected:
        repeats = bits.read(1)
        length = bits.read(lengths[bits.read(2)]) + 1
        if done + length > expected:
            raise BadValueError("rle: a run goes beyond the image")
        done += length
        if repeats:
            yield bits.read(_VALUE_BITS), length
        else:
            for _ in range(length):
                yield bits.read(_VALUE_BITS), 1


def encode_brush(runs: Sequence[int], height: int, width: int) -> list[int]:
    """The codes of a mask with these runs: white and opaque where it is."""
    pixels: NDArray[Any] = rle.array_of_runs(runs, height, width)
    by_rows = rle.runs_of(rle.mask_of_array(pixels.T))
    text = [f"{_CHANNELS * height * width:032b}", f"{_VALUE_BITS - 1:05b}"]
    text += [f"{size - 1:04b}" for size in _LENGTH_BITS]
    for place, run in enumerate(by_rows):
        value = 255 if place % 2 else 0
        text += _run_bits(_CHANNELS * run, value)
    whole = "".join(text)
    whole += "0" * (-len(whole) % 8)
    return list(int(whole, 2).to_bytes(len(whole) // 8, "big"))


def _run_bits(length: int, value: int) -> Iterator[str]:
    """The bits of a run of one value, cut where it is too long for one."""
    longest = 1 << _LENGTH_BITS[-1]
    while length > 0:
        part = min(length, longest)
        which = next(n for n, bits in enumerate(_LENGTH_BITS) if part <= 1 << bits)
        yield f"1{which:02b}{part - 1:0{_LENGTH_BITS[which]}b}{value:08b}"
        length -= part
