"""Facts in words, as people who look at images say them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from voyager.commands.sizes import counted, size_text
from voyager.repo.class_facts import node_path
from voyager.repo.keys import shown
from voyager.repo.label_facts import Fact, Terms
from voyager.schema import FileRow, Image, Label, Region
from voyager.schema.geometry import GEOMETRY_NAMES, Geometry
from voyager.schema.measures import AREA_SHAPES
from voyager.schema.task import Task
from voyager.schema.taxonomy import NodeId
from voyager.schema.vocabulary import Vocabulary

ARROW = "→"

_MOST_LETTERS = 60
_STATES = ("proposed", "accepted", "verified", "rejected")
_TURNS = {
    "rot90": "turned by 90°",
    "rot180": "turned by 180°",
    "rot270": "turned by 270°",
    "mirror": "mirrored, left to right",
    "flip": "mirrored, top to bottom",
    "transpose": "mirrored and turned by 270°",
    "transverse": "mirrored and turned by 90°",
}


def fact_text(fact: Fact, terms: Terms) -> str:
    """A fact in words, without what it is about; empty where the line about it says enough."""
    return _WORDS[fact.scope](fact, terms)


def image_text(image: Image) -> str:
    """`400×500 jpeg, 24.3 kB`, as far as it is known."""
    size = f"{image.width}×{image.height}" if image.width and image.height else ""
    words = " ".join(filter(None, (size, plain(image.type or ""))))
    state = "" if image.state == "stored" else image.state
    weight = "" if image.bytes is None else size_text(image.bytes)
    return ", ".join(filter(None, (words, weight, state))) or "image"


def shape_noun(name: str) -> str:
    """What one geometry of a type is called, so that it can be counted."""
    return {"keypoints": "keypoint set", "points": "point set", "unknown": "geometry"}.get(
        name, name.replace("rotated-box", "rotated box")
    )


def measure_of(shape: str) -> str:
    """What likeness of geometries of a type is called."""
    if GEOMETRY_NAMES.get(shape) in AREA_SHAPES:
        return "IoU"
    return "OKS" if shape == "keypoints" else "similarity"


def likeness_text(score: float, shape: Geometry) -> str:
    """`IoU 0.84`; of what did not move farther than one can point: `within 1.5 px`."""
    return "within 1.5 px" if score == 1.0 else f"{measure_of(shape.name)} {score:.2f}"


def region_name(region: Region, terms: Terms, *, old: bool = False) -> str:
    """The class of a region in each task, all that is said where nothing answers; may be empty."""
    word = terms.was if old else terms.now
    labels = terms.answering(region.labels, old=old)
    names = (word(label) for label in labels if label.node is not None)
    return ", ".join(plain(name) for name in dict.fromkeys(names))


def region_shapes(region: Region) -> str:
    """What a region consists of and who says so: `box and mask, model:m, score 0.91, proposed`."""
    shapes = " and ".join(dict.fromkeys(shape.name for shape in region.geometries.values()))
    words = [shapes or "no geometry"]
    if not _is_plain(region.source):
        words.append(plain(region.source))
    if region.score is not None:
        words.append(f"score {region.score:g}")
    if region.state != "accepted":
        words.append(region.state)
    return ", ".join([*words, *map(plain, region.flags)])


def plain(text: object) -> str:
    """A name or value on one line: what would break it is escaped, what is too long is cut."""
    line = shown(str(text))
    return line if len(line) <= _MOST_LETTERS else f"{line[: _MOST_LETTERS - 1]}…"


def _is_plain(source: str) -> bool:
    """Whether it goes without saying who says so."""
    return source in ("human", "import")


# -- sample ---------------------------------------------------------------------------------------


def _sample(fact: Fact, _: Terms) -> str:
    before, after = fact.before, fact.after
    match fact.kind:
        case "added" | "removed" | "renamed":
            return ""  # the line of the key says it
        case "replaced" | "re-encoded" | "image":
            verb = "described anew" if fact.kind == "image" else fact.kind
            same = ", same pixels" if fact.kind == "re-encoded" else ""
            images = f"{image_text(before)} {ARROW} {image_text(after)}"
            return f"image {verb} ({images}{same})"
        case "attached":
            return f"image attached ({image_text(after)})"
        case "purged":
            return f"image purged ({image_text(before)})"
        case "re-split":
            return f"split {_side(before)} {ARROW} {_side(after)}"
        case "transformed":
            return f"regions {_TURNS[after]}, as the whole image"
        case "group":
            old, new = (_side(None if side is None else side.id) for side in (before, after))
            return f"group {old} {ARROW} {new}" if old != new else f"place in group {new} changed"
        case "asset":
            what = "added" if before is None else "removed" if after is None else "replaced"
            return f"asset {plain(fact.name)} {what}"
        case "held":
            return "no longer held" if after is None else "held back"
    return "details changed"


def _side(value: object) -> str:
    return "none" if value is None else plain(value)


def _file(fact: Fact, _: Terms) -> str:
    if fact.kind == "replaced":
        sizes = (size_text(side.bytes) for side in (fact.before, fact.after))
        return f"content replaced ({f' {ARROW} '.join(sizes)})"
    if fact.kind == "mode":
        return "executable" if fact.after else "no longer executable"
    return ""


def _meta(fact: Fact, _: Terms) -> str:
    name = plain(fact.name)
    if fact.kind == "added":
        return f"{name} = {value_text(fact.after)}"
    if fact.kind == "removed":
        return f"{name} removed (was {value_text(fact.before)})"
    return f"{name} {value_text(fact.before)} {ARROW} {value_text(fact.after)}"


def value_text(value: Any) -> str:
    """A plain value on one line, quoted where it holds spaces."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, str):
        return json.dumps(plain(value), ensure_ascii=False) if " " in value else plain(value)
    if isinstance(value, (list, tuple)):
        return plain(", ".join(map(value_text, value))) or "none"
    return f"{value:g}" if isinstance(value, float) else plain(value)


def _coverage(fact: Fact, terms: Terms) -> str:
    what = fact.task or ""
    if fact.node is not None:
        what = f"{what} {terms.told(what, fact.node)}"
    old, new = (side or "unknown" for side in (fact.before, fact.after))
    return f"coverage of {plain(what)} {old} {ARROW} {new}"


# -- regions --------------------------------------------------------------------------------------


def _region(fact: Fact, terms: Terms) -> str:
    before, after = fact.before, fact.after
    match fact.kind:
        case "moved" | "redrawn":
            return f"{_shape_words(fact)} {fact.kind}{_likeness(fact)}"
        case "retyped":
            score = "" if fact.similarity is None else f" (IoU {fact.similarity:.2f})"
            return f"{before.name} {ARROW} {after.name}{score}"
        case "gained":
            return f"{_role(fact, after)} added to it"
        case "lost":
            return f"{_role(fact, before)} taken from it"
        case "added" | "removed":
            return region_shapes(after or before)
        case "divided":
            return f"divided into {_ids(after)}"
        case "joined":
            return f"joined from {_ids(before)}"
        case "rescored":
            return f"score {_score(before)} {ARROW} {_score(after)}"
        case "flags":
            return _items("flags", before, after)
        case "attrs":
            return _attrs(before, after)
        case "track" | "source":
            return f"{fact.kind} {_side(before)} {ARROW} {_side(after)}"
        case "frame":
            return f"frame {_side(before)} {ARROW} {_side(after)}"
        case "links":
            return _links(before, after)
        case "details":
            return "details changed"
    return f"{before} {ARROW} {after}"  # a state


def _shape_words(fact: Fact) -> str:
    return _role(fact, fact.after)


def _role(fact: Fact, shape: Geometry) -> str:
    if fact.name is None or fact.name == shape.name:
        return shape.name
    return f"{plain(fact.name)} {shape.name}"


def _likeness(fact: Fact) -> str:
    if fact.similarity is None:
        return ""
    return f" ({likeness_text(fact.similarity, fact.after)})"


def _ids(regions: Iterable[Region]) -> str:
    return " and ".join(region.id.hex()[:8] for region in regions)


def _score(score: float | None) -> str:
    return "none" if score is None else f"{score:g}"


def _items(noun: str, before: Iterable[str], after: Iterable[str]) -> str:
    old, new = dict.fromkeys(before), dict.fromkeys(after)
    come = [f"+{plain(item)}" for item in new if item not in old]
    gone = [f"−{plain(item)}" for item in old if item not in new]
    return f"{noun} {' '.join([*come, *gone])}".lstrip()


def _attrs(before: dict[str, Any], after: dict[str, Any]) -> str:
    names = sorted(before.keys() | after.keys())
    return ", ".join(
        f"{plain(name)} {value_text(before.get(name))} {ARROW} {value_text(after.get(name))}"
        for name in names
        if before.get(name) != after.get(name)
    )


def _links(before: tuple[Any, ...], after: tuple[Any, ...]) -> str:
    come = [link for link in after if link not in before]
    gone = [link for link in before if link not in after]
    words = [f"linked to {link.region.hex()[:8]} as {plain(link.kind)}" for link in come]
    words += [f"link to {link.region.hex()[:8]} removed" for link in gone]
    return ", ".join(words) or "links in another order"


# -- labels ---------------------------------------------------------------------------------------


def _label(fact: Fact, terms: Terms) -> str:
    task = plain(fact.task)
    voice = f", {plain(fact.source)}" if fact.source is not None and _is_named(fact) else ""
    if fact.kind.startswith("negative"):
        node = fact.after or fact.before
        verb = "verified not there" if fact.after else "no longer verified not there"
        return f"{task} {plain(terms.told(fact.task or '', node))} {verb}"
    was, now = fact.before, fact.after
    old = None if was is None else _said(was, terms.was)
    new = None if now is None else _said(now, terms.now)
    match fact.kind:
        case "added" if _agrees(fact, now):
            return f"{task} {new} said by {plain(now.source)} too{_certainty(now)}"
        case "added":
            return f"{task} {new} added{voice}{_certainty(now)}"
        case "removed" if _agrees(fact, was):
            return f"{task} {old} no longer said by {plain(was.source)}"
        case "removed":
            return f"{task} {old} removed{voice}"
        case "changed":
            return f"{task} {old} {ARROW} {new}{voice}"
        case "refined" | "coarsened":
            return f"{task} {old} {ARROW} {new} ({fact.kind}){voice}"
        case "rescored":
            return f"{task} {new} score {_score(was.score)} {ARROW} {_score(now.score)}{voice}"
        case "details":
            return f"{task} {new}: details changed{voice}"
    return f"{task} {new} {was.state} {ARROW} {now.state}{voice}"


def _is_named(fact: Fact) -> bool:
    """Whether the source has to be said: it is no plain one, or another one answers."""
    if fact.source is None or not _is_plain(fact.source):
        return True
    if fact.answers is None:
        return False
    label, answering = fact.after, fact.answers[1]
    if label is None:
        label, answering = fact.before, fact.answers[0]
    return bool(answering) and not any(one is label for one in answering)


def _agrees(fact: Fact, label: Label) -> bool:
    """Whether a label says what the answer was, and is, with it or without it."""
    return fact.answers is not None and all(
        any(_same_value(label, one) for one in side) for side in fact.answers
    )


def _same_value(one: Label, other: Label) -> bool:
    return (one.node, one.value, one.ordinal) == (other.node, other.value, other.ordinal)


def _certainty(label: Label) -> str:
    score = "" if label.score is None else f", score {label.score:g}"
    return score + ("" if label.state == "accepted" else f", {label.state}")


def _said(label: Label, word: Callable[[Label], str]) -> str:
    text = word(label)
    return value_text(text) if isinstance(label.value, str) else plain(text)


# -- tasks and classes ----------------------------------------------------------------------------


def _task(fact: Fact, _: Terms) -> str:
    name = plain(fact.task)
    if fact.kind == "changed":
        sides = f"{_task_value(fact.before)} {ARROW} {_task_value(fact.after)}"
        return f"task changed: {name}: {fact.name} {sides}"
    return f"task {fact.kind}: {name} ({_described(fact.after or fact.before)})"


def _described(task: Task) -> str:
    what = task.kind if task.taxonomy is None else f"classes of {task.taxonomy}"
    scope = {"both": "images and regions", "image": "images", "region": "regions"}[task.scope]
    return f"{what}, on {scope}{', many' if task.many else ''}"


def _task_value(value: Any) -> str:
    names = getattr(value, "names", None)
    return counted(len(names), "keypoint") if names is not None else value_text(value)


def _policy(fact: Fact, _: Terms) -> str:
    old, new = (" > ".join(side) for side in (fact.before, fact.after))
    return f"answer policy of {plain(fact.task)} changed: {old} {ARROW} {new}"


def _guard(fact: Fact, _: Terms) -> str:
    sides = f" {ARROW} ".join(plain(side) for side in (fact.before, fact.after) if side is not None)
    return f"guard {fact.name} {fact.kind}: {sides}"


def _taxonomy(fact: Fact, _: Terms) -> str:
    names = filter(None, (fact.before, fact.after))
    return f"taxonomy {fact.kind}: {f' {ARROW} '.join(map(plain, names))}"


def _class(fact: Fact, terms: Terms) -> str:
    taxonomy = plain(fact.name)
    if fact.kind == "renumbered":
        moved = sum(a != b for a, b in zip(fact.before, fact.after, strict=True))
        return f"classes renumbered: {taxonomy} ({counted(moved, 'class')} in another place)"
    if fact.kind == "aliased":
        path = node_path(terms.after, fact.node or b"").partition("/")[2]
        return f"class aliased: {plain(path)} ({taxonomy}): {_items('', fact.before, fact.after)}"
    sides = [
        plain(path.partition("/")[2] if path.startswith(f"{fact.name}/") else path)
        for path in dict.fromkeys(filter(None, (fact.before, fact.after)))
    ]
    arrow = " into " if fact.kind == "merged" else f" {ARROW} "
    return f"class {fact.kind}: {arrow.join(sides)} ({taxonomy}){_new_aliases(fact, terms)}"


def _new_aliases(fact: Fact, terms: Terms) -> str:
    """`, alias fig` of a class that has another name or place, and that alias besides."""
    if fact.kind not in ("renamed", "moved") or fact.node is None:
        return ""
    old, new = (_aliases(vocabulary, fact.node) for vocabulary in (terms.before, terms.after))
    come = [plain(alias) for alias in new if alias not in old]
    return f", alias {' and '.join(come)}" if come else ""


def _aliases(vocabulary: Vocabulary, node: NodeId) -> tuple[str, ...]:
    found = (one.nodes[node] for one in vocabulary.taxonomies.values() if node in one.nodes)
    return next((known.aliases for known in found), ())


_WORDS: dict[str, Callable[[Fact, Terms], str]] = {
    "sample": _sample,
    "file": _file,
    "meta": _meta,
    "coverage": _coverage,
    "region": _region,
    "label": _label,
    "task": _task,
    "policy": _policy,
    "guard": _guard,
    "taxonomy": _taxonomy,
    "class": _class,
}


def file_text(file: FileRow) -> str:
    """`file, 10 B`."""
    return f"file, {size_text(file.bytes)}"
