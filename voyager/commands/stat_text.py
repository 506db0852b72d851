"""Counts of facts in words: one sentence, and the tables of --stat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from voyager.commands.fact_text import ARROW, measure_of, plain, shape_noun
from voyager.commands.sizes import counted
from voyager.repo.keys import shown
from voyager.repo.label_stat import COLUMNS, TASK_COLUMNS, Stat

_KEY_KINDS = ("added", "removed", "renamed", "modified")
_KEY_WORDS = {"modified": "changed"}
_MOST = 3
NOTHING: Mapping[tuple[str, str], int] = {}
_STATES = ("proposed", "accepted", "verified", "rejected")
_SAMPLE_WORDS = {
    "replaced": ("image", "replaced"),
    "re-encoded": ("image", "re-encoded"),
    "attached": ("image", "attached"),
    "purged": ("image", "purged"),
    "image": ("image", "described anew"),
    "re-split": ("sample", "re-split"),
    "transformed": ("sample", "turned as a whole"),
    "group": ("group", "changed"),
    "asset": ("asset", "changed"),
    "held": ("hold", "changed"),
}
_REGION_WORDS = {
    "retyped": "of another geometry type",
    "gained": "with one more geometry",
    "lost": "with one geometry less",
    "rescored": "rescored",
    "flags": "with other flags",
    "attrs": "with other attributes",
    "track": "in another track",
    "frame": "with another frame state",
    "links": "with other links",
    "source": "of another source",
    "details": "with other details",
}


def summary_text(stat: Stat) -> str:
    """`12 boxes moved (median IoU 0.84), 30 labels changed chair → armchair; 2 samples added`.

    Empty when nothing differs.
    """
    parts = [", ".join(_said(stat)), ", ".join(_samples(stat)), *_keys(stat.keys, stat.whole)]
    parts.append(", ".join(_words(stat)))
    return "; ".join(filter(None, parts))


def labels_text(stat: Stat) -> str:
    """The part of the sentence that is about regions and labels; empty when there is none."""
    return ", ".join(_said(stat))


def stat_lines(stat: Stat) -> Iterator[str]:
    """A table by class, one by task, a line for each folder that changed, and the sum."""
    for task in sorted({task for task, _ in stat.classes}):
        rows = {path: stat.classes[task, path] for path in _in_order(stat, task)}
        yield from _table(f"class ({plain(task)})", rows, COLUMNS)
        yield ""
    if stat.tasks:
        yield from _table("labels of task", dict(sorted(stat.tasks.items())), TASK_COLUMNS)
        yield ""
    names = {folder: shown(folder) or "." for folder in sorted(stat.folders)}
    width = max(map(len, names.values()), default=0)
    for folder, name in names.items():
        yield f" {name:<{width}}  {'; '.join(_keys(stat.folders[folder]))}"
    yield f" {summary_text(stat) or 'no changes'}"


def _in_order(stat: Stat, task: str) -> list[str]:
    """The counted classes of a task in the order of its taxonomy, those gone from it last."""
    taxonomy = stat.terms.after.taxonomy_of(task)
    order = [] if taxonomy is None else list(taxonomy)
    places = {taxonomy.path(node): place for place, node in enumerate(order)} if taxonomy else {}
    paths = [path for of, path in stat.classes if of == task]
    return sorted(paths, key=lambda path: (places.get(path, len(places)), path))


def class_table(stat: Stat) -> tuple[tuple[str, ...], list[tuple[str, tuple[int, ...]]]]:
    """The columns that have any counts, and those of each class, the most changed first."""
    tasks = {task for task, _ in stat.classes}
    used = tuple(
        column for column in COLUMNS if any(counts[column] for counts in stat.classes.values())
    )
    order = sorted(stat.classes.items(), key=lambda item: (-item[1].total(), item[0]))
    rows = [
        (path if len(tasks) == 1 else f"{task}: {path}", tuple(counts[name] for name in used))
        for (task, path), counts in order
    ]
    return used, rows


def _table(title: str, rows: dict[str, Counter[str]], columns: Sequence[str]) -> Iterator[str]:
    """Counts by name, of the columns that have any."""
    used = [column for column in columns if any(row[column] for row in rows.values())]
    names = {name: plain(name) for name in rows}
    width = max(len(title), *map(len, names.values()))
    sizes = [
        max(len(column), *(len(f"{row[column]:,}") for row in rows.values())) for column in used
    ]
    heads = "  ".join(f"{column:>{size}}" for column, size in zip(used, sizes, strict=True))
    yield f" {title:<{width}}  {heads}"
    for name, said in names.items():
        cells = [f"{rows[name][column]:,}" if rows[name][column] else "·" for column in used]
        line = "  ".join(f"{cell:>{size}}" for cell, size in zip(cells, sizes, strict=True))
        yield f" {said:<{width}}  {line}"


# -- parts of the sentence ------------------------------------------------------------------------


def _said(stat: Stat) -> Iterator[str]:
    """Regions and labels, what people look for first."""
    for kind in ("moved", "redrawn"):
        shapes = {shape: scores for (how, shape), scores in stat.shapes.items() if how == kind}
        for shape, scores in sorted(shapes.items(), key=lambda item: (-len(item[1]), item[0])):
            yield f"{counted(len(scores), shape_noun(shape))} {kind}{_median(stat, kind, shape)}"
    for kind in ("changed", "refined", "coarsened"):
        yield from _changed(stat, kind)
    labels = stat.counts.get("label", Counter())
    for kind in ("added", "removed"):
        if labels[kind]:
            yield f"{counted(labels[kind], 'label')} {kind}"
    for kind in ("added", "removed", "divided", "joined"):
        names = stat.regions.get(kind, Counter())
        if names:
            yield f"{counted(names.total(), 'region')} {kind}{_by_name(names)}"
    regions = stat.counts.get("region", Counter())
    for kind in _STATES:
        for noun, count in (("region", regions[kind]), ("label", labels[kind])):
            if count:
                yield f"{counted(count, noun)} {kind}"
    for kind, words in _REGION_WORDS.items():
        if regions[kind]:
            yield f"{counted(regions[kind], 'region')} {words}"
    yield from _small_parts(stat)


def _small_parts(stat: Stat) -> Iterator[str]:
    labels = stat.counts.get("label", Counter())
    for kind, noun, verb in (
        ("rescored", "label", "rescored"),
        ("details", "label", "with other details"),
        ("negative-added", "negative", "added"),
        ("negative-removed", "negative", "removed"),
    ):
        if labels[kind]:
            yield f"{counted(labels[kind], noun)} {verb}"
    for kind, count in stat.counts.get("coverage", Counter()).items():
        yield f"coverage {kind} {'once' if count == 1 else f'{count:,} times'}"
    meta = stat.counts.get("meta", Counter()).total()
    if meta:
        yield f"{counted(meta, 'meta value')} changed"


def _median(stat: Stat, kind: str, shape: str) -> str:
    score = stat.likeness(kind, shape)
    if score is None:
        return ""
    many = "median " if len(stat.shapes[kind, shape]) > 1 else ""
    return f" ({many}{measure_of(shape)} {score:.2f})"


def _changed(stat: Stat, kind: str) -> Iterator[str]:
    pairs: Counter[str] = Counter()
    for (_, how, old, new), count in stat.changed.items():
        if how == kind:
            pairs[f"{plain(old)} {ARROW} {plain(new)}"] += count
    if not pairs:
        return
    head = f"{counted(pairs.total(), 'label')} {kind}"
    if len(pairs) == 1:
        yield f"{head} {next(iter(pairs))}"
    else:
        yield f"{head} ({_first(pairs)})"


def _by_name(names: Counter[str]) -> str:
    named: Counter[str] = Counter()
    for name, count in names.items():
        named[plain(name) or "no class"] += count
    if len(named) == 1:
        name = next(iter(named))
        return "" if name == "no class" else f" ({name})"
    return f" ({_first(named)})"


def _first(names: Counter[str]) -> str:
    """The most frequent by name and number, and how many others there are."""
    order = sorted(names.items(), key=lambda item: (-item[1], item[0]))
    one_each = order[0][1] == 1
    shown_ones = ", ".join(
        name if one_each else f"{name} ×{count:,}" for name, count in order[:_MOST]
    )
    more = sum(count for _, count in order[_MOST:])
    return shown_ones + (f", {more:,} others" if more else "")


def _samples(stat: Stat) -> Iterator[str]:
    counts = stat.counts.get("sample", Counter())
    for kind, (noun, verb) in _SAMPLE_WORDS.items():
        if counts[kind]:
            yield f"{counted(counts[kind], noun)} {verb}"


def _keys(
    counts: Counter[tuple[str, str]], whole: Mapping[tuple[str, str], int] = NOTHING
) -> Iterator[str]:
    """`3 samples added (4 regions), 1 renamed`, then the same of files."""
    for scope in ("sample", "file"):
        words = [
            (counts[scope, kind], _KEY_WORDS.get(kind, kind) + _held(whole, scope, kind))
            for kind in _KEY_KINDS
            if counts[scope, kind]
        ]
        if words:
            (count, word), *others = words
            more = "".join(f", {other:,} {said}" for other, said in others)
            yield f"{counted(count, scope)} {word}{more}"


def _held(whole: Mapping[tuple[str, str], int], scope: str, kind: str) -> str:
    """What came or went with samples, in brackets."""
    nouns = ("region", "label") if scope == "sample" else ()
    held = [counted(whole[kind, noun], noun) for noun in nouns if whole.get((kind, noun))]
    return f" ({', '.join(held)})" if held else ""


def _words(stat: Stat) -> Iterator[str]:
    """Tasks, taxonomies and classes, and the guard."""
    nouns = {"policy": "answer policy", "guard": "guard setting"}
    for scope in ("task", "policy", "taxonomy", "class", "guard"):
        noun = nouns.get(scope, scope)
        for kind, count in stat.counts.get(scope, Counter()).items():
            if kind == "renumbered":
                yield "classes renumbered"
            else:
                yield f"{counted(count, noun)} {kind}"
