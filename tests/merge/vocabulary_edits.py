"""Random edits of vocabularies, by the verbs, and what merges of them are compared by."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from voyager.errors import VoyagerError
from voyager.merge.vocabulary import MergedVocabulary
from voyager.schema.taxonomy import join_path
from voyager.schema.taxonomy_merge import merge
from voyager.schema.taxonomy_paths import iter_places, match_places
from voyager.schema.taxonomy_verbs import add_aliases, bury, copy, drop_aliases, make, move
from voyager.schema.vocabulary import Draft, Vocabulary

Edit = tuple[str, str, str]
"""A verb and two words for it."""

VERBS = (
    "make",
    "move",
    "into",
    "merge",
    "bury",
    "copy",
    "alias",
    "unalias",
    "extra",
    "task",
    "set",
)

_NAMES = st.sampled_from(["a", "b", "c"])
_PATHS = st.lists(_NAMES, min_size=0, max_size=3).map("/".join)


def _path(taxonomy: str, below: str) -> str:
    return f"{taxonomy}/{below}" if below else taxonomy


PATHS = st.builds(_path, st.sampled_from(["t", "t", "t", "u"]), _PATHS)
EDITS = st.tuples(st.sampled_from(VERBS), PATHS, PATHS)


def apply(draft: Draft, edit: Edit) -> None:
    """Do one edit; VoyagerError where the verb refuses it."""
    verb, one, other = edit
    if verb == "make":
        make(draft, one, parents=True)
    elif verb == "move":
        move(draft, [one], other)
    elif verb == "into":
        move(draft, [one], other + "/")
    elif verb == "merge":
        merge(draft, [one], other)
    elif verb == "bury":
        bury(draft, match_places(draft, [one]), recursive=True)
    elif verb == "copy":
        copy(draft, [one], other, recursive=True)
    elif verb == "alias":
        add_aliases(draft, one, [f"{other[-1]}{other[-1]}"])
    elif verb == "unalias":
        drop_aliases(draft, one, [f"{other[-1]}{other[-1]}"])
    elif verb == "extra":
        _set_extra(draft, one, other)
    else:
        _set_task(draft, one, other, drop=verb == "task" and "c" in other)


def _set_extra(draft: Draft, one: str, other: str) -> None:
    (place, *_) = match_places(draft, [one])
    if place.node is None:
        draft.put_root(place.taxonomy, {"colour": other})
    else:
        node = draft.taxonomies[place.taxonomy].nodes[place.node]
        draft.put_nodes(place.taxonomy, {place.node: node.replace(extra={"colour": other})})


def _set_task(draft: Draft, one: str, other: str, *, drop: bool) -> None:
    name = "task" + one[-1]
    known = draft.tasks.get(name)
    if drop:
        draft.put_task(name, None)
    elif known is None:
        draft.define(name, taxonomy=other[0])
    elif len(other) % 2:
        draft.put_task(name, known.replace(description=other))
    elif known.kind == "category":
        draft.put_task(name, known.replace(kind="text", taxonomy=None))
    else:
        draft.put_task(name, known.replace(kind="category", taxonomy=other[0]))


def edited(base: Vocabulary, edits: Sequence[Edit]) -> Vocabulary:
    """A vocabulary after those of the edits that can be done."""
    draft = Draft(base)
    for edit in edits:
        with contextlib.suppress(VoyagerError):
            apply(draft, edit)
    return Vocabulary(draft.tasks, draft.taxonomies)


def vocabularies(most: int = 8) -> st.SearchStrategy[Vocabulary]:
    """Vocabularies that random edits make of one with a few classes."""
    return st.lists(EDITS, max_size=most).map(lambda edits: edited(small(), edits))


def small() -> Vocabulary:
    """Classes a, a/b and c of a taxonomy t with a task."""
    draft = Draft(Vocabulary())
    draft.define("task", taxonomy="t")
    for path in ("a", "a/b", "c"):
        draft.mint_path("t", path)
    return Vocabulary(draft.tasks, draft.taxonomies)


def content(vocabulary: Vocabulary) -> Any:
    """All that a vocabulary says, to be compared."""
    taxonomies = {
        name: (taxonomy.root, taxonomy.nodes) for name, taxonomy in vocabulary.taxonomies.items()
    }
    return vocabulary.tasks, taxonomies


def told(merged: MergedVocabulary) -> Any:
    """All that a merge says, to be compared."""
    return content(merged.vocabulary), dict(merged.conflicts)


def paths_of(vocabulary: Vocabulary) -> list[str]:
    """The paths of all living classes and taxonomies."""
    return sorted(join_path(names) for _, names in iter_places(vocabulary))
