"""Every value that the schema can hold, for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from voyager import wire
from voyager.schema import (
    FLAGS,
    GEOMETRIES,
    Asset,
    Box,
    Cuboid,
    Ellipse,
    FileRow,
    Group,
    Held,
    Image,
    Keypoints,
    Label,
    Link,
    Mask,
    Origin,
    Points,
    Polygon,
    Polyline,
    Region,
    RotatedBox,
    Sample,
    Unknown,
    UnknownGeometry,
    coverage_key,
)

words = st.text(min_size=1, max_size=8)
tasks = st.sampled_from(["objects", "scene", "caption", "größe"])
numbers = st.floats(allow_nan=False, allow_infinity=False)
ids = st.binary(min_size=16, max_size=16)
blobs = st.binary(min_size=32, max_size=32).map(wire.blob_ref)
sides = st.integers(1, 2**40)
scores = st.none() | numbers
states = st.sampled_from(["proposed", "accepted", "verified", "rejected"])
sources = st.sampled_from(["human", "import", "model"]).flatmap(
    lambda kind: st.just(kind) | words.map(lambda name: f"{kind}:{name}")
)

scalars = st.booleans() | st.integers(-(2**63), 2**64 - 1) | numbers | st.text(max_size=8)
metas = st.dictionaries(words, scalars | st.lists(scalars, max_size=3), max_size=3)
leaves = (
    st.none()
    | scalars
    | st.binary(max_size=8)
    | blobs
    | st.binary(min_size=32, max_size=32).map(wire.object_ref)
)
names = words | st.sampled_from(["$bytes", "$ext", "$$bytes", "$", "~"])
plain = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
extras = st.dictionaries(words, plain, max_size=2)
# Every known field has a name of one letter, so longer ones are those of a newer spec.
unknown_fields = st.dictionaries(st.text(min_size=2, max_size=6), plain, min_size=1, max_size=2)
unknowns = st.none() | unknown_fields.map(Unknown)

flat = st.lists(numbers, max_size=4).map(lambda half: half + half[::-1])
boxes = st.builds(Box, numbers, numbers, numbers, numbers)
geometries_by_tag: dict[int, st.SearchStrategy[Any]] = {
    1: boxes,
    2: st.builds(RotatedBox, *[numbers] * 5),
    3: st.builds(Polygon, st.lists(st.lists(flat, max_size=3), max_size=3)),
    4: st.builds(Polyline, flat),
    5: st.builds(Points, flat),
    6: st.lists(st.tuples(numbers, numbers, st.sampled_from([0, 1, 2])), max_size=4).map(
        lambda points: Keypoints(
            [number for point in points for number in point[:2]], [point[2] for point in points]
        )
    ),
    7: st.builds(
        Mask, sides, sides, st.text("0123456789:;<=>?@abcno", max_size=9).map(str.encode) | blobs
    ),
    8: st.builds(Ellipse, *[numbers] * 5),
    9: st.builds(Cuboid, st.lists(numbers, min_size=16, max_size=16)),
}
unknown_tags = st.integers(-(2**63), 2**64 - 1).filter(lambda tag: tag and tag not in GEOMETRIES)
unknown_geometries = st.builds(
    lambda tag, body: UnknownGeometry(Unknown([tag, *body])),
    unknown_tags,
    st.lists(plain, max_size=3),
)
known_geometries = st.one_of(*geometries_by_tag.values())
geometries = known_geometries | unknown_geometries

origins = st.none() | st.builds(
    Origin,
    import_=st.none() | words,
    id=st.none() | words | st.integers(-(2**63), 2**63 - 1),
    annotator=st.none() | words,
    time=st.none() | words,
    unknown=unknowns,
)
voices: dict[str, Any] = {
    "source": sources,
    "score": scores,
    "state": states,
    "origin": origins,
    "unknown": unknowns,
}
node_labels = st.builds(Label, task=tasks, node=ids, **voices)
value_labels = st.builds(
    Label,
    task=tasks,
    value=st.text(max_size=8) | numbers | st.booleans(),
    ordinal=st.none() | st.integers(0, 9),
    language=st.none() | words,
    **voices,
)
labels = node_labels | value_labels
links = st.builds(Link, uid=ids, region=ids, kind=words, unknown=unknowns)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    shapes = draw(st.dictionaries(words, geometries, max_size=3))
    return Region(
        id=draw(ids.filter(any)),
        geometries=shapes,
        primary=draw(st.sampled_from(sorted(shapes))) if shapes else None,
        labels=draw(st.lists(labels, max_size=2)),
        flags=draw(st.lists(st.sampled_from(FLAGS) | words, max_size=3)),
        attrs=draw(metas),
        links=draw(st.lists(links, max_size=2)),
        track=draw(st.none() | words),
        frame_state=draw(st.sampled_from([None, "keyframe", "interpolated", "outside"])),
        extra=draw(extras),
        **{name: draw(voice) for name, voice in voices.items()},
    )


@st.composite
def images(draw: st.DrawFn) -> Image:
    blob = draw(st.none() | blobs)
    return Image(
        blob=blob,
        purged=blob is None and draw(st.booleans()),
        hash=draw(st.none() | words),
        uri=draw(st.none() | words),
        bytes=draw(st.none() | st.integers(0, 2**63)),
        type=draw(st.none() | words),
        width=draw(st.none() | sides),
        height=draw(st.none() | sides),
        orientation=draw(st.integers(1, 8)),
        unknown=draw(unknowns),
    )


samples = st.builds(
    Sample,
    uid=ids.filter(any),
    image=images(),
    split=st.none() | words,
    labels=st.lists(labels, max_size=2),
    regions=st.lists(regions(), max_size=2),
    negatives=st.dictionaries(tasks, st.lists(ids, max_size=3), max_size=2),
    coverage=st.dictionaries(
        st.builds(coverage_key, tasks, st.none() | ids),
        st.sampled_from(["partial", "exhaustive"]),
        max_size=3,
    ),
    meta=metas,
    group=st.none()
    | st.builds(
        Group,
        id=words,
        view=st.none() | words,
        index=st.none() | st.integers(-9, 9),
        time=scores,
        unknown=unknowns,
    ),
    assets=st.dictionaries(
        words,
        st.builds(
            Asset,
            blob=blobs,
            bytes=st.integers(0, 2**63),
            type=st.none() | words,
            role=st.none() | words,
            unknown=unknowns,
        ),
        max_size=2,
    ),
    origin=origins,
    held=st.none()
    | st.builds(Held, uid=ids, kind=words, distance=numbers, method=words, unknown=unknowns),
    extra=extras,
    unknown=unknowns,
)

files = st.builds(
    FileRow, blob=blobs, bytes=st.integers(0, 2**63), executable=st.booleans(), unknown=unknowns
)
