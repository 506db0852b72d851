"""Words and --where choose samples and regions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from voyager.commands.choosing import Target, chosen_regions, chosen_samples, named_targets
from voyager.commands.context import Context
from voyager.errors import NotFoundError, UsageError
from voyager.repo.repository import Repository
from voyager.schema import Box, Image, Region, Sample

KEYS = ["a/1.jpg", "a/2.jpg", "b#1.jpg", "b/3.jpg"]


def region(number: int) -> Region:
    return Region(id=bytes([0xAB, number]) * 8, geometries={"box": Box(0, 0, number, 1)})


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """Four samples; the n-th has n regions, of width 1 to n."""
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    with Repository.init(tmp_path, worktree=False) as repo:
        with repo.edit(message="all") as edit:
            for n, key in enumerate(KEYS):
                regions = tuple(map(region, range(1, n + 2)))
                edit[key] = Sample(
                    uid=n.to_bytes(16), image=Image(uri=key), split=key[0], regions=regions
                )
            edit.add_file("notes/read.me", b"text")
        yield repo


def samples(repo: Repository, *words: str, where: str | None = None) -> list[str]:
    return chosen_samples(Context(), repo, repo.staged(), words, where)


def regions(repo: Repository, *words: str, where: str | None = None) -> list[tuple[str, int]]:
    found = chosen_regions(Context(), repo, repo.staged(), words, where)
    return [(key, region_id[1]) for key, region_id in found]


def test_samples(repo: Repository) -> None:
    assert samples(repo, "a") == KEYS[:2]
    assert samples(repo, "b/3.jpg", "a/1.jpg", "a/*") == [*KEYS[:2], KEYS[3]]
    assert samples(repo, "b#1.jpg") == ["b#1.jpg"]
    assert samples(repo, where="split = 'b' and regions > 3") == [KEYS[3]]
    assert samples(repo, "a", "b#1.jpg", where="regions > 1") == KEYS[1:3]


def test_samples_refused(repo: Repository) -> None:
    with pytest.raises(UsageError, match="nothing is chosen"):
        samples(repo)
    with pytest.raises(UsageError, match="names a region, not a sample"):
        samples(repo, "a/1.jpg#1")
    with pytest.raises(NotFoundError, match="no key matches 'x'"):
        samples(repo, "a", "x")
    with pytest.raises(NotFoundError, match="no key matches 'x'"):
        samples(repo, "x", where="true")
    with pytest.raises(NotFoundError, match="'notes' holds no samples"):
        samples(repo, "notes")


def test_regions(repo: Repository) -> None:
    assert regions(repo, "a/2.jpg#2") == [("a/2.jpg", 2)]
    assert regions(repo, "b/3.jpg##4", "b/3.jpg#ab02", "a/*#1") == [
        *[("a/1.jpg", 1), ("a/2.jpg", 1)],
        *[("b/3.jpg", 2), ("b/3.jpg", 4)],
    ]
    assert regions(repo, "b#1.jpg#*") == [("b#1.jpg", 1), ("b#1.jpg", 2), ("b#1.jpg", 3)]


def test_regions_where(repo: Repository) -> None:
    assert regions(repo, where="width >= 3") == [("b#1.jpg", 3), ("b/3.jpg", 3), ("b/3.jpg", 4)]
    assert regions(repo, "b", "a/2.jpg#2", where="width >= 2") == [
        *[("a/2.jpg", 2), ("b/3.jpg", 2), ("b/3.jpg", 3), ("b/3.jpg", 4)]
    ]
    assert regions(repo, "a/2.jpg#1", where="width >= 2") == []
    assert regions(repo, "b#1.jpg", where="split = 'b' and n = 1") == [("b#1.jpg", 1)]


def test_regions_refused(repo: Repository) -> None:
    with pytest.raises(UsageError, match="names a sample, not a region") as caught:
        regions(repo, "a/1.jpg")
    assert caught.value.hint == "a/1.jpg#1 is its first region, a/1.jpg#* are all of them"
    with pytest.raises(NotFoundError, match="has no region #2"):
        regions(repo, "a/*#2")
    with pytest.raises(UsageError, match="nothing is chosen"):
        regions(repo)


def test_both_at_once(repo: Repository) -> None:
    found = named_targets(repo, repo.staged(), ["a/2.jpg#*", "a/2.jpg", "a/1.jpg"])
    ids = [region(number).id for number in (1, 2)]
    assert found == [
        Target("a/1.jpg"),
        Target("a/2.jpg"),
        *(Target("a/2.jpg", region_id) for region_id in ids),
    ]
