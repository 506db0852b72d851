"""The columns of every table: name, SQL type, what it holds, and where its values come from.

docs/tables.md is written from here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from voyager.repo.table_rows import AnswerRows, LabelRows, LinkRows, RegionRows, SampleRows
from voyager.schema.encoded_geometry import AREA, X0, X1, Y0, Y1

TEXT, NUMBER, INTEGER, TRUTH = "VARCHAR", "DOUBLE", "BIGINT", "BOOLEAN"
TEXTS, COUNTS = "VARCHAR[]", "INTEGER[]"

CLASSES, IMAGE_CLASSES, REGION_CLASSES = "__classes", "__image_classes", "__region_classes"
"""Hidden columns that `has(…)` looks into: the numbers of classes and of all above them."""

OF_IMAGE, OF_REGIONS = "image_classes", "region_classes"

ASKED = {
    "has": ("classes", CLASSES),
    "has_image": (OF_IMAGE, IMAGE_CLASSES),
    "has_region": (OF_REGIONS, REGION_CLASSES),
}
"""What asks for a class: function → the columns of paths and of numbers that it looks into."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `take` gives the values of some rows, `needs` are the fields it reads."""

    name: str
    type: str
    about: str
    take: Callable[[Any], Any]
    needs: tuple[str, ...] = ()

    @property
    def is_hidden(self) -> bool:
        return self.name.startswith("__")


def _of_sample(name: str, type_: str, about: str, field: str) -> Column:
    """A plain field of the sample."""
    return Column(
        name, type_, about, lambda rows: [getattr(s, field) for s in rows.samples], (field,)
    )


def _of_image(name: str, type_: str, about: str) -> Column:
    return Column(
        name,
        type_,
        about,
        lambda rows: [getattr(s.image, name) for s in rows.samples],
        (f"image.{name}",),
    )


def _numbers(rows: SampleRows | RegionRows) -> Any:
    return rows.spread(lambda said: [one.numbers for one in said], COUNTS)


def _of_group(field: str, type_: str, about: str) -> Column:
    def take(rows: SampleRows) -> list[Any]:
        return [None if s.group is None else getattr(s.group, field) for s in rows.samples]

    return Column(f"group_{field}", type_, about, take, (f"group.{field}",))


_IMAGE_STATE = ("image.blob", "image.purged")
_BOTH_LABELS = ("labels", "regions.labels")

SAMPLES = (
    Column("key", TEXT, "the key", lambda rows: rows.keys),
    Column(
        "uid",
        TEXT,
        "the id that survives renames, in hex",
        lambda rows: [s.uid.hex() for s in rows.samples],
        ("uid",),
    ),
    _of_sample("split", TEXT, "train, val, test, …", "split"),
    Column("state", TEXT, "stored, pending or purged", SampleRows.states, _IMAGE_STATE),
    Column("blob", TEXT, "the id of the image's bytes, in hex", SampleRows.blobs, _IMAGE_STATE),
    _of_image("type", TEXT, "jpeg, png, …"),
    _of_image("width", INTEGER, "of the stored image, in pixels"),
    _of_image("height", INTEGER, "of the stored image, in pixels"),
    _of_image("bytes", INTEGER, "the size of the image file"),
    _of_image("orientation", INTEGER, "as in EXIF, 1 is upright"),
    _of_image("uri", TEXT, "where a pending image will come from"),
    _of_group("id", TEXT, "the sequence or multi-view group"),
    _of_group("view", TEXT, "the view within the group"),
    _of_group("index", INTEGER, "the place within the group"),
    _of_group("time", NUMBER, "the time within the group, in seconds"),
    Column(
        "held",
        TEXT,
        "why the guard holds the sample back: bytes, pixels, near, semantic",
        lambda rows: [None if s.held is None else s.held.kind for s in rows.samples],
        ("held.kind",),
    ),
    Column(
        "conflicted",
        TRUTH,
        "whether a merge left a conflict in it",
        SampleRows.conflicts,
    ),
    Column(
        "labels",
        INTEGER,
        "how many labels the image has",
        SampleRows.label_counts,
        ("labels",),
    ),
    Column(
        "regions",
        INTEGER,
        "how many regions there are",
        lambda rows: [len(s.regions) for s in rows.samples],
        ("regions.source",),
    ),
    Column(
        "classes",
        TEXTS,
        "the classes that are answers, of the image and of its regions",
        SampleRows.all_classes,
        _BOTH_LABELS,
    ),
    Column(
        OF_IMAGE,
        TEXTS,
        "the classes that are answers, of the image alone",
        lambda rows: rows.spread(lambda said: [one.classes for one in said], TEXTS),
        ("labels",),
    ),
    Column(
        OF_REGIONS,
        TEXTS,
        "the classes that are answers, of its regions alone",
        SampleRows.region_classes,
        ("regions.labels",),
    ),
    Column(
        "negatives",
        TEXTS,
        "the classes verified not to be there",
        SampleRows.negatives,
        ("negatives",),
    ),
    Column(
        "exhaustive",
        TEXTS,
        "what is labeled completely: tasks, and classes as TASK:PATH",
        SampleRows.exhaustive,
        ("coverage",),
    ),
    Column(
        CLASSES,
        COUNTS,
        "for has()",
        SampleRows.all_numbers,
        _BOTH_LABELS,
    ),
    Column(
        IMAGE_CLASSES,
        COUNTS,
        "for has_image()",
        _numbers,
        ("labels",),
    ),
    Column(
        REGION_CLASSES,
        COUNTS,
        "for has_region()",
        SampleRows.region_numbers,
        ("regions.labels",),
    ),
)


def _place(name: str, about: str, take: Callable[[Any], Any], *needs: str) -> Column:
    return Column(name, TEXT, about, lambda rows: [take(place) for place in rows.places], needs)


_KEY = _place("key", "the key of the sample", lambda place: place[0], "regions.id")
_UID = _place("uid", "the id of the sample, in hex", lambda place: place[1].uid.hex(), "uid")
_REGION = _place(
    "region",
    "the id of the region, in hex; null for what is said of the image",
    lambda place: None if place[2] is None else place[2].id.hex(),
    "regions.id",
)
_SHAPE = ("regions.primary", "regions.geometries")


def _of_region(name: str, type_: str, about: str) -> Column:
    return Column(
        name,
        type_,
        about,
        lambda rows: [getattr(region, name) for region in rows.regions],
        (f"regions.{name}",),
    )


def _measured(name: str, about: str, take: Callable[[Any], Any]) -> Column:
    return Column(name, NUMBER, about, lambda rows: take(rows.measures), _SHAPE)


REGIONS = (
    _KEY,
    _UID,
    Column(
        "region",
        TEXT,
        "the id of the region, in hex",
        lambda rows: [region.id.hex() for region in rows.regions],
        ("regions.id",),
    ),
    Column("n", INTEGER, "its number in the sample, from 1", RegionRows.numbers, ("regions.id",)),
    Column(
        "role",
        TEXT,
        "the role of the primary geometry: box, mask, …",
        lambda rows: rows.roles,
        _SHAPE,
    ),
    Column(
        "geometry",
        TEXT,
        "the kind of the primary geometry: box, polygon, mask, …",
        RegionRows.geometries,
        _SHAPE,
    ),
    Column("parts", INTEGER, "how many parts a polygon has", RegionRows.parts, _SHAPE),
    _measured("x0", "the left edge, in pixels of the stored image", lambda m: m[:, X0]),
    _measured("y0", "the top edge", lambda m: m[:, Y0]),
    _measured("x1", "the right edge", lambda m: m[:, X1]),
    _measured("y1", "the bottom edge", lambda m: m[:, Y1]),
    _measured("width", "x1 - x0", lambda m: m[:, X1] - m[:, X0]),
    _measured("height", "y1 - y0", lambda m: m[:, Y1] - m[:, Y0]),
    _measured("area", "the area covered, in square pixels", lambda m: m[:, AREA]),
    _of_region("flags", TEXTS, "crowd, ignore, difficult, truncated, occluded, …"),
    _of_region("source", TEXT, "whose region it is: human, import, model, or KIND:NAME"),
    _of_region("score", NUMBER, "how sure the source is"),
    _of_region("state", TEXT, "proposed, accepted, verified or rejected"),
    _of_region("track", TEXT, "the track through the frames of a sequence"),
    _of_region("frame_state", TEXT, "keyframe, interpolated or outside"),
    Column(
        "attrs",
        "MAP(VARCHAR, VARCHAR)",
        "attributes as text: attrs['color'] = 'red'",
        RegionRows.attrs,
        ("regions.attrs",),
    ),
    Column(
        "links",
        "STRUCT(kind VARCHAR, uid VARCHAR, region VARCHAR)[]",
        "the regions it is linked to",
        RegionRows.links,
        ("regions.links",),
    ),
    Column(
        "classes",
        TEXTS,
        "the classes that are answers",
        lambda rows: rows.spread(lambda said: [one.classes for one in said], TEXTS),
        ("regions.labels",),
    ),
    Column(
        CLASSES,
        COUNTS,
        "for has()",
        _numbers,
        ("regions.labels",),
    ),
)


def _of_label(name: str, type_: str, about: str, field: str = "") -> Column:
    return Column(
        name,
        type_,
        about,
        lambda rows: [getattr(label, field or name) for label in rows.labels],
        _BOTH_LABELS,
    )


_NODE = Column(
    "node",
    TEXT,
    "the id of the class, in hex",
    lambda rows: [None if label.node is None else label.node.hex() for label in rows.labels],
    _BOTH_LABELS,
)
_NUMBER = Column(
    "number",
    NUMBER,
    "the value where it is a number or a truth (0, 1)",
    lambda rows: [
        None if label.value is None or isinstance(label.value, str) else float(label.value)
        for label in rows.labels
    ],
    _BOTH_LABELS,
)


def _value(about: str) -> Column:
    return Column("value", TEXT, about, lambda rows: rows.values(), _BOTH_LABELS)


def _of_origin(field: str, about: str) -> Column:
    return Column(
        f"origin_{field.rstrip('_')}",
        TEXT,
        about,
        lambda rows: [
            None if item is None else str(item) for item in LabelRows.origins(rows, field)
        ],
        _BOTH_LABELS,
    )


def _part_of_source(name: str, about: str, part: int) -> Column:
    return Column(
        name,
        TEXT,
        about,
        lambda rows: [label.source.partition(":")[part] or None for label in rows.labels],
        _BOTH_LABELS,
    )


_OF_THING = (_KEY, _UID, _REGION)

LABELS = (
    *_OF_THING,
    _of_label("task", TEXT, "the task"),
    _value("the path of the class, or the value as text"),
    _NODE,
    _NUMBER,
    _of_label("source", TEXT, "whose voice it is: KIND or KIND:NAME"),
    _part_of_source("kind", "human, import or model", 0),
    _part_of_source("source_name", "who of that kind", 2),
    _of_label("score", NUMBER, "how sure the source is"),
    _of_label("state", TEXT, "proposed, accepted, verified or rejected"),
    _of_label("language", TEXT, "of a text"),
    _of_label("ordinal", INTEGER, "the place among several texts of one task"),
    _of_origin("import_", "the import that brought it"),
    _of_origin("id", "its id in the imported file"),
    _of_origin("annotator", "who made it, as the imported file says"),
    _of_origin("time", "when, as the imported file says"),
)

ANSWERS = (
    *_OF_THING,
    _of_label("task", TEXT, "the task"),
    _value("the path of the class, or the value as text"),
    _NODE,
    _NUMBER,
    Column(
        "disagree",
        TRUTH,
        "a tie between sources: a row for each side, and no answer",
        lambda rows: rows.disagree,
        _BOTH_LABELS,
    ),
)


def _of_link(name: str, about: str, take: Callable[[Any], Any]) -> Column:
    return Column(name, TEXT, about, lambda rows: [take(link) for link in rows.links])


LINKS = (
    _KEY,
    _UID,
    _place("region", "the id of the region, in hex", lambda place: place[2].id.hex(), "regions.id"),
    _of_link("kind", "what the link says", lambda link: link.kind),
    _of_link("to_uid", "the id of the sample it leads to, in hex", lambda link: link.uid.hex()),
    _of_link("to_region", "the id of the region there, in hex", lambda link: link.region.hex()),
)


def _of_node(name: str, type_: str, about: str, take: Callable[[Any], Any]) -> Column:
    return Column(name, type_, about, lambda rows: [take(row) for row in rows])


TAXONOMY = (
    _of_node("taxonomy", TEXT, "the taxonomy", lambda row: row.taxonomy),
    _of_node("path", TEXT, "the path; of a merged class that of what it became", lambda r: r.path),
    _of_node("node", TEXT, "the id, in hex", lambda row: row.id.hex()),
    _of_node("name", TEXT, "the last part of the path", lambda row: row.node.name),
    _of_node(
        "parent",
        TEXT,
        "the id of the class above, in hex",
        lambda row: None if row.node.parent is None else row.node.parent.hex(),
    ),
    _of_node("depth", INTEGER, "1 for a class below the root", lambda row: row.depth),
    _of_node("aliases", TEXTS, "other names", lambda row: list(row.node.aliases)),
    _of_node("order", INTEGER, "the place in exported lists of classes", lambda r: r.node.order),
    _of_node("dead", TRUTH, "deleted, or merged into another", lambda row: row.node.dead),
)


@dataclass(frozen=True, slots=True)
class Table:
    """The columns that a table has in every version, how samples become its rows, and the fields
    that takes."""

    columns: tuple[Column, ...]
    rows: Callable[[Any], Any]
    needs: tuple[str, ...]
    scope: str = ""
    """Of which tasks it has columns: those asked of images, or of regions."""


_IDS = ("uid", "regions.id")

TABLES: dict[str, Table] = {
    "samples": Table(SAMPLES, SampleRows, ("uid",), "image"),
    "regions": Table(REGIONS, RegionRows, _IDS, "region"),
    "labels": Table(LABELS, LabelRows, (*_IDS, *_BOTH_LABELS)),
    "answers": Table(ANSWERS, AnswerRows, (*_IDS, *_BOTH_LABELS)),
    "links": Table(LINKS, LinkRows, (*_IDS, "regions.links")),
    "taxonomy": Table(TAXONOMY, list, ()),
}
"""The tables; the columns of a version's tasks and of its meta come on top."""
