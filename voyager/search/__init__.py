"""Search in a version: by pictures, by objects in them, and by words.

    found = voyager.search(repo, "red shoes", at="v1", where="split = 'train'")
    found = voyager.search(repo, like="train/1.jpg#2", k=50)
    for hit in found:
        print(hit.key, hit.score)

`Searcher` keeps at hand what it has read; `Query` says all that can be asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voyager.derived.embeddings import Embedder
    from voyager.repo.repository import Repository
    from voyager.search.query import Results


def search(
    repo: Repository,
    text: str | None = None,
    *,
    image: str | PathLike[str] | bytes | None = None,
    like: str | Sequence[str] = (),
    unlike: str | Sequence[str] = (),
    at: str | None = None,
    k: int = 20,
    model: str | Embedder | None = None,
    **options: Any,
) -> Results:
    """The best `k` hits for words, for a picture, for KEY or KEY#REGION, or for all of these.

    `at` is the version, by default what the next commit would hold. `options` are the other fields
    of `Query`: of, where, split, class_, changed_since, exact. `model` is "default", a folder or an
    `Embedder`. Raises NotFoundError for a revision or key that is not there, InvalidDataError for
    an image that cannot be looked at, UsageError where nothing is looked for.
    """
    from voyager.search.query import Query
    from voyager.search.searcher import Searcher

    if image is not None and not isinstance(image, bytes):
        image = Path(fspath(image))
    query = Query(
        text,
        images=() if image is None else (image,),
        like=(like,) if isinstance(like, str) else tuple(like),
        unlike=(unlike,) if isinstance(unlike, str) else tuple(unlike),
        k=k,
        **options,
    )
    version = repo.staged() if at is None else repo.at(at)
    return Searcher(repo, model).search(version, query)


class _Callable(ModuleType):
    """This package, which `voyager.search(repo, "red shoes")` calls as well."""

    def __call__(self, repo: Repository, text: str | None = None, **options: Any) -> Results:
        return search(repo, text, **options)


sys.modules[__name__].__class__ = _Callable
