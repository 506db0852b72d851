"""Linear heads on vectors: logistic regression for classes and truths, ridge for numbers.

The objective is the sum of losses over the rows that have an answer, and `strength` / 2 times the
squared weights; for that the vectors are centred and brought to a mean square length of 1, so that
a strength means the same for every kind of vector. Rows go through in blocks and spans of a fixed
size, whichever thread computes them, and sums are added up in order: the same rows come to the same
bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.store.cores import cores
from voyager.train.descent import minimum
from voyager.train.view import Target

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]

_BLOCK: Final = 2048
"""Rows that are computed at once: what the result is to the bit depends on it."""
_SPAN: Final = 16 * _BLOCK
"""Rows that a thread computes in a go."""
_SPREAD_ROWS: Final = 1 << 16
"""Rows that the covariance is taken from, which only steers the way to the minimum."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """Logits as a linear function of vectors: `weights` (outputs, dims), `bias` (outputs,)."""

    weights: Floats
    bias: Floats

    def logits(self, vectors: NDArray[Any]) -> Floats:
        """What the head says of vectors, (n, outputs)."""
        found = np.empty((len(vectors), len(self.bias)), np.float32)
        weights = np.ascontiguousarray(self.weights.T)
        for rows, block in _blocks(vectors):
            np.matmul(block, weights, out=found[rows])
            found[rows] += self.bias
        return found


class Frame(NamedTuple):
    """How vectors are centred and scaled: `(vector - mean) * scale`, and how those spread."""

    mean: Doubles
    scale: float
    spread: Doubles
    """(dims, dims), the covariance of the scaled vectors."""


def frame_of(vectors: NDArray[Any]) -> Frame:
    """The frame of vectors."""
    total, square = np.zeros(vectors.shape[1]), 0.0
    for _, block in _blocks(vectors):
        total += block.sum(axis=0, dtype=np.float64)
        square += float((block**2).sum(dtype=np.float64))
    mean = total / len(vectors)
    variance = square / len(vectors) - float(mean @ mean)
    scale = variance**-0.5 if variance > 0 else 1.0
    step = -(-len(vectors) // _SPREAD_ROWS)
    spread = np.zeros((vectors.shape[1],) * 2)
    for _, block in _blocks(vectors[::step]):
        centred = (block - mean.astype(np.float32)) * np.float32(scale)
        spread += centred.T @ centred
    return Frame(mean, scale, spread / len(vectors[::step]))


def fit(
    vectors: NDArray[Any],
    target: Target,
    strength: float,
    *,
    frame: Frame | None = None,
    start: LinearHead | None = None,
    balance: bool = False,
    most: int = 200,
) -> LinearHead:
    """The head that answers a target best; of rows without an answer nothing depends on it.

    With `balance` every class counts as much as any other, however many rows have it. `start` is
    where the search begins, `most` how many steps it takes at most.
    """
    rows = np.flatnonzero(target.answered())
    if len(rows) < len(vectors):
        vectors, target, frame = vectors[rows], taken(target, rows), None
    frame = frame or frame_of(vectors)
    if target.kind == "number":
        return _ridge(vectors, target.values, strength, frame)
    with ThreadPoolExecutor(cores(), thread_name_prefix="head") as pool:
        loss = _Loss(vectors, target, strength, frame, balance=balance, pool=pool)
        found = minimum(loss, loss.parameters(start), loss.precondition, most=most)
    return loss.head(found)


def mean_loss(head: LinearHead, vectors: NDArray[Any], target: Target) -> float:
    """The loss of a head, over the rows that have an answer among its classes."""
    here = target.answered()
    if target.kind == "one":
        here &= target.values >= 0
    rows = np.flatnonzero(here)
    logits, answers = head.logits(vectors[rows]), taken(target, rows)
    if target.kind == "number":
        return float(((logits[:, 0] - answers.values) ** 2).mean())
    return _residuals(answers, logits, None) / len(rows)


def taken(target: Target, rows: NDArray[np.int64] | slice) -> Target:
    """The answers of some rows."""
    known = None if target.known is None else target.known[rows]
    return Target(
        target.task, target.kind, target.classes, target.nodes, target.values[rows], known
    )


class _Part(NamedTuple):
    """The sums over some rows."""

    loss: float
    of_weights: Doubles
    of_bias: Doubles


class _Loss:
    """Loss and gradient of logistic regression, over parameters (dims + 1, outputs).

    The last row is the bias, which is not held small.
    """

    def __init__(
        self,
        vectors: NDArray[Any],
        target: Target,
        strength: float,
        frame: Frame,
        *,
        balance: bool,
        pool: Executor,
    ) -> None:
        self._pool = pool
        self._vectors = vectors
        self._target = target
        self._outputs = 1 if target.kind == "bool" else len(target.classes)
        self._weights = _balancing(target) if balance else None
        self._decay = strength / len(vectors)
        self._frame = frame
        curvature = 0.25 if target.kind != "one" else (1 - 1 / self._outputs) / self._outputs
        values, self._axes = np.linalg.eigh(frame.spread)
        self._curvature = np.append(curvature * np.maximum(values, 0) + self._decay, curvature)

    def __call__(self, parameters: Doubles) -> tuple[float, Doubles]:
        """The mean loss with the penalty, and its gradient."""
        head = self.head(parameters)
        loss, of_bias = 0.0, np.zeros(self._outputs)
        of_weights = np.zeros((self._vectors.shape[1], self._outputs))
        spans = [slice(first, first + _SPAN) for first in range(0, len(self._vectors), _SPAN)]
        for part in self._pool.map(lambda span: self._of_span(head, span), spans):
            loss += part.loss
            of_weights += part.of_weights
            of_bias += part.of_bias
        mean, scale, count = self._frame.mean, self._frame.scale, len(self._vectors)
        of_weights = scale / count * (of_weights - np.outer(mean, of_bias))
        of_weights += self._decay * parameters[:-1]
        loss = loss / count + self._decay / 2 * float((parameters[:-1] ** 2).sum())
        return loss, np.vstack((of_weights, of_bias / count))

    def _of_span(self, head: LinearHead, span: slice) -> _Part:
        """What some rows add to the sums."""
        target, vectors = taken(self._target, span), self._vectors[span]
        balance = None if self._weights is None else self._weights[span]
        weights = np.ascontiguousarray(head.weights.T)
        space, product = np.empty((_BLOCK, self._outputs), np.float32), np.empty_like(weights)
        loss, of_weights, of_bias = 0.0, np.zeros(weights.shape), np.zeros(self._outputs)
        for rows, block in _blocks(vectors):
            logits = np.matmul(block, weights, out=space[: len(block)])
            logits += head.bias
            balance_here = None if balance is None else balance[rows]
            loss += _residuals(taken(target, rows), logits, balance_here)
            of_weights += np.matmul(block.T, logits, out=product)
            of_bias += logits.sum(axis=0, dtype=np.float64)
        return _Part(loss, of_weights, of_bias)

    def precondition(self, gradient: Doubles) -> Doubles:
        """A gradient as a step: over the curvature where all classes are as likely."""
        along = self._axes.T @ gradient[:-1] / self._curvature[:-1, None]
        return np.vstack((self._axes @ along, gradient[-1:] / self._curvature[-1]))

    def head(self, parameters: Doubles) -> LinearHead:
        """Parameters as a head on vectors as they are."""
        weights = np.ascontiguousarray(parameters[:-1].T) * self._frame.scale
        bias = parameters[-1] - weights @ self._frame.mean
        return LinearHead(weights.astype(np.float32), bias.astype(np.float32))

    def parameters(self, head: LinearHead | None) -> Doubles:
        """The parameters of a head, zeros without one."""
        if head is None:
            return np.zeros((self._vectors.shape[1] + 1, self._outputs))
        weights = head.weights.astype(np.float64)
        bias = head.bias + weights @ self._frame.mean
        return np.vstack((weights.T / self._frame.scale, bias))


def _residuals(target: Target, logits: Floats, weights: Floats | None) -> float:
    """The sum of losses; in place of the logits their gradient."""
    if target.kind == "one":
        return _softmax_loss(logits, target.values, weights)
    if target.kind == "bool":
        return _logistic_loss(logits, (target.values > 0)[:, None], None, weights)
    assert target.known is not None
    return _logistic_loss(logits, target.values > 0, target.known > 0, weights)


def _softmax_loss(logits: Floats, values: NDArray[np.int32], weights: Floats | None) -> float:
    places = np.arange(len(values))
    logits -= logits.max(axis=1, keepdims=True)
    right = logits[places, values]
    np.exp(logits, out=logits)
    sums = logits.sum(axis=1, keepdims=True)
    losses = np.log(sums[:, 0]) - right
    logits /= sums
    logits[places, values] -= 1
    if weights is not None:
        losses *= weights
        logits *= weights[:, None]
    return float(losses.sum(dtype=np.float64))


def _logistic_loss(
    logits: Floats, values: NDArray[np.bool_], known: NDArray[np.bool_] | None, weights: Any
) -> float:
    losses = np.logaddexp(0, np.where(values, -logits, logits))
    logits[:] = 1 / (1 + np.exp(-np.clip(logits, -80, 80))) - values
    for factor in (known, weights):
        if factor is not None:
            losses *= factor
            logits *= factor
    return float(losses.sum(dtype=np.float64))


def _balancing(target: Target) -> Floats:
    """Weights of rows, (n,) or (n, classes), with which all classes count the same."""
    if target.kind == "one":
        counts = np.bincount(target.values, minlength=len(target.classes))
        each = len(target.values) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return np.asarray(each[target.values], np.float32)
    yes = (target.values > 0).reshape(len(target.values), -1)
    known = np.ones_like(yes) if target.known is None else target.known > 0
    said, there = known.sum(axis=0), (yes & known).sum(axis=0)
    of_yes, of_no = (said / (2 * np.maximum(count, 1)) for count in (there, said - there))
    return np.asarray(np.where(yes, of_yes, of_no), np.float32)


def _ridge(vectors: NDArray[Any], values: Floats, strength: float, frame: Frame) -> LinearHead:
    """Ridge regression in closed form; numbers are brought to a variance of 1 for it."""
    numbers = values.astype(np.float64)
    centre, unit = float(numbers.mean()), float(numbers.std()) or 1.0
    inner = np.zeros((vectors.shape[1],) * 2)
    across = np.zeros(vectors.shape[1])
    mean = frame.mean.astype(np.float32)
    for rows, block in _blocks(vectors):
        scaled = (block - mean) * np.float32(frame.scale)
        inner += scaled.T @ scaled
        across += scaled.T.astype(np.float64) @ ((numbers[rows] - centre) / unit)
    inner[np.diag_indices_from(inner)] += strength
    weights = np.linalg.solve(inner, across) * (unit * frame.scale)
    bias = centre - weights @ frame.mean
    return LinearHead(weights[None].astype(np.float32), np.array([bias], np.float32))


def _blocks(vectors: NDArray[Any]) -> Iterator[tuple[slice, Floats]]:
    """Blocks of rows, each in the place of the one before: fresh memory costs as much as a sum."""
    space = np.empty((min(_BLOCK, len(vectors)), vectors.shape[1]), np.float32)
    for first in range(0, len(vectors), _BLOCK):
        rows = slice(first, min(first + _BLOCK, len(vectors)))
        block = space[: rows.stop - rows.start]
        np.copyto(block, vectors[rows])
        yield rows, block
