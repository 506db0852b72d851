"""The built-in image descriptor: edges at two scales, colour layout and palette, in 256 numbers.

Nothing in it was learnt: it is the same for every set of images and needs no download. It does not
tell an image from its mirror image. docs/embeddings.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.derived.square import SIDE, Square

DIMS: Final = 256
VERSION: Final = b"voyager descriptor 2"
"""Names the numbers: whatever changes one of them, the square included, changes this."""

Floats: TypeAlias = NDArray[np.float32]
Levels: TypeAlias = NDArray[np.int16]

_CELLS: Final = 8
"""Edges and colours are pooled in a grid of 8×8."""
_BINS: Final = 8
"""Directions of an edge, of 180°."""
_HUES: Final = 12
_LIGHTNESSES: Final = 4


class _Kept(NamedTuple):
    """How many frequencies of a map of edges are kept, and from which length on it is trusted."""

    down: int
    across: int
    floor: float


# Weights were chosen on the validation photographs of docs/decisions/0020; none is sharp.
_FINE: Final = _Kept(down=5, across=3, floor=2.0)
_COARSE: Final = _Kept(down=4, across=3, floor=2.5)
_COLOUR_DOWN, _COLOUR_ACROSS, _COLOUR_FLOOR = 4, 2, 200.0
_MEAN_EDGES: Final = 0.2
_MEAN_COLOUR: Final = 0.5
_LIGHTNESS_WEIGHT: Final = 0.5
_USUAL_LIGHTNESS: Final = 165
_OF_LEVEL: Final = np.float32(1 / (4 * 16))
"""A smoothed level in what `_EdgeMaps` counts: quarters of a level, sixteen of them added up."""
_AT_ONCE: Final = 8
"""Squares whose coarse edges and colours are computed together: more don't stay in the cache."""
_COLOUR_WEIGHT, _PALETTE_WEIGHT = 0.5, 0.3


def describe(squares: Sequence[Square]) -> Floats:
    """The descriptors of squares, as unit vectors (n, 256).

    None depends on what else is in the batch: all but the sums over an image are of single pixels.
    """
    found = np.empty((len(squares), DIMS), np.float32)
    fine, coarse = _EdgeMaps(1, SIDE), _EdgeMaps(_AT_ONCE, SIDE // 2)
    for start in range(0, len(squares), _AT_ONCE):
        some = squares[start : start + _AT_ONCE]
        found[start : start + len(some)] = _describe(some, fine, coarse)
    return found


def _describe(squares: Sequence[Square], fine: _EdgeMaps, coarse: _EdgeMaps) -> Floats:
    planes = np.sqrt(np.stack(squares, axis=1).transpose(3, 1, 0, 2), dtype=np.float32, order="C")
    planes *= 16
    half = _halved(planes)
    opponents = _opponents(half)
    each = [fine(planes[:, number : number + 1]) for number in range(len(squares))]
    parts = (
        _edges(np.concatenate(each), _FINE),
        _edges(coarse(half), _COARSE),
        _COLOUR_WEIGHT * _colour_layout(opponents),
        _PALETTE_WEIGHT * _palette(opponents),
    )
    return _unit(np.concatenate(parts, axis=1), 0)


# --- edges ---


class _EdgeMaps:
    """Edges of planes (3, n, side, side) by direction, pooled in cells, as (n, 8 directions, 64).

    Up to the gradient, levels are whole numbers of 16 bits, quarters of a level: twice as many fit
    into a register. The arrays are used again for each batch of `most` images or fewer: new ones of
    this size would cost more than the sums.
    """

    def __init__(self, most: int, side: int) -> None:
        wide = side + 2
        self._frame = np.empty((3, most, wide, wide), np.int16)
        self._down = np.empty((3, most, side + 1, wide), np.int16)
        self._smooth = np.empty((3, most, side, wide), np.int16)
        self._across = np.empty((3, most, side, side + 1), np.int16)
        self._gradient = np.empty((2, 3, most, side, side), np.int16)
        self._size = np.empty((2, 3, most, side, side), np.int16)
        self._pair = np.empty((most, 2, side * side), np.float32)
        self._along = np.empty((most, _BINS, side * side), np.float32)
        self._shares = np.empty((most, _BINS, side * side), np.float32)
        self._pool = _POOLS[side]

    def __call__(self, planes: Floats) -> Floats:
        count, side = planes.shape[1], planes.shape[-1]
        frame = self._frame[:, :count]
        np.multiply(planes, 4, out=frame[..., 1:-1, 1:-1], casting="unsafe")
        _repeat_border(frame)
        self._smooth_in(frame)
        _repeat_border(frame)
        maps = self._by_direction(self._steepest(frame)).reshape(count, _BINS, side, side)
        pooled = self._pool @ maps @ self._pool.T
        cells: Floats = np.sqrt(pooled).reshape(count, _BINS, _CELLS * _CELLS)
        return cells

    def _smooth_in(self, frame: Levels) -> None:
        """Each plane under the filter 1 2 1 in both directions, as 1 1 twice; up to 16 × 1020."""
        count = frame.shape[1]
        down, rows, across = self._down[:, :count], self._smooth[:, :count], self._across[:, :count]
        np.add(frame[..., :-1, :], frame[..., 1:, :], out=down)
        np.add(down[..., :-1, :], down[..., 1:, :], out=rows)
        np.add(rows[..., :-1], rows[..., 1:], out=across)
        np.add(across[..., :-1], across[..., 1:], out=frame[..., 1:-1, 1:-1])

    def _steepest(self, frame: Levels) -> Levels:
        """Differences (across and down, n, side, side), of the channel where their sum is largest.

        Channels are mixed by masks of bits: a branch for each pixel would often be guessed wrong.
        """
        count = frame.shape[1]
        gradient, sizes = self._gradient[:, :, :count], self._size[:, :, :count]
        np.subtract(frame[..., 1:-1, 2:], frame[..., 1:-1, :-2], out=gradient[0])
        np.subtract(frame[..., 2:, 1:-1], frame[..., :-2, 1:-1], out=gradient[1])
        np.abs(gradient, out=sizes)
        size = np.add(sizes[0], sizes[1], out=sizes[0])
        first, best = gradient[:, 0], size[0]
        for channel in (1, 2):
            larger = -(size[channel] > best).astype(np.int16)
            first ^= (first ^ gradient[:, channel]) & larger
            np.maximum(best, size[channel], out=best)
        return first

    def _by_direction(self, gradient: Levels) -> Floats:
        """The length of each gradient, shared out between the two nearest directions of 180°.

        A gradient g at angle φ from direction k adds max(0, |g| |cos φ| − cot Δ |g| |sin φ|) there,
        where Δ is the step between directions: all of it at 0, nothing from Δ on, as good as linear
        between. What lies across direction k lies along the direction half of them further.
        """
        count, half = gradient.shape[1], _BINS // 2
        pair, along, shares = self._pair[:count], self._along[:count], self._shares[:count]
        np.multiply(gradient.reshape(2, count, -1).swapaxes(0, 1), _OF_LEVEL, out=pair)
        np.matmul(_EDGE_RAYS, pair, out=along)
        np.abs(along, out=along)
        np.multiply(along, _EDGE_COTANGENT, out=shares)
        along[:, :half] -= shares[:, half:]
        along[:, half:] -= shares[:, :half]
        return np.maximum(along, 0, out=along)


def _repeat_border(frame: Levels) -> None:
    frame[..., 0, 1:-1], frame[..., -1, 1:-1] = frame[..., 1, 1:-1], frame[..., -2, 1:-1]
    frame[..., 0], frame[..., -1] = frame[..., 1], frame[..., -2]


def _edges(cells: Floats, kept: _Kept) -> Floats:
    """Low frequencies of where edges of each direction lie, as (n, numbers)."""
    even, odd = (_EVEN @ cells).reshape(-1, len(_EVEN), _CELLS, _CELLS), _ODD @ cells
    odd = odd.reshape(-1, len(_ODD), _CELLS, _CELLS)
    down = _COSINES[: kept.down]
    even_part = down @ even @ _COSINES[0 : 2 * kept.across : 2].T
    odd_part = down @ odd @ _COSINES[1 : 2 * kept.across : 2].T
    even_part[..., 0, 0] *= _MEAN_EDGES
    parts = (_rows(even_part), _rows(odd_part))
    return _unit(np.concatenate(parts, axis=1), kept.floor)


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
    kept[..., 0, 0] *= _MEAN_COLOUR
    return _unit(_rows(kept.swapaxes(0, 1).astype(np.float32, copy=False)), _COLOUR_FLOOR)


def _palette(opponents: Floats) -> Floats:
    """How much there is of each hue and each lightness, the middle of the image counting more."""
    lightness, *colours = opponents.reshape(3, opponents.shape[1], -1)
    along = _HUE_RAYS @ np.stack(colours, axis=1)
    across = np.abs(along)
    across *= _HUE_COTANGENT
    quarter = _HUES // 4
    across = np.concatenate((across[:, quarter:], across[:, :quarter]), axis=1)
    opposite = -np.minimum(along + across, 0) @ _MIDDLE
    along -= across
    hues = np.concatenate((np.maximum(along, 0, out=along) @ _MIDDLE, opposite), axis=1)
    steps = lightness[:, None] * np.float32((_LIGHTNESSES - 1) / 256) - _SHADES[:, None]
    np.subtract(1, np.abs(steps, out=steps), out=steps)
    shades = np.maximum(steps, 0, out=steps) @ _MIDDLE
    shares = np.concatenate((hues * np.float32(1 / 64), shades * np.float32(1 / 2)), axis=1)
    return _unit(np.sqrt(shares), 0)


# --- constants ---


def _unit(vectors: Floats, floor: float) -> Floats:
    """The rows at length 1, or shorter where they are shorter than the floor: that is noise."""
    lengths = np.sqrt((vectors * vectors).sum(axis=1))
    scaled: Floats = vectors / np.maximum(lengths, np.float32(floor))[:, None]
    return scaled


def _rows(maps: Floats) -> Floats:
    return maps.reshape(len(maps), -1)


def _halved(planes: Floats) -> Floats:
    rows = planes[..., ::2, :] + planes[..., 1::2, :]
    half: Floats = rows[..., ::2] + rows[..., 1::2]
    half *= np.float32(1 / 4)
    return half


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
_HUE_RAYS, _HUE_COTANGENT = _rays(_HUES // 2, np.pi)
_SHADES: Final = np.arange(_LIGHTNESSES, dtype=np.float32)
_MIDDLE: Final = _middle(SIDE // 2)
