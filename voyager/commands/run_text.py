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
    "recall_1": "recall at 1",
    "recall_5": "recall at 5",
    "recall_10": "recall at 10",
    "retrieval_map": "retrieval mAP",
    "code_recall_1": "recall at 1 by codes",
    "code_retrieval_map": "retrieval mAP by codes",
    "ece": "calibration error",
    "brier": "Brier score",
}
_PLAIN: Final = ("r2", "mae", "loss", "brier")
"""Measures that are no shares of 1."""
_COUNTS: Final = ("count", "unknown", "queries")


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
        named = [name for name in _SHOWN if name in found][:most]
        parts += [f"{task} {measure_text(name, found[name])}" for name in named]
    return ", ".join(parts)


def main_measure(found: Mapping[str, float]) -> str | None:
    """The name of the measure of a task that counts the most, None without any."""
    return next((name for name in _SHOWN if name in found), None)


def measure_text(name: str, value: float) -> str:
    """A measure with its name and unit."""
    return f"{measure_name(name)} {value_text(name, value)}"


def measure_name(name: str) -> str:
    """What a measure is called."""
    return _WORDS.get(name, name.replace("_", " "))


def value_text(name: str, value: float) -> str:
    """A measure with its unit."""
    if name in _COUNTS:
        return f"{value:,.0f}"
    return f"{value:.3f}" if name in _PLAIN else f"{100 * value:.1f} %"


def is_share(name: str) -> bool:
    """Whether a measure is a share of 1."""
    return name not in _PLAIN + _COUNTS


def finished_text(record: Record) -> str:
    """What came out of a run, in a line."""
    done = counted(record.steps, "step") if record.kind == "network" else record.config["head"]
    parts = [f"{done} over {counted(record.samples, 'sample')}"]
    for where, measures in record.metrics.items():
        parts.append(f"{where}: {measures_text(measures)}")
    if record.skipped:
        parts.append(skipped_text(record.skipped))
    return "; ".join(parts)


def skipped_text(skipped: Mapping[str, int]) -> str:
    """What was left out, by why."""
    said = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
    return f"left out: {said}"
