"""Two people correct the same boxes of blood cells (BCCD, 4,888 boxes), each on a branch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from voyager.formats.importing import import_labels
from voyager.formats.reading import ReadOptions
from voyager.formats.registry import format_named
from voyager.merge import abort, merge, proceed
from voyager.merge.conflicts import list_conflicts
from voyager.merge.resolve import resolve
from voyager.merge.resolving import THEIRS
from voyager.repo.branches import create, find_branch
from voyager.repo.commit import commit
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.repo.switch import switch
from voyager.schema import Box, Geometry

BCCD = Path(__file__).parent.parent / "data" / "bccd"
PEOPLE = ("ann", "ben")

Place = tuple[str, bytes]
Boxes = Mapping[Place, Box]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """`main` has all boxes; on `ann` and `ben` some of them are corrected, by some pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
        patch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
        repo = Repository.init(tmp_path_factory.mktemp("cells"), worktree=False)
        import_labels(repo, BCCD, format_named("voc"), ReadOptions(to="blood"))
        commit(repo, "BCCD")
        for number, name in enumerate(PEOPLE):
            create(repo, name, repo.resolve("main"))
            switch(repo, find_branch(repo, name))
            correct(repo, Random(number))
    return repo


def correct(repo: Repository, chance: Random) -> None:
    """Correct half of the boxes, mostly to where the cell is give or take a pixel."""
    with repo.edit("corrections") as edit:
        for key, sample in repo.staged().items():
            regions = [
                region.replace(geometries={"box": corrected(region.geometry, region.id, chance)})
                if chance.random() < 0.5
                else region
                for region in sample.regions
            ]
            edit[key] = sample.replace(regions=regions)


def corrected(box: Geometry, cell: bytes, chance: Random) -> Geometry:
    assert isinstance(box, Box)
    seen = Random(cell) if chance.random() < 0.8 else chance
    shifts = [seen.randint(-12, 12) + chance.randint(-1, 1) for _ in range(4)]
    x0, y0, x1, y1 = (end + shift for end, shift in zip(ends(box), shifts, strict=True))
    return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else box


def boxes(version: Dataset) -> dict[Place, Box]:
    return {
        (key, region.id): region.geometry
        for key, sample in version.items()
        for region in sample.regions
        if isinstance(region.geometry, Box)
    }


def ends(box: Box) -> tuple[float, float, float, float]:
    return box.x0, box.y0, box.x1, box.y1


def distance(one: Box, other: Box) -> float:
    """One less IoU; none where no edge is more than a pixel and a half away."""
    if all(abs(a - b) <= 1.5 for a, b in zip(ends(one), ends(other), strict=True)):
        return 0.0
    wide = min(one.x1, other.x1) - max(one.x0, other.x0)
    high = min(one.y1, other.y1) - max(one.y0, other.y0)
    both = max(wide, 0) * max(high, 0)
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in map(ends, (one, other))]
    return 1 - both / (sum(areas) - both)


def outcome(base: Box, ann: Box, ben: Box) -> str:
    """What has to become of a box, by the rule of a quarter."""
    if ann == ben or base in (ann, ben):
        return "same" if ann == ben else "one side"
    moved = min(distance(base, ann), distance(base, ben))
    return "agree" if distance(ann, ben) <= moved / 4 else "conflict"


def test_corrections_of_the_same_boxes(cells: Repository) -> None:
    base, ann, ben = (boxes(cells.at(name)) for name in ("main", *PEOPLE))
    wanted = {at: outcome(base[at], ann[at], ben[at]) for at in base}
    counts = Counter(wanted.values())
    assert sum(counts.values()) == 4888
    assert counts["one side"] > 2000 and counts["agree"] > 500 and counts["conflict"] > 300

    create(cells, "both", cells.resolve("ann"))
    switch(cells, find_branch(cells, "both"))
    done = merge(cells, "ben")
    assert (done.result, done.conflicts) == ("conflicts", counts["conflict"])
    merged = boxes(cells.staged())
    disputed = {
        (one.name, bytes.fromhex(one.path.split("/")[1]))
        for one in list_conflicts(cells, cells.staged())
    }
    assert disputed == {at for at, what in wanted.items() if what == "conflict"}
    for at, what in wanted.items():
        sides = {"conflict": [base[at]], "agree": [ann[at], ben[at]]}
        if what == "one side":
            sides[what] = [ben[at] if ann[at] == base[at] else ann[at]]
        assert merged[at] in sides.get(what, [ann[at]])

    resolve(cells, THEIRS)
    assert {at: box for at, box in boxes(cells.staged()).items() if at in disputed} == {
        at: ben[at] for at in disputed
    }
    assert proceed(cells).result == "merged"


def test_whoever_merges(cells: Repository) -> None:
    found = []
    for name, other in (PEOPLE, PEOPLE[::-1]):
        switch(cells, find_branch(cells, name))
        assert merge(cells, other).result == "conflicts"
        found.append(cells.staged().roots)
        abort(cells)
    assert found[0] == found[1]
