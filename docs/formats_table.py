"""Writes docs/formats.md from what each format says of itself: `python docs/formats_table.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voyager.formats.base import Format
from voyager.formats.registry import all_formats
from voyager.schema import FLAGS, GEOMETRY_NAMES

TARGET = Path(__file__).with_name("formats.md")

HEAD = """\
# Formats

Written by `docs/formats_table.py` from what each format says of itself.

    vgr import SOURCE                     detects the format and says how it knew it
    vgr import SOURCE --format voc        forces it
    vgr export out --format yolo          writes one, and reports what it could not hold

What a format cannot hold is counted in the report of an export as *lost*, or as *approximated*
where it was written in another shape; `--strict` refuses to lose anything. Options of one format
are given as `--set NAME=VALUE`.

"""

FOOT = """
## One more format

A format is a module with a `FORMAT` (`voyager/formats/base.py`) and a line in
`voyager/formats/registry.py`. It says what it can hold (`Holds`); this page, the report of an
export and its tests follow from that, and the tests come with the package:
[a whole one](extending/format.md).
"""

FIELDS = (
    ("holes of polygons", "holes"),
    ("polygons of several parts", "parts"),
    ("several geometries of a region", "several"),
    ("regions without a class", "unlabeled"),
    ("labels of other tasks", "tasks other_tasks"),
    ("texts (captions)", "texts"),
    ("class trees", "tree"),
    ("attributes", "attrs"),
    ("scores", "scores"),
    ("states (verified, …)", "states"),
    ("several sources (annotators)", "sources"),
    ("tracks", "tracks"),
    ("links between regions", "links"),
    ("images without labels", "empty"),
    ("images that are not here", "pending"),
    ("splits", "split"),
    ("negatives", "negatives"),
    ("coverage", "coverage"),
    ("meta of images", "meta"),
    ("groups", "group"),
    ("unknown fields (`extra`)", "extra"),
    ("ids, assets, just as they are", "whole"),
)


def formats() -> list[Format]:
    """All formats, in the order of the registry."""
    return list(all_formats())


def render() -> str:
    """The text of docs/formats.md."""
    found = formats()
    parts = [HEAD, "\n".join(_overview(found)), "\n\n## What each can hold\n\n"]
    parts += ["\n".join(_table(found)), "\n\n"]
    parts.append(
        "→ means that it is written as another geometry. The *quantum* is the largest change, in\n"
        "pixels, that writing and reading make to a coordinate. A text task is one whose answers\n"
        "are texts, such as captions.\n\n## Settings\n\n"
    )
    parts += ["\n".join(_settings(found)), "\n", FOOT]
    return "".join(parts)


def _overview(found: list[Format]) -> Iterator[str]:
    yield "| `--format` | | reads | writes | |"
    yield "|---|---|---|---|---|"
    for form in found:
        page = f"formats/{_page(form)}.md"
        link = f"[more]({page})" if (TARGET.parent / page).exists() else ""
        reads, writes = _mark(form.read is not None), _mark(form.write is not None)
        yield f"| `{form.name}` | {form.title} | {reads} | {writes} | {link} |"


def _page(form: Format) -> str:
    return form.name.partition("-video")[0]


def _table(found: list[Format]) -> Iterator[str]:
    yield "| | " + " | ".join(f"`{form.name}`" for form in found) + " |"
    yield "|---|" + "---|" * len(found)
    for geometry in GEOMETRY_NAMES:
        yield _row(geometry, [_geometry(form, geometry) for form in found])
    for words, names in FIELDS:
        yield _row(words, [_mark(_has(form, names)) for form in found])
    yield _row("flags", [_flags(form) for form in found])
    yield _row("classes of an image", [_count(form.holds.image_labels) for form in found])
    yield _row("classes of a region", [_count(form.holds.region_labels) for form in found])
    yield _row("quantum", [f"{form.holds.quantum:g}" for form in found])


def _row(words: str, cells: list[str]) -> str:
    return f"| {words} | " + " | ".join(cells) + " |"


def _mark(held: bool) -> str:
    return "yes" if held else "–"


def _has(form: Format, names: str) -> bool:
    return form.holds.whole or any(getattr(form.holds, name) for name in names.split())


def _geometry(form: Format, name: str) -> str:
    if name in form.holds.geometries:
        return "yes"
    target = form.holds.converts.get(name)
    return "–" if target is None else f"→ {target}"


def _flags(form: Format) -> str:
    held = [flag for flag in FLAGS if flag in form.holds.flags]
    return "all" if len(held) == len(FLAGS) else ", ".join(held) or "–"


def _count(limit: str) -> str:
    return "–" if limit == "none" else limit


def _settings(found: list[Format]) -> Iterator[str]:
    yield "| format | `--set` | |"
    yield "|---|---|---|"
    for form in found:
        for name, words in form.settings.items():
            yield f"| `{form.name}` | `{name}` | {words.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    TARGET.write_text(render())
