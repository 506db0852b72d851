"""Link regions, of one sample or of several, and show links both ways.

Example:
  $ vgr link a.jpg#1 b.jpg#2 --as same-person
  $ vgr link ls a.jpg
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, NamedTuple

import typer

from voyager.commands.choosing import named_targets
from voyager.commands.context import Context
from voyager.commands.labels import tell_changed
from voyager.errors import UsageError
from voyager.repo import label_edits
from voyager.repo.dataset import Dataset
from voyager.repo.keys import shown
from voyager.repo.label_edits import Target
from voyager.repo.staged_edit import StagedEdit

app = typer.Typer()
DEFAULT = "add"
DEFAULT_TAKES_WORDS = True

_MOST_KIND = 100


@app.command("add")
def add(
    ctx: Context,
    words: Annotated[
        list[str], typer.Argument(metavar="KEY#REGION KEY#REGION", help="from one to another")
    ],
    *,
    kind: Annotated[
        str | None, typer.Option("--as", metavar="KIND", help="what the second is to the first")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--rm", help="take the link away, without --as links of all kinds")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only tell what would change")
    ] = False,
) -> None:
    """Link one region to another, of the same sample or another one. `add` may be left out.

    A link is kept with the region where it starts; vgr link ls shows it at both ends. --rm with
    one region takes away its links to regions that are gone.

    JSON: {"samples", "regions", "labels", "keys"}.

    Example:
      $ vgr link a.jpg#1 b.jpg#2 --as same-person
      $ vgr link a.jpg#1 a.jpg#2 --as part-of
      $ vgr link a.jpg#1 b.jpg#2 --rm
    """
    repo = ctx.open_repository()
    if kind is None and not remove:
        raise UsageError(
            "a link has a kind", hint="--as same-object, --as part-of, …; --rm takes a link away"
        )
    if kind is not None and (not kind.strip() or len(kind) > _MOST_KIND or not kind.isprintable()):
        raise UsageError(f"'{shown(kind)}' cannot be the kind of a link", hint="a short word")
    with StagedEdit(repo, "link", " ".join(words), dry_run=dry_run) as edit:
        ends: list[Target] = [
            (target.key, target.region)
            for word in words
            for target in named_targets(repo, edit.version, [word])
        ]
        if remove and len(ends) == len(words) == 1:
            done = label_edits.unlink_lost(edit, ends[0], edit.version.lookups)
        elif len(ends) != 2 or len(words) != 2:
            raise UsageError(f"a link has two ends, not {len(ends):,}", hint="vgr link A#1 B#1")
        elif remove:
            done = label_edits.unlink(edit, ends[0], ends[1], kind)
        else:
            done = label_edits.link(edit, ends[0], ends[1], kind or "")
    tell_changed(ctx, done, dry_run=dry_run)


class _Shown(NamedTuple):
    """A link as seen from one end; the other end is None where there is no such region."""

    key: str
    region: bytes
    kind: str
    outward: bool
    other: tuple[str, bytes] | None


@app.command("ls")
def list_links(
    ctx: Context,
    words: Annotated[
        list[str], typer.Argument(metavar="KEY[#REGION]", help="samples or regions of them")
    ],
) -> None:
    """Show the links that start or end at regions.

    JSON: a line for each: {"key", "region", "kind", "direction": "to|from", "other_key",
    "other_region"}.

    Example:
      $ vgr link ls a.jpg
      $ vgr link ls a.jpg#1
    """
    repo = ctx.open_repository()
    version = repo.staged()
    for target in named_targets(repo, version, words):
        for found in _links_at(version, target.key, target.region):
            if ctx.json:
                ctx.emit_line(_as_json(found))
            else:
                ctx.show(_as_text(version, found))


def _links_at(version: Dataset, key: str, only: bytes | None) -> Iterator[_Shown]:
    sample, lookups = version[key], version.lookups
    for region in sample.regions:
        if only not in (None, region.id):
            continue
        for link in region.links:
            there = lookups.key_of(link.uid)
            is_there = there is not None and lookups.has_region(link.uid, link.region)
            end = (there, link.region) if there is not None and is_there else None
            yield _Shown(key, region.id, link.kind, True, end)
        for back in lookups.links_to(sample.uid, region.id):
            yield _Shown(key, region.id, back.kind, False, (back.key, back.region))


def _as_json(found: _Shown) -> dict[str, object]:
    other = found.other
    return {
        "key": found.key,
        "region": found.region.hex(),
        "kind": found.kind,
        "direction": "to" if found.outward else "from",
        "other_key": None if other is None else other[0],
        "other_region": None if other is None else other[1].hex(),
    }


def _as_text(version: Dataset, found: _Shown) -> str:
    """`a.jpg#1 same-person -> b.jpg#2`."""
    arrow = "->" if found.outward else "<-"
    other = "a region that is gone" if found.other is None else _name(version, *found.other)
    return f"{_name(version, found.key, found.region)} {found.kind} {arrow} {other}"


def _name(version: Dataset, key: str, region: bytes) -> str:
    """`KEY#2`, as show numbers the regions."""
    ids = [known.id for known in version[key].regions]
    return f"{shown(key)}#{ids.index(region) + 1}"
