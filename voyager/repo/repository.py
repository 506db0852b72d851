"""A repository: the holder of its parts. Verbs live in the modules beside this one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from voyager.config import Config
from voyager.errors import ExistsError, StateError
from voyager.repo import revisions
from voyager.repo.dataset import Dataset
from voyager.repo.ignore import Ignore
from voyager.repo.layout import FOLDER, find
from voyager.repo.snapshot import read_snapshot, write_snapshot
from voyager.repo.staging import STAGING, Staging, read_staging, staging_value
from voyager.repo.stat_cache import StatCache
from voyager.store import files
from voyager.store.history import read_commit
from voyager.store.objectstore import Store
from voyager.store.refs import Head, check_name, move_head, read_head
from voyager.store.transaction import Transaction

if TYPE_CHECKING:
    from voyager.repo.blame import Blamed
    from voyager.repo.bound import Follower
    from voyager.repo.diff import Change
    from voyager.repo.edit import Edit
    from voyager.repo.label_facts import SampleDiff

RUNNING = "RUNNING"

Progress = Callable[[int, int | None], None]


def no_progress(done: int, total: int | None) -> None:
    """The progress callback of those who do not want to know."""


class Repository:
    """An open repository.

    `root` is the working tree's folder, or None for `--bare` and `--no-worktree` repositories;
    `folder` is where the store lies.
    """

    def __init__(self, folder: Path, store: Store, config: Config) -> None:
        self.folder = folder
        self.store = store
        self.config = config
        self.bare = folder.name != FOLDER
        has_tree = not self.bare and config.get_bool("core.worktree")
        self.root = folder.parent if has_tree else None
        self.follower: Follower | None = None
        """What keeps bound label files in step, where there are any."""
        self.remarks: dict[str, str] = {}
        """What stopped nothing and deserves a word when the work is done, by what it is about."""

    # -- opening ---------------------------------------------------------------------------------

    @classmethod
    def init(
        cls,
        path: str | os.PathLike[str] = ".",
        *,
        bare: bool = False,
        worktree: bool = True,
        branch: str | None = None,
    ) -> Repository:
        """Make an empty repository in a folder, which is made when absent.

        Raises ExistsError when there is one already.
        """
        top = Path(path).absolute()
        folder = top if bare else top / FOLDER
        if (folder / "SPEC").exists():
            raise ExistsError(f"{folder} is a repository already", hint="vgr status")
        if bare and folder.exists() and any(folder.iterdir()):
            raise ExistsError(f"{folder} is not empty", hint="vgr init --bare NEW-FOLDER")
        config = Config.load(folder)
        name = check_name(branch or config.get("init.default_branch"))
        files.make_folder(folder)
        store = Store.init(folder)
        if not worktree:
            config.set("core.worktree", "false", "repository", files.write_atomic)
        repository = cls(folder, store, config)
        with repository.transaction("init") as txn:
            move_head(txn, Head(name, None), old=None)
            txn.move(STAGING, staging_value(None, write_snapshot(txn, {})), old=None)
            txn.commit()
        return repository

    @classmethod
    def open(cls, path: str | os.PathLike[str] = ".") -> Repository:
        """Open the repository that holds `path`: in it or in a folder above it."""
        folder = find(Path(path).absolute())
        config = Config.load(folder)
        return cls(folder, Store.open(folder), config)

    def close(self) -> None:
        """Let go of files and of the index."""
        self.store.close()

    def __enter__(self) -> Repository:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- parts -----------------------------------------------------------------------------------

    def transaction(self, kind: str, message: str = "") -> Transaction:
        """A transaction in the name of the configured author, now."""
        time, zone = self.config.now()
        return Transaction(
            self.store,
            kind,
            message=message,
            author=self.config.author_or_unknown(),
            time=time,
            zone=zone,
        )

    @property
    def head(self) -> Head:
        return read_head(self.store)

    @property
    def staging(self) -> Staging:
        return read_staging(self.store)

    @cached_property
    def stat_cache(self) -> StatCache:
        return StatCache.open(self.folder / "cache" / "stat")

    @cached_property
    def ignore(self) -> Ignore:
        return Ignore.load(self.tree())

    def tree(self) -> Path:
        """The folder of the working tree; StateError when the repository has none."""
        if self.root is None:
            what = "a bare repository" if self.bare else "a repository without a working tree"
            raise StateError(f"{self.folder} is {what}", hint="vgr ls, vgr cat and Python read it")
        return self.root

    # -- versions --------------------------------------------------------------------------------

    def resolve(self, revision: str) -> bytes:
        """The id of the commit that a revision names."""
        return revisions.resolve(self.store, revision)

    def at(self, revision: str | bytes) -> Dataset:
        """The version that a revision (or a commit's id) names, read-only."""
        text = revision.hex() if isinstance(revision, bytes) else revision
        return self.dataset_of(self.resolve(text))

    def dataset_of(self, commit: bytes | None) -> Dataset:
        """The version of a commit; an empty one for None (an unborn branch)."""
        if commit is None:
            return Dataset(self.store, {})
        snapshot = read_commit(self.store, commit).snapshot_id
        return Dataset(self.store, read_snapshot(self.store, snapshot), commit=commit)

    def staged(self) -> Dataset:
        """The version that the next commit would hold."""
        return self.staged_view(self.staging)

    def staged_view(self, staging: Staging) -> Dataset:
        return Dataset(self.store, staging.roots, staging.overlay)

    def edit(self, message: str, *, author: str | None = None) -> Edit:
        """A context that changes rows and commits on leaving, or leaves nothing."""
        from voyager.repo.edit import Edit

        return Edit(self, message, author=author)

    def diff(self, before: str = "HEAD~1", after: str = "HEAD") -> Iterator[Change]:
        """The changes between two revisions, streamed; renames are not paired."""
        from voyager.repo.diff import iter_changes

        return iter_changes(self.at(before), self.at(after))

    def label_diff(self, before: str = "HEAD~1", after: str = "HEAD") -> Iterator[SampleDiff]:
        """The same in words of labels: what is different about each key, region by region."""
        from voyager.repo.label_diff import label_diff

        return label_diff(self.at(before), self.at(after))

    def blame(self, key: str, revision: str | None = None) -> list[Blamed]:
        """For all that is said of a sample: who made it what it is, when, and in which commit."""
        from voyager.repo.blame import blame

        return blame(self, key, revision)

    def refuse_if_running(self) -> None:
        """StateError while an interrupted checkout waits to be continued or aborted."""
        running = self.store.value(RUNNING)
        if running is not None:
            raise StateError(
                f"an interrupted {running['kind']} is not finished",
                hint="vgr checkout --continue, or vgr checkout --abort",
            )
