"""Runs in words: their steps, epochs, measures, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from voyager.commands.sizes import counted

if TYPE_CHECKING:
    from voyager.train.record import Record

_SHOWN: Final = ("balanced_accuracy", "map", "r2", "accuracy", "ap", "top5", "mae", "exact")
_WORDS: Final = {
    "balanced_accuracy": "balanced accuracy",
    "map": "mAP",
    "r2": "R²",
    "ap": "AP",
    "top5": "top 5",
    "mae": "mean error",
}
_PLAIN: Final = ("r2", "mae")
"""Measures that are no shares of 1."""


def step_text(done: int, of: int, said: Mapping[str, float]) -> str:
    """A step in a line."""
    return (
        f"step {done}/{of}  loss {said['loss']:.4f}  lr {said['lr']:.2e}"
        f"  {said['images_per_second']:.0f} images/s  waiting {said['waiting']:.0%}"
    )


def epoch_text(epoch: int, said: Mapping[str, Any]) -> str:
    """An epoch in a line."""
    text = f"epoch {epoch}  loss {said['loss']:.4f}"
    if "validation" in said:
        text += f"  {measures_text(said['validation'])}"
    return text


def measures_text(measures: Mapping[str, Mapping[str, float]], *, most: int = 1) -> str:
    """The main measures of every task: `category balanced accuracy 91.3 %`."""
    parts = []
    for task, found in measures.items():
        shown = [name for name in _SHOWN if name in found][:most]
        parts += [f"{task} {measure_text(name, found[name])}" for name in shown]
    return ", ".join(parts)


def measure_text(name: str, value: float) -> str:
    """A measure with its unit."""
    number = f"{value:.3f}" if name in _PLAIN else f"{100 * value:.1f} %"
    return f"{_WORDS.get(name, name.replace('_', ' '))} {number}"


def finished_text(record: Record) -> str:
    """What came out of a run, in a line."""
    parts = [f"{counted(record.steps, 'step')} over {counted(record.samples, 'sample')}"]
    for where, measures in record.metrics.items():
        parts.append(f"{where}: {measures_text(measures)}")
    if record.skipped:
        parts.append(skipped_text(record.skipped))
    return "; ".join(parts)


def skipped_text(skipped: Mapping[str, int]) -> str:
    """What was left out, by why."""
    said = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
    return f"left out: {said}"
