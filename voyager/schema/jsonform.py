"""The JSON of a sample, as `show`, `ls`, `edit` and the jsonl format have it.

Every map of a row has a form: its fields in the order of the JSON, and for each how it is written
and read. Ids are hex; taxonomy nodes are paths where a resolver knows them, else hex. Fields at
their default are left out, except those that scripts lean on. Reading raises InvalidDataError that
begins with the JSON path of the fault.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from voyager.errors import InvalidDataError, VoyagerError
from voyager.schema.codec import check_sample
from voyager.schema.ids import ID_BYTES, image_anchor, mint_region_id, sample_uid
from voyager.schema.jsonvalues import (
    Json,
    read_blob,
    read_free,
    read_geometry,
    read_hex,
    read_list,
    read_object,
    write_blob,
    write_free,
    write_geometry,
)
from voyager.schema.sample import (
    Asset,
    Group,
    Held,
    Image,
    Label,
    Link,
    Origin,
    Region,
    Sample,
    coverage_key,
    parse_coverage_key,
)
from voyager.schema.values import Frozen, Unknown

Resolve: TypeAlias = Callable[[str, bytes], str | None]
"""(task, node id) → path of the node, None for a node it does not know."""

Find: TypeAlias = Callable[[str, str], bytes | None]
"""(task, path, alias or id) → node id, None where the text is a plain value."""

_T = TypeVar("_T", bound=Frozen)

_NEW = bytes(ID_BYTES)  # the id of a sample or region that has none yet


def sample_to_json(key: str, sample: Sample, resolve: Resolve | None = None) -> dict[str, Json]:
    """The JSON object of the sample at `key`."""
    return {"key": key, **_SAMPLE.write(sample, _Names(resolve=resolve))}


def sample_from_json(value: Json, find: Find | None = None) -> tuple[str, Sample]:
    """The key and the sample of a JSON object; a uid or region id that is missing is minted."""
    fields = read_object(value, "")
    fields.pop("conflicted", None)  # said of a version, not of a row
    key = fields.pop("key", None)
    if not isinstance(key, str) or not key:
        raise InvalidDataError("key: expected text")
    sample = _SAMPLE.read({"uid": _NEW.hex(), "image": {}, **fields}, "", _Names(find=find))
    return key, check_sample(_with_ids(key, sample))


def part_to_json(part: Frozen, resolve: Resolve | None = None) -> Json:
    """The JSON object of a part of a sample: a label, region, image, group, asset or held."""
    return _PART_FORMS[type(part)].write(part, _Names(resolve=resolve))


def part_from_json(kind: type[_T], value: Json, find: Find | None = None) -> _T:
    """The part of a sample of such an object."""
    found: _T = _PART_FORMS[kind].read(value, "", _Names(find=find))
    return found


def _with_ids(key: str, sample: Sample) -> Sample:
    anchor = image_anchor(sample.image, key)
    taken = {region.id for region in sample.regions}
    regions = list(sample.regions)
    for position, region in enumerate(regions):
        if region.id == _NEW:
            regions[position] = region.replace(id=mint_region_id(anchor, region, taken))
            taken.add(regions[position].id)
    uid = sample_uid(anchor, key) if sample.uid == _NEW else sample.uid
    return sample.replace(uid=uid, regions=tuple(regions))


class _Names(NamedTuple):
    """How taxonomy nodes are written and read."""

    resolve: Resolve | None = None
    find: Find | None = None

    def write(self, task: str, node: bytes) -> str | None:
        """The path of a node, None where nobody knows it."""
        return self.resolve(task, node) if self.resolve else None

    def read(self, task: str, text: Json, path: str) -> bytes | None:
        """The node of a path, alias or id; None where the text is a plain value."""
        try:
            return self.find(task, text) if self.find and isinstance(text, str) else None
        except VoyagerError as error:
            raise InvalidDataError(f"{path}: {error.message}") from None

    def read_node(self, task: str, text: Json, path: str) -> bytes:
        """The node of a path, alias or id, or of its hex."""
        return self.read(task, text, path) or read_hex(text, ID_BYTES, path)


class _Item(NamedTuple):
    """How one field is written, and read at a path."""

    write: Callable[[Any, _Names], Json]
    read: Callable[[Json, str, _Names], Any]


class _Form(Generic[_T]):
    """The JSON of one struct; fields in `always` are written even at their default."""

    def __init__(self, struct: type[_T], /, always: str = "", **items: _Item) -> None:
        self.struct = struct
        self.always = frozenset(always.split())
        self.items = {name.rstrip("_"): (name, item) for name, item in items.items()}
        fields, defaults = struct.__struct_fields__, struct.__struct_defaults__
        self.defaults = dict(zip(fields[-len(defaults) :], defaults, strict=True))

    def write(self, value: _T, names: _Names) -> dict[str, Json]:
        """The JSON object of a struct."""
        written: dict[str, Json] = {}
        for name, (attribute, item) in self.items.items():
            part = getattr(value, attribute)
            if name in self.always or part is not self.defaults.get(attribute):
                written[name] = None if part is None else item.write(part, names)
        return written

    def read(self, value: Json, path: str, names: _Names) -> _T:
        """The struct of a JSON object."""
        parts: dict[str, Any] = {}
        for name, item in read_object(value, path).items():
            place = f"{path}.{name}" if path else name
            if name not in self.items:
                raise InvalidDataError(f"{place}: there is no such field")
            if item is not None:
                attribute, form = self.items[name]
                parts[attribute] = form.read(item, place, names)
        try:
            return self.struct(**parts)
        except (TypeError, InvalidDataError) as error:
            raise InvalidDataError(f"{path}: {error}" if path else str(error)) from None

    @property
    def item(self) -> _Item:
        """One such struct as a field."""
        return _Item(self.write, self.read)


class _ImageForm(_Form[Image]):
    """An image says its `state` instead of `purged`."""

    def write(self, value: Image, names: _Names) -> dict[str, Json]:
        return {**super().write(value, names), "state": value.state}

    def read(self, value: Json, path: str, names: _Names) -> Image:
        fields = read_object(value, path)
        state = fields.pop("state", None)
        image = super().read(fields, path, names)
        if state == "purged":
            image = image.replace(purged=True)
        if state not in (None, image.state):
            raise InvalidDataError(f"{path}.state: expected {image.state} for such an image")
        return image


class _LabelForm(_Form[Label]):
    """A label's `value` is its node's path where that is known, else it has a `node` in hex."""

    def write(self, value: Label, names: _Names) -> dict[str, Json]:
        written = super().write(value, names)
        path = names.write(value.task, value.node) if value.node is not None else None
        if path is None:
            return written
        named = {"task": value.task, "value": path}
        return named | {
            name: item for name, item in written.items() if name not in ("node", "task")
        }

    def read(self, value: Json, path: str, names: _Names) -> Label:
        fields = read_object(value, path)
        node = names.read(str(fields.get("task")), fields.get("value"), f"{path}.value")
        if node is not None:
            del fields["value"]
            fields["node"] = node.hex()
        return super().read(fields, path, names)


class _RegionForm(_Form[Region]):
    """A region without an `id` is a new one."""

    def read(self, value: Json, path: str, names: _Names) -> Region:
        return super().read({"id": _NEW.hex(), **read_object(value, path)}, path, names)


def _many(item: _Item) -> _Item:
    """A list of such fields."""

    def write(values: tuple[Any, ...], names: _Names) -> Json:
        return [item.write(value, names) for value in values]

    def read(values: Json, path: str, names: _Names) -> Any:
        listed = read_list(values, path)
        return tuple(item.read(value, f"{path}[{n}]", names) for n, value in enumerate(listed))

    return _Item(write, read)


def _each(item: _Item) -> _Item:
    """A map from names to such fields."""

    def write(values: dict[str, Any], names: _Names) -> Json:
        return {name: item.write(value, names) for name, value in values.items()}

    def read(values: Json, path: str, names: _Names) -> Any:
        mapped = read_object(values, path)
        return {name: item.read(value, f"{path}.{name}", names) for name, value in mapped.items()}

    return _Item(write, read)


def _write_negatives(negatives: dict[str, tuple[bytes, ...]], names: _Names) -> Json:
    return {
        task: [names.write(task, node) or node.hex() for node in nodes]
        for task, nodes in negatives.items()
    }


def _read_negatives(value: Json, path: str, names: _Names) -> dict[str, tuple[bytes, ...]]:
    return {
        task: tuple(
            names.read_node(task, text, f"{path}.{task}[{n}]")
            for n, text in enumerate(read_list(texts, f"{path}.{task}"))
        )
        for task, texts in read_object(value, path).items()
    }


def _write_coverage(coverage: dict[str, str], names: _Names) -> Json:
    written = {}
    for key, level in coverage.items():
        task, node = parse_coverage_key(key)
        known = names.write(task, node) if node is not None else None
        written[key if known is None else f"{task}:{known}"] = level
    return written


def _read_coverage(value: Json, path: str, names: _Names) -> dict[str, str]:
    coverage = {}
    for key, level in read_object(value, path).items():
        task, colon, text = key.partition(":")
        node = names.read_node(task, text, f"{path}.{key}") if colon else None
        coverage[coverage_key(task, node)] = level
    return coverage


_PLAIN = _Item(lambda value, _: value, lambda value, *_: value)
_ID = _Item(lambda value, _: value.hex(), lambda value, path, _: read_hex(value, ID_BYTES, path))
_BLOB = _Item(lambda value, _: write_blob(value), lambda value, path, _: read_blob(value, path))
_FREE = _Item(lambda value, _: write_free(value), lambda value, path, _: read_free(value, path))
_UNKNOWN = _Item(
    lambda value, _: write_free(value.value),
    lambda value, path, _: Unknown(read_free(read_object(value, path), path)),
)
_SHAPE = _Item(
    lambda value, _: write_geometry(value), lambda value, path, _: read_geometry(value, path)
)

_ORIGIN = _Form(
    Origin, import_=_PLAIN, id=_PLAIN, annotator=_PLAIN, time=_PLAIN, unknown=_UNKNOWN
).item

_LABEL = _LabelForm(
    Label,
    always="source state",
    task=_PLAIN,
    node=_ID,
    value=_PLAIN,
    source=_PLAIN,
    score=_PLAIN,
    state=_PLAIN,
    ordinal=_PLAIN,
    language=_PLAIN,
    origin=_ORIGIN,
    unknown=_UNKNOWN,
).item

_LINK = _Form(Link, uid=_ID, region=_ID, kind=_PLAIN, unknown=_UNKNOWN).item

_REGION = _RegionForm(
    Region,
    always="labels source state",
    id=_ID,
    primary=_PLAIN,
    geometries=_each(_SHAPE),
    labels=_many(_LABEL),
    flags=_many(_PLAIN),
    attrs=_PLAIN,
    links=_many(_LINK),
    track=_PLAIN,
    frame_state=_PLAIN,
    source=_PLAIN,
    score=_PLAIN,
    state=_PLAIN,
    origin=_ORIGIN,
    extra=_FREE,
    unknown=_UNKNOWN,
).item

_IMAGE = _ImageForm(
    Image,
    always="orientation",
    blob=_BLOB,
    type=_PLAIN,
    bytes=_PLAIN,
    width=_PLAIN,
    height=_PLAIN,
    orientation=_PLAIN,
    hash=_PLAIN,
    uri=_PLAIN,
    unknown=_UNKNOWN,
).item

_GROUP = _Form(Group, id=_PLAIN, view=_PLAIN, index=_PLAIN, time=_PLAIN, unknown=_UNKNOWN).item
_ASSET = _Form(Asset, blob=_BLOB, bytes=_PLAIN, type=_PLAIN, role=_PLAIN, unknown=_UNKNOWN).item
_HELD = _Form(Held, uid=_ID, kind=_PLAIN, distance=_PLAIN, method=_PLAIN, unknown=_UNKNOWN).item


_PART_FORMS: dict[type, _Item] = {
    Label: _LABEL,
    Region: _REGION,
    Image: _IMAGE,
    Group: _GROUP,
    Asset: _ASSET,
    Held: _HELD,
    Link: _LINK,
}

_SAMPLE = _Form(
    Sample,
    always="split labels regions",
    uid=_ID,
    split=_PLAIN,
    image=_IMAGE,
    labels=_many(_LABEL),
    regions=_many(_REGION),
    negatives=_Item(_write_negatives, _read_negatives),
    coverage=_Item(_write_coverage, _read_coverage),
    meta=_PLAIN,
    group=_GROUP,
    assets=_each(_ASSET),
    origin=_ORIGIN,
    extra=_FREE,
    held=_HELD,
    unknown=_UNKNOWN,
)
