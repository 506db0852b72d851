"""A snapshot: the roots of one state of the dataset, by space (spec 3.1)."""

from __future__ import annotations

from collections.abc import Mapping

from voyager.errors import CorruptError
from voyager.store import prolly
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader, ObjectWriter
from voyager.wire import Ext, decode, encode, object_ref

SAMPLES = "samples"
FILES = "files"
TAXONOMIES = "taxonomies"
"""A row for each taxonomy and each of its nodes (spec 9.7)."""
TASKS = "tasks"
"""A row for each task (spec 9.8)."""
CONFLICTS = "conflicts"
"""What merges left undecided: a row for each thing in conflict (spec 9.12)."""
POLICIES = "policies"
"""The guard's policy, and the pairs that it was told to let go (spec 9.11)."""
TRACKED = (FILES, SAMPLES)
"""The spaces whose rows have a file in the working tree; they share one namespace of keys."""

Roots = Mapping[str, bytes]
"""Space → root id of its map; a space that is empty is absent."""


def read_snapshot(objects: ObjectReader, snapshot_id: bytes) -> dict[str, bytes]:
    """The roots of a snapshot; spaces that this version does not know are kept."""
    value = decode(objects.get(snapshot_id, Kind.SNAPSHOT))
    if not isinstance(value, dict) or not all(isinstance(ref, Ext) for ref in value.values()):
        raise CorruptError(f"snapshot {snapshot_id.hex()} is malformed", hint="vgr fsck")
    return {space: bytes(ref.data) for space, ref in value.items()}


def write_snapshot(objects: ObjectWriter, roots: Roots) -> bytes:
    """Store a snapshot of these roots; its id."""
    kept = {
        space: object_ref(root) for space, root in roots.items() if len(prolly.Map(objects, root))
    }
    return objects.put(Kind.SNAPSHOT, encode(kept))
