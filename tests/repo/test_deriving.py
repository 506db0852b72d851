"""Deriving ahead of time: regions by their crops, as search embeds them."""

from __future__ import annotations

from typing import Any

import pytest
from photo_repos import KEYS, save

from voyager.derived.embedded import IMAGE_OF_CROP
from voyager.derived.embeddings import default_embedder, embedding
from voyager.repo.deriving import derived_cache, embed_regions
from voyager.repo.purge import purge_blobs
from voyager.repo.region_crops import iter_crops
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.schema import Box, Region
from voyager.search.query import Query
from voyager.search.searcher import Searcher

METHOD = embedding(default_embedder())


def draw(repo: Repository, key: str, *boxes: Box, **fields: Any) -> None:
    regions = tuple(
        Region(id=number.to_bytes(16), geometries={"box": box}, **fields)
        for number, box in enumerate(boxes)
    )
    with repo.edit("regions") as edit:
        edit[key] = edit[key].replace(regions=regions)


@pytest.fixture
def repo(photos_repo: Repository) -> Repository:
    """Four photos; two boxes on each of the first two, one of them around nothing."""
    for key in KEYS[:2]:
        draw(photos_repo, key, Box(10, 20, 200, 220), Box(100, 100, 180, 300))
    return photos_repo


def test_search_has_nothing_left_to_compute(repo: Repository) -> None:
    staged = repo.staged()
    done = embed_regions(repo, staged, METHOD)
    assert (done.things, done.computed, done.failed, done.absent) == (4, 4, {}, [])
    found = Searcher(repo).search(staged, Query(like=(f"{KEYS[0]}#1",), k=9))
    assert (len(found), found.computed) == (3, 0)
    again = embed_regions(repo, staged, METHOD)
    assert (again.things, again.computed) == (4, 0)


def test_of_some_samples_and_what_the_crops_were_cut_from(repo: Repository) -> None:
    staged = repo.staged()
    done = embed_regions(repo, staged, METHOD, KEYS[1:])
    assert (done.things, done.computed) == (2, 2)
    crops = [crop for _, row in staged.rows(SAMPLES) for _, crop in iter_crops(staged, row)]
    assert len(crops) == 4
    known = derived_cache(repo).known(IMAGE_OF_CROP, [crop.id for crop in crops])
    assert {blob for _, blob in known} == {staged[KEYS[1]].image.blob_id}


def test_broken_images_are_named_once_and_rejected_regions_left_out(repo: Repository) -> None:
    photo = (repo.tree() / KEYS[0]).read_bytes()
    (repo.tree() / "cut.jpg").write_bytes(photo[: len(photo) // 2])
    save(repo, "cut")
    draw(repo, "cut.jpg", Box(10, 20, 200, 400), Box(0, 0, 300, 500))
    draw(repo, KEYS[1], Box(10, 20, 200, 220), state="rejected")
    done = embed_regions(repo, repo.staged(), METHOD)
    assert done.things == 4
    assert done.failed == {"cut.jpg": [METHOD.name]}


def test_regions_of_purged_images_are_passed_over(repo: Repository) -> None:
    blob = repo.staged()[KEYS[0]].image.blob_id
    assert blob is not None
    purge_blobs(repo, [blob], reason="asked to")
    done = embed_regions(repo, repo.at("HEAD"), METHOD)
    assert (done.things, done.missing) == (2, 0)
