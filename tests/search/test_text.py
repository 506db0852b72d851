"""Search by words: what is found at any version, in which order, why, and what it costs."""

from __future__ import annotations

import csv
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from voyager.errors import UsageError
from voyager.repo.repository import Repository
from voyager.repo.taxonomies import merge_classes, move_classes
from voyager.schema import Box, Image, Label, Region, Sample, sample_uid
from voyager.schema.sample import MetaValue
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.search.class_words import ClassWords
from voyager.search.text import TextIndex, TextUpdate
from voyager.search.text_document import Document
from voyager.search.text_query import EXACT, STEM, TYPO, Term, parse_text_query
from voyager.search.text_ranking import rank
from voyager.search.text_segment import build
from voyager.search.words import distance, stem, words_of
from voyager.store import files

CLOTHING = Path(__file__).parents[1] / "data" / "clothing_table" / "labels.csv"


@pytest.fixture(autouse=True)
def _author(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")


def region(number: int, *labels: Label, **attrs: MetaValue) -> Region:
    box = {"box": Box(0, 0, number, number)}
    return Region(id=bytes([number]) * 16, geometries=box, labels=labels, attrs=attrs)


def sample(
    key: str,
    *labels: Label,
    regions: tuple[Region, ...] = (),
    meta: dict[str, MetaValue] | None = None,
) -> Sample:
    uid = sample_uid(key.encode(), key)
    return Sample(uid=uid, image=Image(uri=key), labels=labels, regions=regions, meta=meta or {})


def caption(text: str) -> Label:
    return Label(task="caption", value=text)


def wears(draft: Draft) -> dict[str, Label]:
    """A label for each class of a small taxonomy."""
    draft.define("category")
    found = {}
    for path in ("fashion/shoes/heels", "fashion/shoes/t-bar", "fashion/hats", "animals/geese"):
        found[path.rpartition("/")[2]] = Label(
            task="category", node=draft.mint_path("category", path)
        )
    hats = found["hats"].node
    assert hats is not None
    node = draft.taxonomies["category"].nodes[hats]
    draft.put_nodes("category", {hats: node.replace(aliases=("beanie", "bobble cap"))})
    return found


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Repository]:
    """Five samples that say something in every place."""
    with Repository.init(tmp_path / "work") as repo:
        with repo.edit("first") as edit:
            said = wears(edit.vocabulary)
            edit["stall/1.jpg"] = sample(
                "1",
                caption("A red pair of Stilettos"),
                regions=(region(1, said["heels"]), region(2, said["hats"], colour="dark green")),
            )
            edit["stall/2.jpg"] = sample("2", said["t-bar"], meta={"by": "Zoë Müller", "new": True})
            edit["stall/3.jpg"] = sample("3", caption("green and red, striped"), said["hats"])
            edit["farm/IMG_0042.jpg"] = sample(
                "4", said["geese"], caption("Geese beside the pond"), meta={"tags": ["grey", "wet"]}
            )
            edit["farm/赤い靴.jpg"] = sample(
                "5", Label(task="category", node=said["heels"].node, state="rejected")
            )
        yield repo


def keys(repo: Repository, text: str, revision: str = "HEAD", **options: object) -> list[str]:
    hits = TextIndex(repo).search(repo.at(revision), text, **options)  # type: ignore[arg-type]
    return [hit.key for hit in hits]


ONE, TWO, THREE, FARM, RED = (
    "stall/1.jpg",
    "stall/2.jpg",
    "stall/3.jpg",
    "farm/IMG_0042.jpg",
    "farm/赤い靴.jpg",
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("red", [ONE, THREE]),
        ("RED stilettos", [ONE]),
        ("stiletto", [ONE]),  # another form
        ("stilletos", [ONE]),  # a letter too many
        ("sti*", [ONE]),
        ("stripes", [THREE]),
        ('"red pair"', [ONE]),
        ('"pair red"', []),
        ('"red striped"', [THREE]),
        ('"striped stall"', []),  # not across texts
        ("red -stilettos", [THREE]),
        ("red -hat", []),
        ('red -"and red"', [ONE]),
        ("shoes", [ONE, TWO]),  # the class above
        ("fashion/shoes", [ONE, TWO]),
        ("shoe -heel", [TWO]),
        ("heels", [ONE]),  # the rejected label is not meant
        ("tbar", [TWO]),
        ("t bar", [TWO]),
        ("beanies", [ONE, THREE]),
        ('"bobble caps"', [ONE, THREE]),
        ("bobble-cap red", [ONE, THREE]),
        ("beannie", [ONE, THREE]),
        ("goose", [FARM]),
        ("the pond", [FARM]),
        ("muller", [TWO]),
        ("Zoe", [TWO]),
        ("new", [TWO]),
        ("wet grey", [FARM]),
        ("img_0042", [FARM]),
        ("0042", [FARM]),
        ("farm", [FARM, RED]),
        ("靴", [RED]),
        ("赤い", [RED]),
        ("い赤", []),
        ("green", [ONE, THREE]),
        ("zebra", []),
    ],
)
def test_what_is_found(shop: Repository, text: str, found: list[str]) -> None:
    assert sorted(keys(shop, text)) == sorted(found)


def test_why_and_where(shop: Repository) -> None:
    index, version = TextIndex(shop), shop.at("HEAD")
    (hit,) = index.search(version, "shoes green stilettos")
    assert hit.region in (bytes([1]) * 16, bytes([2]) * 16)
    assert hit.why == (
        "class fashion/shoes/heels",
        'attrs.colour "dark green"',
        'caption "A red pair of Stilettos"',
    )
    assert index.search(version, "dark")[0].region == bytes([2]) * 16
    (hit,) = index.search(version, "geese img")
    assert (hit.region, hit.why) == (None, ("class animals/geese", "key farm/IMG_0042.jpg"))
    assert index.search(version, "zoë")[0].why == ('meta.by "Zoë Müller"',)


def test_what_was_asked_comes_first(tmp_path: Path) -> None:
    with Repository.init(tmp_path / "work") as repo:
        with repo.edit("first") as edit:
            draft = edit.vocabulary
            draft.define("category")
            node = draft.mint_path("category", "couch/corner")
            edit["1"] = sample("1", caption("two couches"))
            edit["2"] = sample("2", caption("many words beside one couch " + "or another " * 40))
            edit["3"] = sample("3", Label(task="category", node=node))
            edit["4"] = sample("4", caption("a coach"))
            edit["5"] = sample("5", caption("couch couch"))
            edit["6"] = sample(
                "6", Label(task="category", node=draft.mint_path("category", "couch"))
            )
        assert keys(repo, "couch") == ["6", "5", "3", "2", "1"]
        assert keys(repo, "couch~") == ["6", "5", "3", "2", "1", "4"]
        assert keys(repo, "couch", k=2) == ["6", "5"]
        assert keys(repo, "couch", keep={"1", "4", "5"}) == ["5", "1"]
        hits = TextIndex(repo).search(repo.at("HEAD"), "couch", 2)
        assert hits.matches == 5


@pytest.mark.parametrize("text", ["", "  ", '"', "-", "* ~ -- ()", "-red", '-"red"'])
def test_nothing_to_look_for(shop: Repository, text: str) -> None:
    with pytest.raises(UsageError):
        keys(shop, text)


def test_common_words_alone_are_looked_for(shop: Repository) -> None:
    assert keys(shop, "the") == [FARM]
    with pytest.raises(UsageError):
        keys(shop, "red", k=0)


# -- versions -------------------------------------------------------------------------------------


def test_versions_branches_and_deletions(shop: Repository) -> None:
    with shop.edit("second") as edit:
        edit[ONE] = sample("1", caption("a blue pair"))
        del edit[THREE]
        edit["new/9.jpg"] = sample("9", caption("red again"))
    index = TextIndex(shop)
    first, second = shop.at("HEAD~1"), shop.at("HEAD")
    assert index.update(first) == TextUpdate(changed=5, indexed=5)
    assert index.update(second) == TextUpdate(changed=3, indexed=2)
    assert index.update(first) == index.update(second) == TextUpdate()
    assert {hit.key for hit in index.search(first, "red")} == {ONE, THREE}
    assert [hit.key for hit in index.search(second, "red")] == ["new/9.jpg"]
    assert index.search(second, "stilettos") == []
    with shop.edit("back") as edit:
        edit[ONE] = first[ONE]
        edit[THREE] = first[THREE]
        del edit["new/9.jpg"]
    assert shop.at("HEAD").roots == first.roots
    assert index.update(shop.at("HEAD")) == TextUpdate()
    with shop.edit("half back") as edit:
        edit["new/9.jpg"] = second["new/9.jpg"]
    assert index.update(shop.at("HEAD")) == TextUpdate(changed=1, indexed=0)
    assert {hit.key for hit in index.search(shop.at("HEAD"), "red")} == {ONE, THREE, "new/9.jpg"}


def test_work_follows_the_diff(tmp_path: Path) -> None:
    with Repository.init(tmp_path / "work") as repo:
        with repo.edit("first") as edit:
            edit.update((f"{n:05}", sample(str(n), caption(f"word{n % 7}"))) for n in range(3000))
        steps: list[int] = []
        index = TextIndex(repo)
        done = index.update(repo.at("HEAD"), lambda done, total: steps.append(done))
        assert (done, steps) == (TextUpdate(3000, 3000), [3000])
        for round_ in range(12):
            with repo.edit(f"round {round_}") as edit:
                for n in range(round_, 3000, 1000):
                    edit[f"{n:05}"] = sample(str(n), caption(f"changed in {round_}"))
            assert TextIndex(repo).update(repo.at("HEAD")) == TextUpdate(3, 3)
        folder = repo.folder / "cache" / "search" / "text" / "segments"
        assert len(list(folder.iterdir())) < 6  # small ones are merged
        version = repo.at("HEAD")
        assert index.search(version, "changed").matches == 36
        assert index.search(version, "word3").matches == sum(
            "word3" in str(each.labels[0].value) for each in version.values()
        )


def test_staging_is_searched(shop: Repository) -> None:
    index = TextIndex(shop)
    index.update(shop.at("HEAD"))
    move_classes(shop, ["category/fashion/hats"], "category/fashion/caps")
    staged = shop.staged()
    assert index.update(staged) == TextUpdate()
    assert {hit.key for hit in index.search(staged, "caps")} == {ONE, THREE}
    assert index.search(staged, "hats") == []
    assert {hit.key for hit in index.search(shop.at("HEAD"), "hats")} == {ONE, THREE}


def test_a_renamed_or_merged_class_touches_no_document(shop: Repository) -> None:
    index = TextIndex(shop)
    index.update(shop.at("HEAD"))
    with shop.edit("renamed") as edit:
        taxonomy = edit.vocabulary.taxonomies["category"]
        node = taxonomy.at_path("fashion/shoes")
        assert node is not None
        known = taxonomy.nodes[node]
        edit.vocabulary.put_nodes("category", {node: known.replace(name="footwear")})
    assert index.update(shop.at("HEAD")) == TextUpdate()
    assert set(keys(shop, "footwear")) == {ONE, TWO}
    assert keys(shop, "shoes") == []
    assert set(keys(shop, "shoes", "HEAD~1")) == {ONE, TWO}
    merge_classes(shop, ["category/fashion/footwear/heels"], "category/fashion/footwear/t-bar")
    assert {hit.key for hit in index.search(shop.staged(), "t-bar")} == {ONE, TWO}


# -- the cache ------------------------------------------------------------------------------------


def folder_of(repo: Repository) -> Path:
    return repo.folder / "cache" / "search" / "text"


def parts_of(repo: Repository) -> list[Path]:
    return [path for path in folder_of(repo).rglob("*") if path.is_file() and path.name != "lock"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "gone"])
def test_damage_is_made_good(shop: Repository, damage: str) -> None:
    for place in range(3):
        assert set(keys(shop, "red")) == {ONE, THREE}
        path = sorted(parts_of(shop))[place]
        data = path.read_bytes()
        middle = len(data) // 2
        if damage == "gone":
            path.unlink()
        else:
            torn = {"cut": data[:middle], "empty": b""}
            flipped = data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]
            path.write_bytes(torn.get(damage, flipped))
        assert set(keys(shop, "red")) == {ONE, THREE}


def test_the_cache_of_another_version_is_made_again(
    shop: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = TextIndex(shop)
    index.update(shop.at("HEAD"))
    monkeypatch.setattr("voyager.search.text_store._VERSION", 2)
    assert TextIndex(shop).update(shop.at("HEAD")).indexed == 5


def test_the_cache_goes_while_it_is_used(shop: Repository) -> None:
    index = TextIndex(shop)
    assert len(index.search(shop.at("HEAD"), "red")) == 2
    files.remove_tree(folder_of(shop))
    assert len(index.search(shop.at("HEAD"), "red")) == 2
    with shop.edit("more") as edit:
        edit["new.jpg"] = sample("9", caption("red"))
    files.remove_tree(folder_of(shop))
    assert len(index.search(shop.at("HEAD"), "red")) == 3
    assert len(keys(shop, "red")) == 3


def test_the_folder_goes_in_the_middle_of_an_update(
    shop: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[bool] = []

    def watch(step: str, where: object, half: object) -> None:
        if step == "create" and "segments" in str(where) and not gone:
            gone.append(True)
            monkeypatch.setattr(files, "watch", None)
            files.remove_tree(folder_of(shop))

    monkeypatch.setattr(files, "watch", watch)
    assert set(keys(shop, "red")) == {ONE, THREE}
    assert gone


def test_on_a_full_disk_words_are_found_and_nothing_is_left_wrong(
    shop: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = shop.at("HEAD")
    version.vocabulary  # noqa: B018
    for step in range(30):
        files.remove_tree(folder_of(shop))
        left = [step]

        def watch(name: str, where: object, half: object, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0 and name in ("create", "write", "mkdir"):
                raise OSError(errno.ENOSPC, "No space left on device", str(where))

        monkeypatch.setattr(files, "watch", watch)
        shop.remarks.clear()
        index = TextIndex(shop)
        assert len(index.search(version, "red")) == 2
        assert len(index.search(version, "red")) == 2
        monkeypatch.setattr(files, "watch", None)
        if not shop.remarks:
            assert step > 3
            break
        assert shop.remarks == {
            "words": "words could not be indexed for the next time: no space left on device"
        }
        assert not [path for path in parts_of(shop) if path.suffix == ".tmp"]
        assert set(keys(shop, "red")) == {ONE, THREE}
    else:
        pytest.fail("never succeeded")


def test_two_at_once(shop: Repository) -> None:
    with shop.edit("more") as edit:
        edit.update((f"z/{n}", sample(f"z{n}", caption("red"))) for n in range(50))
    versions = [shop.at("HEAD"), shop.at("HEAD~1")] * 3
    found: list[int] = []

    def look(index: TextIndex, number: int) -> None:
        found.append(index.search(versions[number], "red").matches)

    threads = [threading.Thread(target=look, args=(TextIndex(shop), number)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [2, 2, 2, 52, 52, 52]


def test_gc_of_the_known_version_costs_a_pass(shop: Repository) -> None:
    index = TextIndex(shop)
    index.update(shop.at("HEAD"))
    (path,) = (folder_of(shop) / "versions").iterdir()
    path.rename(path.with_name("ab" * 32))
    index = TextIndex(shop)
    assert index.update(shop.at("HEAD")) == TextUpdate(changed=5, indexed=0)
    assert len(index.search(shop.at("HEAD"), "red")) == 2


# -- properties -----------------------------------------------------------------------------------

_TEXT = st.text(max_size=40) | st.text('ab"-*~ \\/():^[]{}&|!+\x00\x01\x02é赤', max_size=30)


@given(_TEXT)
@examples(300, deep=5000)
def test_no_text_is_a_syntax_error(text: str) -> None:
    documents = [
        Document("k", (1, 2), "\x01".join(["ab", "a b c", "赤 é"]), {b"n" * 16}),
        Document("l", (3, 4), "b", set()),
    ]
    segment = build(documents)
    try:
        query = parse_text_query(text)
    except UsageError:
        return
    mask = segment.lengths >= 0
    rank([segment], [mask], query, ClassWords(Vocabulary()), 5)


_WORDS = st.lists(
    st.sampled_from(["red", "reds", "chair", "chairs", "chiar", "a", "table"]), max_size=6
)


@given(st.lists(_WORDS, max_size=8), _WORDS.filter(bool), st.booleans())
@examples(150, deep=2000)
def test_the_index_finds_what_a_scan_finds(
    texts: list[list[str]], asked: list[str], phrase: bool
) -> None:
    documents = [
        Document(str(number), (number, 0), " ".join(words), set())
        for number, words in enumerate(texts)
    ]
    text = f'"{" ".join(asked)}"' if phrase else " ".join(f"{word}~" for word in asked)
    query = parse_text_query(text)
    if not documents:
        return
    segment = build(documents)
    found = rank([segment], [segment.lengths >= 0], query, ClassWords(Vocabulary()), 100)
    terms = [  # misspelled where nothing is closer; phrases of several words never are
        term if any(term.grade(tuple(words)) for words in texts) else term.matching_typos()
        for term in query.terms
    ]
    scanned = {
        number
        for number, words in enumerate(texts)
        if all(term.grade(tuple(words)) for term in terms)
    }
    assert {number for _, number, _ in found.best} == scanned
    assert found.matches == len(scanned)


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
@examples(300, deep=5000)
def test_distance_is_symmetric_and_bounded(one: str, other: str) -> None:
    apart = distance(one, other, 2)
    assert apart == distance(other, one, 2)
    assert (apart == 0) == (one == other)
    assert distance(one, other, 9) >= apart or apart == 3


def test_words() -> None:
    assert words_of("Café_T-shirt\x01 IMG_001.jpg") == ("cafe", "t", "shirt", "img", "001", "jpg")
    assert words_of("赤い靴") == ("赤", "い", "靴")
    forms = "shoes heels dresses boxes benches ponies women bookshelves knives geese sitting sized"
    bases = "shoe heel dress box bench pony woman bookshelf knife goose sit size"
    for form, base in zip(forms.split(), bases.split(), strict=True):
        assert stem(form) == stem(base)
    for one, other in (("bus", "bush"), ("glass", "glad"), ("red", "ring"), ("cat", "cats2")):
        assert stem(one) != stem(other)


def test_grades() -> None:
    term = Term(("chair",), with_typos=True)
    assert term.grade(("a", "chair")) == EXACT
    assert term.grade(("chairs",)) == STEM
    assert term.grade(("chiar",)) == TYPO
    assert term.grade(("chain", "stair")) == TYPO
    assert term.grade(("table",)) == 0


def test_real_classes_of_clothing(tmp_path: Path) -> None:
    rows = list(csv.DictReader(CLOTHING.read_text().splitlines()))[:200]
    column = "label"
    with Repository.init(tmp_path / "work") as repo:
        with repo.edit("first") as edit:
            edit.vocabulary.define("category")
            for number, row in enumerate(rows):
                node = edit.vocabulary.category("category", row[column])
                key = f"{number:04}.jpg"
                edit[key] = sample(key, Label(task="category", node=node))
        for text, name in (("tshirt", "T-Shirt"), ("dresses", "Dress"), ("trousers", "Pants")):
            true = [f"{n:04}.jpg" for n, row in enumerate(rows) if row[column] == name]
            assert keys(repo, text, k=200) == (true if text != "trousers" else [])
        assert os.listdir(folder_of(repo) / "segments")
