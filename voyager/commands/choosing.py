"""How a command's words and `--where` choose samples and regions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, NamedTuple, TypeAlias

import typer

from voyager.commands.context import Context
from voyager.commands.words import key_of
from voyager.errors import NotFoundError, UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.keys import match_keys, shown
from voyager.repo.region_names import find_regions, parse_region_name
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.schema import Sample, decode_sample

PathOption = Annotated[
    str | None, typer.Option(metavar="PATH", help="fields of this path: split, labels/color")
]
TaskOption = Annotated[str | None, typer.Option(metavar="TASK", help="about a task")]
ClassOption = Annotated[
    str | None, typer.Option("--class", metavar="CLASS", help="about a class, or below it")
]
WhereOption: TypeAlias = Annotated[
    str | None, typer.Option("--where", metavar="EXPR", help="those for which this SQL is true")
]
"""The option of every command that chooses by an expression (docs/tables.md)."""


class Target(NamedTuple):
    """A sample (`region` is None), or one of its regions."""

    key: str
    region: bytes | None = None


def chosen_samples(
    ctx: Context,
    repo: Repository,
    version: Dataset,
    words: Sequence[str],
    where: str | None = None,
) -> list[str]:
    """The keys that the words name, in key order; with `where` those of them for which it is true.

    With `where` alone the choice is among all samples. UsageError where nothing is said, and for a
    word that names a region; NotFoundError for one that names no sample.
    """
    _refuse_nothing(words, where)
    patterns = []
    for word in words:
        named = parse_region_name(key_of(repo, word), _is_key(version))
        if named.region is not None:
            raise UsageError(f"'{word}' names a region, not a sample", hint=shown(named.key))
        patterns.append(named.key)
    if where is None:
        return _sample_keys(version, patterns)
    from voyager.repo.where import keys_where

    return keys_where(
        version, where, patterns=patterns or None, progress=ctx.progress("choosing samples")
    )


def chosen_regions(
    ctx: Context,
    repo: Repository,
    version: Dataset,
    words: Sequence[str],
    where: str | None = None,
) -> list[tuple[str, bytes]]:
    """(key, region id) of what the words name, in key order and the order of each sample.

    Without `where` each word is KEY#REGION. With it, the choice is among these regions and all
    regions of the samples that other words name, or of every sample when there is no word.
    """
    _refuse_nothing(words, where)
    targets = named_targets(repo, version, words) if words else []
    whole = [target.key for target in targets if target.region is None]
    if where is None:
        if whole:
            raise UsageError(
                f"'{shown(whole[0])}' names a sample, not a region",
                hint=f"{whole[0]}#1 is its first region, {whole[0]}#* are all of them",
            )
        return [(key, region) for key, region in targets if region is not None]
    from voyager.repo.where import regions_where

    keys = list(dict.fromkeys(target.key for target in targets)) if words else None
    progress = ctx.progress("choosing regions")
    found = regions_where(version, where, patterns=keys, progress=progress)
    named, samples = set(targets), set(whole)
    return [
        (key, region)
        for key, region in found
        if not words or key in samples or Target(key, region) in named
    ]


def named_targets(repo: Repository, version: Dataset, words: Sequence[str]) -> list[Target]:
    """What words name: samples by key, folder or glob, regions by any of these and #REGION.

    In key order, the sample first, then its regions in their order. NotFoundError for a word that
    names nothing.
    """
    found: set[Target] = set()
    order: dict[str, dict[bytes, int]] = {}
    for word in words:
        named = parse_region_name(key_of(repo, word), _is_key(version))
        keys = _sample_keys(version, [named.key])
        if named.region is None:
            found.update(map(Target, keys))
            continue
        for key, sample in _samples_at(version, keys):
            order[key] = {region.id: place for place, region in enumerate(sample.regions)}
            regions = find_regions(key, sample, named.region)
            found.update(Target(key, region.id) for region in regions)
    return sorted(
        found, key=lambda target: (target[0], order[target[0]][target[1]] if target[1] else -1)
    )


def _samples_at(version: Dataset, keys: Sequence[str]) -> Iterator[tuple[str, Sample]]:
    for key, row in version.rows_at(SAMPLES, [key.encode() for key in keys]):
        if row is not None:
            yield key.decode(), decode_sample(row)


def _sample_keys(version: Dataset, patterns: Sequence[str]) -> list[str]:
    found = []
    for pattern in patterns:
        keys = [key for space, key in match_keys(version, [pattern]) if space == SAMPLES]
        if not keys:
            raise NotFoundError(f"'{shown(pattern)}' holds no samples", hint="vgr ls --files")
        found += keys
    return found if len(patterns) == 1 else sorted(set(found))


def _is_key(version: Dataset) -> Callable[[str], bool]:
    return lambda text: version.space_of(text) is not None or version.has_folder(text)


def _refuse_nothing(words: Sequence[str], where: str | None) -> None:
    if not words and where is None:
        raise UsageError("nothing is chosen", hint="name keys, folders or globs, or give --where")
