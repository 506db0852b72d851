"""The built-in image descriptor: edges at two scales, colour layout and palette, in 256 numbers.

Nothing in it was learnt: it is the same for every set of images and needs no download. It does not
tell an image from its mirror image. docs/embeddings.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.derived.square import SIDE, Square

DIMS: Final = 256
VERSION: Final = b"voyager descriptor 1"
"""Names the numbers: whatever changes one of them, the square included, changes this."""

Floats: TypeAlias = NDArray[np.float32]

_CELLS: Final = 8
"""Edges and colours are pooled in a grid of 8×8."""
_BINS: Final = 8
"""Directions of an edge, of 180°."""
_HUES: Final = 12
_LIGHTNESSES: Final = 4


class _Edges(NamedTuple):
    """How many frequencies of a map of edges are kept, and from which length on it is trusted."""

    down: int
    across: int
    floor: float


# Weights were chosen on the validation photographs of docs/decisions/0020; none is sharp.
_FINE: Final = _Edges(down=5, across=3, floor=2.0)
_COARSE: Final = _Edges(down=4, across=3, floor=2.5)
_COLOUR_DOWN, _COLOUR_ACROSS, _COLOUR_FLOOR = 4, 2, 200.0
_MEAN_EDGES: Final = 0.2
_MEAN_COLOUR: Final = 0.5
_LIGHTNESS_WEIGHT: Final = 0.5
_USUAL_LIGHTNESS: Final = 165
_COLOUR_WEIGHT, _PALETTE_WEIGHT = 0.5, 0.3


def describe(squares: Sequence[Square]) -> Floats:
    """The descriptors of squares, as unit vectors (n, 256).

    Each is computed alone, so that it does not depend on what else is in the batch.
    """
    return np.stack([_describe(square) for square in squares])


def _describe(square: Square) -> Floats:
    planes = np.sqrt(np.ascontiguousarray(square.transpose(2, 0, 1)), dtype=np.float32)
    planes *= 16
    half = _halved(planes)
    opponents = _opponents(half)
    parts = (
        _edges(planes, _FINE),
        _edges(half, _COARSE),
        _COLOUR_WEIGHT * _colour_layout(opponents),
        _PALETTE_WEIGHT * _palette(opponents),
    )
    return _unit(np.concatenate(parts), 0)


# --- edges ---


def _edges(planes: Floats, kept: _Edges) -> Floats:
    """Low frequencies of where edges of each direction lie."""
    side = planes.shape[1]
    maps = _directions(*_gradient(_smooth(planes)))
    cells = np.sqrt(_pooled(maps, _POOLS[side]))
    even, odd = _EVEN @ cells.reshape(_BINS, -1), _ODD @ cells.reshape(_BINS, -1)
    down = _COSINES[: kept.down]
    even_part = down @ even.reshape(-1, _CELLS, _CELLS) @ _COSINES[0 : 2 * kept.across : 2].T
    odd_part = down @ odd.reshape(-1, _CELLS, _CELLS) @ _COSINES[1 : 2 * kept.across : 2].T
    even_part[:, 0, 0] *= _MEAN_EDGES
    return _unit(np.concatenate((even_part.ravel(), odd_part.ravel())), kept.floor)


def _smooth(planes: Floats) -> Floats:
    """Each plane under the filter 1 2 1 in both directions."""
    padded = _framed(planes)
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    smooth: Floats = rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]
    smooth *= np.float32(1 / 16)
    return smooth


def _gradient(planes: Floats) -> tuple[Floats, Floats]:
    """Differences across and down, of the channel in which they are largest."""
    padded = _framed(planes)
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    size = across * across + down * down
    x, y, most = across[0], down[0], size[0]
    for channel in (1, 2):
        larger = size[channel] > most
        x, y = np.where(larger, across[channel], x), np.where(larger, down[channel], y)
        most = np.maximum(most, size[channel])
    return x, y


def _directions(x: Floats, y: Floats) -> Floats:
    """The length of each gradient, shared out between the two nearest directions of 180°.

    A gradient g at angle φ from direction k adds max(0, |g| |cos φ| − cot Δ |g| |sin φ|) there,
    where Δ is the step between directions: all of it at 0, nothing from Δ on, as good as linear
    between. What lies across direction k lies along the direction half of them further.
    """
    along = _EDGE_RAYS @ np.stack((x.ravel(), y.ravel()))
    np.abs(along, out=along)
    shares = _EDGE_COTANGENT * along
    first, second = shares[: _BINS // 2], shares[_BINS // 2 :]
    along[: _BINS // 2] -= second
    along[_BINS // 2 :] -= first
    return np.maximum(along, 0, out=along).reshape(_BINS, *x.shape)


# --- colour ---


def _opponents(planes: Floats) -> Floats:
    """Lightness, red against green, yellow against blue."""
    red, green, blue = planes
    yellow = (red + green) / 2
    return np.stack(((red + green + blue) / 3, (red - green) / 2, (yellow - blue) / 2))


def _colour_layout(opponents: Floats) -> Floats:
    """Low frequencies of the colours, those alone that mirroring leaves."""
    cells = _halved(_halved(opponents))
    cells[0] -= _USUAL_LIGHTNESS
    kept = _COSINES[:_COLOUR_DOWN] @ cells @ _COSINES[0 : 2 * _COLOUR_ACROSS : 2].T
    kept[0] *= _LIGHTNESS_WEIGHT
    kept[:, 0, 0] *= _MEAN_COLOUR
    return _unit(kept.ravel(), _COLOUR_FLOOR)


def _palette(opponents: Floats) -> Floats:
    """How much there is of each hue and each lightness, the middle of the image counting more."""
    light = opponents[0].ravel()
    along = _HUE_RAYS @ opponents[1:].reshape(2, -1)
    across = np.abs(np.roll(along, -_HUES // 4, axis=0))
    hues = np.maximum(along - _HUE_COTANGENT * across, 0) @ _MIDDLE
    steps = np.abs(light * np.float32((_LIGHTNESSES - 1) / 256) - _SHADES[:, None])
    shades = np.maximum(1 - steps, 0) @ _MIDDLE
    shares = np.concatenate((hues * np.float32(1 / 64), shades * np.float32(1 / 2)))
    return _unit(np.sqrt(shares), 0)


# --- constants ---


def _unit(vector: NDArray[Any], floor: float) -> Floats:
    """The vector at length 1, or shorter where it is shorter than the floor: that is noise."""
    scaled: Floats = vector * np.float32(1 / max(float(np.linalg.norm(vector)), floor))
    return scaled


def _framed(planes: Floats) -> Floats:
    """The planes with their border repeated around them."""
    channels, height, width = planes.shape
    framed = np.empty((channels, height + 2, width + 2), np.float32)
    framed[:, 1:-1, 1:-1] = planes
    framed[:, 0, 1:-1], framed[:, -1, 1:-1] = planes[:, 0], planes[:, -1]
    framed[:, :, 0], framed[:, :, -1] = framed[:, :, 1], framed[:, :, -2]
    return framed


def _halved(planes: Floats) -> Floats:
    rows = planes[:, ::2] + planes[:, 1::2]
    half: Floats = rows[:, :, ::2] + rows[:, :, 1::2]
    half *= np.float32(1 / 4)
    return half


def _pooled(maps: Floats, pool: Floats) -> Floats:
    return (pool @ maps @ pool.T).astype(np.float32, copy=False)


def _pool_of(side: int) -> Floats:
    """(8, side): triangles as wide as two cells, each of sum 1."""
    cell = side / _CELLS
    centres = (np.arange(_CELLS) + 0.5) * cell
    away = np.abs(np.arange(side) + 0.5 - centres[:, None]) / cell
    weights = np.maximum(0, 1 - away)
    pool: Floats = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return pool


def _cosines() -> Floats:
    """(8, 8): the orthonormal cosine transform."""
    rows = np.cos(np.pi / _CELLS * np.outer(np.arange(_CELLS), np.arange(_CELLS) + 0.5))
    rows *= np.sqrt(2 / _CELLS)
    rows[0] /= np.sqrt(2)
    return rows.astype(np.float32)


def _mirror_parts() -> tuple[Floats, Floats]:
    """Sums of directions that mirroring leaves, and differences that it turns to their negative."""
    eye = np.eye(_BINS)
    pairs = [(eye[k], eye[_BINS - k]) for k in range(1, _BINS // 2)]
    even = [eye[0], eye[_BINS // 2]] + [(one + other) / np.sqrt(2) for one, other in pairs]
    odd = [(one - other) / np.sqrt(2) for one, other in pairs]
    return np.array(even, np.float32), np.array(odd, np.float32)


def _rays(count: int, turn: float) -> tuple[Floats, np.float32]:
    """(count, 2): unit vectors of so many directions in a turn; the cotangent of their step."""
    step = turn / count
    angles = step * np.arange(count)
    rays = np.stack((np.cos(angles), np.sin(angles)), axis=1).astype(np.float32)
    return rays, np.float32(1 / np.tan(step))


def _middle(side: int) -> Floats:
    """(side²): a bell over the image, of sum about 1/2."""
    place = (np.arange(side) + 0.5) / side * 2 - 1
    bell = np.exp(-(place[:, None] ** 2 + place**2) / (2 * 0.6**2))
    return (bell.ravel() / side**2).astype(np.float32)


_POOLS: Final = {SIDE: _pool_of(SIDE), SIDE // 2: _pool_of(SIDE // 2)}
_COSINES: Final = _cosines()
_EVEN, _ODD = _mirror_parts()
_EDGE_RAYS, _EDGE_COTANGENT = _rays(_BINS, np.pi)
_HUE_RAYS, _HUE_COTANGENT = _rays(_HUES, 2 * np.pi)
_SHADES: Final = np.arange(_LIGHTNESSES, dtype=np.float32)
_MIDDLE: Final = _middle(SIDE // 2)
