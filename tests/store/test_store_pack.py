"""Packs: what is written is read back, names follow content, damage is found and walked around."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from small_stores import quick_folder, some_bytes

from voyager.errors import CorruptError
from voyager.store.entry import (
    HEADER_BYTES,
    Damage,
    Header,
    Method,
    compress,
    decode_header,
    encode_header,
    expand,
    scan_entries,
    sum_of,
)
from voyager.store.ids import Kind, blob_id, object_id
from voyager.store.pack import (
    HEAD_BYTES,
    Content,
    PackFiles,
    PackWriter,
    SealedPack,
    index_copy,
    read_index,
    read_prefixes,
    read_tail,
    scan_pack,
)


def write_pack(folder: Path, blobs: list[bytes], dictionary: bytes | None = None) -> SealedPack:
    writer = PackWriter(folder, Content.BLOBS, dictionary=dictionary)
    for blob in blobs:
        writer.append_small(blob_id(blob), blob)
    return writer.seal()


def entries_of(path: Path) -> list[tuple[int, Header]]:
    return [found for found in scan_pack(path) if not isinstance(found, Damage)]


BLOBS = st.lists(st.binary(max_size=3000), unique=True, max_size=12)


@settings(max_examples=40)
@given(BLOBS, st.sampled_from([None, b"header of an image " * 20]))
def test_what_is_written_is_read_back(blobs: list[bytes], dictionary: bytes | None) -> None:
    with quick_folder() as folder:
        pack = write_pack(folder, blobs, dictionary)
        path = folder / f"{pack.name}.pack"
        files = PackFiles()
        placed = pack.entries[dictionary is not None :]
        for blob, (entry_id, offset, stored) in zip(blobs, placed, strict=True):
            header, data = files.read(str(path), offset, stored)
            assert (header.id, header.kind, data) == (entry_id, Kind.BLOB, blob)
        assert [(offset, header.id) for offset, header in entries_of(path)] == [
            (offset, entry_id) for entry_id, offset, _ in pack.entries
        ]
        files.close()


def test_a_name_is_the_hash_of_the_header_sums_in_order(folder: Path) -> None:
    blobs = [some_bytes(n, 100) for n in range(3)]
    pack = write_pack(folder, blobs)
    data = (folder / f"{pack.name}.pack").read_bytes()
    sums = b"".join(data[place.offset + 64 : place.offset + 72] for place in pack.entries)
    assert pack.name == blake3(sums).hexdigest()
    assert write_pack(folder, blobs).name == pack.name
    assert write_pack(folder, blobs[::-1]).name != pack.name


def test_the_index_lists_the_entries_and_the_copy_counts_from_its_start(folder: Path) -> None:
    pack = write_pack(folder, [some_bytes(n, 10 + n) for n in range(5)])
    path = folder / f"{pack.name}.pack"
    trailer, index = read_tail(path)
    prefixes, lengths, kinds = read_index(index, trailer.count)
    assert prefixes == b"".join(place.id[:8] for place in pack.entries)
    assert list(lengths) == [place.stored for place in pack.entries]
    assert kinds == bytes(5)
    copy = path.with_suffix(".idx")
    assert copy.read_bytes() == index_copy(path)
    assert read_tail(copy)[1] == index
    assert read_prefixes(copy) == {place.id[:8] for place in pack.entries}


def test_an_index_of_another_length_is_refused(folder: Path) -> None:
    pack = write_pack(folder, [b"x"])
    trailer, index = read_tail(folder / f"{pack.name}.pack")
    for count in (0, 2, 1 << 40):
        with pytest.raises(CorruptError):
            read_index(index, count)
    with pytest.raises(CorruptError):
        read_index(b"no zstd", trailer.count)
    wrong_count = zstandard.ZstdCompressor().compress((7).to_bytes(8, "little") + bytes(17))
    with pytest.raises(CorruptError):
        read_index(wrong_count, 1)


def test_a_scan_goes_on_behind_damage(folder: Path) -> None:
    pack = write_pack(folder, [some_bytes(n, 500) for n in range(6)])
    path = folder / f"{pack.name}.pack"
    with open(path, "r+b") as file:
        file.seek(pack.entries[2].offset + 9)  # the stored length: it would hide the rest
        file.write(b"\xff\xff\xff")
    found = list(scan_pack(path))
    damage = [item for item in found if isinstance(item, Damage)]
    assert [gap.offset for gap in damage] == [pack.entries[2].offset]
    readable = [item[1].id for item in found if not isinstance(item, Damage)]
    assert readable == [place.id for at, place in enumerate(pack.entries) if at != 2]


@pytest.mark.parametrize("kept", [0, 5, HEAD_BYTES, HEAD_BYTES + 40, -1, -8, -60])
def test_a_pack_cut_short_is_damage_and_gives_its_whole_entries(folder: Path, kept: int) -> None:
    pack = write_pack(folder, [some_bytes(n, 500) for n in range(3)])
    path = folder / f"{pack.name}.pack"
    data = path.read_bytes()[:kept]
    path.write_bytes(data)
    found = list(scan_pack(path))
    assert any(isinstance(item, Damage) for item in found)
    whole = [place for place in pack.entries if place.offset + 572 <= len(data)]
    assert [item[1].id for item in found if not isinstance(item, Damage)] == [
        place.id for place in whole
    ]


# -- streams, copies, taking back ------------------------------------------------------------------


def test_a_stream_is_stored_under_the_hash_of_its_bytes(folder: Path) -> None:
    writer = PackWriter(folder, Content.BLOBS)
    data = some_bytes(1, 5000)
    placed = writer.append_stream(iter([data[:1], data[1:4000], data[4000:]]))
    pack = writer.seal()
    assert placed.id == blob_id(data)
    files = PackFiles()
    path = str(folder / f"{pack.name}.pack")
    assert b"".join(files.iter_raw(path, placed.offset, placed.stored)) == data
    files.close()


def test_a_stream_that_breaks_off_leaves_no_trace_in_the_pack(folder: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield some_bytes(2, 3000)
        raise OSError("the source went away")

    writer = PackWriter(folder, Content.BLOBS)
    writer.append_small(blob_id(b"before"), b"before")
    with pytest.raises(OSError, match="went away"):
        writer.append_stream(broken())
    writer.append_small(blob_id(b"after"), b"after")
    pack = writer.seal()
    found = entries_of(folder / f"{pack.name}.pack")
    assert [(offset, header.id) for offset, header in found] == [
        (place.offset, place.id) for place in pack.entries
    ]
    assert [header.id for _, header in found] == [blob_id(b"before"), blob_id(b"after")]


def test_taking_back_the_last_entry(folder: Path) -> None:
    writer = PackWriter(folder, Content.BLOBS)
    writer.append_small(blob_id(b"kept"), b"kept")
    writer.append_stream(iter([b"secret bytes"]))
    writer.take_back()
    writer.append_small(blob_id(b"also kept"), b"also kept")
    pack = writer.seal()
    assert pack == write_pack(folder, [b"kept", b"also kept"])
    assert b"secret bytes" not in (folder / f"{pack.name}.pack").read_bytes()


def test_copies_are_verbatim_and_refuse_damage(folder: Path) -> None:
    source = write_pack(folder, [some_bytes(1, 200), some_bytes(2, 200)])
    data = (folder / f"{source.name}.pack").read_bytes()
    writer = PackWriter(folder, Content.BLOBS)
    for place in source.entries:
        body = place.offset + HEADER_BYTES
        writer.append_copy(data[place.offset : body], [data[body : body + place.stored]])
    assert writer.seal() == source
    writer = PackWriter(folder, Content.BLOBS)
    with pytest.raises(CorruptError, match="damaged"):
        writer.append_copy(data[HEAD_BYTES : HEAD_BYTES + HEADER_BYTES], [b"?" * 200])
    writer.discard()
    assert not list(folder.glob("tmp-*"))


def test_discarding_leaves_nothing_and_is_nothing_after_the_seal(folder: Path) -> None:
    writer = PackWriter(folder, Content.BLOBS)
    assert writer.is_empty
    writer.append_small(blob_id(b"x"), b"x")
    assert not writer.is_empty
    writer.discard()
    assert not os.listdir(folder)
    writer = PackWriter(folder, Content.BLOBS, dictionary=b"words " * 9)
    assert writer.is_empty
    writer.append_small(blob_id(b"x"), b"x")
    pack = writer.seal()
    writer.discard()
    assert sorted(os.listdir(folder)) == [f"{pack.name}.idx", f"{pack.name}.pack"]


# -- entries ---------------------------------------------------------------------------------------


def header_of(kind: Kind, method: int, stored: bytes, real: int) -> Header:
    return decode_header(encode_header(kind, method, len(stored), real, bytes(32), sum_of(stored)))


def test_every_flipped_bit_of_a_header_is_found() -> None:
    whole = encode_header(Kind.ROW, Method.ZSTD, 10, 20, object_id(Kind.ROW, b"x"), bytes(8))
    for at in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            with pytest.raises(CorruptError):
                decode_header(flipped)
    with pytest.raises(CorruptError, match="cut short"):
        decode_header(whole[:-1])


def test_a_body_never_expands_beyond_what_its_header_claims() -> None:
    method, stored = compress(b"a" * 100_000)
    assert method == Method.ZSTD
    assert expand(header_of(Kind.ROW, method, stored, 100_000), stored) == b"a" * 100_000
    with pytest.raises(CorruptError, match="wrong length"):
        expand(header_of(Kind.ROW, method, stored, 99_999), stored)
    with pytest.raises(CorruptError, match="wrong length"):
        expand(header_of(Kind.ROW, Method.RAW, stored, 5), stored)
    with pytest.raises(CorruptError, match="claims"):
        expand(header_of(Kind.NODE, method, stored, 2 << 20), stored)
    with pytest.raises(CorruptError, match="dictionary"):
        expand(header_of(Kind.BLOB, Method.ZSTD_DICTIONARY, stored, 100_000), stored)
    with pytest.raises(CorruptError, match="decompress"):
        expand(header_of(Kind.ROW, method, stored[:-3], 100_000), stored[:-3])


def test_a_scan_finds_the_next_header_across_its_window(folder: Path) -> None:
    entry = encode_header(Kind.ROW, Method.RAW, 0, 0, bytes(32), sum_of(b""))
    path = folder / "file"
    for length in (1, 3, (1 << 20) - 2, (1 << 20) + 5):
        path.write_bytes(b"V" * length + entry)
        with open(path, "rb") as file:
            found = list(scan_entries(file.fileno(), 0, length + len(entry)))
        assert isinstance(found[0], Damage)
        assert [item[0] for item in found if not isinstance(item, Damage)] == [length]
