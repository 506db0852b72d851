r"""Paths as people type them: the name of a taxonomy, then names of classes, with globs.

`fashion/shoes/heels` is a class, `fashion` the taxonomy itself. A path that begins with no taxonomy
means the only one that has it. `*` stands for one name or a part of it, `**` for any number of
names, `\/` for a slash inside a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import NamedTuple

from voyager.errors import NotFoundError, UsageError
from voyager.schema.taxonomy import NodeId, Taxonomy, join_path, split_path
from voyager.schema.values import BadValueError
from voyager.schema.vocabulary import Vocabulary

_GLOB = re.compile(r"[*?\[]")
_HEX = re.compile("[0-9a-f]{32}")
_LAST_SLASHES = re.compile(r"(?<!\\)((?:\\\\)*)/+\Z")


class Place(NamedTuple):
    """A class, or with None for the node a whole taxonomy."""

    taxonomy: str
    node: NodeId | None = None


def read_names(text: str) -> list[str]:
    """The names of a typed path, a slash at its end aside; UsageError for an empty one."""
    try:
        return split_path(_LAST_SLASHES.sub(r"\1", text))
    except BadValueError as error:
        raise UsageError(error.message) from None


def ends_in_slash(text: str) -> bool:
    """Whether a typed path asks for what lies in a class."""
    return _LAST_SLASHES.search(text) is not None


def path_of(vocabulary: Vocabulary, place: Place) -> str:
    """The path of a place, beginning with its taxonomy."""
    if place.node is None:
        return place.taxonomy
    names = vocabulary.taxonomies[place.taxonomy].names_of(place.node)
    return join_path([place.taxonomy, *names])


def living(vocabulary: Vocabulary, name: str) -> Taxonomy | None:
    """The taxonomy of that name, None where there is none or it was removed."""
    found = vocabulary.taxonomies.get(name)
    return None if found is None or found.dead else found


def living_taxonomies(vocabulary: Vocabulary) -> list[Taxonomy]:
    """The taxonomies by name, but for those that were removed."""
    found = sorted(vocabulary.taxonomies.items())
    return [taxonomy for _, taxonomy in found if not taxonomy.dead]


def find_place(vocabulary: Vocabulary, text: str) -> Place:
    """The place of a path or of an id in hex; NotFoundError with a near miss.

    UsageError for a path without a taxonomy that several have.
    """
    found = place_at(vocabulary, read_names(text)) or _by_id(vocabulary, text)
    if found is None:
        raise not_found(vocabulary, text)
    return found


def place_at(vocabulary: Vocabulary, names: Sequence[str]) -> Place | None:
    """The place that names lead to, None where there is none."""
    taxonomy = living(vocabulary, names[0])
    if taxonomy is not None:
        node = taxonomy.at_path(join_path(names[1:]))
        return Place(taxonomy.name, node) if node is not None or len(names) == 1 else None
    path = join_path(names)
    found = [
        Place(taxonomy.name, node)
        for taxonomy in living_taxonomies(vocabulary)
        if (node := taxonomy.at_path(path)) is not None
    ]
    _refuse_several(path, [place.taxonomy for place in found])
    return found[0] if found else None


def match_places(vocabulary: Vocabulary, texts: Iterable[str]) -> list[Place]:
    """What paths and globs name, each once; NotFoundError for one that names nothing.

    An existing path wins over a glob.
    """
    found: dict[Place, None] = {}
    for text in texts:
        found.update(dict.fromkeys(match_path(vocabulary, text)))
    return list(found)


def match_path(vocabulary: Vocabulary, text: str) -> list[Place]:
    """What one path or glob names; NotFoundError when that is nothing."""
    if not is_glob(text):
        return [find_place(vocabulary, text)]
    pattern = read_names(text)
    exact = place_at(vocabulary, pattern)
    if exact is not None:
        return [exact]
    found = [place for place, names in iter_places(vocabulary) if _matches(pattern, names)]
    if not found and not is_glob(pattern[0]):
        found = [
            place
            for place, names in iter_places(vocabulary)
            if len(names) > 1 and _matches(pattern, names[1:])
        ]
        _refuse_several(text, sorted({place.taxonomy for place in found}))
    if not found:
        raise NotFoundError(f"no class matches '{text}'", hint="vgr taxonomy tree")
    return found


def is_glob(text: str) -> bool:
    """Whether a path holds a wild card."""
    return _GLOB.search(text) is not None


def iter_places(vocabulary: Vocabulary) -> Iterator[tuple[Place, list[str]]]:
    """Every place with its names, the taxonomy first, parents before what lies below."""
    for taxonomy in living_taxonomies(vocabulary):
        yield Place(taxonomy.name), [taxonomy.name]
        for node in taxonomy.below(None):
            yield Place(taxonomy.name, node), [taxonomy.name, *taxonomy.names_of(node)]


def not_found(vocabulary: Vocabulary, text: str) -> NotFoundError:
    """The error for a path that names nothing, with what may have been meant."""
    names = read_names(text)
    what = "class" if len(names) > 1 else "taxonomy or class"
    aliased = _by_alias(vocabulary, names)
    if aliased is not None:
        hint = f"it is an alias of '{aliased}'"
    else:
        near = _nearest(vocabulary, text)
        hint = "vgr taxonomy tree" if near is None else f"did you mean '{near}'?"
    return NotFoundError(f"no {what} '{text}'", hint=hint)


def _nearest(vocabulary: Vocabulary, text: str) -> str | None:
    paths: dict[str, str] = {}
    for _, names in iter_places(vocabulary):
        full = join_path(names)
        for known in (join_path(names[1:]), full) if len(names) > 1 else (full,):
            paths.setdefault(known, full)
    near = get_close_matches(text, paths, 1)
    return paths[near[0]] if near else None


def _by_alias(vocabulary: Vocabulary, names: list[str]) -> str | None:
    taxonomy = living(vocabulary, names[0])
    wanted = join_path(names[1:]) if taxonomy is not None else join_path(names)
    for known in [taxonomy] if taxonomy is not None else living_taxonomies(vocabulary):
        node = known.by_alias(wanted) or known.by_alias(names[-1])
        if node is not None:
            return path_of(vocabulary, Place(known.name, node))
    return None


def _by_id(vocabulary: Vocabulary, text: str) -> Place | None:
    if _HEX.fullmatch(text) is None:
        return None
    for taxonomy in living_taxonomies(vocabulary):
        node = taxonomy.live(bytes.fromhex(text))
        if node is not None:
            return Place(taxonomy.name, node)
    return None


def _refuse_several(path: str, taxonomies: Sequence[str]) -> None:
    if len(taxonomies) > 1:
        names = " and ".join(f"'{name}/{path}'" for name in taxonomies)
        raise UsageError(
            f"'{path}' could be {names}", hint=f"vgr taxonomy ls '{taxonomies[0]}/{path}'"
        )


def _matches(pattern: Sequence[str], names: Sequence[str]) -> bool:
    if not pattern:
        return not names
    first, rest = pattern[0], pattern[1:]
    if first == "**":
        if not rest:
            return bool(names)
        return any(_matches(rest, names[at:]) for at in range(len(names)))
    return bool(names) and fnmatchcase(names[0], first) and _matches(rest, names[1:])
