"""What a push or a fetch moves: refspecs by git's grammar, `[+]SOURCE[:TARGET]` and `:TARGET`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from voyager.errors import NotFoundError, StateError, UsageError, VoyagerError
from voyager.repo.repository import Repository
from voyager.repo.revisions import full_name, peel, resolve
from voyager.repo.upstream import upstream_of
from voyager.store.history import iter_history
from voyager.store.ids import Kind
from voyager.store.refs import (
    HEAD,
    HEADS,
    PREDICTIONS,
    RUNS,
    TAGS,
    check_name,
    iter_refs,
    read_ref,
)
from voyager.store.runs import open_tips

SHARED = (HEADS, TAGS, PREDICTIONS, RUNS)
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
    kinds = {TAGS: "tag", HEADS: "branch", RUNS: "run"}
    return next((kind for start, kind in kinds.items() if name.startswith(start)), "ref")


def run_word(text: str) -> str:
    """The id of a run in `runs/ID` and `runs:ID`; the text itself where it is neither."""
    return text[5:] if text.startswith(("runs/", "runs:")) else text


def updates_of(
    repo: Repository,
    refspecs: Sequence[str],
    *,
    remote: str = "",
    every_branch: bool = False,
    tags: bool = False,
    runs: bool = False,
    delete: bool = False,
) -> list[Update]:
    """What a push is asked to move; without a refspec the current branch, to where it follows.

    With `runs` also the runs of all commits that go there, or are there. Raises NotFoundError for a
    ref that there is none of, UsageError for a malformed refspec.
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
    if runs and not delete:
        tips = [update.new for update in found if update.new is not None]
        for update in _runs_of(repo, tips):
            by_name.setdefault(update.name, update)
    return list(by_name.values())


def _all_of(repo: Repository, prefix: str) -> Iterable[Update]:
    for name, ref in iter_refs(repo.store, prefix).items():
        yield Update(name, ref, branch=_branch(name))


def _runs_of(repo: Repository, tips: Iterable[bytes]) -> Iterable[Update]:
    """The runs that were trained on commits which tips reach."""
    refs = iter_refs(repo.store, RUNS)
    wanted: dict[bytes, list[Update]] = {}
    for name, ref in refs.items():
        wanted.setdefault(peel(repo.store, ref), []).append(Update(name, ref))
    if not wanted:
        return
    for commit_id, _ in iter_history(repo.store, open_tips(repo.store, tips).commits):
        yield from wanted.pop(commit_id, ())
        if not wanted:
            return


def _current(repo: Repository, remote: str) -> Update:
    head = repo.head
    if head.branch is None:
        raise StateError("HEAD is on no branch", hint="vgr push REMOTE HEAD:BRANCH")
    if head.commit is None:
        raise _unborn(head.branch)
    upstream = upstream_of(repo, head.branch)
    there = upstream.branch if upstream and upstream.remote == remote else head.branch
    return Update(HEADS + there, head.commit, branch=head.branch)


def _parse(repo: Repository, text: str) -> Update:
    force = text.startswith("+")
    source, colon, target = _with_whole_run(repo, text.removeprefix("+")).partition(":")
    if ":" in target or (colon and not target) or not (source or target):
        raise UsageError(f"'{text}' is no refspec", hint="vgr push REMOTE SOURCE:TARGET")
    if not source:
        return Update(_target(repo, target, None), None, force)
    name, new = _source(repo, source)
    return Update(_target(repo, target or source, name), new, force, _branch(name))


def _with_whole_run(repo: Repository, text: str) -> str:
    """A refspec that names a run, `[:]runs/ID` or `[:]runs:ID`, with its full name."""
    colon, short = (":", text[1:]) if text.startswith(":") else ("", text)
    word = run_word(short)
    if word == short or ":" in word or read_ref(repo.store, f"{HEADS}runs/{word}") is not None:
        return text
    known = [name for name in iter_refs(repo.store, RUNS) if name.startswith(RUNS + word)]
    return colon + (known[0] if len(known) == 1 else RUNS + word)


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
        raise _nothing_called(repo, source) from None


def _nothing_called(repo: Repository, name: str) -> VoyagerError:
    """What to say of a name that no ref has; a branch has none before its first commit."""
    if repo.head.commit is None and repo.head.branch == name:
        return _unborn(name)
    names = [short_name(full) for full in iter_refs(repo.store) if full.startswith((HEADS, TAGS))]
    near = get_close_matches(name, names, 1)
    hint = f"did you mean '{near[0]}'?" if near else "vgr branch, vgr tag"
    return NotFoundError(f"nothing here is called '{name}'", hint=hint)


def _unborn(branch: str) -> StateError:
    return StateError(f"branch '{branch}' has no commits yet", hint="vgr commit -m 'first version'")


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
    """UsageError for a branch that would be no commit, and a run that would be none."""
    if update.new is None or update.name.startswith(TAGS):
        return
    kind = repo.store.header(update.new).kind
    if update.name.startswith(RUNS):
        if kind is not Kind.RUN:
            raise UsageError(
                f"'{short_name(update.name)}' would be a {kind.label}, not a run", hint="vgr runs"
            )
    elif kind is not Kind.COMMIT:
        raise UsageError(
            f"'{short_name(update.name)}' would be a {kind.label}, not a commit",
            hint=f"vgr push REMOTE SOURCE^{{}}:{short_name(update.name)}",
        )
