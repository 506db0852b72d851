"""What of a version is searched: what SQL, a split, a class and a change choose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voyager.errors import NotFoundError, UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.diff import changed_rows
from voyager.repo.repository import Progress
from voyager.repo.snapshot import SAMPLES
from voyager.repo.table_answers import ClassNumbers
from voyager.repo.where_text import no_class
from voyager.search.members import VersionVectors
from voyager.search.membership import Membership
from voyager.search.query import Item, Of, Query


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The samples that are searched, and the regions of them; None: all of their regions."""

    keys: frozenset[str]
    items: frozenset[Item] | None = None

    def __contains__(self, item: Item) -> bool:
        return item.key in self.keys and (self.items is None or item in self.items)


def kept_of(
    version: Dataset,
    query: Query,
    of: Of,
    before: Dataset | None,
    progress: Progress,
) -> Kept:
    """What the filters of a query leave to be searched; `before` is its `changed_since`."""
    _refuse_unknown_class(version, query)
    keys: list[frozenset[str]] = []
    items: list[frozenset[Item]] = []
    if before is not None:
        keys.append(frozenset(_changed(before, version)))
    for expression in _expressions(query):
        if of == "regions":
            items.append(frozenset(_regions(version, expression, progress)))
            keys.append(frozenset(item.key for item in items[-1]))
        else:
            keys.append(frozenset(_keys(version, expression, progress)))
    _refuse_unknown_split(version, query, keys)
    theirs = frozenset.intersection(*items) if items else None
    return Kept(frozenset.intersection(*keys), theirs)


def _refuse_unknown_class(version: Dataset, query: Query) -> None:
    if query.class_ is None or ClassNumbers(version.vocabulary).find(query.class_):
        return
    why, near = no_class(query.class_, version.vocabulary)
    hint = f"did you mean {' or '.join(near)}?" if near else "vgr taxonomy tree"
    raise UsageError(why, hint=hint)


def _refuse_unknown_split(version: Dataset, query: Query, kept: Sequence[frozenset[str]]) -> None:
    """Raise NotFoundError where the split has no sample; looked into where nothing was kept."""
    if query.split is None or all(kept):
        return
    import pyarrow.compute as pc

    found = pc.unique(version.tables.read("samples", ["split"])["split"]).to_pylist()
    known = sorted(split for split in found if split is not None)
    if query.split not in known:
        hint = f"there are {', '.join(known)}" if known else "vgr split gives samples one"
        raise NotFoundError(f"no sample is in split '{query.split}'", hint=hint)


def _expressions(query: Query) -> Iterator[str]:
    """What is asked for as SQL, one by one so that an error names what was typed."""
    if query.where is not None:
        yield query.where
    if query.split is not None:
        yield f"split = {_quoted(query.split)}"
    if query.class_ is not None:
        yield f"has({_quoted(query.class_)})"


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _changed(before: Dataset, after: Dataset) -> Iterator[str]:
    """The keys of samples that were added or changed."""
    for key, _, new in changed_rows(before, after, SAMPLES):
        if new is not None:
            yield key.decode()


def _keys(version: Dataset, expression: str, progress: Progress) -> list[str]:
    from voyager.repo.where import keys_where

    return keys_where(version, expression, progress=progress)


def _regions(version: Dataset, expression: str, progress: Progress) -> Iterator[Item]:
    from voyager.repo.where import regions_where

    return (Item(*found) for found in regions_where(version, expression, progress=progress))


def members_kept(vectors: VersionVectors, version: Dataset, kept: Kept) -> Membership:
    """The vectors of what is kept, where they are known."""
    if kept.items is None:
        return vectors.of_keys(version, kept.keys)
    ids = []
    for key, row in version.rows_at(SAMPLES, sorted(key.encode() for key in kept.keys)):
        for region, one, _ in vectors.named_things(version, row) if row is not None else ():
            if Item(key.decode(), region) in kept.items:
                ids.append(one)
    return vectors.store.members(list(dict.fromkeys(ids)))
