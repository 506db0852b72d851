"""Cherry-pick and revert: what some commits changed, done here, or undone."""

from __future__ import annotations

from collections.abc import Sequence

from voyager.errors import NotFoundError, StateError, UsageError
from voyager.merge import refuse_unready
from voyager.merge.only import EVERYTHING, Only, near_task, refuse_unknown_classes
from voyager.merge.replay import Replay, Replayed, ReplayKind, parent_of, run
from voyager.repo.ranges import iter_range, read_range
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.schema.vocabulary import Vocabulary
from voyager.store.history import read_commit


def cherry_pick(
    repo: Repository,
    *revisions: str,
    mainline: int | None = None,
    note_origin: bool = False,
    commit: bool = True,
    only: Only = EVERYTHING,
    strategies: Sequence[str] = (),
    progress: Progress = no_progress,
) -> Replayed:
    """Do here what commits did elsewhere; their authors and times stay.

    Ranges (A..B) stand for their commits, the oldest first. `only` takes a part of each.
    `commit=False` leaves all of it staged. `strategies` decide conflicts as in `merge`; those that
    are left stop it: `proceed`, `skip` or `abort`.
    Raises StateError for staged changes and merges without `mainline`; nothing is changed then.
    """
    todo = _commits(repo, "cherry-pick", revisions, newest_first=False)
    if only.classes:
        refuse_unknown_classes(only, _vocabularies(repo, todo))
    done = _replay(
        repo,
        Replay(
            "cherry-pick",
            todo,
            repo.head,
            mainline,
            note_origin,
            commit,
            only,
            strategies=tuple(strategies),
        ),
        revisions,
        progress=progress,
    )
    if only and not done.left and not any(step.taken for step in done.steps):
        raise NotFoundError(f"nothing in these commits is {only}", hint=_meant(repo, todo, only))
    return done


def revert(
    repo: Repository,
    *revisions: str,
    mainline: int | None = None,
    commit: bool = True,
    strategies: Sequence[str] = (),
    progress: Progress = no_progress,
) -> Replayed:
    """Undo what commits did, by new commits; ranges (A..B) the newest first.

    As `cherry_pick` else. The first commit of a history has nothing to go back to: StateError.
    """
    todo = _commits(repo, "revert", revisions, newest_first=True)
    for source in todo:
        if not read_commit(repo.store, source).parents:
            raise StateError(
                f"{source.hex()[:10]} is the first commit: there is nothing to go back to",
                hint="vgr rm, or vgr taxonomy rm and vgr task rm, take out what is not wanted",
            )
    replay = Replay(
        "revert", todo, repo.head, mainline, commit=commit, strategies=tuple(strategies)
    )
    return _replay(repo, replay, revisions, progress=progress)


def _replay(
    repo: Repository, replay: Replay, revisions: Sequence[str], *, progress: Progress
) -> Replayed:
    refuse_unready(repo)
    head = replay.head.commit
    if head is None:
        raise StateError("there is no commit to replay on", hint="vgr commit -m 'first version'")
    for source in replay.todo:  # before the first step is taken
        parent_of(source, read_commit(repo.store, source), replay.mainline)
    return run(repo, replay, head, ", ".join(revisions), progress=progress)


def _commits(
    repo: Repository, kind: ReplayKind, revisions: Sequence[str], *, newest_first: bool
) -> tuple[bytes, ...]:
    """The commits that revisions name, in the order of doing; UsageError for none."""
    if not revisions:
        raise UsageError(f"vgr {kind} wants a commit", hint="vgr log --oneline --all")
    if not any(".." in word or word.startswith("^") for word in revisions):
        return tuple(dict.fromkeys(map(repo.resolve, revisions)))
    span = read_range(repo.store, revisions)
    found = [commit_id for commit_id, _ in iter_range(repo.store, span)]
    if not found:
        raise UsageError(f"no commit is in {' '.join(revisions)}", hint="vgr log --oneline A..B")
    return tuple(found if newest_first else found[::-1])


def _vocabularies(repo: Repository, todo: Sequence[bytes]) -> list[Vocabulary]:
    """Those of commits, of the commits before them, and HEAD's."""
    parents = [read_commit(repo.store, source).parent_ids[:1] for source in todo]
    ids = dict.fromkeys([*todo, *(each for found in parents for each in found)])
    return [repo.dataset_of(each).vocabulary for each in (*ids, repo.head.commit)]


def _meant(repo: Repository, todo: Sequence[bytes], only: Only) -> str:
    """A hint for a choice that took nothing."""
    near = near_task(only, _vocabularies(repo, todo)) if only.tasks else None
    if near is not None:
        return f"did you mean --only task={near}?"
    names = dict.fromkeys(read_commit(repo.store, source).author for source in todo)
    return f"vgr show says what they changed; they are by {', '.join(list(names)[:3])}"
