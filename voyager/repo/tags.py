"""Tags: names for versions that stay, with or without a message of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from voyager.errors import ExistsError, NotFoundError, UsageError
from voyager.repo.conflicts import refuse_conflicts
from voyager.repo.repository import Repository
from voyager.repo.revisions import peel
from voyager.store.history import Tag, read_tag
from voyager.store.ids import Kind
from voyager.store.objectstore import Store
from voyager.store.refs import TAGS, check_name, iter_refs, move_ref, read_ref
from voyager.wire import encode, object_ref


@dataclass(frozen=True, slots=True)
class NamedTag:
    """A tag: the commit it stands for, and what an annotated one says itself."""

    name: str
    commit: bytes
    annotation: Tag | None = None


def tags(store: Store, patterns: Sequence[str] = ()) -> list[NamedTag]:
    """All tags by name, or those that a glob names."""
    found = []
    for full, object_id in iter_refs(store, TAGS).items():
        name = full.removeprefix(TAGS)
        if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns):
            found.append(_named(store, name, object_id))
    return found


def _named(store: Store, name: str, object_id: bytes) -> NamedTag:
    is_annotated = store.header(object_id).kind is Kind.TAG
    annotation = read_tag(store, object_id) if is_annotated else None
    return NamedTag(name, peel(store, object_id), annotation)


def create_tag(
    repo: Repository,
    name: str,
    commit: bytes,
    *,
    message: str | None = None,
    force: bool = False,
    allow_conflicts: bool = False,
) -> NamedTag:
    """Name a commit; with a message the tag is an object of its own, with author and time.

    Raises ExistsError for a name that is taken, unless `force`, StateError for a version with
    conflicts, unless `allow_conflicts`.
    """
    check_name(name)
    if not allow_conflicts:
        refuse_conflicts(repo.dataset_of(commit), "tag")
    old = read_ref(repo.store, TAGS + name)
    if old is not None and not force:
        raise ExistsError(f"tag '{name}' exists already", hint=f"vgr tag -f {name}, to move it")
    if message is not None and not message.strip():
        raise UsageError("the message is empty", hint=f"vgr tag {name} -m 'what it marks'")
    with repo.transaction("tag", name) as txn:
        target = commit
        if message is not None:
            time, zone = repo.config.now()
            annotation = Tag(
                author=repo.config.author(),
                message=message,
                name=name,
                target=object_ref(commit),
                time=time,
                zone=zone,
            )
            target = txn.put(Kind.TAG, encode(annotation))
        move_ref(txn, TAGS + name, target, old=old)
        txn.commit()
    return _named(repo.store, name, target)


def delete_tags(repo: Repository, names: Sequence[str]) -> list[NamedTag]:
    """Remove tags, all or none; what they were. Raises NotFoundError for a name that is none."""
    gone = []
    with repo.transaction("tag-delete", " ".join(names)[:200]) as txn:
        for name in dict.fromkeys(names):
            old = read_ref(repo.store, TAGS + name)
            if old is None:
                raise NotFoundError(f"no tag '{name}'", hint="vgr tag")
            gone.append(_named(repo.store, name, old))
            move_ref(txn, TAGS + name, None, old=old)
        txn.commit()
    return gone
