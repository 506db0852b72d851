"""A remote made by hand from all that a repository has, as a push of everything would."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from voyager.remotes.base import Storage
from voyager.remotes.root import (
    ROOT,
    Move,
    Packed,
    Root,
    encode_root,
    encode_segment,
    segment_path,
)
from voyager.repo.add import add
from voyager.repo.commit import commit
from voyager.repo.dataset import Dataset
from voyager.repo.edit import Edit
from voyager.repo.repository import Repository
from voyager.samples import photo_paths
from voyager.schema import Box, Label, Region
from voyager.store.fsck import check
from voyager.store.pack import Content, read_tail
from voyager.store.pack_use import registered
from voyager.store.refs import HEADS, TAGS, iter_refs
from voyager.store.seal import seal_journal
from voyager.wire import object_ref

PHOTOS = photo_paths()


def save(repo: Repository, message: str, photos: Mapping[str, int]) -> bytes:
    """Commit some of the sample photos at keys."""
    for key, number in photos.items():
        path = repo.tree() / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PHOTOS[number].read_bytes())
    add(repo, ["."], cwd=repo.tree())
    return commit(repo, message).commit


def say(edit: Edit, key: str, text: str) -> None:
    """Let a sample have one label and one region."""
    region = Region(id=bytes(15) + b"r", geometries={"box": Box(1, 2, 3, 4)})
    labels = (Label(task="note", value=text),)
    edit[key] = edit[key].replace(labels=labels, regions=(region,))


def assert_same(one: Dataset, other: Dataset) -> None:
    """The same rows and the same bytes of every image and file."""
    assert one.roots == other.roots
    for tracked in one.tracked():
        assert one.file_bytes(tracked.key) == other.file_bytes(tracked.key)


def assert_whole(repo: Repository) -> None:
    """fsck finds nothing."""
    report = check(repo.folder)
    assert report.ok, [str(problem) for problem in report.problems]


def seal(repo: Repository) -> None:
    """Let what was journaled so far be a pack."""
    with repo.store.lock():
        seal_journal(repo.store)


def listed(repo: Repository, name: str) -> Packed:
    """A pack of a repository as a catalogue lists it."""
    path = repo.store.pack_path(name)
    trailer, _ = read_tail(path)
    return Packed(
        blobs=path.read_bytes()[8] == Content.BLOBS,
        entries=trailer.count,
        index=path.with_suffix(".idx").stat().st_size,
        name=bytes.fromhex(name),
        size=path.stat().st_size,
    )


def publish(
    repo: Repository,
    storage: Storage,
    *,
    refs: Mapping[str, bytes] | None = None,
    head: str = "main",
    **changes: Any,
) -> Root:
    """Let a storage be a remote with all packs, branches and tags of a repository."""
    seal(repo)
    packs = [listed(repo, name) for name in registered(repo.store).values()]
    for pack in packs:
        path = repo.store.pack_path(pack.name.hex())
        storage.put(pack.pack_path, path)
        storage.put(pack.index_path, path.with_suffix(".idx"))
    segment, data = encode_segment(packs)
    storage.put(segment_path(segment), data)
    if refs is None:
        refs = {**iter_refs(repo.store, HEADS), **iter_refs(repo.store, TAGS)}
    root = Root(
        generation=1,
        head=head,
        moves=[Move(nonce=os.urandom(16), time=0)],
        refs={name: object_ref(tip) for name, tip in refs.items()},
        segments=[segment],
        **changes,
    )
    storage.put(ROOT, encode_root(root))
    return root
