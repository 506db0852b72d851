"""Which refs a fetch moves: the plan that it makes of the root of a remote, and what it tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from voyager.errors import NotFoundError, UsageError
from voyager.remotes.config import Remote
from voyager.remotes.refspec import run_word
from voyager.remotes.root import Root
from voyager.repo.repository import Repository
from voyager.store.history import read_run
from voyager.store.objectstore import Store
from voyager.store.refs import FETCH_HEAD, HEADS, RUNS, TAGS, iter_refs, read_ref
from voyager.store.runs import says_all_of


@dataclass(frozen=True, slots=True)
class RefMove:
    """A ref of this repository that a fetch or push moved; `name` is the full one."""

    name: str
    old: bytes | None
    new: bytes | None

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "old": None if self.old is None else self.old.hex(),
            "new": None if self.new is None else self.new.hex(),
        }


@dataclass(slots=True)
class Fetched:
    """What a fetch brought: `objects` came in by `bytes` in `requests`.

    `kept` are tags (and `runs/…`) that are others here than there, and stay; `purged` blobs went.
    """

    refs: list[RefMove] = field(default_factory=list)
    objects: int = 0
    bytes: int = 0
    requests: int = 0
    kept: list[str] = field(default_factory=list)
    purged: int = 0
    source: str = ""
    """The full name of what came as FETCH_HEAD."""

    def as_json(self) -> dict[str, Any]:
        """As `vgr fetch --json` says it."""
        return {
            "refs": [move.as_json() for move in self.refs],
            "objects": self.objects,
            "bytes": self.bytes,
            "requests": self.requests,
            "kept": list(self.kept),
            "purged": self.purged,
        }


@dataclass(slots=True)
class FetchPlan:
    """Which refs are to move, and what tips of the remote they need."""

    moves: dict[str, tuple[bytes | None, bytes | None]]
    done: Fetched
    following: dict[str, bytes] = field(default_factory=dict)
    """Tags and runs that are not here, and come if the commits do that they mean."""
    every_tip: list[bytes] = field(default_factory=list)
    """Also those of refs that are as they were."""

    def tips(self) -> list[bytes]:
        return [new for _, new in self.moves.values() if new is not None]


def plan_fetch(
    repo: Repository,
    remote: Remote,
    root: Root,
    *,
    refs: Sequence[str] | None,
    prune: bool,
    tags: bool,
    runs: bool,
    shallow: bool,
) -> FetchPlan:
    """Which refs a fetch moves; `shallow` where it brings only part of the history."""
    here = iter_refs(repo.store)
    plan = FetchPlan({}, Fetched())
    if not remote.name:
        _plan_unnamed(repo, remote, root, refs, plan)
        return plan
    wanted = _choose(remote, root, refs, tags=tags, runs=runs and not shallow)
    for name, ref in root.refs.items():
        follows = name.startswith(TAGS) and refs is not None and tags
        follows |= name.startswith(RUNS) and (refs is not None or shallow) and runs
        if follows and name not in here and name not in wanted:
            plan.following[name] = bytes(ref.data)
    for name, new in wanted.items():
        if name.startswith(RUNS):
            if _stays(repo.store, here.get(name), new):
                continue
            own = name
        elif name.startswith(TAGS):
            if here.get(name, new) != new:
                plan.done.kept.append(name.removeprefix(TAGS))
                continue
            own = name
        else:
            own = remote.refs + name.removeprefix(HEADS)
        plan.every_tip.append(new)
        if here.get(own) != new:
            plan.moves[own] = (here.get(own), new)
    if prune:
        there = {remote.refs + name.removeprefix(HEADS) for name in root.refs}
        for own, old in here.items():
            if own.startswith(remote.refs) and own not in there:
                plan.moves[own] = (old, None)
    return plan


def _stays(store: Store, old: bytes | None, new: bytes) -> bool:
    """Whether the run that is here has all that the remote's has, as far as that is known."""
    if old is None or old == new or new not in store:
        return False
    return says_all_of(read_run(store, old), read_run(store, new))


def _plan_unnamed(
    repo: Repository, remote: Remote, root: Root, refs: Sequence[str] | None, plan: FetchPlan
) -> None:
    """One branch or tag of a place that has no name here."""
    if refs is not None and len(refs) > 1:
        raise UsageError(
            f"of a URL one branch at a time can be fetched, not {len(refs)}",
            hint=f"vgr remote add NAME {remote.url}",
        )
    first = first_ref(root)
    if refs is None and first is None:
        raise NotFoundError(f"{remote} has no branch", hint=f"vgr push {remote} main")
    name, new = next(iter(_choose(remote, root, refs or [str(first)]).items()))
    old = read_ref(repo.store, FETCH_HEAD)
    plan.done.source = name
    plan.every_tip.append(new)
    if old != new:
        plan.moves[FETCH_HEAD] = (old, new)


def first_ref(root: Root) -> str | None:
    """The branch that is meant when none is named, by its full name; None where there is none."""
    branches = sorted(name for name in root.refs if name.startswith(HEADS))
    for name in (root.head.removeprefix(HEADS), "main", "master"):
        if HEADS + name in branches:
            return HEADS + name
    return branches[0] if branches else None


def _choose(
    remote: Remote,
    root: Root,
    refs: Sequence[str] | None,
    *,
    tags: bool = False,
    runs: bool = False,
) -> dict[str, bytes]:
    """The refs of the remote to bring: branches, tags and runs, or those that were named."""
    known = {name: bytes(ref.data) for name, ref in root.refs.items()}
    if refs is None:
        starts = (HEADS, *((TAGS,) if tags else ()), *((RUNS,) if runs else ()))
        return {name: new for name, new in known.items() if name.startswith(starts)}
    found = {}
    for name in refs:
        names = (name, HEADS + name, TAGS + name, RUNS + run_word(name))
        full = next((one for one in names if one in known), None)
        if full is None:
            raise NotFoundError(
                f"'{remote}' has no branch or tag '{name}'",
                hint=near_ref(name, root) or "vgr fetch, then vgr branch -a",
            )
        found[full] = known[full]
    return found


def near_ref(name: str, root: Root) -> str | None:
    """A hint at a branch or tag of a remote whose name is much like another."""
    from difflib import get_close_matches

    names = [full.split("/", 2)[-1] for full in root.refs]
    near = get_close_matches(name, names, 1)
    return f"did you mean '{near[0]}'?" if near else None
