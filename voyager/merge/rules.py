"""What merging samples asks of the merged vocabulary, and of the masks in the store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from voyager.errors import InvalidDataError
from voyager.schema import Label
from voyager.schema.geometry import Geometry, Mask
from voyager.schema.rle import Load
from voyager.schema.taxonomy import NodeId
from voyager.schema.vocabulary import Vocabulary


class Rules:
    """The vocabulary as merges of labels see it; `load` reads counts of masks from blobs."""

    def __init__(self, vocabulary: Vocabulary, load: Load | None = None) -> None:
        self.vocabulary = vocabulary
        self.load = load

    @cached_property
    def many(self) -> frozenset[str]:
        """The tasks of which one source may give several answers."""
        return frozenset(name for name, task in self.vocabulary.tasks.items() if task.many)

    def is_broken(self, shape: Geometry) -> bool:
        """Whether a mask's counts say no mask: it is like nothing but itself."""
        if not isinstance(shape, Mask):
            return False
        from voyager.schema.rle import runs_of

        try:
            runs_of(shape, self.load)
        except InvalidDataError:
            return True
        return False

    def deepest(self, task: str, nodes: Sequence[NodeId], above: NodeId | None) -> NodeId | None:
        """The node that all others, and `above`, lie on the way to; None where they part."""
        taxonomy = self.vocabulary.taxonomy_of(task)
        if taxonomy is None:
            return None
        for node in nodes:
            way = [node, *taxonomy.above(node)]
            # Who went up from the base meant it: only going down refines.
            refined = way if above is None else way[: way.index(above)] if above in way else []
            if set(nodes) <= set(refined):
                return node
        return None

    def covers(self, task: str, node: NodeId | None, label: Label) -> bool:
        """Whether a label is of what coverage of a task (or of one node of it) speaks of."""
        if label.task != task:
            return False
        if node is None or label.node is None or label.node == node:
            return node is None or label.node == node
        taxonomy = self.vocabulary.taxonomy_of(task)
        return taxonomy is not None and node in taxonomy.above(label.node)
