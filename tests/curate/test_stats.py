"""Statistics: the same numbers as counting sample by sample, and what is found odd."""

from __future__ import annotations

import json
import lzma
import re
import shutil
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture
from sealed_world import World
from table_versions import blood, shop, version_of

import voyager
from voyager.commands.bars import bar, heights
from voyager.commands.context import Context
from voyager.commands.stats_text import stats_lines
from voyager.curate.comparison import compare
from voyager.curate.figures import ClassCount, CoverageCount, Stats
from voyager.curate.stats import stats
from voyager.errors import MissingExtraError, NotFoundError
from voyager.pictures.plots import Label as BarLabel
from voyager.pictures.plots import Series, bars, histogram, legend
from voyager.repo import table_frame
from voyager.repo.add import add
from voyager.repo.commit import commit
from voyager.repo.dataset import Dataset
from voyager.repo.deriving import derive, derived_cache
from voyager.repo.repository import Repository
from voyager.samples import photo_paths
from voyager.schema import Box, Image, Label, Polygon, Region, Sample, sample_uid
from voyager.schema.measures import area
from voyager.schema.taxonomy import Node
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.wire import blob_ref

TACO = Path(__file__).parents[1] / "data" / "taco" / "annotations.json.xz"
SPLITS = ("train", "val", "test", None)


def sample(key: str, *regions: Region, split: str | None = None, **fields: Any) -> Sample:
    image = fields.pop("image", Image(uri=key, width=100, height=100))
    return Sample(
        uid=sample_uid(key.encode(), key), image=image, regions=regions, split=split, **fields
    )


def region(number: int, box: Box, *labels: Label, **fields: Any) -> Region:
    return Region(id=number.to_bytes(16), geometries={"box": box}, labels=labels, **fields)


@cache
def litter() -> Dataset:
    """TACO: outlines of litter, its classes below their supercategories, in three splits."""
    read = json.loads(lzma.decompress(TACO.read_bytes()))
    draft = Draft(Vocabulary())
    draft.define("category", scope="region")
    nodes = {
        one["id"]: draft.mint_path(
            "category", f"{one['supercategory'].replace('/', '-')}/{one['name'].replace('/', '-')}"
        )
        for one in read["categories"]
    }
    of_image: dict[int, list[Region]] = {}
    for one in read["annotations"]:
        rings = [ring for ring in one["segmentation"] if len(ring) >= 6]
        found = of_image.setdefault(one["image_id"], [])
        label = Label(task="category", node=nodes[one["category_id"]], source="import")
        found.append(
            Region(
                id=len(found).to_bytes(16),
                geometries={"mask": Polygon([[ring] for ring in rings])},
                labels=(label,),
                source="import",
            )
        )
    samples = []
    for place, one in enumerate(read["images"]):
        image = Image(uri=one["file_name"], width=one["width"], height=one["height"])
        regions = tuple(of_image.get(one["id"], ()))
        key = one["file_name"]
        samples.append((key, sample(key, *regions, split=SPLITS[place % 3], image=image)))
    return version_of(samples, draft)


# -- against counting one by one ------------------------------------------------------------------


def counted_classes(version: Dataset, task: str) -> dict[str, tuple[Any, ...]]:
    """Path → what `ClassCount` says of a class, counted sample by sample; by split."""
    vocabulary = version.vocabulary
    taxonomy = vocabulary.taxonomy_of(task)
    assert taxonomy is not None
    own_samples: Counter[Any] = Counter()
    own_regions: Counter[Any] = Counter()
    samples: Counter[Any] = Counter()
    regions: Counter[Any] = Counter()

    def nodes(labels: tuple[Label, ...]) -> set[bytes]:
        found = {one.node for one in vocabulary.answer(task, labels).labels if one.node is not None}
        return {live for node in found if (live := taxonomy.live(node)) is not None}

    def up(found: Iterable[bytes]) -> set[bytes]:
        return {one for node in found for one in (node, *taxonomy.above(node))}

    for one in version.values():
        said = [nodes(each.labels) for each in one.regions if each.state != "rejected"]
        of_all = nodes(one.labels).union(*said)
        own_samples.update((node, one.split) for node in of_all)
        samples.update((node, one.split) for node in up(of_all))
        for each in said:
            own_regions.update((node, one.split) for node in each)
            regions.update((node, one.split) for node in up(each))
    names = splits_of(version)
    counters = (own_samples, own_regions, samples, regions)
    return {
        taxonomy.path(node) or "": tuple(
            tuple(counts[node, name] for name in names) for counts in counters
        )
        for node in taxonomy
    }


def splits_of(version: Dataset) -> list[str | None]:
    used = {one.split for one in version.values()}
    return [name for name in SPLITS if name in used]


def told(classes: Iterable[ClassCount]) -> dict[str, tuple[Any, ...]]:
    return {
        one.path: (one.samples, one.regions, one.samples_below, one.regions_below)
        for one in classes
    }


@pytest.mark.parametrize("version", [blood, litter, shop], ids=["blood", "litter", "shop"])
def test_classes_are_those_counted_one_by_one(version: Any) -> None:
    found = stats(version())
    assert [split.name for split in found.splits] == splits_of(version())
    for task in {one.task for one in found.classes}:
        mine = [one for one in found.classes if one.task == task]
        assert told(mine) == counted_classes(version(), task)


def test_litter() -> None:
    found = stats(litter())
    samples = list(litter().values())
    assert (found.samples, found.regions) == (len(samples), sum(len(s.regions) for s in samples))
    assert [(one.samples, one.regions) for one in found.splits] == [
        (
            sum(s.split == name for s in samples),
            sum(len(s.regions) for s in samples if s.split == name),
        )
        for name in ("train", "val", "test")
    ]
    paths = [one.path for one in found.classes]
    assert paths.index("Bottle") + 1 == paths.index("Bottle/Other plastic bottle")  # as a tree
    per_image = measure(found, "regions per image", "image")
    assert dict(zip(*bins(per_image), strict=True))["3"] == sum(
        len(s.regions) == 3 for s in samples
    )
    areas = [area(each.geometry) for s in samples for each in s.regions]
    of_regions = measure(found, "area", "region")
    small, medium = sum(a < 32**2 for a in areas), sum(32**2 <= a < 96**2 for a in areas)
    assert bins(of_regions)[1] == [small, medium, len(areas) - small - medium]
    assert of_regions.high == pytest.approx(max(areas))
    share = measure(found, "share of image", "region")
    shares = [
        area(e.geometry) / (s.image.width * s.image.height) for s in samples for e in s.regions
    ]
    assert share.median == pytest.approx(sorted(shares)[len(shares) // 2], rel=0.01)


def test_balance_is_the_share_that_would_have_to_change() -> None:
    found = stats(litter())
    counts = [
        Counter(
            each.labels[0].node for s in litter().values() if s.split == name for each in s.regions
        )
        for name in ("train", "val", "test")
    ]
    whole = sum(counts, Counter())
    for one, mine in zip(found.balance, counts, strict=True):
        apart = sum(abs(mine[n] / mine.total() - whole[n] / whole.total()) for n in whole) / 2
        assert one.distance == pytest.approx(apart)
        assert one.answers == mine.total()


def measure(found: Stats, name: str, of: str) -> Any:
    return next(one for one in found.measures if (one.name, one.of) == (name, of))


def bins(one: Any) -> tuple[list[str], list[int]]:
    return [each.label for each in one.bins], [each.count for each in one.bins]


def test_what_three_samples_say() -> None:
    found = stats(shop())
    assert found.states == {"pending": 1, "purged": 1, "stored": 1, "held": 1}
    assert found.types == {"jpeg": 1}
    assert found.sizes == {"100×200": 1, "640×480": 1}
    assert found.flags == {"crowd": 1}
    assert found.geometries == {"box": 1, "mask": 1, "polygon": 1}
    assert found.region_sources == {"human": 2, "model:yolo": 1}
    assert found.region_states == {"accepted": 2, "proposed": 1}
    labels = [
        label
        for one in shop().values()
        for label in (*one.labels, *(each for r in one.regions for each in r.labels))
    ]
    assert found.labels == len(labels)
    assert found.label_sources == Counter(label.source for label in labels)
    assert found.label_states == Counter(label.state for label in labels)
    tasks = {(one.task, one.of): one for one in found.tasks}
    scene = tasks["scene", "image"]
    assert scene.asked == (1, 1, 1)
    assert (scene.answered, scene.disagree, scene.unanswered) == ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert tasks["colour", "region"].answered == (1, 0, 0)
    assert ("category", "image") not in tasks  # asked of both, and said of regions alone
    assert found.coverage == (
        CoverageCount("category", None, exhaustive=1, partial=0, unknown=2, negatives=1),
        CoverageCount("colour", "blue", exhaustive=1, partial=0, unknown=2, negatives=0),
        CoverageCount("scene", None, exhaustive=0, partial=1, unknown=2, negatives=0),
    )
    upright = measure(found, "aspect", "image")
    assert (upright.low, upright.high) == (pytest.approx(640 / 480), 2.0)  # one is turned


def test_a_task_that_applies_to_a_class_is_asked_of_that_class() -> None:
    draft = Draft(Vocabulary())
    chair, table = (draft.mint_path("category", f"furniture/{name}") for name in ("chair", "table"))
    draft.define("category", scope="region")
    draft.define("broken", scope="region", kind="bool", applies_to=chair)
    box = Box(0, 0, 9, 9)
    found = stats(
        version_of(
            [
                (
                    "a",
                    sample(
                        "a",
                        region(1, box, Label(task="category", node=chair)),
                        region(
                            2,
                            box,
                            Label(task="category", node=chair),
                            Label(task="broken", value=True),
                        ),
                        region(3, box, Label(task="category", node=table)),
                    ),
                )
            ],
            draft,
        )
    )
    broken = next(one for one in found.tasks if one.task == "broken")
    assert (broken.asked, broken.answered, broken.unanswered) == ((2,), (1,), (1,))


def test_a_class_of_images_alone_is_used_where_most_answers_are_of_regions() -> None:
    draft = Draft(Vocabulary())
    hat, cell, _ = (draft.mint_path("category", name) for name in ("hat", "cell", "none"))
    draft.define("category", scope="both")
    box = Box(0, 0, 9, 9)
    cells = [region(number, box, Label(task="category", node=cell)) for number in (1, 2)]
    worn = sample("b", labels=(Label(task="category", node=hat),))
    found = stats(version_of([("a", sample("a", *cells)), ("b", worn)], draft))
    classes = {one.path: one for one in found.classes}
    assert (classes["hat"].of, classes["hat"].regions, classes["hat"].samples) == (
        "region",
        (0,),
        (1,),
    )
    assert [one.is_used for one in classes.values()] == [True, True, False]
    (unused,) = (note for note in found.notes if note.kind == "unused")
    assert (unused.count, unused.examples) == (1, ("none",))
    lines = "\n".join(stats_lines(Context(), found, 40))
    assert "hat" in lines
    assert "1 class that nothing has" in lines


# -- versions of any shape ------------------------------------------------------------------------

PATHS = ("a", "a/b", "a/b/c", "a/d", "e")


def again(version: Dataset) -> Draft:
    """The vocabulary of a version, to be written once more."""
    draft = Draft(Vocabulary())
    for name, taxonomy in version.vocabulary.taxonomies.items():
        draft.put_nodes(name, taxonomy.nodes)
    for name, task in version.vocabulary.tasks.items():
        draft.put_task(name, task)
    return draft


@st.composite
def versions(draw: st.DrawFn) -> Dataset:
    draft = Draft(Vocabulary())
    draft.define("kind", many=draw(st.booleans()))
    draft.define("other", taxonomy="kind", many=True)
    nodes = [draft.mint_path("kind", path) for path in PATHS]
    labels = st.lists(
        st.builds(
            Label,
            task=st.sampled_from(("kind", "other")),
            node=st.sampled_from(nodes),
            source=st.sampled_from(("human", "human:ann", "model:m")),
            state=st.sampled_from(("accepted", "proposed", "rejected")),
        ),
        max_size=3,
        unique_by=lambda one: (one.task, one.node, one.source),
    ).map(tuple)
    samples = []
    for number in range(draw(st.integers(0, 6))):
        regions = [
            region(
                place,
                Box(0, 0, 1, 1),
                *draw(labels),
                state=draw(st.sampled_from(("accepted", "rejected"))),
            )
            for place in range(draw(st.integers(0, 3)))
        ]
        key = f"{number}.jpg"
        split = draw(st.sampled_from(SPLITS))
        samples.append((key, sample(key, *regions, split=split, labels=draw(labels))))
    return version_of(samples, draft)


@examples(40, deep=1000)
@given(versions(), st.data())
def test_any_version_and_any_part_of_it(version: Dataset, data: st.DataObject) -> None:
    found = stats(version)
    expected = {task: counted_classes(version, task) for task in ("kind", "other")}
    assert found.regions == sum(r.state != "rejected" for s in version.values() for r in s.regions)
    if found.samples:
        for task, counts in expected.items():
            assert told(one for one in found.classes if one.task == task) == counts
    keys = data.draw(st.sets(st.sampled_from(list(version.keys())))) if found.samples else set()
    part = stats(version, keys=keys)
    alone = stats(version_of([(key, version[key]) for key in sorted(keys)], again(version)))
    assert part.samples == alone.samples == len(keys)
    assert (part.regions, part.splits, part.tasks) == (alone.regions, alone.splits, alone.tasks)
    assert (part.region_states, part.label_sources) == (alone.region_states, alone.label_sources)


# -- parts of a version ---------------------------------------------------------------------------


def test_a_split_and_a_task() -> None:
    found = stats(litter(), split="val")
    assert [one.name for one in found.splits] == ["val"]
    assert found.samples == sum(one.split == "val" for one in litter().values())
    assert not found.balance
    mine = stats(shop(), task="colour")
    assert {one.task for one in mine.tasks} == {one.task for one in mine.classes} == {"colour"}
    with pytest.raises(NotFoundError, match="no task 'size'"):
        stats(shop(), task="size")
    with pytest.raises(NotFoundError, match="no sample is in split 'tset'"):
        stats(shop(), split="tset")


def test_nothing_at_all() -> None:
    found = stats(version_of([]))
    assert (found.samples, found.regions, found.notes, found.classes) == (0, 0, (), ())
    assert json.dumps(found.as_dict())


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match="pyarrow"):
        stats(shop())


# -- what is worth a look -------------------------------------------------------------------------


def test_odd_regions() -> None:
    draft = Draft(Vocabulary())
    chair, stool = draft.mint_path("category", "chair"), draft.mint_path("category", "stool")
    is_chair, is_stool = (Label(task="category", node=node) for node in (chair, stool))
    box = Box(10, 10, 40, 40)
    version = version_of(
        [
            ("empty", sample("empty", region(1, Box(5, 5, 5, 9), is_chair))),
            ("huge", sample("huge", region(1, Box(0, 0, 99, 99), is_chair))),
            ("long", sample("long", region(1, Box(0, 50, 90, 52), is_chair))),
            ("out", sample("out", region(1, Box(80, 80, 120, 90), is_chair))),
            ("tiny", sample("tiny", region(1, Box(8, 8, 9, 10), is_chair))),
            (
                "twice",
                sample(
                    "twice",
                    region(1, box, is_chair),
                    region(2, box, is_chair),
                    region(3, box, is_stool),
                    region(4, box, is_chair),
                ),
            ),
            ("well", sample("well", region(1, box, is_chair))),
        ],
        draft,
    )
    notes = {note.kind: note for note in stats(version).notes}
    for kind, key in (
        ("empty",) * 2,
        ("huge",) * 2,
        ("long",) * 2,
        ("outside", "out"),
        ("tiny",) * 2,
    ):
        assert (notes[kind].count, notes[kind].examples) == (1, (key,))
    assert (notes["twice"].count, notes["twice"].examples) == (2, ("twice",))
    assert (notes["rare"].count, notes["rare"].examples) == (2, ("stool", "chair"))


def test_odd_classes() -> None:
    draft = Draft(Vocabulary())
    nodes = [draft.mint_path("category", path) for path in ("Chair", "chair", "lamp", "sofa")]
    draft.define("category", scope="image")

    def labeled(place: int, node: bytes, split: str) -> tuple[str, Sample]:
        key = f"{place:02}"
        return key, sample(key, split=split, labels=(Label(task="category", node=node),))

    samples = [labeled(at, nodes[0], ("train", "test")[at % 2]) for at in range(20)]
    samples += [labeled(20 + at, nodes[2], "test") for at in range(12)]
    samples += [labeled(40, nodes[1], "train")]
    notes = {note.kind: note for note in stats(version_of(samples, draft)).notes}
    assert (notes["unused"].examples, notes["rare"].examples) == (("sofa",), ("chair",))
    assert notes["alike"].examples == ("chair",)
    assert (notes["one-split"].examples, "test" in notes["one-split"].text) == (("lamp",), True)


def test_repeated_images_across_splits() -> None:
    image = Image(blob=blob_ref(b"b" * 32), type="png", bytes=9, width=10, height=10)
    other = replace_blob(image, b"c" * 32)
    samples = [
        ("a", sample("a", split="train", image=image)),
        ("b", sample("b", split="test", image=image)),
        ("c", sample("c", split="test", image=other)),
        ("d", sample("d", split="test", image=other)),
        ("e", sample("e", image=replace_blob(image, b"d" * 32))),
    ]
    found = stats(version_of(samples))
    assert (found.images, found.repeated, found.bytes) == (3, 2, 45)
    notes = {note.kind: note for note in found.notes}
    assert (notes["repeated"].count, notes["across-splits"].count) == (2, 1)
    assert (notes["no-split"].count, notes["no-split"].examples) == (1, ("e",))


def replace_blob(image: Image, blob: bytes) -> Image:
    return Image(
        blob=blob_ref(blob),
        type=image.type,
        bytes=image.bytes,
        width=image.width,
        height=image.height,
    )


# -- in a repository ------------------------------------------------------------------------------


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    with Repository.init(tmp_path / "work") as made:
        for path in photo_paths()[:6]:
            (made.tree() / path.name).write_bytes(path.read_bytes())
        add(made, ["."], cwd=made.tree())
        commit(made, "photos")
        yield made


def test_pixels_that_are_known(repo: Repository) -> None:
    version, cache_ = repo.at("HEAD"), derived_cache(repo)
    assert stats(version).pixels is None
    before = stats(version, derived=cache_)
    assert (before.pixels, before.images) == (0, 6)
    from voyager.derived.registry import method_of

    derive(repo, version, [method_of("statistics")], list(version.keys())[:2])
    found = stats(version, derived=cache_)
    assert found.pixels == 2
    brightness = measure(found, "brightness", "image")
    assert brightness.known == 2
    assert 0 < brightness.low <= brightness.high < 1
    key = list(version.keys())[5]
    assert stats(version, keys=[key], derived=cache_).pixels == 0


def test_kept_columns_tell_the_same(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_frame, "LEAST_KEPT", 1)
    with repo.edit(message="labels") as edit:
        for key, one in litter().items():
            edit[key] = one
        edit.vocabulary.put_nodes("category", litter().vocabulary.taxonomies["category"].nodes)
    first = stats(repo.at("HEAD"))
    table_frame.forget_frames()
    assert stats(repo.at("HEAD")) == first  # from disk
    with repo.edit(message="one less") as edit:
        del edit[next(iter(litter()))]
    patched = stats(repo.at("HEAD"))
    fresh = version_of(list(repo.at("HEAD").items()), again(repo.at("HEAD")))
    assert told(patched.classes) == counted_classes(fresh, "category")
    assert patched.samples == first.samples - 1


# -- two versions ---------------------------------------------------------------------------------


def test_a_renamed_class_is_the_same_class() -> None:
    samples = list(blood().items())
    draft = again(blood())
    cell = draft.find("category", "WBC")
    assert cell is not None
    draft.put_nodes(
        "category",
        {cell: Node(name="white", minted="WBC")},
    )
    after = stats(version_of(samples[:100], draft))
    found = compare(stats(blood()), after)
    (white,) = [one for one in found if one.name == "white"]
    gone = sum(each.labels[0].node == cell for _, one in samples[100:] for each in one.regions)
    assert white.section == "class of category"
    assert (white.before, white.change) == (372, -gone)
    assert not [one for one in found if one.name == "WBC"]
    assert white.shift == pytest.approx(white.after / after.regions - 372 / 4888)
    assert {one.change for one in compare(after, after)} == {0}


def test_what_one_version_has_alone_is_nothing_of_the_other() -> None:
    found = {(one.section, one.name): one for one in compare(stats(blood()), stats(shop()))}
    jpeg = found["type", "jpeg"]
    assert (jpeg.before, jpeg.after, jpeg.share_before, jpeg.share_after) == (0, 1, 0.0, 1.0)
    assert found["split", "train"].before == 0
    assert found["class of category", "RBC"].after == 0
    assert found["all", "samples"].share_after is None


# -- the command ----------------------------------------------------------------------------------


def test_json_and_pages_of_hostile_names(world: World) -> None:
    name = "<script>alert(1)</script>"
    assert not world.run("vgr init -q").code
    with voyager.open(world.cwd) as repo:
        for split in ("train", f"{name}x"):
            with repo.edit(message="boxes") as edit:
                node = edit.vocabulary.mint_path("category", name.replace("/", "-"))
                edit.vocabulary.define("category")
                label = Label(task="category", node=node)
                edit[f"{name}.jpg"] = sample("k", region(1, Box(5, 5, 5, 5), label), split=split)
    found = json.loads(world.run("vgr stats HEAD --compare HEAD~1 --json").out)
    assert set(found) == {"version", "stats", "compared_version", "compared", "differences"}
    assert {each["name"]: each["change"] for each in found["differences"]}["train"] == -1
    notes = {each["kind"]: each["examples"] for each in found["stats"]["notes"]}
    assert notes["empty"] == [f"{name}.jpg"]
    assert not world.run("vgr stats HEAD --html one.html").code
    assert not world.run("vgr stats HEAD --compare HEAD~1 --html two.html").code
    for page in ("one.html", "two.html"):
        text = world.path(page).read_text()
        (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
        digest = b64encode(sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}'; script-src 'none'" in text
        assert "<script" not in text
        assert " style=" not in text
        assert "http" not in text.replace("http-equiv", "")
        inside = text.partition("<main>")[2].partition("</main>")[0]
        ElementTree.fromstring(f"<main>{inside}</main>")


def test_notes_of_pixels_show_their_images_and_the_command_that_lists_them(world: World) -> None:
    assert not world.run("vgr init -q").code
    for number in range(14):
        dark = Picture.new("RGB", (200, 100), (number, number, number))
        dark.save(world.path(f"dark {number:02}.png"))
    shutil.copyfile(photo_paths()[0], world.path("photo.jpg"))
    world.path("cut.jpg").write_bytes(photo_paths()[1].read_bytes()[:900])
    assert not world.run("vgr add -q .").code
    found = json.loads(world.run("vgr stats --pixels --json").out)
    notes = {each["kind"]: each for each in found["stats"]["notes"]}
    dark_note = notes["dark"]
    assert (dark_note["count"], len(dark_note["examples"]), len(dark_note["samples"])) == (
        14,
        3,
        12,
    )
    listed = world.run(f"{dark_note['look']} --csv").out.splitlines()
    assert listed == ["key", *(f"dark {number:02}.png" for number in range(14))]
    assert not world.run("vgr stats --html page.html").code
    page = world.path("page.html").read_text()
    pictures = re.findall(
        r'<img src="data:image/jpeg;base64,([^"]+)" width="128" height="64"', page
    )
    assert len(pictures) == 12 * sum(
        notes[kind]["count"] == 14 for kind in ("dark", "flat", "blurred")
    )
    assert 'alt="dark 00.png"' in page
    assert "cut.jpg" not in page  # it has no picture
    before = {one.read_bytes() for one in (world.cwd / ".vgr/cache/derived").glob("thumbnail-*")}
    assert not world.run("vgr stats --html page.html").code
    after = {one.read_bytes() for one in (world.cwd / ".vgr/cache/derived").glob("thumbnail-*")}
    assert before == after != set()


def test_commands_that_notes_name_are_about_their_version(world: World) -> None:
    assert not world.run("vgr init -q").code
    with voyager.open(world.cwd) as repo:
        for at, box in enumerate((Box(5, 5, 5, 5), Box(5, 5, 5, 6), Box(1, 2, 30, 40))):
            with repo.edit(message="boxes") as edit:
                found = {} if at else {"split": "train"}
                edit[f"{at}.jpg"] = sample(str(at), region(1, box), **found)
    world.run("vgr rm -q 0.jpg")

    def listed(line: str, kind: str) -> list[str]:
        notes = json.loads(world.run(f"vgr stats {line} --json").out)["stats"]["notes"]
        look = {each["kind"]: each["look"] for each in notes}[kind]
        found = world.run(f"{look} --json" if "sql" in look else look).out.splitlines()
        return [json.loads(each)["key"] for each in found] if "sql" in look else found

    assert listed("HEAD", "empty") == ["0.jpg", "1.jpg"]
    assert listed("", "empty") == ["1.jpg"]
    assert listed("HEAD~1", "no-split") == ["1.jpg"]


# -- drawing --------------------------------------------------------------------------------------


def test_plots_are_xml_whatever_they_are_called() -> None:
    name = "<b> & \"quotes\" 'é'"
    series = [Series(name, [3, 0]), Series("other", [1, 2])]
    plots = [
        bars([BarLabel(name, 0, "4"), BarLabel("second", 3, "2")], series, name),
        histogram(["0–1", name], series, name),
        bars([], [], ""),
        histogram([], [Series("", [])], ""),
        legend(series),
    ]
    for plot in plots:
        root = ElementTree.fromstring(plot)
        assert "style" not in {key for each in root.iter() for key in each.attrib}
    titles = [each.text for each in ElementTree.fromstring(plots[0]).iter("title")]
    assert titles == [f"{name}: 3 ({name})", f"{name}: 1 (other)", "second: 2 (other)"]


def test_bars() -> None:
    assert [bar(value, 16, 2) for value in (0, 0.01, 1, 8, 12, 16)] == [
        "",
        "▏",
        "▏",
        "█",
        "█▌",
        "██",
    ]
    assert heights([0, 1, 8, 16]) == "·▁▅█"
    assert heights([]) == ""
