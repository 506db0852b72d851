"""Verbs on tasks in the staging area: add, set, remove."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voyager.errors import ExistsError, NotFoundError, StateError, UsageError
from voyager.repo.class_use import Use, use_of_task
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staged_edit import StagedEdit
from voyager.repo.taxonomies import words_of_use
from voyager.repo.violations import checked_part
from voyager.schema import decode_sample, encode_sample
from voyager.schema.promote import Promotion
from voyager.schema.relabel import without_task
from voyager.schema.task import Task
from voyager.schema.taxonomy_paths import find_place, living
from voyager.schema.validate import Validator
from voyager.schema.values import BadValueError
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.store.ids import Kind

_EVERY = 1024

Fields = Mapping[str, Any]
"""Fields of a task by name; `applies_to` as a path, empty for none."""


@dataclass(frozen=True, slots=True)
class AddedTask:
    """A task that was added, whether its taxonomy was made as well, and what was promoted."""

    task: Task
    made_taxonomy: bool = False
    promotion: Promotion | None = None


@dataclass(frozen=True, slots=True)
class SetTask:
    """A task before and after it was set, and whether its taxonomy was made as well.

    `violations` counts the places where rows violate it that did not before.
    """

    before: Task
    after: Task
    violations: int = 0
    made_taxonomy: bool = False


def add_task(
    repo: Repository,
    name: str,
    fields: Fields,
    *,
    from_attribute: str | None = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> AddedTask:
    """Add a task; a category task without a taxonomy gets one of its own name.

    With `from_attribute` that attribute of regions becomes labels of the task. Raises ExistsError
    for a task that exists, NotFoundError for an attribute that no region has.
    """
    with StagedEdit(repo, "task", f"add {name}", dry_run=dry_run) as edit:
        draft = edit.draft
        if name in draft.tasks:
            raise ExistsError(f"task '{name}' exists already", hint=f"vgr task set {name}")
        given = _read_fields(draft, _with_kind(fields))
        if given.get("kind", "category") == "category":
            given.setdefault("taxonomy", name)
        taxonomy = given.get("taxonomy")
        made = taxonomy is not None and living(draft, taxonomy) is None
        task = _valid(lambda: Task(**given))
        _valid(lambda: draft.put_task(name, task))
        if taxonomy is not None:
            _valid(lambda: draft.add_taxonomy(taxonomy))
        promotion = None
        if from_attribute is not None:
            category = _minting(draft, name)
            promotion = Promotion(from_attribute, name, task, category)
            _promote(edit, promotion, progress)
    return AddedTask(task, made, promotion)


def _minting(draft: Draft, task: str) -> Any:
    return lambda name: draft.category(task, name)


def _promote(edit: StagedEdit, promotion: Promotion, progress: Progress) -> None:
    """Promote the attribute in every row that can have it: those that hold its name."""
    wanted = promotion.attribute.encode()
    total = len(edit.version)
    for done, (key, row) in enumerate(edit.version.rows(SAMPLES)):
        if done % _EVERY == 0:
            progress(done, total)
        if wanted in row:
            before = decode_sample(row)
            after = promotion.promote(before)
            if after is not before:
                edit.put_row(key, encode_sample(after))
    if not promotion.labels and not promotion.left:
        raise NotFoundError(
            f"no region has an attribute '{promotion.attribute}'", hint="vgr show KEY"
        )


def set_task(
    repo: Repository,
    name: str,
    fields: Fields,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> SetTask:
    """Change fields of a task.

    StateError for a change that rows do not agree with, unless `force`.
    """
    with StagedEdit(repo, "task", f"set {name}", dry_run=dry_run) as edit:
        draft = edit.draft
        before = task_named(draft, name)
        given = _read_fields(draft, _with_kind(fields))
        if given.get("kind", before.kind) == "category":
            if before.taxonomy is None:
                given.setdefault("taxonomy", name)
        else:
            given["taxonomy"] = None
        after = _valid(lambda: before.replace(**given))
        draft.put_task(name, after)
        made = after.taxonomy is not None and living(draft, after.taxonomy) is None
        if made:
            _valid(lambda: draft.add_taxonomy(str(after.taxonomy)))
        new = 0
        if _narrows(before, after):
            new = _new_violations(edit.version, draft, name, progress)
        if new and not force:
            places = f"{new:,} place{'s' * (new != 1)}"
            raise StateError(
                f"what is said in {places} would violate task '{name}'",
                hint=f"vgr task set {name} --force leaves them so",
            )
    return SetTask(before, after, new, made)


def _narrows(before: Task, after: Task) -> bool:
    """Whether labels that agreed with a task may not agree with it any more."""
    return (
        after.scope not in ("both", before.scope)
        or (before.many and not after.many)
        or after.kind != before.kind
        or after.taxonomy != before.taxonomy
        or after.applies_to not in (None, before.applies_to)
        or (before.overlap == "allowed") > (after.overlap == "allowed")
    )


def _new_violations(version: Dataset, draft: Vocabulary, name: str, progress: Progress) -> int:
    """How many more violations of a task there are with the draft."""
    old, new = (
        Validator(known, task=name, load=lambda blob: version.objects.get(blob, Kind.BLOB))
        for known in (version.vocabulary, draft)
    )
    wanted, decode = name.encode(), checked_part(version.vocabulary, draft)
    total, count = len(version), 0
    for done, (key, row) in enumerate(version.rows(SAMPLES)):
        if done % _EVERY == 0:
            progress(done, total)
        if wanted in row:
            sample = decode(row)
            after, before = (
                sum(1 for _ in validator.violations(key.decode(), sample))
                for validator in (new, old)
            )
            count += max(after - before, 0)
    return count


def remove_task(
    repo: Repository,
    name: str,
    *,
    drop_labels: bool = False,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Use:
    """Remove a task, with `drop_labels` all that is said for it: who named it.

    Its taxonomy stays. StateError for a task in use, unless `force`, which leaves its labels.
    """
    with StagedEdit(repo, "task", f"rm {name}", dry_run=dry_run) as edit:
        task_named(edit.draft, name)
        edit.draft.put_task(name, None)
        use = use_of_task(edit.version, name, progress=progress)
        if use and not (force or drop_labels):
            raise StateError(
                f"task '{name}' is used by {words_of_use(use)}",
                hint="--drop-labels takes them out, --force leaves them without a task",
            )
        for key in use.keys if drop_labels else ():
            row = edit.row(key)
            assert row is not None
            edit.put_row(key, encode_sample(without_task(decode_sample(row), name)))
    return use


def task_named(vocabulary: Vocabulary, name: str) -> Task:
    """The task of that name; NotFoundError with a near miss."""
    found = vocabulary.tasks.get(name)
    if found is None:
        from difflib import get_close_matches

        near = get_close_matches(name, vocabulary.tasks, 1)
        hint = f"did you mean '{near[0]}'?" if near else "vgr task ls"
        raise NotFoundError(f"no task '{name}'", hint=hint)
    return found


def _with_kind(fields: Fields) -> dict[str, Any]:
    """The fields, with the kind that a taxonomy among them implies."""
    given = dict(fields)
    kind = given.get("kind", "category")
    if given.get("taxonomy") is None:
        return given
    if kind != "category":
        raise UsageError(f"a task of kind {kind} has no taxonomy", hint="vgr task add --help")
    return {**given, "kind": kind}


def _read_fields(vocabulary: Vocabulary, given: dict[str, Any]) -> dict[str, Any]:
    """The fields with `applies_to` as the id of its class."""
    path = given.get("applies_to")
    if path:
        place = find_place(vocabulary, path)
        if place.node is None:
            raise UsageError(f"'{path}' is a taxonomy, no class", hint="vgr taxonomy tree")
        given["applies_to"] = place.node
    elif path is not None:
        given["applies_to"] = None
    return given


def _valid(make: Any) -> Any:
    """What `make` makes; UsageError for a value that a task cannot have."""
    try:
        return make()
    except BadValueError as error:
        raise UsageError(error.message, hint="vgr task add --help") from None
