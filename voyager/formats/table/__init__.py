"""CSV, TSV and Parquet: columns by their names or a map of them, a row for each region or label."""

from __future__ import annotations

from voyager.errors import VoyagerError
from voyager.formats.base import Detection, Format, Holds, Source
from voyager.formats.table.columns import ROLES, columns_of
from voyager.formats.table.dialect import SUFFIXES, open_table
from voyager.formats.table.reading import read, table_names
from voyager.formats.table.writing import write
from voyager.schema import FLAGS
from voyager.schema.geometry import GEOMETRY_NAMES

_MOST_TRIED = 20

HOLDS = Holds(
    geometries=frozenset(GEOMETRY_NAMES),
    image_labels="many",
    region_labels="one",
    other_tasks=True,
    flags=frozenset(FLAGS),
    attrs=True,
    scores=True,
    tracks=True,
    meta=True,
    group=True,
    split=True,
    holes=True,
    parts=True,
)


def detect(source: Source) -> Detection | None:
    """A table, by the names of its columns."""
    for name in table_names(source)[:_MOST_TRIED]:
        if not name.lower().endswith(SUFFIXES):
            continue
        found = _layout(source, name)
        if found is not None:
            certainty = 0.55 if source.is_folder else 0.75
            return Detection(certainty, f"{name} has {found}")
    return None


def _layout(source: Source, name: str) -> str | None:
    """What a table that names images has, in words."""
    try:
        first = next(open_table(source.root / name, name, "").rows(), None)
        columns = None if first is None else columns_of(first[1], {})
    except (VoyagerError, OSError):
        return None
    if columns is None or not (columns.has_regions or "label" in columns.roles):
        return None
    names = [columns.names[place] for place in sorted(columns.roles.values())]
    return columns.layout or f"the columns {', '.join(names)}"


FORMAT = Format(
    name="table",
    title="CSV, TSV or Parquet",
    detect=detect,
    read=read,
    write=write,
    holds=HOLDS,
    one_file=True,
    settings={
        **{
            role: f"import: the column (name, or number from 1): {words}"
            for role, words in ROLES.items()
        },
        "meta": "import: columns that belong to images, with commas between",
        "attrs": "import: columns that belong to regions, with commas between",
        "units": "import: auto, pixels, normalized (0 to 1) or percent",
        "boxes": "import: numbers of a `box` column: xywh, xyxy or cxcywh",
        "separator": "import: what stands between several labels in one cell",
        "delimiter": "import: comma, semicolon, tab, pipe, space, or the character",
        "header": "import: yes, no or auto",
        "as": "export: csv, tsv or parquet (by default as the file name ends)",
    },
)
