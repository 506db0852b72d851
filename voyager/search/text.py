"""Search by words at any version: keys, captions, meta, attributes, and classes with their aliases.

Documents are rows and are shared by all versions that hold them; a version is a bitmap, made from
that of the nearest known version and the rows that differ. Classes are indexed by id and found
through the version's taxonomies, so that renaming one touches no document.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final, NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from voyager.errors import UsageError, VoyagerError
from voyager.repo.ancestors import sample_roots_before
from voyager.repo.dataset import Dataset
from voyager.repo.diff import ChangedRow, changed_rows
from voyager.repo.layout import texts_folder
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.schema import decode_sample
from voyager.schema.vocabulary import Vocabulary
from voyager.search.class_words import ClassWords
from voyager.search.text_document import Document, identities, key_hashes, read_document
from voyager.search.text_query import parse_text_query
from voyager.search.text_ranking import Ranked, rank, unwanted
from voyager.search.text_segment import MOST_DOCUMENTS, DamagedTextError, Segment, spans
from voyager.search.text_store import MemoryTextStore, TextStore
from voyager.search.text_why import Why, explain
from voyager.store.bulk import paused_gc

Mask = NDArray[np.bool_]

_STRETCH: Final = 4096
_DEEPER: Final = 4
"""How many times more samples are looked at where too few of them have regions that were found."""


@dataclass(frozen=True, slots=True)
class TextHit:
    """A sample that was found; a region (its id) that met most of the terms, and why."""

    key: str
    region: bytes | None
    score: float
    why: tuple[str, ...]


class TextUpdate(NamedTuple):
    """What an update did: rows that differ from the version it began with, and rows it indexed."""

    changed: int = 0
    indexed: int = 0


class TextHits(list[TextHit]):
    """The best hits, best first; `matches` is how many samples match in all."""

    matches: int = 0


class TextIndex:
    """The index of texts of a repository, in its cache: what is deleted there is made again."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._store = TextStore(texts_folder(repo.folder))
        self._members: tuple[bytes, str, Mask] | None = None
        self._kept: tuple[frozenset[str], list[Segment], list[Mask]] | None = None
        self._classes: tuple[Vocabulary, ClassWords] | None = None

    def update(self, version: Dataset, progress: Progress = no_progress) -> TextUpdate:
        """Index what of a version is not indexed yet; the work follows the rows that differ.

        Where nothing can be written the index is in memory, and made again by the next process.
        """
        try:
            return self._update_store(version, progress)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            said = f"words could not be indexed for the next time: {why}"
            self._repo.remarks["words"] = said
            self._store = MemoryTextStore()
            return self._update_store(version, progress)

    def _update_store(self, version: Dataset, progress: Progress) -> TextUpdate:
        with self._store.lock():
            try:
                self._store.refresh()
            except DamagedTextError:
                self._store.start_anew()
            try:
                return self._update(version, progress)
            except FileNotFoundError:  # somebody deleted the folder meanwhile
                self._store.start_anew()
                return self._update(version, progress)

    def search(
        self, version: Dataset, text: str, k: int = 10, keep: Collection[str] | None = None
    ) -> TextHits:
        """The `k` best samples for a text, among the keys in `keep` if given; indexes first.

        The same frozenset of keys in the next call costs next to nothing, other keys 1 µs each.
        UsageError for a text without a word to look for.
        """
        found = self._ranked(version, text, k, keep)
        hits = TextHits()
        hits.matches = found.matches
        for key, score, whys in self._explained(version, found):
            hits.append(TextHit(key, whys[0].region, score, whys[0].reasons))
        return hits

    def search_regions(
        self,
        version: Dataset,
        text: str,
        k: int = 10,
        keep: Collection[str] | None = None,
        *,
        is_wanted: Callable[[str, bytes], bool] = lambda key, region: True,
    ) -> TextHits:
        """As `search`, the `k` best regions: in each sample those that meet most of the terms.

        `is_wanted` says of a key and region whether it is searched.
        """
        hits = TextHits()
        seen, depth = 0, k
        while True:
            found = self._ranked(version, text, depth, keep)
            hits.matches = found.matches
            for key, score, whys in self._explained(version, found, seen):
                hits += [
                    TextHit(key, region, score, reasons)
                    for region, reasons in whys
                    if region is not None and is_wanted(key, region)
                ]
                if len(hits) >= k:
                    del hits[k:]
                    return hits
            if len(found.best) == found.matches:
                return hits
            seen, depth = len(found.best), depth * _DEEPER

    def _ranked(self, version: Dataset, text: str, k: int, keep: Collection[str] | None) -> Ranked:
        query = parse_text_query(text)
        if k < 1:
            raise UsageError(f"{k} results cannot be shown")
        members = self._members_of(version)
        classes = self._class_words(version.vocabulary)
        kept = None if keep is None else self._with_keys(keep)
        return rank(self._store.segments, self._split(members), query, classes, k, kept)

    def unwanted(self, version: Dataset, text: str, keys: Collection[str]) -> set[str]:
        """Those of some keys whose samples have a word that the text excludes."""
        query = parse_text_query(text)
        if not query.without or not keys:
            return set()
        here = self._split(self._members_of(version))
        found = unwanted(self._store.segments, query, self._class_words(version.vocabulary))
        asked = self._with_keys(keys)
        return {
            segment.key(document)
            for segment, *masks in zip(self._store.segments, here, found, asked, strict=True)
            for document in np.flatnonzero(np.logical_and.reduce(masks)).tolist()
        }

    def _class_words(self, vocabulary: Vocabulary) -> ClassWords:
        if self._classes is None or self._classes[0] is not vocabulary:
            self._classes = (vocabulary, ClassWords(vocabulary))
        return self._classes[1]

    def _explained(
        self, version: Dataset, found: Ranked, start: int = 0
    ) -> Iterator[tuple[str, float, list[Why]]]:
        """(key, score, why) of the best samples, from a place on."""
        segments = self._store.segments
        for number, document, score in found.best[start:]:
            key = segments[number].key(document)
            row = version.row(SAMPLES, key.encode())
            if row is not None:
                sample = decode_sample(row)
                yield key, score, explain(key, sample, found.meant, version.vocabulary)

    def _with_keys(self, keep: Collection[str]) -> list[Mask]:
        """The documents of these keys, in each segment."""
        segments = self._store.segments
        if self._kept is not None and keep is self._kept[0] and segments == self._kept[1]:
            return self._kept[2]
        hashes = key_hashes(keep)
        masks = [segment.with_keys(hashes) for segment in segments]
        self._kept = (keep, segments, masks) if isinstance(keep, frozenset) else None
        return masks

    def _split(self, members: Mask) -> list[Mask]:
        """A mask for each segment."""
        ends = spans(self._store.segments)
        size = ends[-1][1] if ends else 0
        whole = np.zeros(size, np.bool_)
        whole[: len(members)] = members[:size]
        return [whole[start:end] for start, end in ends]

    def _members_of(self, version: Dataset) -> Mask:
        """The documents of a version, indexed now if need be."""
        name = _name(version)
        known = self._known(name)
        if known is None:
            self.update(version)
            known = self._known(name)
        assert known is not None
        return known

    def _known(self, name: str) -> Mask | None:
        """The documents of a version that was indexed before."""
        if self._members is not None and self._members[:2] == (self._store.name, name):
            return self._members[2]
        try:
            self._store.refresh()
        except DamagedTextError:
            return None
        mask = self._store.members(name)
        if mask is not None:
            self._members = (self._store.name, name, mask)
        return mask

    # -- updating --------------------------------------------------------------------------------

    def _update(self, version: Dataset, progress: Progress) -> TextUpdate:
        name = _name(version)
        if self._known(name) is not None:
            return TextUpdate()
        self._store.sweep()
        for base, mask in self._bases(version):
            try:
                return self._take(version, name, base, mask, progress)
            except VoyagerError:
                continue  # gc dropped the version that is known, or the bitmap is not of it
        return self._take(version, name, None, np.zeros(0, np.bool_), progress)

    def _bases(self, version: Dataset) -> Iterator[tuple[Dataset, Mask]]:
        """The nearest version that is known: an ancestor, else the last used."""
        known = [bytes.fromhex(root) for root in self._store.versions()]
        for root in islice(chain(sample_roots_before(version, set(known)), known), 1):
            mask = self._store.members(root.hex())
            if mask is not None:
                yield Dataset(version.objects, {SAMPLES: root}), mask

    def _take(
        self, version: Dataset, name: str, base: Dataset | None, mask: Mask, progress: Progress
    ) -> TextUpdate:
        total = len(version) if base is None else None
        rows = _all_rows(version) if base is None else changed_rows(base, version, SAMPLES)
        taking = _Taking(self._store, mask)
        with paused_gc():
            while stretch := list(islice(rows, _STRETCH)):
                taking.take(stretch)
                progress(taking.changed, total)
            taking.flush()
        members = taking.members()
        if not version.overlay_keys(SAMPLES):
            self._store.keep_members(name, members)
        self._members = (self._store.name, name, members)
        return TextUpdate(taking.changed, taking.indexed)


class _Taking:
    """Rows on their way into the index, and the members of the version that they make."""

    def __init__(self, store: TextStore, mask: Mask) -> None:
        self._store = store
        self._mask = mask
        self._is_first = not store.segments
        self._come: list[NDArray[np.int64]] = []
        self._gone: list[NDArray[np.int64]] = []
        self._waiting: list[Document] = []
        self.changed = 0
        self.indexed = 0

    def take(self, rows: Sequence[ChangedRow]) -> None:
        self.changed += len(rows)
        old = [(key, row) for key, row, _ in rows if row is not None]
        if old:
            gone = self._store.find(identities(old))
            if (gone < 0).any():
                raise DamagedTextError("a document of a known version is not indexed")
            self._gone.append(gone)
        new = [(key, row) for key, _, row in rows if row is not None]
        hashes = identities(new)
        come = np.full(len(new), -1) if self._is_first else self._store.find(hashes)
        self._come.append(come[come >= 0])
        for at in np.flatnonzero(come < 0).tolist():
            key, row = new[at]
            self._waiting.append(read_document(key, row, tuple(hashes[at].tolist())))
            if len(self._waiting) == MOST_DOCUMENTS:
                self.flush()

    def flush(self) -> None:
        """Index what waits."""
        if self._waiting:
            self._store.append(self._waiting)
            end = _size(self._store)
            self._come.append(np.arange(end - len(self._waiting), end))
            self.indexed += len(self._waiting)
            self._waiting = []

    def members(self) -> Mask:
        mask = np.zeros(_size(self._store), np.bool_)
        mask[: len(self._mask)] = self._mask
        mask[np.concatenate([np.zeros(0, np.int64), *self._gone])] = False
        mask[np.concatenate([np.zeros(0, np.int64), *self._come])] = True
        return mask


def _size(store: TextStore) -> int:
    return sum(map(len, store.segments))


def _all_rows(version: Dataset) -> Iterator[ChangedRow]:
    return ((key, None, row) for key, row in version.rows(SAMPLES))


def _name(version: Dataset) -> str:
    """What the samples of a version are called: the root of their tree, and what lies over it."""
    root = version.roots.get(SAMPLES, bytes(32))
    overlay = [(key, row) for (space, key), row in version.overlay.items() if space == SAMPLES]
    if not overlay:
        return root.hex()
    return f"{root.hex()}-{blake3(identities(sorted(overlay)).tobytes()).hexdigest(16)}"
