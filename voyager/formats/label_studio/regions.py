"""Results of one annotation or prediction as regions and labels of an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from blake3 import blake3

from voyager.formats.attributes import JOINT, is_scalar, storable
from voyager.formats.base import NEW_ID
from voyager.formats.label_studio.answers import (
    Answers,
    Survey,
    class_words,
    extra_of,
    is_shape,
    kind_of,
)
from voyager.formats.label_studio.config import Config
from voyager.formats.label_studio.shapes import (
    GEOMETRY_FIELDS,
    BadShapeError,
    NotFiniteError,
    Size,
    read_shape,
)
from voyager.formats.label_studio.tasks import Json, TaskFile, Voice
from voyager.formats.reading import Reading
from voyager.schema import Box, Keypoints, Label, Link, Mask, Points, Region
from voyager.schema.geometry import Geometry
from voyager.schema.ids import ID_BYTES
from voyager.schema.sample import MetaValue
from voyager.schema.task import Skeleton
from voyager.schema.values import BadValueError

_RESULT_FIELDS = frozenset(
    {
        *("id", "type", "value", "origin", "to_name", "from_name", "image_rotation", "score"),
        *(
            "original_width",
            "original_height",
            "parentID",
            "source",
            "readonly",
            "hidden",
            "locked",
        ),
        *("item_index", "from_id", "to_id", "direction", "labels", "is_audio", "meta"),
    }
)


class Interpreter:
    """Makes regions and labels of results, for all tasks of a file."""

    def __init__(self, reading: Reading, file: TaskFile, survey: Survey) -> None:
        self.reading = reading
        self.file = file
        self.config: Config = file.config
        self.survey = survey
        self.answers = Answers(reading, file, survey)
        self._define_classes()
        self._points = self._define_points()

    def _define_classes(self) -> None:
        drawn = [control for control in self.config.controls.values() if control.draws]
        if self.survey.draws or drawn:
            self.reading.define(scope="region")
        points = set(self.survey.points) | set(self.config.points)
        for control in drawn:
            for name, said in control.classes.items():
                if name.strip() and not (control.kind == "keypointlabels" and name in points):
                    self.reading.category(name, extra=extra_of(said))

    def _define_points(self) -> tuple[str, ...]:
        """The names of the task's skeleton, made of the points that belong to shapes."""
        if not self.survey.points:
            return ()
        names = list(dict.fromkeys([*self.config.points, *self.survey.points]))
        task = self.reading.draft.tasks[self.reading.task]
        if task.skeleton is None:
            task = task.replace(skeleton=Skeleton(names=tuple(names)))
            self.reading.draft.put_task(self.reading.task, task)
        assert task.skeleton is not None
        return task.skeleton.names

    # -- one voice -------------------------------------------------------------------------------

    def interpret(self, voice: Voice, size: Size | None) -> tuple[list[Region], list[Label]]:
        """The regions and image labels of an annotation or prediction."""
        groups = self._groups(voice)
        ids = self._linked(voice)
        regions, labels = [], []
        points, rest = self._point_groups(groups)
        for name, results in rest.items():
            if any(map(is_shape, results)):
                region = self._region(voice, results, points.pop(name, []), size)
                regions.append(region.replace(id=ids.get(name, NEW_ID)))
            elif name in points:
                region = self._loose_points(voice, points.pop(name), size, results)
                regions.append(region.replace(id=ids.get(name, NEW_ID)))
            else:
                for result in results:
                    labels += self.answers.labels_of(voice, result, "image")
        for name, members in points.items():
            region = self._loose_points(voice, members, size, ())
            regions.append(region.replace(id=ids.get(name, NEW_ID)))
        return self._with_links(voice, regions, groups, ids), labels

    def _groups(self, voice: Voice) -> dict[str, list[Json]]:
        """Results by id: a shape and what is said of it share one."""
        groups: dict[str, list[Json]] = {}
        for number, value in enumerate(voice.results):
            place = f"{voice.place}[{number}]"
            result = self.file.expect(value, dict, place)
            if result.get("type") == "relation":
                continue
            name = result.get("id")
            if name is not None and not isinstance(name, (str, int)):
                raise self.file.bad(f"{place}.id: expected text")
            self.file.expect(result.get("value"), dict, f"{place}.value")
            groups.setdefault(f"#{number}" if name is None else str(name), []).append(
                {**result, "~place": place}
            )
        return groups

    def _point_groups(
        self, groups: dict[str, list[Json]]
    ) -> tuple[dict[str, list[Json]], dict[str, list[Json]]]:
        """(points by the shape they belong to, the other groups)."""
        points: dict[str, list[Json]] = {}
        rest: dict[str, list[Json]] = {}
        for name, results in groups.items():
            first = results[0]
            parent = first.get("parentID")
            if kind_of(first) == "keypoint" and isinstance(parent, str) and len(results) == 1:
                points.setdefault(parent, []).append(first)
            else:
                rest[name] = results
        return points, rest

    def _region(
        self, voice: Voice, results: list[Json], points: list[Json], size: Size | None
    ) -> Region:
        shape = next(filter(is_shape, results))
        extra = self._extra(shape)
        found: dict[str, Geometry] = {}
        geometry = self._geometry(shape, size, extra)
        if geometry is not None:
            found[geometry.name] = geometry
        if points and geometry is not None and size is not None:
            found["keypoints"] = self._keypoints(points, size)
        labels = [self.answers.class_label(voice, word) for word in class_words(shape)]
        attrs: dict[str, MetaValue] = {}
        flags: list[str] = []
        for result in results:
            if result is not shape:
                labels += self.answers.beside(voice, result, attrs, flags)
        self.answers.note_many(labels)
        fields = self.answers.said(voice)
        return self.reading.region(
            found,
            labels,
            origin=self._origin(voice, shape),
            primary=None if geometry is None else geometry.name,
            attrs=attrs,
            flags=flags,
            score=self._score(shape, voice),
            extra=extra,
            **fields,
        )

    def _loose_points(
        self, voice: Voice, results: list[Json], size: Size | None, beside: Iterable[Json]
    ) -> Region:
        """Several points that belong together and to no shape."""
        first = results[0]
        extra = self._extra(first)
        flat: list[float] = []
        for result in results:
            point = self._geometry(result, size, extra)
            flat += point.points if isinstance(point, Points) else ()
        labels = [self.answers.class_label(voice, word) for word in class_words(first)]
        attrs: dict[str, MetaValue] = {}
        flags: list[str] = []
        for result in beside:
            labels += self.answers.beside(voice, result, attrs, flags)
        self.answers.note_many(labels)
        geometry = Points(tuple(flat)) if len(flat) == 2 * len(results) else None
        return self.reading.region(
            geometry,
            labels,
            attrs=attrs,
            flags=flags,
            origin=self._origin(voice, first),
            score=self._score(first, voice),
            extra=extra,
            **self.answers.said(voice),
        )

    def _origin(self, voice: Voice, result: Json) -> Any:
        name = result.get("id")
        return self.reading.origin(
            name if isinstance(name, (str, int)) else None,
            annotator=voice.annotator,
            time=voice.time,
        )

    def _score(self, result: Json, voice: Voice) -> float | None:
        score: Any = result.get("score")
        if isinstance(score, bool) or not isinstance(score, (int, float)):
            return voice.score
        return float(score) if is_scalar(score) else None

    def _extra(self, result: Json) -> Json:
        """What a shape has beyond what is read, under its own names."""
        value = result["value"]
        known = GEOMETRY_FIELDS | {str(result.get("type", "")).lower()}
        extra = {name: item for name, item in value.items() if name not in known}
        extra |= {
            name: item
            for name, item in result.items()
            if name not in _RESULT_FIELDS and name != "~place"
        }
        if result.get("meta"):
            extra["meta"] = result["meta"]
        if kind_of(result) == "keypoint":
            extra["width"] = value.get("width")
        if result.get("image_rotation"):
            extra["image_rotation"] = result["image_rotation"]
            kind = "shapes drawn on a turned image are taken as of the stored one"
            self.reading.report.add("guessed", kind, self.answers.place_of(result))
        for name in sorted(extra):
            if name != "width":
                self.reading.report.add(
                    "extra", f"{name} was kept in extra", self.answers.place_of(result)
                )
        return {name: storable(item) for name, item in extra.items() if item is not None}

    # -- shapes ----------------------------------------------------------------------------------

    def _geometry(self, result: Json, size: Size | None, extra: Json) -> Geometry | None:
        place, kind, value = result["~place"], kind_of(result), result["value"]
        if size is None:
            self._keep_source(result, extra, "a shape in percent of an image of unknown size")
            return None
        try:
            geometry, soft = read_shape(kind, value, size)
        except NotFiniteError:
            self._keep_source(result, extra, "a geometry is not made of finite numbers")
            return None
        except (BadShapeError, BadValueError) as error:
            raise self.file.bad(f"{place}.value.{error}") from None
        if soft:
            kind = "soft edges of a brush were cut at half"
            self.reading.report.add("approximated", kind, self.answers.place_of(result))
        if isinstance(geometry, Box) and (geometry.x1 <= geometry.x0 or geometry.y1 <= geometry.y0):
            kind = "a box has no area and was kept"
            self.reading.report.add("extra", kind, self.answers.place_of(result))
        if isinstance(geometry, Mask):
            assert isinstance(geometry.counts, bytes)
            return self.reading.mask(geometry.height, geometry.width, geometry.counts)
        return geometry

    def _keep_source(self, result: Json, extra: Json, kind: str) -> None:
        value = result["value"]
        known = sorted(GEOMETRY_FIELDS & value.keys())
        extra["source_geometry"] = " ".join(f"{name}={value[name]}" for name in known)
        self.reading.report.add("lost", kind, self.answers.place_of(result))

    def _keypoints(self, points: list[Json], size: Size) -> Keypoints:
        flat, seen = [0.0] * (2 * len(self._points)), [0] * len(self._points)
        for result in points:
            geometry = self._geometry(result, size, {})
            words = class_words(result)
            at = self._points.index(words[0]) if words and words[0] in self._points else None
            if not isinstance(geometry, Points) or at is None or seen[at]:
                kind = "a point of a shape has no place in the skeleton"
                self.reading.report.add("lost", kind, self.answers.place_of(result))
                continue
            flat[2 * at : 2 * at + 2] = geometry.points
            seen[at] = 2
        return Keypoints(tuple(flat), tuple(seen))  # type: ignore[arg-type]

    # -- relations -------------------------------------------------------------------------------

    def _linked(self, voice: Voice) -> dict[str, bytes]:
        """Ids for the shapes that relations speak of: the same in every import of this file."""
        named = [
            str(result[end])
            for result in voice.results
            if isinstance(result, dict) and result.get("type") == "relation"
            for end in ("from_id", "to_id")
            if isinstance(result.get(end), (str, int))
        ]
        mark = f"label-studio{JOINT}{voice.place}{JOINT}"
        return {name: blake3((mark + name).encode()).digest(ID_BYTES) for name in named}

    def _with_links(
        self,
        voice: Voice,
        regions: list[Region],
        groups: Mapping[str, list[Json]],
        ids: Mapping[str, bytes],
    ) -> list[Region]:
        """The regions with the relations between them; NEW_ID stands for the sample itself."""
        if not ids:
            return regions
        there = {region.id for region in regions}
        links: dict[bytes, list[Link]] = {}
        for result in voice.results:
            if not isinstance(result, dict) or result.get("type") != "relation":
                continue
            ends = [ids.get(str(result.get(end))) for end in ("from_id", "to_id")]
            if None in ends or not set(ends) <= there or ends[0] == ends[1]:
                self.reading.report.add("lost", "a relation of what is no region", self.file.shown)
                continue
            words = result.get("labels")
            kind = words[0] if isinstance(words, list) and words else "relation"
            way = result.get("direction")
            for start, end in ((ends[0], ends[1]), (ends[1], ends[0])):
                forward = start == ends[0]
                if way == "bi" or (way == "left") != forward:
                    assert start is not None
                    assert end is not None
                    link = Link(uid=NEW_ID, region=end, kind=str(kind))
                    links.setdefault(start, []).append(link)
        return [region.replace(links=links.get(region.id, ())) for region in regions]
