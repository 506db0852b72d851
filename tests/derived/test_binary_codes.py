"""Codes of a few hundred bits: what their distances tell, and search among them."""

from __future__ import annotations

import numpy as np
import pytest
from derived_images import photos
from hypothesis import given, settings
from hypothesis import strategies as st

from voyager.derived.binary_codes import (
    BITS,
    binary_codes,
    estimated_cosines,
    near_codes,
    nearest_codes,
    sign_codes,
)
from voyager.derived.embeddings import default_embedder
from voyager.derived.picture import Picture
from voyager.errors import UsageError


def random_units(count: int, dims: int, seed: int = 1) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dims)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("dims", [1, 24, 256, 384])
def test_a_code_has_its_size_and_depends_on_its_vector_alone(bits: int, dims: int) -> None:
    rows = random_units(9, dims)
    codes = binary_codes(rows, bits)
    assert codes.shape == (9, bits // 8)
    assert np.array_equal(codes[4:6], binary_codes(rows[4:6], bits))
    assert np.array_equal(codes, binary_codes(rows * np.float32(7), bits))
    assert binary_codes(rows[:0], bits).shape == (0, bits // 8)


def test_shorter_codes_begin_longer_ones() -> None:
    rows = random_units(5, 256)
    longest = binary_codes(rows, 2048)
    for bits in BITS:
        assert np.array_equal(binary_codes(rows, bits), longest[:, : bits // 8])


def test_the_code_of_a_vector_never_changes() -> None:
    """Written down, since codes are kept."""
    row = np.arange(1, 257, dtype=np.float32)[None] - 100
    assert binary_codes(row)[0, :8].tobytes().hex() == GOLDEN


GOLDEN = "b48f0b984c4edc47"


@pytest.mark.parametrize("bits", BITS)
def test_differing_bits_tell_the_cosine(bits: int) -> None:
    rows = random_units(200, 256)
    mixed = np.concatenate([rows, rows + random_units(200, 256, 2) * np.float32(0.7)])
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    codes = binary_codes(mixed, bits)
    away = np.bitwise_count(codes[:, None] ^ codes[None]).sum(axis=2, dtype=np.int64)
    wrong = estimated_cosines(away, bits) - mixed @ mixed.T
    assert np.sqrt((wrong**2).mean()) < 1.7 / bits**0.5
    assert abs(wrong.mean()) < 0.02


def test_the_nearest_photographs_are_among_the_nearest_codes() -> None:
    embedder = default_embedder()
    rows = embedder.embed([embedder.prepare(Picture(data)) for data in photos().values()])
    exact = np.argsort(-(rows @ rows.T), axis=1)[:, :4]
    codes = binary_codes(rows, 1024)
    found = nearest_codes(codes, codes, 12)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(exact, found.rows, strict=True)]) > 0.98
    assert (found.rows[:, 0] == np.arange(100)).all()


@pytest.mark.parametrize("dims", [8, 24, 256, 264])
def test_signs_as_they_are(dims: int) -> None:
    rows = random_units(7, dims)
    codes = sign_codes(rows)
    assert codes.shape == (7, 32 if dims <= 256 else 64)
    assert np.array_equal(np.unpackbits(codes, axis=1)[:, :dims], rows > 0)
    away = ((rows[:, None] > 0) != (rows[None] > 0)).sum(axis=2)
    found = nearest_codes(codes, codes, 7)
    assert np.array_equal(found.bits, np.sort(away, axis=1))
    pairs = near_codes(codes, codes, dims // 2)
    assert len(pairs.query) == (away <= dims // 2).sum()


@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(0, 90), st.sampled_from(BITS))
@settings(max_examples=40, deadline=None)
def test_search_finds_what_brute_force_finds(seed: int, k: int, count: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    # Few different bytes, so that many distances are equal.
    known, queries = (rng.integers(0, 2, (n, bits // 8), np.uint8) for n in (count, 11))
    away = np.bitwise_count(queries[:, None] ^ known[None]).sum(axis=2, dtype=np.int64)
    order = np.argsort(away, axis=1, kind="stable")[:, :k]
    found = nearest_codes(queries, known, k)
    assert np.array_equal(found.rows, order)
    assert np.array_equal(found.bits, np.take_along_axis(away, order, axis=1))
    most = int(rng.integers(0, 40))
    pairs = near_codes(queries, known, most)
    query, row = np.nonzero(away <= most)
    assert (pairs.query.tolist(), pairs.known.tolist()) == (query.tolist(), row.tolist())


def test_codes_of_other_sizes_are_refused() -> None:
    rows = random_units(3, 256)
    with pytest.raises(UsageError, match="codes of 100 bits; there are 256, 512, 1024, 2048"):
        binary_codes(rows, 100)
    for search in (near_codes, nearest_codes):
        with pytest.raises(UsageError, match="512 bits cannot be compared with codes of 256"):
            search(binary_codes(rows, 512), binary_codes(rows, 256), 1)
