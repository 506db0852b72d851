"""Search in a version: what is looked for is asked of words and of looks, and fused.

The story of a search: what is left by the filters, the list of what words found, the list of what
looks alike, one order out of both. Embeddings that lack are made on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from typing import Final, TypeAlias

from voyager.derived.computing import Read
from voyager.derived.embedded import IMAGE_OF_CROP, Embeddings
from voyager.derived.embeddings import DEFAULT, Embedder, TextTower, may_know_words, open_embedder
from voyager.errors import NotFoundError
from voyager.repo.dataset import Dataset
from voyager.repo.deriving import MODEL, derived_cache, image_reader
from voyager.repo.kept_vectors import note_vectors_used
from voyager.repo.layout import vectors_folder
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.search.examples import (
    Named,
    image_bringer,
    named_in,
    vector_between,
    vector_of_image,
    vectors_shown,
)
from voyager.search.filters import Kept, kept_of, members_kept
from voyager.search.fusion import fused
from voyager.search.holders import items_of, keys_of
from voyager.search.members import VersionVectors
from voyager.search.membership import Membership
from voyager.search.query import Hit, Item, Of, Query, Results, image_name
from voyager.search.segment import Floats
from voyager.search.text import TextIndex
from voyager.search.text_query import parse_text_query, spoken
from voyager.search.vectors import VectorStore

Bars: TypeAlias = Callable[[str], Progress]
"""From what is done to what is called with how much of it is done."""

_SHORT: Final = 16
_DEEP: Final = 200
_DEEPER: Final = 5
"""Of lists that are fused so many are looked at, or so many times what is asked for."""


def _no_bars(_: str) -> Progress:
    return no_progress


class Searcher:
    """Searches versions of a repository; what it has read stays at hand for the next search.

    So does what a filter has left of the same `Dataset`.

    `model` is "default", the folder of a transformers model or an `Embedder`; by default what the
    setting search.model says.
    """

    def __init__(self, repo: Repository, model: str | Embedder | None = None) -> None:
        self.repo = repo
        self._model = model
        self.cache = derived_cache(repo)
        self.words = TextIndex(repo)
        self._kept: tuple[Dataset, tuple[object, ...], Kept] | None = None
        self._kept_members: tuple[Kept, bytes, Membership] | None = None

    @cached_property
    def embedder(self) -> Embedder:
        """The model that makes vectors."""
        return open_embedder(self._named) if isinstance(self._named, str) else self._named

    @cached_property
    def text_tower(self) -> TextTower | None:
        """What puts words where pictures of them are; None where the model knows pictures alone.

        Such a model is not opened for this. One that a setting names and that is not there is
        remarked on: words are found without it.
        """
        name = self._named
        if isinstance(name, str) and not may_know_words(name):
            return None
        try:
            return self.embedder.text
        except NotFoundError as error:
            if self._model is not None:
                raise
            self.repo.remarks["model"] = f"{error.message} ({MODEL}); only words are searched"
            return None

    @property
    def _named(self) -> str | Embedder:
        return self._model or self.repo.config.get(MODEL) or DEFAULT

    @cached_property
    def store(self) -> VectorStore:
        """The vectors of that model."""
        model = self.embedder.model_id
        folder = vectors_folder(self.repo.folder) / model.hex()[:_SHORT]
        note_vectors_used(folder)
        return VectorStore(folder, model, self.embedder.dims)

    def search(self, version: Dataset, query: Query, bars: Bars = _no_bars) -> Results:
        """The best hits for a query, best first."""
        return _Search(self, version, query, bars).run()

    def kept(self, version: Dataset, query: Query, of: Of, bars: Bars) -> Kept | None:
        """What the filters of a query leave, None for everything; asked again it is at hand."""
        if not query.is_filtered:
            return None
        since = query.changed_since
        before = None if since is None else self.repo.at(since)
        token = None if before is None else before.token
        asked = (of, query.where, query.split, query.class_, token)
        if self._kept is None or self._kept[:2] != (version, asked):
            bar = bars("choosing what to search")
            self._kept = (version, asked, kept_of(version, query, of, before, bar))
        return self._kept[2]

    def members_kept(self, places: VersionVectors, version: Dataset, kept: Kept) -> Membership:
        """The vectors of what is kept."""
        known, token = self._kept_members, self.store.view.token
        if known is None or known[0] is not kept or known[1] != token:
            known = self._kept_members = (kept, token, members_kept(places, version, kept))
        return known[2]


class _Search:
    """One query at one version."""

    def __init__(self, searcher: Searcher, version: Dataset, query: Query, bars: Bars) -> None:
        self._searcher = searcher
        self._version = version
        self._query = query
        self._bars = bars
        self._like = [named_in(version, name) for name in query.like]
        self._unlike = [named_in(version, name) for name in query.unlike]
        self._of: Of = query.of or _kind_of(self._like, query)
        self._shown = {self._item(*item) for named in self._like for item in named.items}
        self._plan: list[str] = []
        self._looked: list[Embeddings] = []

    def run(self) -> Results:
        query, version = self._query, self._version
        if query.text is not None:
            parse_text_query(query.text)  # which refuses a text without a word, before any work
        vectors = list(self._vectors())
        kept = self._searcher.kept(version, query, self._of, self._bars)
        if kept is not None:
            self._plan.append(f"chosen: {len(kept.keys):,} of {len(version):,} samples")
        lists = self._lists(vectors, kept)
        absent, broken = self._not_searched(kept)
        if self._computed:
            self._plan.append(f"computed: {self._computed:,} embeddings")
        hits = tuple(fused(lists, query.k, self._of))
        return Results(hits, self._of, tuple(self._plan), absent, broken, self._computed)

    def _item(self, key: str, region: bytes | None) -> Item:
        return Item(key, region if self._of == "regions" else None)

    def _lists(self, vectors: Sequence[tuple[Floats, str]], kept: Kept | None) -> list[list[Hit]]:
        """What each kind of search finds, without what was shown."""
        text = self._query.text
        depth = self._query.k + len(self._shown)
        if len(vectors) + (text is not None) > 1:
            depth = max(_DEEP, _DEEPER * depth)
        lists = [] if text is None else [self._by_words(text, depth, kept)]
        lists += [self._by_looks(vector, name, depth, kept) for vector, name in vectors]
        unwanted: Collection[str] = ()
        if text is not None and vectors:
            keys = {hit.key for hits in lists for hit in hits}
            unwanted = self._searcher.words.unwanted(self._version, text, keys)
        return [
            [
                hit
                for hit in hits
                if hit.key not in unwanted and self._item(hit.key, hit.region) not in self._shown
            ]
            for hits in lists
        ]

    def _by_words(self, text: str, depth: int, kept: Kept | None) -> list[Hit]:
        words = self._searcher.words
        words.update(self._version, self._bars("indexing words"))
        keep = None if kept is None else kept.keys
        if self._of == "images":
            found = words.search(self._version, text, depth, keep)
        else:
            found = words.search_regions(
                self._version,
                text,
                depth,
                keep,
                is_wanted=lambda key, region: kept is None or Item(key, region) in kept,
            )
        self._plan.append(f"words: {found.matches:,} of {len(self._version):,} samples match")
        return [Hit(hit.key, hit.region, hit.score, hit.why) for hit in found]

    # -- looks -----------------------------------------------------------------------------------

    def _vectors(self) -> Iterator[tuple[Floats, str]]:
        """The vectors to search for, each with what it is of."""
        query = self._query
        if query.shows_something:
            embedder = self._searcher.embedder
            like = [vector_of_image(embedder, image) for image in query.images]
            like += self._shown_vectors(self._like)
            unlike = self._shown_vectors(self._unlike)
            names = [*map(image_name, query.images), *query.like]
            name = names[0] if len(names) == 1 and not unlike else "what is shown"
            yield vector_between(like, unlike), name
        tower = None if query.text is None else self._searcher.text_tower
        if query.text is not None and tower is not None:
            yield tower.embed_text([spoken(query.text)]), f"'{query.text}'"

    def _shown_vectors(self, shown: Sequence[Named]) -> list[Floats]:
        found: list[Floats] = []
        for named in shown:
            of_images = all(item.region is None for item in named.items)
            places = self._images if of_images else self._regions
            found += vectors_shown(self._examples, places, self._version, named)
        return found

    def _by_looks(self, vector: Floats, name: str, depth: int, kept: Kept | None) -> list[Hit]:
        places = self._images if self._of == "images" else self._regions

        def keep() -> Membership:
            assert kept is not None
            return self._searcher.members_kept(places, self._version, kept)

        found = places.search(
            self._version,
            vector,
            depth,
            keep=None if kept is None else keep,
            exact=True if self._query.exact else None,
        )
        self._plan.append(f"{self._of}: {found.plan}")
        near = found.hits[0]
        items = self._items(places, {hit.id for hit in near})
        scores = {hit.id: min(hit.score, 1.0) for hit in near}  # of half precision it may be more
        return [
            Hit(*item, score, (f"looks like {name} ({score:.2f})",))
            for one, score in scores.items()
            for item in items.get(one, ())
            if kept is None or item in kept
        ]

    def _items(self, places: VersionVectors, ids: Collection[bytes]) -> dict[bytes, list[Item]]:
        """The samples or regions that have some vectors."""
        if self._of == "images":
            return items_of(places, self._version, ids, ids)
        known = self._searcher.cache.known(IMAGE_OF_CROP, ids)
        images = {blob for _, blob in known} if len(known) == len(ids) else None
        return items_of(places, self._version, ids, images)

    @cached_property
    def _images(self) -> VersionVectors:
        return self._vectors_of("images")

    @cached_property
    def _regions(self) -> VersionVectors:
        return self._vectors_of("regions")

    def _vectors_of(self, of: Of) -> VersionVectors:
        bar = self._bars("indexing vectors")
        return VersionVectors(self._searcher.store, self._source, of=of, progress=bar)

    @cached_property
    def _source(self) -> Embeddings:
        """Embeds images of the version; those that a lazy clone left out stay out."""
        read = image_reader(self._version.objects)
        bar = self._bars("looking at images")
        return self._embeddings(read, bar)

    @cached_property
    def _examples(self) -> Embeddings:
        """Embeds what the query shows, and brings it where it is not here."""
        return self._embeddings(image_bringer(self._version), no_progress)

    def _embeddings(self, read: Read, bar: Progress) -> Embeddings:
        made = Embeddings(self._searcher.cache, self._searcher.embedder, read, bar)
        self._looked.append(made)
        return made

    @property
    def _computed(self) -> int:
        return sum(made.computed for made in self._looked)

    def _not_searched(self, kept: Kept | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The keys of images that are not here, and of those that cannot be decoded."""
        if not self._looked:
            return (), ()
        absent, broken = self._source.absent, self._source.broken
        holders = keys_of(self._version, (absent | broken) - self._version.purged)

        def keys(blobs: set[bytes]) -> tuple[str, ...]:
            found = (key for blob in blobs for key in holders.get(blob, ()))
            return tuple(sorted(key for key in found if kept is None or key in kept.keys))

        return keys(absent), keys(broken)


def _kind_of(like: Sequence[Named], query: Query) -> Of:
    """Regions where all examples are regions."""
    items = [item for named in like for item in named.items]
    are_regions = bool(items) and all(item.region is not None for item in items)
    return "regions" if are_regions and not query.images else "images"
