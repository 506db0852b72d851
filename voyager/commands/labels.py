"""What the commands that edit labels share: choosing what is meant, and telling what changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from voyager.commands.choosing import Target, chosen_regions, chosen_samples, named_targets
from voyager.commands.context import Context
from voyager.commands.reports import shown_keys
from voyager.commands.sizes import counted
from voyager.commands.words import key_of
from voyager.errors import UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.label_edits import Changed
from voyager.repo.repository import Repository
from voyager.schema import HUMAN, BadValueError, MetaValue, State, parse_source
from voyager.schema.label_edit import Voice
from voyager.schema.values import as_float


def chosen_targets(
    ctx: Context,
    repo: Repository,
    version: Dataset,
    words: Sequence[str],
    where: str | None,
    *,
    regions: bool,
) -> list[Target]:
    """The samples and regions that words name; with `regions` the regions of these samples.

    `where` chooses among samples, or among regions where these are asked for or named.
    """
    if not words or (where is not None and not regions and not _any_region(repo, version, words)):
        if not regions:
            return [Target(key) for key in chosen_samples(ctx, repo, version, words, where)]
        return [Target(*found) for found in chosen_regions(ctx, repo, version, words, where)]
    if where is not None:
        return [Target(*found) for found in chosen_regions(ctx, repo, version, words, where)]
    named = named_targets(repo, version, words)
    return _their_regions(version, named) if regions else named


def _any_region(repo: Repository, version: Dataset, words: Sequence[str]) -> bool:
    targets = named_targets(repo, version, [word for word in words if "#" in word])
    return any(target.region is not None for target in targets)


def _their_regions(version: Dataset, targets: Sequence[Target]) -> list[Target]:
    found: dict[Target, None] = {}
    for target in targets:
        regions = [target.region]
        if target.region is None:
            regions = [region.id for region in version[target.key].regions]
        found.update((Target(target.key, region), None) for region in regions)
    return list(found)


def is_key(repo: Repository, version: Dataset) -> Callable[[str], bool]:
    """Whether a word is the key of something in a version."""

    def names_one(word: str) -> bool:
        with contextlib.suppress(UsageError):
            return version.space_of(key_of(repo, word)) is not None
        return False

    return names_one


def state_of(
    state: State | None, *, accept: bool = False, verify: bool = False, reject: bool = False
) -> State | None:
    """The state that --state or one of its short forms says."""
    short: dict[State, bool] = {"accepted": accept, "verified": verify, "rejected": reject}
    given = [] if state is None else [state]
    given += [name for name, is_given in short.items() if is_given]
    if len(set(given)) > 1:
        raise UsageError(f"a label cannot be {' and '.join(given)}", hint="give one state")
    return given[0] if given else None


def voice_of(source: str | None, score: float | None, state: State | None) -> Voice:
    """Who says it; UsageError for a source that is none."""
    try:
        parse_source(source or HUMAN)
        return Voice(source or HUMAN, None if score is None else as_float(score, "score"), state)
    except BadValueError as error:
        raise UsageError(error.message, hint="human, human:ann, import:coco, model:NAME") from None


def meta_value(text: str) -> MetaValue:
    """A value of meta or of an attribute as typed: a number, yes or no, else the text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def read_pairs(words: Sequence[str] | None, option: str) -> list[tuple[str, str]]:
    """`NAME=VALUE` words apart; UsageError for one without a name or an equals sign."""
    pairs = [word.partition("=") for word in words or ()]
    for name, equals, value in pairs:
        if not name or not equals:
            raise UsageError(f"{option} is NAME=VALUE, not '{name}{equals}{value}'")
    return [(name, value) for name, _, value in pairs]


def tell_changed(
    ctx: Context,
    done: Changed,
    *,
    dry_run: bool = False,
    verbs: tuple[str, str] = ("changed", "change"),
    resolved: int = 0,
    **more: Any,
) -> None:
    """Say how much changed, and name the samples; `verbs` say what was done, or would do.

    `resolved` counts the conflicts that it decided, which need not change anything.

    JSON: {"samples", "regions", "labels", "keys"}.
    """
    if ctx.json:
        counts = {"samples": len(done.keys), "regions": done.regions, "labels": done.labels}
        ctx.emit({**counts, "keys": done.keys, **more})
        return
    if done.keys:
        ctx.say(f"{f'would {verbs[1]}' if dry_run else verbs[0]} {_counts(done)}")
    elif not resolved:
        ctx.say("nothing would change" if dry_run else "nothing changed")
    for line in shown_keys(done.keys):
        ctx.say(line)
    if resolved:
        verb = "would resolve" if dry_run else "resolved"
        ctx.say(f"{verb} {counted(resolved, 'conflict')}")


def _counts(done: Changed) -> str:
    """`3 labels of 2 regions in 1 sample`."""
    parts = [counted(done.labels, "label")] if done.labels else []
    parts += [counted(done.regions, "region")] if done.regions else []
    return f"{' of '.join(parts)}{' in ' if parts else ''}{counted(len(done.keys), 'sample')}"
