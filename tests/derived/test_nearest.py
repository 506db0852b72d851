"""Exact search against brute force, and which images count as near-duplicates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from derived_images import VARIANTS, by_id, encoded, photos, picture, reader
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from voyager.derived.cache import DerivedCache, Values
from voyager.derived.layout import mirrored, vectors
from voyager.derived.near import NearPair, alike_pairs, featureless, near_pairs
from voyager.derived.nearest import cosine, hamming, iter_hamming
from voyager.derived.perceptual_hash import TURNS
from voyager.derived.registry import METHODS

PHASH, LAYOUT = METHODS["phash"], METHODS["layout"]
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


@given(st.integers(0, 2**32), st.floats(-1, 1))
@settings(max_examples=30, deadline=None)
def test_cosine_finds_what_brute_force_finds(seed: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    queries, known = (vectors(rng.integers(0, 256, (n, 768), np.uint8)) for n in (7, 31))
    like = queries.astype(float) @ known.T.astype(float)
    found = cosine(queries, known, least)
    pairs = set(zip(found.query.tolist(), found.known.tolist(), strict=True))
    sure = set(zip(*(rows.tolist() for rows in np.nonzero(like >= least + 1e-5)), strict=True))
    maybe = set(zip(*(rows.tolist() for rows in np.nonzero(like >= least - 1e-5)), strict=True))
    assert sure <= pairs <= maybe


def values_of(images: dict[bytes, bytes], folder: Path, name: str = "phash") -> Values:
    return DerivedCache(folder).compute(METHODS[name], images, reader(images))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_finds_its_photograph_and_no_other(variant: str, tmp_path: Path) -> None:
    sources = {data: VARIANTS[variant](picture(data)) for data in photos().values()}
    queries, known = by_id(sources.values()), photos()
    found = near_pairs(values_of(queries, tmp_path), values_of(known, tmp_path))
    expected = dict(zip(queries, known, strict=True))
    assert {pair.query: pair.known for pair in found} == expected
    assert len(found) == len(known)
    turn = "mirror" if variant == "mirrored" else "none"
    assert {(pair.turn, pair.method) for pair in found} == {(turn, "phash 2")}


def test_a_set_is_compared_with_itself_without_pairs_of_one_image(tmp_path: Path) -> None:
    copy = encoded(picture(next(iter(photos().values()))), quality=50)
    values = values_of({**photos(), **by_id([copy])}, tmp_path)
    first, last = values.ids[0], values.ids[-1]
    found = near_pairs(values, values)
    assert [(pair.query, pair.known) for pair in found] == [(first, last), (last, first)]


def test_turned_images_are_found_when_asked_for(tmp_path: Path) -> None:
    data = next(iter(photos().values()))
    turned = encoded(picture(data).transpose(Image.Transpose.ROTATE_270))
    queries, known = values_of(by_id([turned]), tmp_path), values_of(photos(), tmp_path)
    assert near_pairs(queries, known) == []
    [pair] = near_pairs(queries, known, turns=TURNS)
    assert isinstance(pair, NearPair)
    assert (pair.known, pair.turn) == (known.ids[0], "rot270")


def test_plain_images_are_near_nothing(tmp_path: Path) -> None:
    shades = [Image.new("RGB", (64, 48), (shade, shade, 90)) for shade in range(0, 256, 16)]
    down = Image.linear_gradient("L")
    slopes = [down.point(lambda level, by=by: level // by) for by in (1, 2, 3)]
    plain = by_id(encoded(image, quality=quality) for image in (*shades, *slopes)
                  for quality in (30, 90))  # fmt: skip
    values = values_of(plain, tmp_path)
    assert featureless(values) == values.ids
    assert near_pairs(values, values) == []
    assert featureless(values_of(photos(), tmp_path)) == []


def test_one_drawing_at_many_sizes_is_near_itself(tmp_path: Path) -> None:
    images = by_id(path.read_bytes() for path in sorted(BRIDGE.glob("*.jpg")))
    values = values_of(images, tmp_path)
    found = {(pair.query, pair.known) for pair in near_pairs(values, values)}
    squares = values.ids[1:]
    assert {(a, b) for a in squares for b in squares if a != b} <= found


def test_the_layout_finds_images_of_32_pixels(tmp_path: Path) -> None:
    small = {data: picture(data).resize((32, 32)) for data in photos().values()}
    known = by_id(encoded(image, "PNG") for image in small.values())
    queries = by_id(encoded(image, quality=75) for image in small.values())
    layouts = [values_of(images, tmp_path, "layout") for images in (queries, known)]
    expected = dict(zip(queries, known, strict=True))
    alike = alike_pairs(*layouts)
    assert {pair.query: pair.known for pair in alike} == expected
    assert len(alike) == 100
    assert {(pair.turn, pair.method) for pair in alike} == {("none", "layout 2")}
    assert max(pair.distance for pair in alike) <= 50
    hashes = near_pairs(values_of(queries, tmp_path), values_of(known, tmp_path))
    assert {pair.query: pair.known for pair in hashes} == expected


def test_a_mirrored_image_is_alike(tmp_path: Path) -> None:
    flipped = by_id(VARIANTS["mirrored"](picture(data)) for data in photos(20).values())
    known = values_of(photos(), tmp_path, "layout")
    found = alike_pairs(values_of(flipped, tmp_path, "layout"), known, least=0.98)
    assert [(pair.known, pair.turn) for pair in found] == [(key, "mirror") for key in photos(20)]
    assert alike_pairs(known, known, least=0.98) == []


def test_a_mirrored_layout_is_the_layout_of_the_mirrored_image(tmp_path: Path) -> None:
    flipped = by_id(VARIANTS["mirrored"](picture(data)) for data in photos(20).values())
    straight = values_of(photos(20), tmp_path, "layout").matrix
    turned = values_of(flipped, tmp_path, "layout").matrix
    likeness = (vectors(mirrored(straight)) * vectors(turned)).sum(axis=1)
    assert likeness.min() > 0.98
    assert np.array_equal(mirrored(mirrored(straight)), straight)


def test_a_layout_of_one_colour_is_like_nothing() -> None:
    plain = np.full((1, 768), 200, np.uint8)
    assert not vectors(plain).any()
