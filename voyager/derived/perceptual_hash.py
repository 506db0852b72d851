"""A perceptual hash of 256 bits: the signs of the low frequencies of an image's luminance.

It is of the kind of PDQ (Facebook, 2019): a 16×16 block of a discrete cosine transform of 64×64
luminances. Here a bit is the sign of its coefficient and not its side of their median, so that the
hash of the mirrored or turned image is a fixed change of bits of the hash itself. All sums are of
whole numbers below 2**53, hence exact: a hash does not depend on the batch, nor on the machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.derived.square import SIDE, Luma

HASH_BYTES: Final = 32
BYTES: Final = HASH_BYTES + 1
"""A value: the hash, its bits row by row from the most significant; then its quality."""

Hashes: TypeAlias = NDArray[np.uint8]

_FREQUENCIES: Final = np.arange(1, 17)
"""Half waves over a side; 0 is left out, so that light and plain gradients do not count."""
_SCALE: Final = 1 << 10
_COSINES: Final = np.rint(
    _SCALE * np.cos(np.pi / (2 * SIDE) * np.outer(_FREQUENCIES, 2 * np.arange(SIDE) + 1))
)
_GREY_LEVEL: Final = 1000.0 * _SCALE * _SCALE * (SIDE / 2)
"""A coefficient of one grey level in the orthonormal transform."""
_QUALITY_STEPS: Final = 8


def hash_lumas(lumas: Sequence[Luma]) -> list[bytes]:
    """The value of each square in grey.

    The quality is the median size of a coefficient in eighths of a grey level, 255 at most: what
    noise must reach to turn half of the bits. It is 0 for an image of one colour.
    """
    light = np.stack(lumas).astype(np.float64)
    coefficients = (_COSINES @ light @ _COSINES.T).reshape(len(lumas), -1)
    bits = np.packbits(coefficients > 0, axis=1)
    sizes = np.median(np.abs(coefficients), axis=1) * (_QUALITY_STEPS / _GREY_LEVEL)
    quality = np.minimum(sizes, 255).astype(np.uint8)
    return [row.tobytes() for row in np.column_stack((bits, quality))]


def _sign_mask(*, across: bool, down: bool) -> NDArray[np.bool_]:
    """Which bits change when left and right, or top and bottom, change places: the odd waves."""
    odd = _FREQUENCIES % 2 == 1
    mask: NDArray[np.bool_] = (odd & across)[None, :] ^ (odd & down)[:, None]
    return mask


_TURNS: Final[Mapping[str, tuple[bool, bool, bool]]] = {
    "none": (False, False, False),
    "mirror": (False, True, False),
    "flip": (False, False, True),
    "rot180": (False, True, True),
    "transpose": (True, False, False),
    "rot90": (True, True, False),
    "rot270": (True, False, True),
    "transverse": (True, True, True),
}
"""Turn → whether to swap rows and columns, then left and right, then top and bottom."""

TURNS: Final = tuple(_TURNS)


def turned(hashes: Hashes, turn: str) -> Hashes:
    """The hashes (n, 32) of the images after a turn (named as in `schema.transform`)."""
    swap, across, down = _TURNS[turn]
    if swap:
        bits = np.unpackbits(hashes, axis=1).reshape(-1, 16, 16).transpose(0, 2, 1)
        hashes = np.packbits(bits.reshape(-1, 256), axis=1)
    mask = np.packbits(_sign_mask(across=across, down=down).ravel())
    changed: Hashes = hashes ^ mask
    return changed
