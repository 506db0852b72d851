"""Bound label files: the verbs. What keeps them in step is in `following`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from voyager.errors import (
    ExistsError,
    NotFoundError,
    StateError,
    UsageError,
)
from voyager.formats.base import Format
from voyager.formats.bound_cache import Written
from voyager.formats.following import Bound, Following, head_of
from voyager.formats.registry import format_named
from voyager.repo.bound import (
    Binding,
    binding_name,
    bindings,
)
from voyager.repo.keys import check_key, shown
from voyager.repo.repository import Repository
from voyager.repo.worktree import under_link


def bind(
    repo: Repository,
    key: str,
    format: str,
    *,
    where: str | None = None,
    task: str | None = None,
    settings: Mapping[str, str] | None = None,
    force: bool = False,
) -> Bound:
    """Bind a file of the working tree to the labels of HEAD: write it, and keep it in step.

    A file that is there is replaced if it says what HEAD says, or with `force`. Raises StateError
    for a tracked file, UsageError for a format that needs more than one file.
    """
    repo.refuse_if_running()
    form = format_named(format)
    binding = Binding(check_key(key), form.name, where, task, dict(settings or {}))
    _check(repo, binding, form)
    path = repo.tree() / key
    follower = Following(repo, {**bindings(repo), key: binding})
    if path.exists() and not force:
        found = follower.look_at(binding, Written(head_of(repo)))
        if found.state != "in step":
            raise ExistsError(
                f"'{shown(key)}' is there and says something else",
                hint=f"vgr import '{shown(key)}' takes its labels; --force replaces it",
            )
    done = follower.write_new(binding)
    name = binding_name(key)
    old, new = repo.store.value(name), binding.as_value()
    if old != new:
        with repo.transaction("bind", key[:200]) as txn:
            txn.move(name, new, old=old)
            txn.commit()
    repo.follower = Following(repo, bindings(repo))
    return done


def unbind(repo: Repository, key: str) -> None:
    """Forget a binding; the file stays as it is. NotFoundError where there is none."""
    name = binding_name(key)
    old = repo.store.value(name)
    if old is None:
        raise NotFoundError(f"'{shown(key)}' is not bound", hint="vgr bind lists what is")
    with repo.transaction("unbind", key[:200]) as txn:
        txn.move(name, None, old=old)
        txn.commit()
    known = bindings(repo)
    follower = Following(repo, known)
    follower.forget(key)
    repo.follower = follower if known else None


def attach(repo: Repository) -> None:
    """Let the bound files of a repository follow what is done to it."""
    known = bindings(repo) if repo.root is not None else {}
    repo.follower = Following(repo, known) if known else None


def _check(repo: Repository, binding: Binding, form: Format) -> None:
    key, root = binding.key, repo.tree()
    if not form.one_file or form.write is None or form.read is None:
        raise UsageError(
            f"{form.title} is no format of one file", hint="vgr bind FILE --format jsonl"
        )
    if not Path(key).suffix:
        raise UsageError(f"'{shown(key)}' has no extension", hint="vgr bind labels.jsonl …")
    for name in binding.settings:
        if name not in form.settings:
            known = ", ".join(form.settings) or "none"
            raise UsageError(f"{form.title} has no setting '{name}' (it has: {known})")
    for version in (repo.staged(), repo.dataset_of(repo.head.commit)):
        if version.space_of(key) is not None:
            raise StateError(f"'{shown(key)}' is tracked", hint=f"vgr rm --cached '{shown(key)}'")
    if (root / key).is_dir() or under_link(root, key) or key.split("/")[0] == ".vgr":
        raise ExistsError(f"'{shown(key)}' can be no file")
