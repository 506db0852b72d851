"""Revisions: what a user types to name a commit, by git's grammar.

`HEAD`, `@`, `FETCH_HEAD`, branch, tag, `origin/main`, full ref, hash or unique prefix (4 digits and
more), then any number of `~n`, `^n`, `@{n}`, `^{}`.
"""

from __future__ import annotations

import difflib
import re

from voyager.errors import CorruptError, NotFoundError, StateError, UsageError
from voyager.store.history import read_commit, read_run, read_tag
from voyager.store.ids import Kind
from voyager.store.objectstore import Store
from voyager.store.operation import NIL
from voyager.store.refs import (
    FETCH_HEAD,
    HEAD,
    HEADS,
    REMOTES,
    STASH,
    TAGS,
    iter_refs,
    read_head,
    read_ref,
)
from voyager.wire import Ext, decode

_SUFFIX = re.compile(r"~(\d*)|\^(?!\{)(\d*)|@\{(\d+)\}|\^\{(\w*)\}")
_BASE = re.compile(r"^(.*?)(?=~|\^|@\{|$)", re.DOTALL)
_PREFIX = re.compile(r"^[0-9a-f]{4,64}$")


def resolve(store: Store, text: str) -> bytes:
    """The commit a revision names.

    Raises NotFoundError with a near miss, UsageError for a malformed or ambiguous one.
    """
    match = _BASE.match(text)
    base = match.group(1) if match else text
    rest = text[len(base) :]
    if text == "@" or (not base and rest.startswith("@{")):
        base = HEAD
        rest = "" if text == "@" else rest
    if not base:
        raise UsageError(f"'{text}' is not a revision")
    current, name = _resolve_base(store, base, text)
    while rest:
        suffix = _SUFFIX.match(rest)
        if suffix is None:
            raise UsageError(f"'{text}' is not a revision: cannot read '{rest}'")
        tilde, caret, at, _ = suffix.groups()
        if at is not None and (name or "").startswith(STASH):
            current = _stash(store, int(at))
        elif at is not None:
            current = _before(store, name or base, int(at))
        elif tilde is not None:
            for _ in range(int(tilde or 1)):
                current = _parent(store, current, 1, text)
        elif caret is not None:
            current = _parent(store, current, int(caret or 1), text)
        rest = rest[suffix.end() :]
    return peel(store, current)


def peel(store: Store, object_id: bytes) -> bytes:
    """Follow annotated tags down to the commit; that of a run is the one it was trained on."""
    kind, _ = store.get_any(object_id)
    while kind in (Kind.TAG, Kind.RUN):
        if kind is Kind.TAG:
            object_id = bytes(read_tag(store, object_id).target.data)
        else:
            object_id = bytes(read_run(store, object_id).commit.data)
        kind, _ = store.get_any(object_id)
    if kind is not Kind.COMMIT:
        raise UsageError(f"{object_id.hex()[:12]} is a {kind.label}, not a commit")
    return object_id


def full_name(store: Store, name: str) -> str | None:
    """The full ref name behind a short one, in git's order of precedence."""
    if not name.isprintable():
        return None  # as `check_name` has it
    for candidate in (name, TAGS + name, HEADS + name, REMOTES + name):
        if candidate.startswith("refs/") and read_ref(store, candidate) is not None:
            return candidate
    return None


def _resolve_base(store: Store, base: str, text: str) -> tuple[bytes, str | None]:
    if base in (HEAD, "@"):
        head = read_head(store)
        if head.commit is None:
            raise StateError(
                f"branch '{head.branch}' has no commits yet", hint="vgr commit -m 'first version'"
            )
        return head.commit, HEAD
    if base == FETCH_HEAD:
        fetched = read_ref(store, FETCH_HEAD)
        if fetched is None:
            raise NotFoundError("nothing was fetched from a URL yet", hint="vgr fetch URL BRANCH")
        return fetched, FETCH_HEAD
    if base == "stash":
        stashes = sorted(iter_refs(store, STASH))
        if stashes:
            return iter_refs(store, STASH)[stashes[-1]], stashes[-1]
    name = full_name(store, base)
    if name is not None:
        return _expect(read_ref(store, name)), name
    if _PREFIX.match(base):
        found = _by_prefix(store, base)
        if found is not None:
            return found, None
    raise NotFoundError(f"unknown revision '{text}'", hint=_near_miss(store, base))


def _expect(value: bytes | None) -> bytes:
    if value is None:
        raise CorruptError("a ref vanished while it was read")
    return value


def find_object(store: Store, prefix: str) -> bytes:
    """The one stored id that begins with these hex digits; blobs and objects alike."""
    if not _PREFIX.match(prefix):
        raise NotFoundError(f"nothing stored is named '{prefix}'")
    found = _matching(store, prefix)
    if len(found) > 1:
        raise UsageError(f"'{prefix}' is ambiguous: it begins {len(found)} ids")
    if not found:
        raise NotFoundError(f"nothing stored has an id that begins with '{prefix}'")
    return found[0]


def _matching(store: Store, prefix: str) -> list[bytes]:
    whole = bytes.fromhex(prefix[: len(prefix) // 2 * 2])
    return [found for found in store.iter_prefix(whole) if found.hex().startswith(prefix)]


def _by_prefix(store: Store, prefix: str) -> bytes | None:
    commits = [
        found
        for found in _matching(store, prefix)
        if store.header(found).kind in (Kind.COMMIT, Kind.TAG)
    ]
    if len(commits) > 1:
        shown = ", ".join(sorted(found.hex()[: len(prefix) + 4] for found in commits[:5]))
        raise UsageError(f"'{prefix}' is ambiguous: it could be {shown}")
    return commits[0] if commits else None


def _parent(store: Store, commit_id: bytes, n: int, text: str) -> bytes:
    commit_id = peel(store, commit_id)
    if n == 0:
        return commit_id
    parents = read_commit(store, commit_id).parent_ids
    if len(parents) < n:
        raise NotFoundError(
            f"'{text}' goes past the beginning: {_short(commit_id)} has "
            f"{len(parents)} parent{'s' * (len(parents) != 1)}"
        )
    return parents[n - 1]


def _short(commit_id: bytes) -> str:
    return commit_id.hex()[:10]


def _stash(store: Store, n: int) -> bytes:
    """The n-th stash; 0 is the newest."""
    stashes = list(iter_refs(store, STASH).values())[::-1]
    if n >= len(stashes):
        raise NotFoundError(f"no stash@{{{n}}}", hint="vgr stash list")
    return stashes[n]


def _before(store: Store, name: str, n: int) -> bytes:
    """What a ref held n moves ago."""
    ref = name if name == HEAD else full_name(store, name)
    if ref is None:
        raise NotFoundError(f"'{name}' has no reflog")
    if n == 0:
        return _expect(read_head(store).commit if ref == HEAD else read_ref(store, ref))
    entries = reflog(store, ref)
    if n >= len(entries):
        short = name.removeprefix(HEADS)
        raise NotFoundError(f"the reflog of '{short}' has only {len(entries)} entries")
    return entries[n][1]


def reflog(store: Store, ref: str) -> list[tuple[int, bytes]]:
    """(operation number, id) of each value a ref had, newest first.

    HEAD moves with its branch, so its log is that of every operation that changed what it names.
    """
    names = {ref}
    if ref == HEAD:
        names |= set(store.values(HEADS))
    numbers = sorted({number for name in names for number in store.moves_of(name)})
    return _head_log(store, numbers) if ref == HEAD else _ref_log(store, ref, numbers)


def _ref_log(store: Store, ref: str, numbers: list[int]) -> list[tuple[int, bytes]]:
    log: list[tuple[int, bytes]] = []
    for number in numbers:
        log += [
            (number, bytes(decode(bytes(move.new)).data))
            for move in store.operation(number).moves
            if move.name == ref and bytes(move.new) != NIL
        ]
    return log[::-1]


def _head_log(store: Store, numbers: list[int]) -> list[tuple[int, bytes]]:
    """Walk back from what HEAD is now, since operations before the first kept one are unknown."""
    log: list[tuple[int, bytes]] = []
    state: dict[str, object] = {HEAD: store.value(HEAD), **store.values(HEADS)}
    for number in reversed(numbers):
        head = state.get(HEAD)
        value = state.get(head) if isinstance(head, str) else head
        if isinstance(value, Ext):
            now = bytes(value.data)
            if log and log[-1][1] == now:
                log[-1] = (number, now)  # the older operation is the one that moved it there
            else:
                log.append((number, now))
        for move in store.operation(number).moves:
            if move.name in state or move.name.startswith(HEADS):
                state[move.name] = decode(bytes(move.old))
    return log


def _near_miss(store: Store, name: str) -> str | None:
    names = [full.split("/", 2)[2] for full in iter_refs(store) if not full.startswith(STASH)]
    close = difflib.get_close_matches(name, [*names, HEAD], n=1)
    return f"did you mean '{close[0]}'?" if close else "vgr branch, vgr tag and vgr log list them"


def split_key(text: str) -> tuple[str, str | None]:
    """`REV:KEY` apart; the key is None when there is no colon."""
    revision, colon, key = text.partition(":")
    return (revision or HEAD, key) if colon else (text, None)
