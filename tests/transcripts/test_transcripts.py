"""Every `*.md` here is a story told in a sealed world, and its console blocks are its test.

In a block, `$ ` starts a line to run; what follows is what it must print, with `[exit N]` last
where N is not 0. The blocks of one file run in order in one world. `pytest --update` rewrites them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sealed_world import World

STORIES = sorted(Path(__file__).parent.glob("*.md"))
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def replay(world: World, text: str) -> str:
    """The text of a story with what its lines print now."""
    return BLOCK.sub(lambda block: f"```console\n{_replay_block(world, block[1])}```", text)


def _replay_block(world: World, block: str) -> str:
    parts: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            result = world.run(line[2:])
            parts += [f"{line}\n", _whole_lines(result.text)]
            parts += [f"[exit {result.code}]\n"] if result.code else []
    return "".join(parts)


def _whole_lines(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_story(story: Path, world: World, update: bool) -> None:
    told = story.read_text()
    seen = replay(world, told)
    if update and seen != told:
        story.write_text(seen)
    assert seen == (seen if update else told)


def test_a_changed_output_is_seen(world: World) -> None:
    told = "```console\n$ vgr --version\nvgr 0.0.0\n$ echo 'a b' > c\n$ cat c d\n```\n"
    seen = replay(world, told)
    assert "vgr 0.0.0" not in seen
    assert "cat: /world/work/d: No such file or directory\n[exit 1]\n```\n" in seen


def test_worlds_are_alike(tmp_path: Path, world: World) -> None:
    import os

    first = os.urandom(8)
    from sealed_world import sealed_world

    with sealed_world(tmp_path / "other"):
        assert os.urandom(8) == first
