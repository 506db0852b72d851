"""Taxonomy nodes and tasks to and from canonical bytes (spec 9.7, 9.8)."""

from __future__ import annotations

import re

from voyager.schema.codec import RowKind, check_as, decode_as, encode_as, is_canonical_as
from voyager.schema.task import Task
from voyager.schema.taxonomy import Node, NodeId

_NODE: RowKind[Node] = RowKind(Node, "a taxonomy node")
_NODE_HEX = re.compile("[0-9a-f]{32}")
_TASK: RowKind[Task] = RowKind(Task, "a task")


def encode_node(node: Node) -> bytes:
    """The canonical row of a taxonomy node; InvalidDataError names a field of a wrong type."""
    return encode_as(check_as(node, _NODE), _NODE)


def decode_node(data: bytes) -> Node:
    """The node of a row; CorruptError for bytes that are none."""
    return decode_as(data, _NODE)


def is_canonical_node(data: bytes) -> bool:
    """Whether `data` is the one row of its node."""
    return is_canonical_as(data, _NODE)


def encode_task(task: Task) -> bytes:
    """The canonical row of a task; InvalidDataError names a field of a wrong type."""
    return encode_as(check_as(task, _TASK), _TASK)


def decode_task(data: bytes) -> Task:
    """The task of a row; CorruptError for bytes that are none."""
    return decode_as(data, _TASK)


def is_canonical_task(data: bytes) -> bool:
    """Whether `data` is the one row of its task."""
    return is_canonical_as(data, _TASK)


def node_key(taxonomy: str, node: NodeId | None) -> bytes:
    """The key of a node's row; of its root for None."""
    return taxonomy.encode() if node is None else f"{taxonomy}/{node.hex()}".encode()


def parse_node_key(key: bytes) -> tuple[str, NodeId | None]:
    """(taxonomy, node id or None for its root) of such a key; ValueError for any other."""
    taxonomy, slash, node = key.decode().partition("/")
    if not taxonomy or (slash and _NODE_HEX.fullmatch(node) is None):
        raise ValueError(f"{key!r} is no key of a taxonomy's row")
    return taxonomy, bytes.fromhex(node) if slash else None
