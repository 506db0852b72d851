"""Making the pack index again from packs, log and journal (spec 7.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from voyager.store import files
from voyager.store.apply import Applier, put_applied, register_file, register_pack
from voyager.store.index_place import index_folder
from voyager.store.mend import mend, mend_journal, say
from voyager.store.objectstore import Store, check_spec, pack_entries
from voyager.store.pack_index import TABLES, PackIndex, Writing, reopen
from voyager.store.truth import Truth, live_packs, read_truth

Progress = Callable[[int, int | None], None]


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild found."""

    operations: int = 0
    packs: int = 0
    objects: int = 0
    damage: list[str] = field(default_factory=list)


def rebuild(root: Path, progress: Progress | None = None) -> Rebuilt:
    """Put the old index aside and make a new one; every ref, stash and staged row comes back.

    What is damaged in journal, log and packs is cut out, and stays in trash/ as it was. So blobs
    that were damaged are missing, and adding or fetching them again stores them.
    """
    check_spec(root)
    gc_lock = files.FileLock(root / "gc.lock", what="gc lock")
    with gc_lock, files.FileLock(root / "lock", what="write lock"):
        index = index_folder(root)
        aside = root / "trash" / "index" if index == root / "index" else index.with_suffix(".old")
        files.remove_tree(aside)
        files.make_folder(root / "trash")
        if index.exists():
            files.rename(index, aside)
        files.make_folder(index)
        reopen(index)
        damage = mend(root)
        store = Store(root, PackIndex(index), read_only=False)
        try:
            found = index_again(store, progress)
        finally:
            store.close()
        files.remove_tree(aside)
    found.damage = damage
    return found


def index_again(store: Store, progress: Progress | None = None) -> Rebuilt:
    """Fill the index of an open store anew, in place; the caller holds the lock."""
    truth = read_truth(store.root)
    mend_journal(store.root, truth)
    names = live_packs(store.root, truth)
    fill(store, truth, names, (truth.number, truth.end), progress)
    return Rebuilt(
        operations=len(truth.recorded),
        packs=len(names),
        objects=store.index.read(lambda reading: reading.count("objects")),
        damage=[say(name, damage) for name, damage in truth.damage],
    )


def fill(
    store: Store,
    truth: Truth,
    names: list[str],
    end: tuple[int, int],
    progress: Progress | None = None,
) -> None:
    """Write an index of these operations and packs; of an id in several packs the last counts."""

    def body(writing: Writing) -> None:
        for table in TABLES:
            writing.clear(table)
        numbers = {"": 0}
        for record in truth.recorded:
            segment = record.segment
            if segment not in numbers:
                numbers[segment] = register_file(writing, segment)
            applier = Applier(record.operation)
            applier.objects = [(placed, 0) for placed in record.objects]
            applier.placed_at = (numbers[segment], record.placed)
            applier(writing)
        for done, name in enumerate(names):
            # After the operations, so that the last word on tombstones is known.
            number = register_file(writing, name)
            register_pack(writing, name, pack_entries(store.pack_path(name)), number)
            if progress is not None:
                progress(done + 1, len(names))
        put_applied(writing, *end)

    store.index.write(body)
