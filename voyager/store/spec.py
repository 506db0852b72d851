"""Constants of the byte format; `docs/spec.md` gives them their meaning."""

from __future__ import annotations

SPEC_VERSION = 1

MIB = 1 << 20

PACK_MAGIC = b"VGRPACK\x01"
JOURNAL_MAGIC = b"VGRJRNL\x01"
LOG_MAGIC = b"VGROPLG\x01"
ENTRY_MAGIC = b"VgrE"
TRAILER_MAGIC = b"VGRTRLR\x01"

PACK_SEAL_BYTES = 64 * MIB
JOURNAL_SEAL_BYTES = 64 * MIB

SPILL_BYTES = 24 * MIB
"""A transaction whose objects grow beyond this writes a metadata pack instead of the journal."""

BULK_ROWS = 2_000
"""So many rows staged at once go straight into the tree."""

OVERLAY_ROWS = 50_000
"""An overlay over this many rows is folded into a staged root."""

MAX_DECODED = {
    # What a reader allocates at most for a claimed length, by kind name (spec 1.4).
    "node": 1 * MIB,
    "row": 16 * MIB,
    "snapshot": 1 * MIB,
    "commit": 1 * MIB,
    "tag": 1 * MIB,
    "dictionary": 1 * MIB,
    "conflict": 16 * MIB,
    "run": 16 * MIB,
    "report": 16 * MIB,
    "predictions": 1 * MIB,
    "operation": 1 << 30,
}
MAX_COMPRESSED_BLOB = 64 * MIB
"""A longer blob is stored as it is, so that it can be streamed."""
ZSTD_WINDOW_LIMIT = 8 * MIB
