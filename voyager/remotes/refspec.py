"""What a push or a fetch moves: refspecs by git's grammar, `[+]SOURCE[:TARGET]` and `:TARGET`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from voyager.errors import NotFoundError, StateError, UsageError
from voyager.repo.repository import Repository
from voyager.repo.revisions import full_name, resolve
from voyager.repo.upstream import upstream_of
from voyager.store.ids import Kind
from voyager.store.refs import HEAD, HEADS, TAGS, check_name, iter_refs, read_ref

PREDICTIONS = "refs/predictions/"
SHARED = (HEADS, TAGS, PREDICTIONS)
"""The refs that remotes have; stashes and remote-tracking refs stay where they are."""


class Update(NamedTuple):
    """A ref of the remote and what it shall be: None takes it away. `branch` is the local one."""

    name: str
    new: bytes | None
    force: bool = False
    branch: str | None = None


def short_name(name: str) -> str:
    """A ref as people call it: a branch or tag without what stands before its name."""
    for prefix in (HEADS, TAGS):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name.removeprefix("refs/")


def kind_of(name: str) -> str:
    """What a full ref name is the name of."""
    return "tag" if name.startswith(TAGS) else "branch" if name.startswith(HEADS) else "ref"


def updates_of(
    repo: Repository,
    refspecs: Sequence[str],
    *,
    remote: str = "",
    every_branch: bool = False,
    tags: bool = False,
    delete: bool = False,
) -> list[Update]:
    """What a push is asked to move; without a refspec the current branch, to where it follows.

    Raises NotFoundError for a ref that there is none of, UsageError for a malformed refspec.
    """
    if delete:
        if every_branch or tags or not refspecs:
            raise UsageError(
                "--delete wants the names of refs", hint="vgr push REMOTE --delete REF"
            )
        refspecs = [f":{name}" for name in refspecs]
    found = [_parse(repo, text) for text in refspecs]
    if every_branch:
        found += _all_of(repo, HEADS)
    if tags:
        found += _all_of(repo, TAGS)
    if not refspecs and not every_branch and (not tags or repo.head.commit is not None):
        found.insert(0, _current(repo, remote))
    by_name: dict[str, Update] = {}
    for update in found:
        other = by_name.setdefault(update.name, update)
        if other.new != update.new:
            raise UsageError(f"'{short_name(update.name)}' cannot become two things at once")
    return list(by_name.values())


def _all_of(repo: Repository, prefix: str) -> Iterable[Update]:
    for name, ref in iter_refs(repo.store, prefix).items():
        yield Update(name, ref, branch=_branch(name))


def _current(repo: Repository, remote: str) -> Update:
    head = repo.head
    if head.branch is None:
        raise StateError("HEAD is on no branch", hint="vgr push REMOTE HEAD:BRANCH")
    if head.commit is None:
        raise StateError(
            f"branch '{head.branch}' has no commits yet", hint="vgr commit -m 'first version'"
        )
    upstream = upstream_of(repo, head.branch)
    there = upstream.branch if upstream and upstream.remote == remote else head.branch
    return Update(HEADS + there, head.commit, branch=head.branch)


def _parse(repo: Repository, text: str) -> Update:
    force = text.startswith("+")
    source, colon, target = text.removeprefix("+").partition(":")
    if ":" in target or (colon and not target) or not (source or target):
        raise UsageError(f"'{text}' is no refspec", hint="vgr push REMOTE SOURCE:TARGET")
    if not source:
        return Update(_target(repo, target, None), None, force)
    name, new = _source(repo, source)
    return Update(_target(repo, target or source, name), new, force, _branch(name))


def _source(repo: Repository, source: str) -> tuple[str | None, bytes]:
    """(full name of a ref, or None, and the id) of what is pushed."""
    if source in (HEAD, "@"):
        head = repo.head
        return None if head.branch is None else HEADS + head.branch, resolve(repo.store, HEAD)
    name = full_name(repo.store, source)
    ref = None if name is None else read_ref(repo.store, name)
    if ref is not None:
        return name, ref
    try:
        return None, resolve(repo.store, source)
    except NotFoundError:
        raise NotFoundError(
            f"nothing here is called '{source}'", hint="vgr branch, vgr tag"
        ) from None


def _target(repo: Repository, text: str, source: str | None) -> str:
    """The full name at the remote: a bare one is of the kind of its source."""
    if text in (HEAD, "@"):
        if source is None:
            raise UsageError("HEAD is on no branch", hint="vgr push REMOTE HEAD:BRANCH")
        text = source
    if not text.startswith("refs/"):
        kinds = [prefix for prefix in SHARED if source is not None and source.startswith(prefix)]
        text = (kinds[0] if kinds else HEADS) + _bare(text)
    if not text.startswith(SHARED):
        raise UsageError(f"'{text}' is no branch or tag", hint="refs/heads/NAME or refs/tags/NAME")
    check_name(text)
    return text


def _bare(text: str) -> str:
    for prefix in ("heads/", "tags/"):
        text = text.removeprefix(prefix)
    return text


def _branch(name: str | None) -> str | None:
    return name.removeprefix(HEADS) if name is not None and name.startswith(HEADS) else None


def refuse_odd_kind(repo: Repository, update: Update) -> None:
    """UsageError for a branch that would be no commit."""
    if update.new is None or update.name.startswith(TAGS):
        return
    kind = repo.store.header(update.new).kind
    if kind is not Kind.COMMIT:
        raise UsageError(
            f"'{short_name(update.name)}' would be a {kind.label}, not a commit",
            hint=f"vgr push REMOTE SOURCE^{{}}:{short_name(update.name)}",
        )
