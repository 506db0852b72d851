"""Search on photographs of clothes: what is found, by which means, and what it costs."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from blake3 import blake3

import voyager
from voyager.derived.embeddings import DescriptorEmbedder, open_embedder
from voyager.errors import InvalidDataError, NotFoundError, UsageError
from voyager.repo.add import Options, add
from voyager.repo.commit import commit
from voyager.repo.purge import purge_blobs
from voyager.repo.repository import Repository
from voyager.repo.switch import reset
from voyager.repo.taxonomies import move_classes
from voyager.samples import BOXES, CLOTHING, copy_photos
from voyager.schema import Box, Label
from voyager.search.fusion import fused
from voyager.search.members import VersionVectors
from voyager.search.query import Hit, Query, Results
from voyager.search.searcher import Searcher
from voyager.search.sweeping import sweep_vectors
from voyager.store import files

SANDALS = "test/shoes/4797602a-efe9-438d-859a-3db113007ef9.jpg"
SHOES = "test/shoes/54120c82-5bb7-4bba-a781-af18362eb24c.jpg"
HAT = "test/hat/3f0be386-9a59-4aeb-93f6-dbe63e3a3002.jpg"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred photographs with the folders for classes, and boxes of thirty; the latter later."""
    root = tmp_path_factory.mktemp("clothes") / "repo"
    with pytest.MonkeyPatch.context() as patch:
        seal(patch, root.parent)
        with Repository.init(root) as repo:
            copy_photos(root)
            add(repo, ["."], cwd=root, options=Options(split_from_folder=True))
            commit(repo, "photographs")
            with repo.edit("classes") as edit:
                for key, sample in repo.at("HEAD").items():
                    node = edit.vocabulary.category("category", key.split("/")[1])
                    label = Label(task="category", node=node)
                    edit[key] = sample.replace(labels=(label,))
            voyager.import_labels(repo, BOXES, source="human")
            commit(repo, "boxes")
            Searcher(repo).search(repo.at("HEAD"), Query(like=(HAT,)))
    return root


def seal(patch: pytest.MonkeyPatch, home: Path) -> None:
    patch.setenv("HOME", str(home))
    patch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    patch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")


@pytest.fixture
def repo(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A copy of it, in which whole images have been searched once."""
    seal(monkeypatch, tmp_path)
    shutil.copytree(made, tmp_path / "repo")
    with voyager.open(tmp_path / "repo") as copy:
        yield copy


def find(repo: Repository, *, at: str = "HEAD", **fields: Any) -> Results:
    return Searcher(repo).search(repo.at(at), Query(**fields))


def keys(found: Results) -> list[str]:
    return [hit.key for hit in found]


def kept_bytes(repo: Repository) -> bytes:
    cache = repo.folder / "cache"
    return b"".join(path.read_bytes() for path in sorted(cache.rglob("*")) if path.is_file())


def kept_vectors(searcher: Searcher) -> dict[bytes, bytes]:
    parts = [part.segment.whole() for part in searcher.store.view.parts]
    return {one: row.tobytes() for ids, rows in parts for one, row in zip(ids, rows, strict=True)}


def _none(things: Any) -> Any:
    raise AssertionError(things)


# --- what is found ---


def test_a_picture_finds_itself_and_its_kind(repo: Repository, tmp_path: Path) -> None:
    smaller = tmp_path / "smaller.png"
    with PIL.Image.open(CLOTHING / SANDALS) as image:
        image.resize((200, 150)).save(smaller)
    found = find(repo, images=(smaller,), k=3)
    assert keys(found)[0] == SANDALS
    assert found.hits[0].score > 0.97
    assert keys(found)[1] == SHOES
    assert found.of == "images"
    assert all(hit.region is None for hit in found)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert keys(find(repo, images=(smaller.read_bytes(),), k=3)) == keys(found)


def test_a_sample_finds_others_and_not_itself(repo: Repository) -> None:
    found = find(repo, like=(SANDALS,), k=200)
    assert len(found) == 99
    assert SANDALS not in keys(found)
    assert keys(found)[0] == SHOES


def test_many_samples_by_a_glob_are_one_example(repo: Repository) -> None:
    hats = [key for key, _ in repo.at("HEAD").items() if key.startswith("train/hat/")]
    found = find(repo, like=("train/hat/*",), k=99)
    assert len(found) == 100 - len(hats)
    assert not set(hats) & set(keys(found))
    assert keys(find(repo, like=tuple(hats), k=99)) == keys(found)
    assert keys(find(repo, like=("train/hat",), k=99)) == keys(found)
    regions = find(repo, like=("test/hat/*#*",), k=99)
    assert regions.of == "regions"
    assert len(regions) == 33 - 3


def test_a_copy_under_another_key_is_found(repo: Repository) -> None:
    with repo.edit("copy") as edit:
        edit["copies/sandals.jpg"] = edit[SANDALS].replace(uid=bytes(16))
    found = find(repo, like=(SANDALS,), k=1)
    assert keys(found) == ["copies/sandals.jpg"]
    assert 0.999 < found.hits[0].score <= 1


def test_an_object_finds_objects(repo: Repository) -> None:
    sample = repo.at("HEAD")[SANDALS]
    first, second = (region.id for region in sample.regions)
    found = find(repo, like=(f"{SANDALS}#1",), k=4)
    assert found.of == "regions"
    assert (found.hits[0].key, found.hits[0].region) == (SANDALS, second)
    assert {hit.key for hit in found} >= {SHOES}
    assert (SANDALS, first) not in {(hit.key, hit.region) for hit in found}
    assert found.computed == 33
    again = find(repo, like=(f"{SANDALS}#{first.hex()[:8]}",), k=4)
    assert again.hits[0].region == second
    assert again.computed == 0
    assert len(find(repo, like=(f"{SANDALS}#1",), of="images", k=200)) == 99
    assert len(find(repo, images=(CLOTHING / SANDALS,), of="regions", k=200)) == 33


def test_a_rejected_region_is_not_found(repo: Repository) -> None:
    with repo.edit("reject") as edit:
        sample = edit[SANDALS]
        regions = (sample.regions[0], sample.regions[1].replace(state="rejected"))
        edit[SANDALS] = sample.replace(regions=regions)
    found = find(repo, like=(f"{SANDALS}#1",), k=200)
    assert len(found) == 31
    assert SANDALS not in keys(found)


def test_unlike_pushes_away(repo: Repository) -> None:
    near = keys(find(repo, like=(SANDALS,), k=99))
    pushed = find(repo, like=(SANDALS,), unlike=(near[0],), k=99)
    assert keys(pushed).index(near[0]) > 0
    assert set(keys(pushed)) == set(near)


def test_words(repo: Repository) -> None:
    found = find(repo, text="hats", k=20)
    assert {key.split("/")[1] for key in keys(found)} == {"hat"}
    assert len(found) == 10
    assert found.hits[0].why == ("class hat",)
    assert keys(find(repo, text="zebra")) == []
    regions = find(repo, text="hats", of="regions")
    assert {hit.key for hit in regions} == {key for key in keys(found) if key.startswith("test")}
    assert all(hit.region is not None for hit in regions)


def test_words_find_every_region_that_has_them(repo: Repository) -> None:
    found = find(repo, text="shoes", of="regions", k=99)
    named = [(hit.key, hit.region) for hit in found]
    every = [
        (key, region.id)
        for key, sample in repo.at("HEAD").items()
        for region in sample.regions
        if "/shoes/" in key
    ]
    assert sorted(named) == sorted(every)
    assert len({key for key, _ in named}) < len(named)
    assert named.index((SANDALS, repo.at("HEAD")[SANDALS].regions[0].id)) + 1 == named.index(
        (SANDALS, repo.at("HEAD")[SANDALS].regions[1].id)
    )
    assert [(hit.key, hit.region) for hit in find(repo, text="shoes", of="regions", k=2)] == named[
        :2
    ]
    of_test = find(repo, text="shoes", of="regions", where="n = 2", k=99)
    assert {(hit.key, hit.region) for hit in of_test} == {
        (key, sample.regions[1].id)
        for key, sample in repo.at("HEAD").items()
        if "/shoes/" in key and len(sample.regions) > 1
    }


def test_samples_without_regions_do_not_crowd_out_regions(repo: Repository) -> None:
    with repo.edit("captions") as edit:
        for number in range(40):
            edit[f"a/{number}.jpg"] = edit[HAT].replace(uid=bytes([number] * 16), regions=())
    found = find(repo, text="hat", of="regions", k=3)
    assert [hit.key.startswith("test/hat/") for hit in found] == [True] * 3


def test_words_and_looks_are_fused(repo: Repository) -> None:
    found = find(repo, text="shoes", like=(SANDALS,), k=20)
    assert keys(found)[0] == SHOES
    assert found.hits[0].score > 0.95
    assert len(found.hits[0].why) == 2
    shoes = [key for key in keys(found) if "/shoes/" in key]
    assert keys(found)[:9] == shoes
    assert any("/shoes/" not in key for key in keys(found))  # looks alone
    without = find(repo, text="clothes -shoes", like=(SANDALS,), k=100)
    assert not any("/shoes/" in key for key in keys(without))
    assert len(without) == 90


def test_places_are_fused_by_a_rule() -> None:
    words = [Hit("a", None, 9.0, ("w",)), Hit("b", b"1", 3.0, ("w",))]
    looks = [Hit("b", None, 0.9, ("l",)), Hit("c", None, 0.8)]
    found = fused([words, looks], 10, "images")
    assert [(hit.key, hit.region) for hit in found] == [("b", b"1"), ("a", None), ("c", None)]
    assert found[0].score == pytest.approx((1 / 62 + 1 / 61) / (2 / 61))
    assert found[0].why == ("w", "l")
    assert fused([looks], 1, "images") == looks[:1]
    assert len(fused([words, looks], 10, "regions")) == 4


# --- filters ---


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"split": "test"}, 30),
        ({"where": "split = 'train' and has('hat')"}, 7),
        ({"class_": "hat"}, 10),
        ({"class_": "hat", "split": "test", "where": "regions > 0"}, 3),
        ({"changed_since": "HEAD~1"}, 30),
        ({"changed_since": "HEAD"}, 0),
        ({"split": "test", "where": "split = 'train'"}, 0),
    ],
)
def test_filters(repo: Repository, fields: dict[str, str], count: int) -> None:
    every = keys(find(repo, like=(SANDALS,), k=99))
    found = find(repo, like=(SANDALS,), k=99, **fields)
    assert keys(found) == [key for key in every if key in set(keys(found))]
    held = SANDALS.startswith("test") and fields in ({"split": "test"}, {"changed_since": "HEAD~1"})
    assert len(found) == count - held
    assert len(find(repo, text="jpg", k=99, **fields)) == count
    assert any(line.startswith("chosen: ") for line in found.plan)


def test_filters_of_regions_ask_the_regions(repo: Repository) -> None:
    found = find(repo, like=(f"{SANDALS}#1",), class_="hat", k=99)
    assert len(found) == 3
    assert {key.split("/")[1] for key in keys(found)} == {"hat"}
    assert len(find(repo, like=(f"{SANDALS}#1",), where="n > 1", k=99)) == 3


def test_a_filter_asked_again_is_at_hand(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    searcher, version = Searcher(repo), repo.at("HEAD")
    query = Query(like=(HAT,), split="train", k=5)
    first = searcher.search(version, query)
    monkeypatch.setattr("voyager.repo.where.keys_where", None)
    assert searcher.search(version, query).hits == first.hits


# --- versions, and what a search costs ---


def test_the_past_is_searched_as_it_was(repo: Repository) -> None:
    with repo.edit("gone") as edit:
        del edit[SHOES]
    assert SHOES not in keys(find(repo, like=(SANDALS,), k=99))
    assert keys(find(repo, at="HEAD~1", like=(SANDALS,), k=1)) == [SHOES]
    assert not find(repo, at="HEAD~2", like=(SANDALS,), of="regions").hits


def test_what_is_staged_is_searched(repo: Repository) -> None:
    target = repo.tree() / "new.jpg"
    with PIL.Image.open(CLOTHING / SANDALS) as image:
        image.rotate(2).save(target)
    add(repo, ["new.jpg"], cwd=repo.tree())
    found = voyager.search(repo, like=SANDALS, k=1)
    assert keys(found) == ["new.jpg"]
    assert found.computed == 1


def test_no_image_is_decoded_twice(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    find(repo, like=(f"{SANDALS}#1",))
    monkeypatch.setattr("voyager.derived.computing.run", None)
    assert find(repo, like=(HAT,)).computed == 0
    assert find(repo, at="HEAD~1", like=(HAT,)).computed == 0
    assert find(repo, like=(f"{SANDALS}#1",)).computed == 0
    shutil.rmtree(repo.folder / "cache" / "search")  # vectors are there still
    assert len(find(repo, like=(HAT,), k=99)) == 99
    assert len(find(repo, like=(f"{SANDALS}#1",), k=99)) == 32


def test_crops_of_one_image_share_its_decode(
    repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    real = PIL.Image.open
    monkeypatch.setattr(PIL.Image, "open", lambda file: opened.append(file) or real(file))
    found = find(repo, like=(f"{SANDALS}#1",))
    assert found.computed == 33
    assert len(opened) <= 2 * 30 + 1  # at two scales where regions are small, and the example


def test_columns_that_are_kept_say_the_same_as_rows(
    repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [{"like": (HAT,)}, {"like": (f"{HAT}#1",)}, {"like": (HAT,), "split": "train"}]
    by_rows = [find(repo, k=50, **fields).hits for fields in asked]
    monkeypatch.setattr("voyager.search.blob_column._MANY", 0)
    monkeypatch.setattr("voyager.search.holders._in_rows", None)
    assert [find(repo, k=50, **fields).hits for fields in asked] == by_rows


def test_a_renamed_class_is_asked_for_by_its_new_name(repo: Repository) -> None:
    searcher = Searcher(repo)
    query = Query(like=(SANDALS,), class_="hat", k=99)
    assert len(searcher.search(repo.at("HEAD"), query)) == 10
    move_classes(repo, ["category/hat"], "category/headwear")
    with pytest.raises(UsageError, match="no class 'hat'"):
        searcher.search(repo.staged(), query)
    assert len(searcher.search(repo.staged(), Query("headwear", class_="headwear"))) == 10


def test_the_plan_is_told(repo: Repository) -> None:
    found = find(repo, text="shoes", like=(SANDALS,), exact=True)
    assert found.plan[0] == "words: 10 of 100 samples match"
    assert found.plan[1].startswith("images: exact over 100 of 100 vectors")


# --- models ---


class Speaking:
    """A model that knows words: one of two directions for each."""

    model_id = blake3(b"speaking").digest()
    name = "speaking"
    dims = 256
    text: Speaking

    def __init__(self) -> None:
        self.text = self
        self.asked: list[str] = []
        self.prepare = DescriptorEmbedder.prepare
        self.embed = DescriptorEmbedder().embed

    def embed_text(self, texts: Sequence[str]) -> Any:
        self.asked += texts
        rows = [(CLOTHING / (SANDALS if "sandals" in text else HAT)).read_bytes() for text in texts]
        return np.stack([embedded(row) for row in rows])


def embedded(data: bytes) -> Any:
    from voyager.derived.embeddings import default_embedder
    from voyager.derived.picture import Picture

    model = default_embedder()
    return model.embed([model.prepare(Picture(data))])[0]


def test_a_model_that_knows_words_finds_what_nobody_labelled(repo: Repository) -> None:
    model = Speaking()
    found = Searcher(repo, model).search(repo.at("HEAD"), Query('"sandals" -hat', k=3))
    assert keys(found)[0] == SANDALS
    assert model.asked == ["sandals"]
    assert found.computed == 100  # vectors of another model are not used
    every = Searcher(repo, model).search(repo.at("HEAD"), Query("sandals -hat", k=100))
    assert not any("/hat/" in key for key in keys(every))
    regions = Searcher(repo, model).search(repo.at("HEAD"), Query("sandals", of="regions", k=3))
    assert all(hit.region is not None for hit in regions)
    assert len(regions) == 3


def test_models_are_not_mixed(repo: Repository) -> None:
    own = Searcher(repo).store.folder
    other = Searcher(repo, Speaking()).store.folder
    assert own != other
    shutil.copytree(own, other)
    with pytest.raises(UsageError, match="numbers of model"):
        Searcher(repo, Speaking()).search(repo.at("HEAD"), Query(like=(HAT,)))


def test_the_setting_names_the_model(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Searcher(repo).embedder.model_id == open_embedder("default").model_id
    repo.config.layers["repository"]["search.model"] = "models/none"
    with pytest.raises(NotFoundError, match="no model 'models/none'"):
        find(repo, like=(HAT,))
    assert keys(voyager.search(repo, like=SANDALS, model="default", k=1)) == [SHOES]


def test_words_alone_open_no_model_that_knows_none(repo: Repository, tmp_path: Path) -> None:
    folder = tmp_path / "vit"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "vit"}')
    repo.config.layers["repository"]["search.model"] = str(folder)
    assert len(find(repo, text="hats")) == 10
    with pytest.raises(InvalidDataError, match=r"no preprocessor_config\.json"):
        find(repo, like=(HAT,))
    (folder / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(InvalidDataError, match=r"no preprocessor_config\.json"):
        find(repo, text="hats")


def test_words_are_found_where_the_model_of_the_setting_is_gone(repo: Repository) -> None:
    repo.config.layers["repository"]["search.model"] = "models/gone"
    assert len(find(repo, text="hats")) == 10
    assert "no model 'models/gone'" in repo.remarks["model"]
    with pytest.raises(NotFoundError, match="no model"):
        Searcher(repo, "models/gone").search(repo.at("HEAD"), Query("hats"))


# --- bad input ---


def test_images_that_cannot_be_looked_at(repo: Repository, tmp_path: Path) -> None:
    for name, data, why in (
        ("text.jpg", b"not an image", "is no image"),
        ("empty.jpg", b"", "is no image"),
        ("cut.jpg", (CLOTHING / HAT).read_bytes()[:300], "cannot be decoded"),
        ("bomb.png", bomb(), "claims 60,000 × 60,000 pixels"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(InvalidDataError, match=why) as caught:
            find(repo, images=(path,))
        assert caught.value.path == str(path)
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(InvalidDataError, match="too large for an image"):
        find(repo, images=(tmp_path / "huge.jpg",))
    with pytest.raises(InvalidDataError, match="more than 536,870,912 bytes"):
        find(repo, images=(Path("/dev/zero"),))
    with pytest.raises(NotFoundError, match="no file"):
        find(repo, images=(tmp_path / "none.jpg",))
    with pytest.raises(UsageError, match="is a folder"):
        find(repo, images=(tmp_path,))


def bomb() -> bytes:
    """A PNG that says it is 60,000 pixels wide and high."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(60_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("fields", "error", "why"),
    [
        ({}, UsageError, "nothing is looked for"),
        ({"text": "x", "unlike": (HAT,)}, UsageError, "--unlike goes with"),
        ({"text": "x", "k": 0}, UsageError, "1 or more"),
        ({"text": '"'}, UsageError, "has no word"),
        ({"text": "-hat", "like": (HAT,)}, UsageError, "only what to leave out"),
        ({"like": ("none.jpg",)}, NotFoundError, "no sample 'none.jpg'"),
        ({"like": (f"{HAT}#7",)}, NotFoundError, "has no region #7"),
        ({"like": (HAT,), "changed_since": "none"}, NotFoundError, "unknown revision"),
        ({"like": (HAT,), "class_": "hta"}, UsageError, "^no class 'hta'$"),
        ({"text": "hat", "split": "tset"}, NotFoundError, "no sample is in split 'tset'"),
        ({"like": (HAT,), "split": "it's", "of": "regions"}, NotFoundError, "split 'it's'"),
        ({"like": ("none/*",)}, NotFoundError, "no key matches"),
        ({"like": ("test/hat/*#7",)}, NotFoundError, "has no region #7"),
        ({"like": (HAT,), "where": "split ="}, UsageError, "--where"),
    ],
)
def test_what_makes_no_query(
    repo: Repository, fields: dict[str, Any], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        find(repo, **fields)


@pytest.mark.parametrize(
    "text", ["red OR ((", "key:a AND *", '"open', "a\\'b; DROP", "(", "%_", "\0hat", "hat " * 500]
)
def test_quotes_and_operators_are_text(repo: Repository, text: str) -> None:
    try:
        find(repo, text=text)
    except UsageError as error:
        assert "no word" in error.message  # there was none


def test_broken_images_are_named_and_the_others_searched(repo: Repository) -> None:
    broken = repo.tree() / "train" / "hat" / "broken.jpg"
    broken.write_bytes((CLOTHING / HAT).read_bytes()[:400])
    add(repo, ["train"], cwd=repo.tree())
    commit(repo, "broken", verify=False)
    for _ in range(2):
        found = find(repo, like=(HAT,), k=200)
        assert found.broken == ("train/hat/broken.jpg",)
        assert len(found) == 99
    assert find(repo, like=(HAT,), split="test").broken == ()
    with pytest.raises(InvalidDataError, match=r"'train/hat/broken\.jpg' cannot be decoded"):
        find(repo, like=("train/hat/broken.jpg",))


# --- the cache ---


def test_the_cache_may_go_at_any_time(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    searcher, version = Searcher(repo), repo.at("HEAD")
    query = Query("shoes", like=(SANDALS,), k=10)
    expected = searcher.search(version, query).hits
    real, calls = files.watch, 0

    def delete(name: str, where: object, half: object) -> None:
        nonlocal calls
        calls += 1
        if calls % 4 == 0:
            shutil.rmtree(repo.folder / "cache", ignore_errors=True)

    for _ in range(3):
        shutil.rmtree(repo.folder / "cache")
        assert searcher.search(version, query).hits == expected
        assert find(repo, text="shoes", like=(SANDALS,), k=10).hits == expected
    monkeypatch.setattr(files, "watch", delete)
    shutil.rmtree(repo.folder / "cache")
    assert find(repo, like=(SANDALS,), k=3).hits[0].key == SHOES
    monkeypatch.setattr(files, "watch", real)
    assert find(repo, text="shoes", like=(SANDALS,), k=10).hits == expected


def test_vectors_of_versions_that_are_gone_are_swept(repo: Repository) -> None:
    main = repo.at("HEAD")
    find(repo, like=(SANDALS,), of="regions")
    assert sweep_vectors(repo) == 0
    with repo.edit("many") as edit:
        for number in range(300):
            sample, uid = edit[SANDALS], bytes(14) + number.to_bytes(2)
            box = {"box": Box(number, 0, number + 40, 40)}
            regions = (sample.regions[0].replace(geometries=box, primary=None),)
            edit[f"many/{number}.jpg"] = sample.replace(uid=uid, regions=regions)
    find(repo, like=(SANDALS,), of="regions", k=500)
    assert len(kept_vectors(Searcher(repo))) > 300
    assert sweep_vectors(repo) == 0  # it is a version still
    reset(repo, main.commit, "hard")
    assert sweep_vectors(repo) > 0
    assert kept_vectors(Searcher(repo)) == {}
    again = Searcher(repo).search(main, Query(like=(SANDALS,), k=200))
    assert (len(again), again.computed) == (99, 0)


def test_vectors_of_a_model_that_nobody_uses_are_swept(repo: Repository) -> None:
    Searcher(repo, Speaking()).search(repo.at("HEAD"), Query(like=(HAT,)))
    find(repo, like=(HAT,))
    unused = Searcher(repo, Speaking()).store.folder
    for path in [unused, *unused.rglob("*")]:
        os.utime(path, (0, 0))
    assert sweep_vectors(repo) > 0
    assert not unused.exists()
    assert len(kept_vectors(Searcher(repo))) == 100
    assert sweep_vectors(repo, now=time.time() + 30 * 86_400) == 0


def test_a_damaged_segment_costs_no_hit(repo: Repository) -> None:
    expected = find(repo, like=(SANDALS,), k=200).hits
    for path in (Searcher(repo).store.folder / "segments").iterdir():
        data = bytearray(path.read_bytes())
        data[-3] ^= 8
        path.write_bytes(data)
    for fields in ({}, {"where": "regions >= 0"}):
        found = find(repo, like=(SANDALS,), k=200, **fields)
        assert {hit.key for hit in found} == {hit.key for hit in expected}
        assert not any("lost" in line for line in found.plan)


def test_a_cache_of_another_version_is_made_anew(repo: Repository) -> None:
    expected = find(repo, like=(SANDALS,), k=10).hits
    for path in sorted((repo.folder / "cache" / "search").rglob("*")):
        if path.is_file():
            path.write_bytes(b"\0\1" + path.read_bytes()[2:][: len(path.read_bytes()) // 2])
    assert find(repo, like=(SANDALS,), k=10).hits == expected
    assert len(find(repo, text="shoes")) == 10


def test_a_purge_takes_the_vectors_of_an_image_and_of_its_regions(repo: Repository) -> None:
    key, sample = next((key, one) for key, one in repo.at("HEAD").items() if one.regions)
    blob = sample.image.blob_id
    assert blob is not None
    find(repo, like=(SANDALS,), of="regions")
    known = kept_vectors(Searcher(repo))
    row = repo.at("HEAD").row("samples", key.encode())
    assert row is not None
    crops = VersionVectors(Searcher(repo).store, _none, of="regions").things(repo.at("HEAD"), row)
    gone = [known[one] for one in (blob, *crops)]
    assert crops and all(vector in kept_bytes(repo) for vector in gone)

    purge_blobs(repo, [blob], "asked to")
    assert kept_vectors(Searcher(repo)) == {}
    assert len(find(repo, like=(SANDALS,), k=200)) == 98
    find(repo, like=(SANDALS,), of="regions")
    assert kept_vectors(Searcher(repo)).keys() == known.keys() - {blob, *crops}
    assert not any(vector in kept_bytes(repo) for vector in gone)
    assert key in keys(find(repo, text=Path(key).stem))  # rows keep their keys and captions


def test_a_full_disk(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = find(repo, like=(SANDALS,), k=10).hits
    version = repo.at("HEAD")
    shutil.rmtree(repo.folder / "cache")

    def full(name: str, where: object, half: object) -> None:
        if name in ("create", "write", "mkdir"):
            raise OSError(errno.ENOSPC, "No space left on device", str(where))

    monkeypatch.setattr(files, "watch", full)
    found = Searcher(repo).search(version, Query(like=(SANDALS,), k=10))
    assert found.hits == expected
    assert found.computed == 100
    assert list(repo.remarks) == ["derived"]
    assert "no space left on device" in repo.remarks["derived"]
    monkeypatch.setattr(files, "watch", None)
    assert find(repo, like=(SANDALS,), k=10).hits == expected


def test_labels_by_search_are_one_edit(repo: Repository) -> None:
    found = voyager.search(repo, like=SANDALS, k=3)
    with repo.edit("sandals") as edit:
        for hit in found:
            label = Label(task="note", value="like sandals", source="model:search")
            edit[hit.key] = edit[hit.key].replace(labels=(*edit[hit.key].labels, label))
    assert set(keys(find(repo, text='"like sandals"'))) == set(keys(found))
