"""`vgr duplicates --html`: one page with the pictures of every group side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from voyager.commands.drawing import blob_reader, whole_picture
from voyager.commands.duplicates import group_lines
from voyager.commands.page_file import write_page_file
from voyager.commands.sizes import counted
from voyager.curate.duplicates import Duplicates
from voyager.curate.groups import KINDS, Group
from voyager.pictures import Card, Page, Picture, Row, frame_of, iter_html
from voyager.repo.dataset import Dataset
from voyager.repo.keys import shown

_MOST = 500
_MOST_PICTURES = 8


def write_page(path: Path, version: Dataset, found: Duplicates, name: str) -> None:
    """Write the page, the surest kind first; beyond a number of groups none."""
    groups = Counter(group.kind for group in found.groups)
    spare = Counter(group.kind for group in found.groups for _ in group.removed)
    page = Page(
        title=f"Duplicates: {name}",
        subtitle=f"{counted(spare.total(), 'duplicate')} in"
        f" {counted(len(found.groups), 'group')} of {counted(found.images, 'image')}",
        columns=("groups", "to remove"),
        summary_rows=tuple(
            Row(kind, (groups[kind], spare[kind])) for kind in KINDS if groups[kind]
        ),
        more=max(len(found.groups) - _MOST, 0),
    )
    cards = (_card(version, group) for group in found.groups[:_MOST])
    write_page_file(path, iter_html(page, cards))


def _card(version: Dataset, group: Group) -> Card:
    return Card(
        f"{shown(group.keeper.key)} and {len(group.members) - 1:,} more",
        facts=tuple(group_lines(version, group)),
        pictures=tuple(_pictures(version, group)),
        kinds=(group.kind,),
        section=group.kind,
    )


def _pictures(version: Dataset, group: Group) -> Iterator[Picture]:
    read = blob_reader(version)
    for member in group.members[:_MOST_PICTURES]:
        verb = "keep" if member.instead is None else "remove"
        caption = f"{verb}: {shown(member.key)}"
        yield whole_picture(frame_of(version[member.key].image, read), (), caption, alt=caption)
