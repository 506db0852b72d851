"""All runs that there are: those of the store, and those that go on or were stopped here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from voyager.errors import NotFoundError
from voyager.repo.repository import Repository
from voyager.store.refs import RUNS, iter_refs
from voyager.train.record import Record, Run, drop_run, iter_runs, read_run
from voyager.train.run_folder import RunFolder, drop_run_folder, iter_run_folders
from voyager.train.run_names import named_run


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run with its state as it is now: in the store, or else in a folder."""

    record: Record
    run: Run | None = None
    folder: RunFolder | None = None

    @property
    def id(self) -> str:
        """The id of the run."""
        return self.record.run

    @property
    def commit(self) -> bytes:
        """The commit that it was trained on."""
        return bytes.fromhex(self.record.commit)

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it learned."""
        return tuple(self.record.config.get("tasks", ()))

    @property
    def model(self) -> str:
        """The network that was trained."""
        return str(self.record.config.get("model", ""))


def iter_listed(
    repo: Repository, *, commit: bytes | None = None, task: str | None = None
) -> Iterator[ListedRun]:
    """All runs, the newest first; those of a commit, and those that learned a task."""
    kept = [ListedRun(run.record, run) for run in iter_runs(repo)]
    known = {run.id for run in kept}
    kept += [_in_folder(one) for one in iter_run_folders(repo) if one.id not in known]
    for run in sorted(kept, key=lambda one: (-one.record.started, one.id)):
        if commit in (None, run.commit) and (task is None or task in run.tasks):
            yield run


def _in_folder(folder: RunFolder) -> ListedRun:
    """A run on its way; one whose process ended without a word was stopped."""
    record = folder.record
    if folder.goes_on:
        record = replace(record, state="running")
    elif record.state == "running":
        record = replace(record, state="stopped")
    return ListedRun(record, folder=folder)


def find_listed(repo: Repository, text: str) -> ListedRun:
    """The run of an id, a name (the newest of it), or a unique beginning of an id.

    NotFoundError where there is none, UsageError where several begin so.
    """
    ref = RUNS + text
    object_id = iter_refs(repo.store, ref).get(ref) if text else None
    if object_id is not None:
        run = read_run(repo.store, text, object_id)
        return ListedRun(run.record, run)
    found = named_run(text, list(iter_listed(repo)), lambda listed: listed.record)
    if found is None:
        raise NotFoundError(f"no run '{text}'", hint="vgr runs")
    return found


def drop_listed(repo: Repository, run: ListedRun) -> None:
    """Forget a run, in the store or in a folder; `vgr undo` brings it back."""
    if run.run is not None:
        drop_run(repo, run.run)
    elif run.folder is not None:
        drop_run_folder(repo, run.folder)
