"""What is looked for in a version, and what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from voyager.errors import UsageError

USUAL_HITS: Final = 20

Of: TypeAlias = Literal["images", "regions"]

Example: TypeAlias = str | Path | bytes
"""An image file by its path, or its bytes."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: words, pictures, samples like others, or several of these at once.

    `images` are files, `like` and `unlike` are KEY or KEY#REGION, where KEY may be a folder or
    glob. `of` says what is found, images or regions; None: regions where all of `like` are regions,
    images else. `where`, `split`, `class_` and `changed_since` choose among what is searched.
    `exact` compares every vector.
    """

    text: str | None = None
    images: tuple[Example, ...] = ()
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    of: Of | None = None
    where: str | None = None
    split: str | None = None
    class_: str | None = None
    changed_since: str | None = None
    k: int = USUAL_HITS
    exact: bool = False

    def __post_init__(self) -> None:
        if self.text is None and not self.shows_something:
            hint = "vgr search 'red shoes', --image FILE or --like KEY"
            raise UsageError("nothing is looked for", hint=hint)
        if self.unlike and not self.shows_something:
            raise UsageError("--unlike goes with --image or --like")
        if self.k < 1:
            raise UsageError(f"a search is for 1 or more, not {self.k}")

    @property
    def shows_something(self) -> bool:
        """Whether looks are searched for, not words alone."""
        return bool(self.images or self.like)

    @property
    def is_filtered(self) -> bool:
        """Whether not all of the version is searched."""
        filters = (self.where, self.split, self.class_, self.changed_since)
        return any(one is not None for one in filters)

    def __str__(self) -> str:
        """In words, for a heading or the log of operations."""
        words = [] if self.text is None else [f"'{self.text}'"]
        words += map(image_name, self.images)
        words += [f"like {name}" for name in self.like]
        words += [f"unlike {name}" for name in self.unlike]
        return ", ".join(words)


def image_name(image: Example) -> str:
    """What an example is called."""
    return "an image" if isinstance(image, bytes) else str(image)


class Item(NamedTuple):
    """Something that can be found: a sample, or one of its regions by id."""

    key: str
    region: bytes | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found, how well it fits, and why.

    The score is that of the words, or a cosine; of several kinds fused, it is 1 for what comes
    first in each. Of a sample that words found, `region` is where they stand, if they do in one.
    """

    key: str
    region: bytes | None
    score: float
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Results:
    """The best hits, best first.

    `of` says what was searched, `plan` how, in words. `absent` are the keys of images that are not
    here, `broken` of those that cannot be decoded: by their looks they were not searched.
    `computed` counts embeddings that were not known before.
    """

    hits: tuple[Hit, ...]
    of: Of
    plan: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    computed: int = 0

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)
