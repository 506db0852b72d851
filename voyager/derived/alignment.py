"""Telling whether two images are the same picture, by laying one over the other.

Shift, scale, gain and bias of light are found by Gauss-Newton steps from coarse to fine, in which
blocks that do not fit count little: what covers a part does not pull the rest away. What is left
is compared block by block, without the quarter that fits worst. A distance is a function of the two
likenesses alone, whatever else is in the batch (docs/decisions/0021).
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.derived.likeness import colours, lights

FARTHEST: Final = 100
"""The distance of images that have nothing in common; 0 is that of an image and itself."""

_BLOCKS: Final = 8
"""A side is compared in so many blocks."""
_DROPPED: Final = 0.25
_BATCH: Final = 64
"""Pairs in one go; few enough for a processor's cache."""
_STEPS: Final = ((16, 3), (32, 3))
"""Pixels a side, and how many steps are taken there."""
_FINEST: Final = 64

_NOISE: Final = 3.0
"""Levels by which equal pixels differ between two files."""
_STEP_PRIOR: Final = 0.04
"""How far a step goes, in half sides, where the image does not say."""
_GAIN_PRIOR: Final = 0.3
_LONGEST_STEP: Final = 0.08
_SCALES: Final = (0.75, 1.33)
_GAINS: Final = (0.4, 2.5)
_TOLERANCE: Final = 2.0
"""Blocks whose residual is so many times the median's count for a quarter."""
_HOPELESS: Final = 0.5
"""The part of the light's variance that may be left after the coarse steps."""

_PLAIN: Final = 16.0
"""Variance within a block below which its pixels are noise."""
_WEIGHTS: Final = (84.0, 175.0, 2.0, 50.0, 45.0)
"""What texture, light, colour, plainness and distortion add to a distance (docs/decisions/0021)."""

Floats: TypeAlias = NDArray[np.floating[Any]]


class Fit(NamedTuple):
    """Where each pixel of the second image lies in the first, and how light changes: (n,) each.

    Coordinates run from -1 to 1: x of the second lies at `scale_x * x + shift_x` of the first.
    """

    scale_x: Floats
    shift_x: Floats
    scale_y: Floats
    shift_y: Floats
    gain: Floats
    bias: Floats


def distances(
    first: NDArray[np.uint8], second: NDArray[np.uint8], mirrored: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """How far likenesses (n, 4608) are from others, of which some are mirrored: 0 to 100 each."""
    found = np.empty(len(first), np.int64)
    for start in range(0, len(first), _BATCH):
        part = slice(start, start + _BATCH)
        found[part] = _distances(first[part], second[part], mirrored[part])
    return found


def _distances(
    first: NDArray[np.uint8], second: NDArray[np.uint8], mirrored: NDArray[np.bool_]
) -> NDArray[np.int64]:
    a, b = lights(first), _turned(lights(second), mirrored)
    fit, weights = _unmoved(len(a)), np.ones((len(a), _BLOCKS, _BLOCKS), np.float32)
    near = np.arange(len(a))
    for side, steps in _STEPS:
        small_a, small_b = _reduced(a[near], side), _reduced(b[near], side)
        fit, weights, left = _aligned(small_a, small_b, fit, weights, steps)
        hopeful = left <= _HOPELESS
        near, fit, weights = near[hopeful], _of(fit, hopeful), weights[hopeful]
    found = np.full(len(a), FARTHEST, np.int64)
    shades = colours(first[near]), _turned(colours(second[near]), mirrored[near])
    found[near] = _compared(a[near], b[near], *shades, fit)
    found[((first == second).all(axis=1)) & ~mirrored] = 0
    return found


def _turned(values: Floats, mirrored: NDArray[np.bool_]) -> Floats:
    values[mirrored] = values[mirrored][..., ::-1]
    return values


def _unmoved(count: int) -> Fit:
    ones, zeros = np.ones(count, np.float32), np.zeros(count, np.float32)
    return Fit(ones, zeros, ones, zeros, ones, zeros)


def _of(fit: Fit, chosen: NDArray[np.bool_]) -> Fit:
    return Fit(*(values[chosen] for values in fit))


# --- laying one over the other ---


def _aligned(
    a: Floats, b: Floats, fit: Fit, weights: Floats, steps: int
) -> tuple[Fit, Floats, Floats]:
    """Take steps at one size.

    Gives the fit, the weights of blocks, and the part of the variance of `b` that is left unsaid.
    """
    rows = _columns(b)
    for _ in range(steps):
        moved, inside = _moved(a, fit)
        rows[:, 4] = moved.reshape(rows[:, 4].shape)
        weighed = _spread(weights, a.shape[1]) * inside
        fit, solution = _step(rows, weighed.reshape(rows[:, :1].shape), fit)
        residual = (solution[:, None] @ rows).reshape(b.shape)
        energy = _means(residual * residual)
        weights = _weights(energy)
    return fit, weights, _left(energy, b)


def _columns(b: Floats) -> Floats:
    """(n, 7, pixels): how `b` changes with scale and shift in x and y; the moved `a`; 1; `b`."""
    side = b.shape[1]
    at = _centres(side)
    columns = np.empty((len(b), 7, side, side), np.float32)
    columns[:, 1], columns[:, 3] = _slopes(b), _slopes(b.swapaxes(1, 2)).swapaxes(1, 2)
    columns[:, 0] = columns[:, 1] * at
    columns[:, 2] = columns[:, 3] * at[:, None]
    columns[:, 5] = 1
    columns[:, 6] = b
    return columns.reshape(len(b), 7, side * side)


def _slopes(b: Floats) -> Floats:
    """Along the last axis, in levels for half a side."""
    slopes = np.zeros_like(b)
    slopes[..., 1:-1] = (b[..., 2:] - b[..., :-2]) * np.float32(b.shape[-1] / 4)
    return slopes


def _step(rows: Floats, weights: Floats, fit: Fit) -> tuple[Fit, Floats]:
    """One step of least squares, and by how much of each column it makes up for the residual."""
    products = (rows * weights) @ rows.swapaxes(1, 2)
    normal, right = products[:, :6, :6] + _PRIOR, -products[:, :6, 6]
    right[:, 4] -= _PRIOR[4, 4]
    solved = np.linalg.solve(normal, right[:, :, None])[:, :, 0]
    solved[:, :4] = np.clip(solved[:, :4], -_LONGEST_STEP, _LONGEST_STEP)
    scale_x, shift_x = _undone(fit.scale_x, fit.shift_x, solved[:, 0], solved[:, 1])
    scale_y, shift_y = _undone(fit.scale_y, fit.shift_y, solved[:, 2], solved[:, 3])
    done = Fit(scale_x, shift_x, scale_y, shift_y, -solved[:, 4], -solved[:, 5])
    return done, np.column_stack((solved, np.ones(len(solved), np.float32)))


_PRIOR: Final = np.diag(
    np.array([(_NOISE / _STEP_PRIOR) ** 2] * 4 + [(_NOISE / _GAIN_PRIOR) ** 2, 1e-3], np.float32)
)


def _undone(scale: Floats, shift: Floats, grown: Floats, moved: Floats) -> tuple[Floats, Floats]:
    """The map after the second image was grown and moved to fit: its inverse comes first."""
    scale = np.clip(scale / (1 + grown), *_SCALES).astype(np.float32)
    return scale, shift - scale * moved


def _moved(a: Floats, fit: Fit) -> tuple[Floats, NDArray[np.bool_]]:
    """The first images as the second show them, and which pixels lie inside of them."""
    side = a.shape[-1]
    across, in_x = _resampling(fit.scale_x, fit.shift_x, side)
    down, in_y = _resampling(fit.scale_y, fit.shift_y, side)
    return down @ a @ across.swapaxes(1, 2), in_y[:, :, None] & in_x[:, None, :]


def _resampling(scale: Floats, shift: Floats, side: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Matrices (n, side, side) that read a line between its pixels, and what lies inside."""
    at = scale[:, None] * _centres(side) + shift[:, None]
    places = np.clip((at + 1) * (side / 2) - 0.5, 0, side - 1).astype(np.float32)
    far = np.abs(np.arange(side, dtype=np.float32) - places[:, :, None])
    return np.maximum(np.float32(1) - far, 0), np.abs(at) <= 1


def _centres(side: int) -> Floats:
    centres: Floats = ((2 * np.arange(side, dtype=np.float32) + 1) / side - 1).astype(np.float32)
    return centres


def _weights(energy: Floats) -> Floats:
    """Of blocks, by the mean square of their residual."""
    size = np.sqrt(energy)
    usual = np.median(size.reshape(len(size), _BLOCKS**2), axis=1)[:, None, None] + 1
    weights: Floats = (1 + (size / (_TOLERANCE * usual)) ** 2) ** -2
    return weights


def _left(energy: Floats, b: Floats) -> Floats:
    kept = np.sort(energy.reshape(len(b), _BLOCKS**2), axis=1)[
        :, : round(_BLOCKS**2 * (1 - _DROPPED))
    ]
    left: Floats = kept.mean(axis=1) / (b.var(axis=(1, 2)) + _NOISE**2)
    return left


# --- what is left ---


def _compared(a: Floats, b: Floats, shades_a: Floats, shades_b: Floats, fit: Fit) -> Floats:
    """The distance of images of 64 pixels that are aligned."""
    gain = np.clip(fit.gain, *_GAINS)[:, None]
    moved, inside = _moved(a, fit)
    mean_a, mean_b = _flat(moved), _flat(b)
    spread_a = gain * np.sqrt(np.maximum(_flat(moved * moved) - mean_a**2, 0))
    spread_b = np.sqrt(np.maximum(_flat(b * b) - mean_b**2, 0))
    common = gain * (_flat(moved * b) - mean_a * mean_b)
    texture = 1 - (common + _PLAIN) / (spread_a * spread_b + _PLAIN)
    contrast = np.sqrt(mean_b.var(axis=1) + (spread_b**2).mean(axis=1))[:, None] + 5
    light = np.abs(gain * mean_a + fit.bias[:, None] - mean_b) / contrast
    colour = _colour_change(shades_a, shades_b, fit)
    kept = _best(2 * texture + light + colour / 20, _flat(inside.astype(np.float32)) > 0.5)
    detail = spread_a * spread_b
    seen = (detail / (detail + 25) * kept).sum(axis=1) / _BLOCKS**2
    terms = [_mean(one, kept) for one in (texture, light, colour)]
    terms[0], terms[1] = np.minimum(terms[0], 1), np.minimum(terms[1], 1)
    plainness = np.maximum(1 / (1 + 30 * seen) - 0.04, 0)
    terms += [plainness, _distortion(fit)]
    total = sum(term * weight for term, weight in zip(terms, _WEIGHTS, strict=True))
    return np.clip(np.rint(total), 0, FARTHEST)


def _colour_change(a: Floats, b: Floats, fit: Fit) -> Floats:
    """By how much the colours of each block changed more than those of the whole image, (n, 64)."""
    across, _ = _resampling(fit.scale_x, fit.shift_x, a.shape[-1])
    down, _ = _resampling(fit.scale_y, fit.shift_y, a.shape[-1])
    change = down[:, None] @ a @ across.swapaxes(1, 2)[:, None] - b
    blocks = _means(change.reshape(-1, *change.shape[2:])).reshape(len(a), 2, _BLOCKS**2)
    blocks -= np.median(blocks, axis=2, keepdims=True)
    size: Floats = np.sqrt((blocks**2).sum(axis=1))
    return size


def _distortion(fit: Fit) -> Floats:
    x, y = np.log(fit.scale_x), np.log(fit.scale_y)
    distortion: Floats = np.minimum(np.abs(x) + np.abs(y) + np.abs(x - y), 1)
    return distortion


def _best(misfit: Floats, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which blocks count: those inside but for the quarter that fits worst."""
    order = np.argsort(np.where(inside, misfit, np.inf), axis=1, kind="stable")
    places = np.argsort(order, axis=1, kind="stable")
    most = np.maximum(np.rint(inside.sum(axis=1, keepdims=True) * (1 - _DROPPED)), 1)
    kept: NDArray[np.bool_] = places < most
    return kept


def _mean(values: Floats, kept: NDArray[np.bool_]) -> Floats:
    mean: Floats = (values * kept).sum(axis=1) / kept.sum(axis=1)
    return mean


def _reduced(images: Floats, side: int) -> Floats:
    """Means of square cells; as products of matrices, which is four times as fast as sums."""
    pool = _pooling(images.shape[1], side)
    reduced: Floats = pool @ images @ pool.T
    return reduced


@cache
def _pooling(side: int, smaller: int) -> Floats:
    cell = side // smaller
    return np.eye(smaller, dtype=np.float32).repeat(cell, axis=1) / np.float32(cell)


def _means(images: Floats) -> Floats:
    """Of each block, (n, 8, 8)."""
    return _reduced(images, _BLOCKS)


def _flat(images: Floats) -> Floats:
    return _means(images).reshape(len(images), _BLOCKS**2)


def _spread(blocks: Floats, side: int) -> Floats:
    """A value for each pixel of its block's."""
    cell = side // _BLOCKS
    return blocks.repeat(cell, axis=1).repeat(cell, axis=2)
