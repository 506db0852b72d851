"""Which images of a lazy clone are to be here: what `clone --only` said, kept with the remote.

It is looked at again by each pull, so that new images of that kind come with the labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from voyager.errors import NotFoundError, StateError
from voyager.remotes.config import remotes_of
from voyager.remotes.lazy import Got, get_samples
from voyager.repo.dataset import Dataset
from voyager.repo.keys import match_keys
from voyager.repo.promised import LAZY, elsewhere
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.store.objectstore import Store

_ONLY = "only"
_SIGNS = " =<>("
"""What has one of them is an expression, else it names keys."""


@dataclass(slots=True)
class Chosen:
    """Samples, and those of the words that named none."""

    keys: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)


def only_of(store: Store, remote: str) -> list[str] | None:
    """The keys, folders, globs and expressions whose images a lazy clone wants of a remote; None
    where it leaves nothing out."""
    value = store.value(LAZY + remote)
    return None if value is None else list(value.get(_ONLY, ()))


def lazy_value(texts: Iterable[str]) -> dict[str, list[str]]:
    """The value of the store that says it."""
    texts = list(dict.fromkeys(texts))
    return {_ONLY: texts} if texts else {}


def change_only(
    repo: Repository, remote: str, texts: Sequence[str], *, remove: bool = False
) -> list[str]:
    """Want the images of these too, or with `remove` no more; all that is wanted then.

    Nothing comes or goes by that. Raises UsageError for what is no expression, NotFoundError for
    one to remove that is not wanted.
    """
    old = only_of(repo.store, remote)
    if old is None:
        raise StateError(
            f"nothing of '{remote}' is left out here", hint="vgr clone --only 'KEYS|EXPR' URL DIR"
        )
    if remove:
        unknown = set(texts) - set(old)
        if unknown:
            raise NotFoundError(
                f"'{min(unknown)}' is none of those", hint=f"vgr remote only {remote}"
            )
        new = [text for text in old if text not in texts]
    else:
        choose(repo.staged(), texts)
        new = list(dict.fromkeys([*old, *texts]))
    if new != old:
        with repo.transaction("remote-only", remote) as txn:
            txn.move(LAZY + remote, lazy_value(new), old=repo.store.value(LAZY + remote))
            txn.commit()
    return new


def choose(version: Dataset, texts: Iterable[str]) -> Chosen:
    """The samples that patterns name, or for which an expression is true.

    Raises UsageError for what is no expression.
    """
    found: set[str] = set()
    chosen = Chosen()
    for text in texts:
        keys = _keys_of(version, text)
        found.update(keys)
        if not keys:
            chosen.unmatched.append(text)
    chosen.keys = sorted(found)
    return chosen


def _keys_of(version: Dataset, text: str) -> list[str]:
    if any(sign in text for sign in _SIGNS):
        from voyager.repo.where import keys_where

        return keys_where(version, text)
    try:
        return [key for space, key in match_keys(version, [text]) if space == SAMPLES]
    except NotFoundError:
        return []


def get_only(
    repo: Repository,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Got | None:
    """Bring those wanted images of what is staged that are not here; None where none is wanted."""
    texts = [text for remote in remotes_of(repo) for text in only_of(repo.store, remote.name) or ()]
    if not texts:
        return None
    version = repo.staged()
    blobs: dict[str, bytes] = {}
    for key in choose(version, texts).keys:
        tracked = version.tracked_at(key)
        if tracked is not None:
            blobs[key] = tracked.blob
    absent = elsewhere(repo.store, blobs.values())
    keys = [key for key, blob in blobs.items() if blob in absent]
    if not keys:
        return Got()
    return get_samples(repo, keys, limit=limit, dry_run=dry_run, progress=progress)
