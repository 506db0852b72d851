"""Verbs on taxonomies in the staging area: each one operation, with how many labels it touches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from voyager.errors import StateError, UsageError
from voyager.repo.class_use import Use, meaning, use_of_classes
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.staged_edit import StagedEdit
from voyager.schema import decode_sample, encode_sample
from voyager.schema import taxonomy_verbs as verbs
from voyager.schema.relabel import relabeled
from voyager.schema.taxonomy import NodeId
from voyager.schema.taxonomy_merge import merge
from voyager.schema.taxonomy_paths import Place, find_place, match_places, path_of
from voyager.schema.taxonomy_verbs import Step
from voyager.schema.vocabulary import Draft, Vocabulary

COUNTED_BELOW = 20_000
"""Samples up to which a move or merge counts the labels that it touches without being asked."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a verb did, and who names the classes that it touched; None where nobody counted."""

    steps: list[Step] = field(default_factory=list)
    use: Use | None = None


def make_classes(
    repo: Repository, paths: Sequence[str], *, parents: bool = False, dry_run: bool = False
) -> Done:
    """Make classes and taxonomies; `parents` makes those above them too."""
    with StagedEdit(repo, "taxonomy", _message("mkdir", *paths), dry_run=dry_run) as edit:
        made = [step for path in paths for step in verbs.make(edit.draft, path, parents=parents)]
    return Done(made)


def move_classes(
    repo: Repository,
    sources: Sequence[str],
    target: str,
    *,
    count: bool | None = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Done:
    """Rename or move classes, or rename a taxonomy. No label is rewritten.

    `count` says whether to count the labels that read differently now; None does where that is
    quick.
    """
    return _rearrange(
        repo,
        _message("mv", *sources, target),
        lambda draft: verbs.move(draft, sources, target),
        count=count,
        dry_run=dry_run,
        progress=progress,
    )


def copy_classes(
    repo: Repository,
    sources: Sequence[str],
    target: str,
    *,
    recursive: bool = False,
    dry_run: bool = False,
) -> Done:
    """Copy classes, with `recursive` those below them too, or a taxonomy; copies have new ids."""
    message = _message("cp", *sources, target)
    with StagedEdit(repo, "taxonomy", message, dry_run=dry_run) as edit:
        made = verbs.copy(edit.draft, sources, target, recursive=recursive)
    return Done(made)


def merge_classes(
    repo: Repository,
    sources: Sequence[str],
    target: str,
    *,
    count: bool | None = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Done:
    """Merge classes into another. No label is rewritten: the merged classes lead to it."""
    return _rearrange(
        repo,
        _message("merge", *sources, target),
        lambda draft: merge(draft, sources, target),
        count=count,
        dry_run=dry_run,
        progress=progress,
    )


def _rearrange(
    repo: Repository,
    message: str,
    verb: Callable[[Draft], list[Step]],
    *,
    count: bool | None,
    dry_run: bool,
    progress: Progress,
) -> Done:
    with StagedEdit(repo, "taxonomy", message, dry_run=dry_run) as edit:
        steps = verb(edit.draft)
        if count is None:
            count = len(edit.version) < COUNTED_BELOW
        nodes = _nodes_of(steps)
        use = use_of_classes(edit.version, nodes, progress=progress) if count else None
    return Done(steps, use)


def _nodes_of(steps: Sequence[Step]) -> frozenset[NodeId]:
    return frozenset(node for step in steps for node in step.nodes)


def _message(verb: str, *words: str) -> str:
    return f"{verb} {' '.join(words)}"


def set_aliases(
    repo: Repository, path: str, names: Sequence[str], *, drop: bool = False, dry_run: bool = False
) -> tuple[str, tuple[str, ...]]:
    """Add or drop aliases of a class: its path, and all aliases it has then."""
    message = _message("alias", path, *names)
    with StagedEdit(repo, "taxonomy", message, dry_run=dry_run) as edit:
        change = verbs.drop_aliases if drop else verbs.add_aliases
        place = change(edit.draft, path, names)
        assert place.node is not None
        aliases = edit.draft.taxonomies[place.taxonomy].nodes[place.node].aliases
        return path_of(edit.draft, place), aliases


# -- remove ---------------------------------------------------------------------------------------


def remove_classes(
    repo: Repository,
    patterns: Sequence[str],
    *,
    recursive: bool = False,
    relabel_to: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Done:
    """Remove classes and taxonomies, with `recursive` all that lies below them.

    Their labels become those of `relabel_to`; with `force` they stay and name a dead class. Raises
    StateError when there are any and neither is given.
    """
    with StagedEdit(repo, "taxonomy", _message("rm", *patterns), dry_run=dry_run) as edit:
        before = edit.version.vocabulary
        places = match_places(before, patterns)
        steps = verbs.bury(edit.draft, places, recursive=recursive)
        dying = _nodes_of(steps)
        heir = None if relabel_to is None else _heir(before, relabel_to, places, dying)
        use = use_of_classes(edit.version, dying, progress=progress)
        if heir is not None:
            _relabel(edit, use.keys, meaning(before, dying), heir)
        elif not force:
            _refuse_used(edit.draft, places, dying, use)
    return Done(steps, use)


def _heir(
    vocabulary: Vocabulary, path: str, places: Sequence[Place], dying: frozenset[NodeId]
) -> NodeId:
    """The class that labels are to have instead."""
    heir = find_place(vocabulary, path)
    if heir.node is None:
        raise UsageError(f"'{path}' is a taxonomy, no class", hint="vgr taxonomy tree")
    if heir.node in dying:
        raise UsageError(f"'{path}' would go as well", hint="vgr taxonomy tree")
    for place in places:
        if place.taxonomy != heir.taxonomy:
            gone = path_of(vocabulary, place)
            raise UsageError(f"'{gone}' and '{path}' are of two taxonomies", hint="vgr label")
    return heir.node


def _relabel(
    edit: StagedEdit, keys: Sequence[bytes], gone: frozenset[NodeId], heir: NodeId
) -> None:
    for key in keys:
        row = edit.row(key)
        assert row is not None
        edit.put_row(key, encode_sample(relabeled(decode_sample(row), gone, heir)))
    for name, task in edit.draft.tasks.items():
        if task.applies_to in gone:
            edit.draft.tasks[name] = task.replace(applies_to=heir)


def _refuse_used(draft: Draft, places: Sequence[Place], dying: frozenset[NodeId], use: Use) -> None:
    names = " and ".join(f"'{path}'" for path in (path_of(draft, place) for place in places[:2]))
    many = f"{names} and more" if len(places) > 2 else names
    verb = "is" if len(places) == 1 else "are"
    whole = {place.taxonomy for place in places if place.node is None}
    tasks = [name for name, task in sorted(draft.tasks.items()) if task.taxonomy in whole]
    if tasks:
        hint = f"vgr task rm {tasks[0]}, or --force"
        raise StateError(f"{many} {verb} the taxonomy of task '{tasks[0]}'", hint=hint)
    hint = "--relabel-to PATH, vgr taxonomy merge, or --force to leave labels without a class"
    if use:
        raise StateError(f"{many} {verb} used by {words_of_use(use)}", hint=hint)
    for name, task in sorted(draft.tasks.items()):
        if task.applies_to in dying:
            raise StateError(f"{many} {verb} what task '{name}' applies to", hint=hint)


def words_of_use(use: Use) -> str:
    """`12 labels of 5 samples, 1 negative`."""
    parts = [
        f"{count:,} {noun}{'s' * (count != 1)}"
        for count, noun in ((use.negatives, "negative"), (use.coverage, "coverage mark"))
        if count
    ]
    if use.labels or not parts:
        samples = f"{use.samples:,} sample{'s' * (use.samples != 1)}"
        parts.insert(0, f"{use.labels:,} label{'s' * (use.labels != 1)} of {samples}")
    return ", ".join(parts)
