"""The categories of a COCO file as classes of a task, with what else the file says of them."""

from __future__ import annotations

from typing import Any, Final

from voyager.errors import InvalidDataError
from voyager.formats.reading import Reading
from voyager.schema.task import Skeleton
from voyager.schema.taxonomy import NodeId
from voyager.schema.values import BadValueError

COCO_ID: Final = "coco_id"
FILE: Final = "coco"
"""Name in the extra of a taxonomy's root: info, licences and tables of the file."""

_KNOWN: Final = frozenset({"id", "name", "keypoints", "skeleton"})


class Categories:
    """Category id → node; the nodes are made in the order of the file."""

    def __init__(self, rows: list[dict[str, Any]], reading: Reading, path: str) -> None:
        self.reading = reading
        self.path = path
        self._nodes: dict[int | str, NodeId] = {}
        for place, row in enumerate(rows):
            self._add(place, row)

    def _add(self, place: int, row: dict[str, Any]) -> None:
        number, name = row.get("id"), row.get("name")
        where = f"categories[{place}]"
        if isinstance(number, bool) or not isinstance(number, (int, str)):
            raise InvalidDataError(f"{where}.id: expected a number", path=self.path)
        if not isinstance(name, str) or not name.strip():
            raise InvalidDataError(f"{where}.name: expected text", path=self.path)
        if number in self._nodes:
            raise InvalidDataError(f"{where}.id: category {number} comes twice", path=self.path)
        extra: dict[str, Any] = {COCO_ID: number}
        extra.update((key, value) for key, value in row.items() if key not in _KNOWN)
        self._nodes[number] = self.reading.category(name.strip(), extra=extra)
        if row.get("keypoints"):
            self._define_skeleton(row, where)

    def _define_skeleton(self, row: dict[str, Any], where: str) -> None:
        """Let the task have the skeleton; COCO counts the ends of its edges from 1."""
        names, edges = row["keypoints"], row.get("skeleton") or []
        try:
            skeleton = Skeleton(
                names=tuple(map(str, names)),
                edges=tuple((int(a) - 1, int(b) - 1) for a, b in edges),
            )
        except (BadValueError, TypeError, ValueError) as error:
            raise InvalidDataError(f"{where}.skeleton: {error}", path=self.path) from None
        draft = self.reading.draft
        task = draft.define(self.reading.task, scope="region")
        if task.skeleton is None:
            draft.put_task(self.reading.task, task.replace(skeleton=skeleton))
        elif task.skeleton.names != skeleton.names:
            self.reading.report.add(
                "extra", "a skeleton differs from the one that the task has", f"{self.path} {where}"
            )

    def node(self, number: int | str | None, where: str) -> NodeId | None:
        """The node of a category id; InvalidDataError for one that the file does not list."""
        if number is None:
            return None
        found = self._nodes.get(number)
        if found is None:
            raise InvalidDataError(
                f"{where}.category_id: {number} is no category of the file", path=self.path
            )
        return found

    def take_known(self) -> None:
        """Use the classes that the repository has, by the ids they had in COCO files before."""
        taxonomy = self.reading.draft.taxonomy_of(self.reading.task)
        for node in taxonomy or ():
            assert taxonomy is not None
            number = taxonomy.nodes[node].extra.get(COCO_ID)
            if number is not None:
                self._nodes.setdefault(number, node)

    def note_tables(self, tables: dict[str, Any]) -> None:
        """Keep info, licences and unknown tables of the file with the taxonomy."""
        kept = {name: value for name, value in tables.items() if name != "categories"}
        if kept:
            self.reading.note_taxonomy(FILE, kept)
        for name in kept:
            if name not in ("info", "licenses"):
                self.reading.report.add(
                    "extra", f"a table '{name}' was kept with the classes", self.path
                )
