"""Exact search against brute force, and which images count as near-duplicates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from derived_images import VARIANTS, by_id, encoded, photos, picture, reader
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from voyager.derived import sketch
from voyager.derived.cache import DerivedCache, Values
from voyager.derived.near import NEAR_DISTANCE, NearPair, featureless, near_pairs
from voyager.derived.nearest import hamming, iter_hamming
from voyager.derived.registry import METHODS

LIKENESS = METHODS["likeness"]
BRIDGE = Path(__file__).parents[1] / "data" / "image_edge" / "neardup_bridge"


@st.composite
def hash_sets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Queries and known hashes, a few bits apart where they are not far apart."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    centres = rng.integers(0, 256, (draw(st.integers(1, 4)), 32), np.uint8)
    sets = []
    for limit in (40, 300):
        count = draw(st.integers(0, limit))
        rows = np.unpackbits(centres[rng.integers(0, len(centres), count)], axis=1)
        rows ^= rng.random(rows.shape) < rng.random((count, 1)) * 0.3
        sets.append(np.packbits(rows, axis=1))
    return sets[0], sets[1]


@given(hash_sets(), st.sampled_from([0, 1, 20, 40, 64, 100, 256]))
@settings(max_examples=80, deadline=None)
def test_hamming_finds_what_brute_force_finds(
    sets: tuple[np.ndarray, np.ndarray], most: int
) -> None:
    queries, known = sets
    away = np.bitwise_count(queries[:, None] ^ known[None]).sum(axis=2, dtype=int)
    query, other = np.nonzero(away <= most)
    found = hamming(queries, known, most)
    assert found.query.tolist() == query.tolist()
    assert found.known.tolist() == other.tolist()
    assert found.score.tolist() == away[query, other].tolist()


def test_hamming_spans_blocks_and_is_told_in_parts() -> None:
    rng = np.random.default_rng(3)
    known = rng.integers(0, 256, (20_000, 32), np.uint8)
    queries = known[::997].copy()
    queries[:, 7] ^= 5
    found = hamming(queries, known, 40)
    assert found.known.tolist() == list(range(0, 20_000, 997))
    assert set(found.score.tolist()) == {2.0}
    parts = list(iter_hamming(queries, known, 40))
    assert len(parts) > 1
    assert np.concatenate([part.query for part in parts]).tolist() == found.query.tolist()


def values_of(images: dict[bytes, bytes], folder: Path, name: str = "sketch") -> Values:
    return DerivedCache(folder).compute(METHODS[name], images, reader(images))


def near(queries: Values, known: Values, folder: Path, **options: Any) -> list[NearPair]:
    images = {**photos(), **options.pop("images", {})}
    cache = DerivedCache(folder)
    found = near_pairs(
        queries, known, lambda ids: cache.compute(LIKENESS, ids, reader(images)), **options
    )
    assert not found.unseen
    return found.pairs


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_finds_its_photograph_and_no_other(variant: str, tmp_path: Path) -> None:
    sources = {data: VARIANTS[variant](picture(data)) for data in photos().values()}
    queries, known = by_id(sources.values()), photos()
    found = near(values_of(queries, tmp_path), values_of(known, tmp_path), tmp_path, images=queries)
    expected = dict(zip(queries, known, strict=True))
    assert {pair.query: pair.known for pair in found} == expected
    assert len(found) == len(known)
    assert {pair.turn for pair in found} == {"mirror" if variant == "mirrored" else "none"}


def test_a_set_is_compared_with_itself_without_pairs_of_one_image(tmp_path: Path) -> None:
    copy = by_id([encoded(picture(next(iter(photos().values()))), quality=50)])
    values = values_of({**photos(), **copy}, tmp_path)
    first, last = values.ids[0], values.ids[-1]
    found = near(values, values, tmp_path, images=copy)
    assert [(pair.query, pair.known) for pair in found] == [(first, last), (last, first)]
    assert len({pair.distance for pair in found}) == 1


def test_the_distance_is_asked_for_and_told(tmp_path: Path) -> None:
    copy = by_id([encoded(picture(next(iter(photos().values()))), quality=10)])
    values, known = values_of(copy, tmp_path), values_of(photos(), tmp_path)
    [pair] = near(values, known, tmp_path, images=copy)
    assert 0 < pair.distance <= NEAR_DISTANCE
    assert near(values, known, tmp_path, images=copy, most=pair.distance) == [pair]
    assert near(values, known, tmp_path, images=copy, most=pair.distance - 1) == []


def test_candidates_without_a_likeness_are_told(tmp_path: Path) -> None:
    copy = by_id([encoded(picture(next(iter(photos().values()))), quality=50)])
    values, known = values_of(copy, tmp_path), values_of(photos(), tmp_path)
    cache, told = DerivedCache(tmp_path), []
    found = near_pairs(
        values,
        known,
        lambda ids: cache.known(LIKENESS, ids),
        progress=lambda done, total: told.append((done, total)),
    )
    assert found.pairs == []
    assert set(values.ids) <= set(found.unseen) <= {*values.ids, *known.ids}
    assert told
    assert told[-1][0] == told[-1][1]


def test_one_is_compared_with_its_nearest_candidates_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = picture(next(iter(photos().values())))
    copies = by_id(encoded(source, quality=quality) for quality in range(40, 60))
    values = values_of(copies, tmp_path)
    assert len(near(values, values, tmp_path, images=copies)) == 20 * 19
    monkeypatch.setattr("voyager.derived.near.MOST_CANDIDATES", 5)
    assert len(near(values, values, tmp_path, images=copies)) == 20 * 5


def test_plain_images_are_near_nothing(tmp_path: Path) -> None:
    shades = [Image.new("RGB", (64, 48), (shade, shade, 90)) for shade in range(0, 256, 16)]
    noise = np.random.default_rng(1).normal(0, 2, (4, 48, 64, 1)) + 120
    noisy = [Image.fromarray(one.repeat(3, 2).astype(np.uint8)) for one in noise]
    down = Image.linear_gradient("L")
    slopes = [down.point(lambda level, by=by: 90 + level // by) for by in (16, 24)]
    plain = by_id(encoded(image, quality=quality) for image in (*shades, *noisy)
                  for quality in (30, 90))  # fmt: skip
    values = values_of(plain, tmp_path)
    assert featureless(values) == values.ids
    assert near(values, values, tmp_path, images=plain) == []
    assert featureless(values_of(photos(), tmp_path)) == []
    skies = by_id(encoded(image, quality=quality) for image in slopes for quality in (30, 90))
    values = values_of(skies, tmp_path)
    assert near(values, values, tmp_path, images=skies) == []


def test_one_drawing_at_many_sizes_is_near_itself(tmp_path: Path) -> None:
    images = by_id(path.read_bytes() for path in sorted(BRIDGE.glob("*.jpg")))
    values = values_of(images, tmp_path)
    pairs = near(values, values, tmp_path, images=images)
    found = {(pair.query, pair.known) for pair in pairs}
    squares = values.ids[1:]
    assert {(a, b) for a in squares for b in squares if a != b} <= found


def test_images_of_32_pixels_are_found(tmp_path: Path) -> None:
    small = [picture(data).resize((32, 32)) for data in photos().values()]
    known = by_id(encoded(image, "PNG") for image in small)
    queries = by_id(encoded(image, quality=75) for image in small)
    values = [values_of(images, tmp_path) for images in (queries, known)]
    found = near(*values, tmp_path, images={**known, **queries})
    assert [(pair.query, pair.known) for pair in found] == list(zip(queries, known, strict=True))


def test_a_mirrored_sketch_is_the_sketch_of_the_mirrored_image(tmp_path: Path) -> None:
    flipped = by_id(VARIANTS["mirrored"](picture(data)) for data in photos(20).values())
    straight, turned = (values_of(one, tmp_path).matrix[:, :32] for one in (photos(20), flipped))
    differ = np.bitwise_count(sketch.mirrored(straight) ^ turned).sum(axis=1)
    assert differ.max() <= 12
    assert np.array_equal(sketch.mirrored(sketch.mirrored(straight)), straight)
