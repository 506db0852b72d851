"""The pages of docs/ are true: their console and Python blocks run, their tables are complete."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sealed_world import World
from test_transcripts import replay

import voyager
from voyager import cli, errors

DOCS = Path(__file__).parents[2] / "docs"
NAMES = (
    "tutorial for-git-users guard duplicates embeddings merge remotes search statistics tables "
    "training"
)
PAGES = [DOCS / f"{name}.md" for name in NAMES.split()]
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_console_blocks(page: Path, world: World, update: bool) -> None:
    told = page.read_text()
    parts = re.split(r"(^```python\n.*?^```$)", told, flags=re.M | re.S)
    seen = "".join(
        _run_python(world, part) if part.startswith("```python") else replay(world, part)
        for part in parts
    )
    if update and seen != told:
        page.write_text(seen)
    assert seen == (seen if update else told)


def _run_python(world: World, block: str) -> str:
    """Run a block in the folder where the story began; what it prints is none of the page's."""
    code = block.removeprefix("```python\n").removesuffix("```")
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(world.root / "work"):
        patch.setenv("VGR_NOW", str(world.now))
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, "tutorial.md", "exec"), {})
    assert out.getvalue()
    return block


def test_links_lead_somewhere() -> None:
    for page in [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]:
        for target in LINK.findall(page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def _rows(page: str) -> Iterator[list[str]]:
    for line in (DOCS / page).read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] not in ("exit", "word", "in git"):
            yield cells


def test_every_error_is_in_the_table() -> None:
    told = {(int(row[0]), row[1], row[2]) for row in _rows("errors.md") if row[2]}
    real = {
        (value.exit, value.kind, name)
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.VoyagerError)
    } - {(70, "error", "VoyagerError")}
    assert told == real
    assert all(hasattr(voyager, name) for _, _, name in told)


def test_every_exit_code_is_in_the_table() -> None:
    told = {int(row[0]) for row in _rows("errors.md")}
    special = {errors.EXIT_SKIPPED, errors.EXIT_BUG, errors.EXIT_INTERRUPTED, cli.EXIT_PIPE, 0}
    classes = {
        value.exit
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.VoyagerError)
    }
    assert told == special | classes
    kinds = {row[1] for row in _rows("errors.md") if row[1]}
    assert {cli.BugError.kind, cli.InterruptedByUser.kind} <= kinds


def test_words_stand_once() -> None:
    words = [row[0] for row in _rows("glossary.md")]
    assert len(words) == len(set(words)) > 20


def test_commands_of_the_git_table_exist() -> None:
    from voyager.commands.table import COMMANDS

    typed = re.findall(r"`vgr ([a-z]+)", (DOCS / "for-git-users.md").read_text())
    assert set(typed) <= set(COMMANDS)
