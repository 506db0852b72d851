"""Tasks in words: what is typed of them, and how they are shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voyager.commands.context import Context
from voyager.commands.reports import quoted
from voyager.commands.sizes import counted
from voyager.errors import InvalidDataError, UsageError
from voyager.schema.promote import Promotion
from voyager.schema.skeleton import skeleton_from_json, skeleton_from_names, skeleton_to_json
from voyager.schema.task import Skeleton, Task
from voyager.schema.taxonomy_paths import Place, path_of
from voyager.schema.values import BadValueError
from voyager.schema.vocabulary import Vocabulary

_MOST = 5


# -- reading options ------------------------------------------------------------------------------


def given_fields(**given: Any) -> dict[str, Any]:
    """The fields that were given."""
    return {name: value for name, value in given.items() if value is not None}


def read_answer(text: str | None) -> tuple[str, ...] | None:
    """The answer policy; empty for the default one."""
    return None if text is None else tuple(_words(text))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def read_skeleton(
    file: Path | None, keypoints: str | None, edges: str | None, flip: str | None
) -> Skeleton | None:
    """The skeleton that a file or options describe; None where nothing does."""
    if file is not None and keypoints is not None:
        raise UsageError(
            "--skeleton and --keypoints exclude each other", hint="vgr task add --help"
        )
    if keypoints is None and (edges is not None or flip is not None):
        raise UsageError("--edges and --flip want --keypoints", hint="vgr task add --help")
    try:
        if keypoints is not None:
            names = _words(keypoints)
            return skeleton_from_names(names, edges=_words(edges or ""), flips=_words(flip or ""))
        return None if file is None else skeleton_from_json(_read_json(file))
    except BadValueError as error:
        if file is not None:
            raise InvalidDataError(error.message, path=file) from None
        raise UsageError(error.message, hint="vgr task add --help") from None


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except json.JSONDecodeError as error:
        raise InvalidDataError(f"no JSON: {error.msg}", path=file, line=error.lineno) from None
    except UnicodeDecodeError:
        raise InvalidDataError("no JSON: the text is not UTF-8", path=file) from None


# -- showing --------------------------------------------------------------------------------------


def in_words(task: Task) -> str:
    """`one of 'palette', on regions`."""
    if task.kind == "category":
        words = [f"{'any' if task.many else 'one'} of taxonomy '{task.taxonomy}'"]
    else:
        words = [f"many {task.kind} values" if task.many else f"a {task.kind}"]
    if task.scope != "both":
        words.append(f"on {task.scope}s")
    words += ["ordered"] * task.ordered
    if task.overlap != "allowed":
        words.append(f"overlap {task.overlap}")
    if task.skeleton is not None:
        words.append(counted(len(task.skeleton.names), "keypoint"))
    return ", ".join(words)


def task_json(vocabulary: Vocabulary, name: str, task: Task) -> dict[str, Any]:
    """The JSON of a task."""
    return {
        "name": name,
        "kind": task.kind,
        "taxonomy": task.taxonomy,
        "scope": task.scope,
        "many": task.many,
        "ordered": task.ordered,
        "overlap": task.overlap,
        "applies_to": _class_path(vocabulary, task.applies_to),
        "answer": list(task.policy),
        "description": task.description,
        "skeleton": None if task.skeleton is None else skeleton_to_json(task.skeleton),
        "labels": None,
    }


def _class_path(vocabulary: Vocabulary, node: bytes | None) -> str | None:
    """The path of a class, its id in hex where it is gone."""
    if node is None:
        return None
    for name, taxonomy in vocabulary.taxonomies.items():
        live = taxonomy.live(node)
        if live is not None:
            return path_of(vocabulary, Place(name, live))
    return node.hex()


def value_text(value: Any) -> str:
    """A value of that JSON as people read it."""
    if value is True:
        return "yes"
    if isinstance(value, list):
        return " > ".join(value)
    if isinstance(value, dict):
        names = value["names"]
        edges = ", ".join(f"{names[a]}-{names[b]}" for a, b in value["edges"])
        return ", ".join(names) + (f"; joined {edges}" if edges else "")
    return quoted(str(value))


def promoted_json(promotion: Promotion | None) -> dict[str, Any] | None:
    """The JSON of a promotion."""
    if promotion is None:
        return None
    left: Mapping[str, int] = promotion.left
    return {"labels": promotion.labels, "samples": promotion.samples, "left": dict(left)}


def tell_promoted(ctx: Context, promotion: Promotion, *, dry_run: bool) -> None:
    """Say what became of an attribute, and what did not fit."""
    verb = "would make" if dry_run else "made"
    labels, samples = counted(promotion.labels, "label"), counted(promotion.samples, "sample")
    ctx.say(f"{verb} {labels} of {samples} from attribute '{promotion.attribute}'")
    left = promotion.left
    if left:
        examples = ", ".join(
            f"{quoted(value)} ({count:,})" for value, count in left.most_common(_MOST)
        )
        more = f" and {len(left) - _MOST:,} more" if len(left) > _MOST else ""
        ctx.warn(f"{counted(left.total(), 'attribute')} did not fit and stay: {examples}{more}")
