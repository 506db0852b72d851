"""`vgr guard check --html`: one page with both pictures of every pair side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from voyager.commands.drawing import blob_reader, whole_picture
from voyager.commands.guard_text import finding_line
from voyager.commands.page_file import write_page_file
from voyager.commands.sizes import counted
from voyager.pictures import Card, Page, Picture, Row, frame_of, iter_html
from voyager.repo.dataset import Dataset
from voyager.repo.guard_check import Audit, Finding, State
from voyager.repo.keys import shown

_STATES: tuple[State, ...] = ("leak", "held", "released")
_MOST = 500


def write_page(path: Path, version: Dataset, found: Audit, name: str) -> None:
    """Write the page; those that leak come first, and beyond a number none."""
    findings = sorted(found.findings, key=lambda one: _STATES.index(one.state))
    counts = Counter((one.kind, one.state) for one in findings)
    kinds = dict.fromkeys(kind for kind, _ in counts)
    page = Page(
        title=f"Guard: {name}",
        subtitle=f"{counted(len(found.leaks), 'pair')} of {len(findings):,} leaking;"
        f" {counted(found.protected, 'protected image')} of {found.samples:,}",
        columns=_STATES,
        summary_rows=tuple(
            Row(kind, tuple(counts[kind, state] for state in _STATES)) for kind in kinds
        ),
        more=max(len(findings) - _MOST, 0),
    )
    cards = (_card(version, finding) for finding in findings[:_MOST])
    write_page_file(path, iter_html(page, cards))


def _card(version: Dataset, finding: Finding) -> Card:
    return Card(
        f"{shown(finding.a)} and {shown(finding.b)}",
        facts=(finding_line(finding),),
        pictures=tuple(_pictures(version, finding)),
        kinds=(finding.state, finding.kind),
        section=finding.state,
    )


def _pictures(version: Dataset, finding: Finding) -> Iterator[Picture]:
    read = blob_reader(version)
    for key, split in ((finding.a, finding.a_split), (finding.b, finding.b_split)):
        caption = f"{split or 'no split'}: {shown(key)}"
        frame = frame_of(version[key].image, read)
        yield whole_picture(frame, (), caption, alt=caption)
