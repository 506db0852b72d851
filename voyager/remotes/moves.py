"""Which refs of a remote a push may move, and what it says of those that it may not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from voyager.errors import NotFoundError, RefMoved, StateError
from voyager.remotes.config import Remote
from voyager.remotes.policy import is_protected
from voyager.remotes.refspec import Update, short_name
from voyager.remotes.root import Root
from voyager.repo.repository import Repository
from voyager.repo.revisions import peel
from voyager.store.history import is_ancestor, read_run
from voyager.store.refs import HEADS, RUNS, TAGS, read_ref
from voyager.store.runs import says_all_of


class PushedRef(NamedTuple):
    """A ref of the remote that was moved (None: it was not there, or is no more)."""

    name: str
    old: bytes | None
    new: bytes | None
    forced: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "old": self.old and self.old.hex(),
            "new": self.new and self.new.hex(),
            "forced": self.forced,
        }


class Rules(NamedTuple):
    """Between whom a push goes, and what it was told: `force` moves anything, `lease` what is where
    the remote-tracking ref saw it."""

    repo: Repository
    remote: Remote
    force: bool
    lease: bool


def moves_on(root: Root, rules: Rules, updates: Sequence[Update]) -> list[PushedRef]:
    """The refs that have to move on this root; RefMoved, StateError where one must not."""
    moves = []
    for update in updates:
        name, old = update.name, root.ref(update.name)
        if update.new is None and old is None:
            name = name.replace(HEADS, TAGS, 1)
            old = root.ref(name)
            if old is None:
                raise NotFoundError(
                    f"'{rules.remote}' has no {_noun(update.name)} '{short_name(update.name)}'",
                    hint=f"vgr fetch {rules.remote}",
                )
        if old == update.new or _has_all(rules, name, old, update.new):
            continue
        forced = old is not None and _check(root, rules, update, name, old)
        moves.append(PushedRef(name, old, update.new, forced))
    return moves


def _noun(name: str) -> str:
    return "ref" if name.startswith(RUNS) else "branch or tag"


def _has_all(rules: Rules, name: str, old: bytes | None, new: bytes | None) -> bool:
    """Whether a run at the remote has more than the one here, and nothing else."""
    if not name.startswith(RUNS) or old is None or new is None or old not in rules.repo.store:
        return False
    here, there = read_run(rules.repo.store, new), read_run(rules.repo.store, old)
    return says_all_of(there, here) and not says_all_of(here, there)


def _check(root: Root, rules: Rules, update: Update, name: str, old: bytes) -> bool:
    """Refuse a move that must not be; whether it leaves out what was there."""
    forward = update.new is not None and _is_forward(rules, name, old, update.new)
    if forward:
        return False
    if is_protected(root.policy, name):
        what = "stays" if update.new is None else "goes forward only"
        raise StateError(
            f"'{short_name(name)}' is protected at {rules.remote} and {what}",
            hint=_pull_hint(rules, name),
        )
    if update.force or rules.force:
        return update.new is not None
    if rules.lease:
        _refuse_stale(rules, name, old)
    elif update.new is not None:
        _refuse(rules, name, old, update.new)
    return update.new is not None


def _is_forward(rules: Rules, name: str, old: bytes, new: bytes) -> bool:
    store = rules.repo.store
    if name.startswith(TAGS) or old not in store:
        return False
    if name.startswith(RUNS):
        return says_all_of(read_run(store, new), read_run(store, old))
    return is_ancestor(store, peel(store, old), peel(store, new))


def _refuse(rules: Rules, name: str, old: bytes, new: bytes) -> None:
    tips = f"there it is at {old.hex()[:12]}, here at {new.hex()[:12]}"
    short = short_name(name)
    if name.startswith(TAGS):
        raise RefMoved(
            f"tag '{short}' exists at {rules.remote}: {tips}",
            hint=f"vgr push --force {rules.remote} {short} moves it",
        )
    if name.startswith(RUNS):
        raise RefMoved(
            f"'{short}' at {rules.remote} says what is not said of it here: {tips}",
            hint=f"vgr fetch {rules.remote}, which joins both",
        )
    if old not in rules.repo.store:
        raise RefMoved(
            f"'{short}' at {rules.remote} has commits that are not here: {tips}",
            hint=_pull_hint(rules, name),
        )
    raise RefMoved(
        f"'{short}' and that of {rules.remote} went different ways: {tips}",
        hint=f"{_pull_hint(rules, name)}; --force-with-lease overwrites it",
    )


def _refuse_stale(rules: Rules, name: str, old: bytes) -> None:
    """RefMoved unless the remote-tracking ref saw the ref where it is."""
    seen = None
    if rules.remote.name and name.startswith(HEADS):
        seen = read_ref(rules.repo.store, rules.remote.refs + name.removeprefix(HEADS))
    if seen != old:
        was = "it was never fetched" if seen is None else f"it was at {seen.hex()[:12]}"
        raise RefMoved(
            f"'{short_name(name)}' at {rules.remote} is at {old.hex()[:12]}, {was}",
            hint=f"vgr fetch {rules.remote}, and look at what came",
        )


def _pull_hint(rules: Rules, name: str) -> str:
    return f"vgr pull {rules.remote} {short_name(name)}"
