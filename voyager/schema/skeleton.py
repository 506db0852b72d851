"""Skeletons as people give them: options with names, or JSON, COCO's too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voyager.schema.task import Skeleton
from voyager.schema.values import BadValueError

_FIELDS = {"names", "edges", "flips", "sigmas"}

Pair = tuple[int, int]


def skeleton_from_names(
    names: Sequence[str], *, edges: Sequence[str] = (), flips: Sequence[str] = ()
) -> Skeleton:
    """The skeleton of keypoints by name; an edge or flip is two of them joined by a `-`."""
    _refuse_twice(names)
    return Skeleton(
        names=tuple(names),
        edges=tuple(_pair_in_text(text, names, "edges") for text in edges),
        flips=tuple(_pair_in_text(text, names, "flips") for text in flips),
    )


def skeleton_from_json(value: Any) -> Skeleton:
    """The skeleton of `{"names", "edges", "flips", "sigmas"}`, pairs by name or place from 0.

    A category of COCO (`keypoints`, and `skeleton` with places from 1) is taken as well.
    """
    if not isinstance(value, Mapping):
        raise BadValueError("a skeleton is a JSON object with names")
    first = 0
    if "keypoints" in value and "names" not in value:
        value = {"names": value["keypoints"], "edges": value.get("skeleton", [])}
        first = 1
    unknown = sorted(set(value) - _FIELDS)
    if unknown or "names" not in value:
        what = f"has no field '{unknown[0]}'" if unknown else "wants names"
        raise BadValueError(f"a skeleton {what}: it has names, edges, flips and sigmas")
    names = _list(value["names"], "names")
    if not names or not all(isinstance(name, str) and name for name in names):
        raise BadValueError("names: expected a list of words")
    _refuse_twice(names)
    return Skeleton(
        names=tuple(names),
        edges=_pairs(value, "edges", names, first),
        flips=_pairs(value, "flips", names, first),
        sigmas=tuple(_list(value.get("sigmas", []), "sigmas")),
    )


def skeleton_to_json(skeleton: Skeleton) -> dict[str, Any]:
    """As `skeleton_from_json` reads it, pairs by place from 0."""
    return {
        "names": list(skeleton.names),
        "edges": [list(pair) for pair in skeleton.edges],
        "flips": [list(pair) for pair in skeleton.flips],
        "sigmas": list(skeleton.sigmas),
    }


def _pair_in_text(text: str, names: Sequence[str], field: str) -> Pair:
    for at, letter in enumerate(text):
        if letter == "-" and text[:at] in names and text[at + 1 :] in names:
            return names.index(text[:at]), names.index(text[at + 1 :])
    raise BadValueError(f"{field}: '{text}' is not two keypoints with a - between them")


def _pairs(
    value: Mapping[str, Any], field: str, names: Sequence[str], first: int
) -> tuple[Pair, ...]:
    """The pairs of a field, places counted from `first`."""
    found: list[Pair] = []
    for item in _list(value.get(field, []), field):
        if not isinstance(item, list) or len(item) != 2:
            raise BadValueError(f"{field}: expected pairs, got {item!r}")
        start, end = (_place(end, names, field, first) for end in item)
        found.append((start, end))
    return tuple(found)


def _place(end: Any, names: Sequence[str], field: str, first: int) -> int:
    if isinstance(end, str) and end in names:
        return names.index(end)
    if isinstance(end, int) and not isinstance(end, bool) and 0 <= end - first < len(names):
        return end - first
    raise BadValueError(f"{field}: {end!r} is no keypoint")


def _list(value: Any, field: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadValueError(f"{field}: expected a list, got {type(value).__name__}")
    return value


def _refuse_twice(names: Sequence[str]) -> None:
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise BadValueError(f"names: '{twice}' stands there twice")
