"""`vgr derive`: compute what is derived from images, or say what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.choosing import WhereOption, chosen_samples
from voyager.commands.context import Context
from voyager.commands.reports import capped
from voyager.commands.sizes import counted, size_text
from voyager.commands.words import has_key, read_words
from voyager.errors import NotFoundError, UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.deriving import LIMIT, Derived, derive, derived_cache, embed_regions
from voyager.repo.kept_vectors import KeptVectors, kept_vectors
from voyager.repo.repository import Repository

if TYPE_CHECKING:
    from voyager.derived.registry import Method
    from voyager.derived.room import Kept

_USUAL = ("probe", "pixels", "sketch", "statistics", "thumbnail", "embedding")
_EMBEDDING = "embedding"
_EVERYTHING = "all"
_WORTH_TELLING = 3.0
"""Seconds of work after which its pace is told."""


@dataclass(slots=True)
class _Asked:
    names: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)


def run(
    ctx: Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WHAT|REV|KEY", help="values, a version, and samples of it"),
    ] = None,
    *,
    where: WhereOption = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="of embeddings: default, a folder, or a run"),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="say what is kept")] = False,
    regions: Annotated[
        bool, typer.Option("--regions", help="embeddings of regions, each of its crop")
    ] = False,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="WHAT", help="delete values; all: of every kind")
    ] = None,
) -> int:
    """Compute what search, duplicates, statistics and training read of images, ahead of time.

    WHAT is probe, pixels, sketch, statistics, thumbnail or embedding, by default all of these;
    rendition-256, rendition-384 or rendition-512 (with -q95 of higher quality), JPEGs with a short
    side of so many pixels; likeness or phash. docs/derived.md says what each is and what reads it.
    The version is by default the staged one. Embeddings are those of search.model, unless --model
    says otherwise; with --regions those of regions, as vgr search --regions compares them.

    Values are kept by content: an image is decoded once, whatever branch it is on. What was done
    stays when you stop it. Images that cannot be decoded are listed, and the exit code is 10. Above
    derived.limit_mb the values go that were not used for longest.

    JSON: {"what", "images", "computed", "failed": {key: [what]}, "absent": [key]}, with --regions
    "regions" in place of "images"; --list a line for each {"name", "version", "values", "bytes"},
    without version and values where it is what vgr search keeps; --drop {"dropped": [name],
    "bytes"}, where embedding means those of every model, and what vgr search keeps of them.

    Example:
      $ vgr derive
      $ vgr derive rendition-256 v1 'train/**'
      $ vgr derive embedding --regions
      $ vgr derive --list
      $ vgr derive --drop rendition-256
    """
    repo = ctx.open_repository()
    if listing or drop:
        if words or where or model or regions or (listing and drop):
            raise UsageError("--list and --drop stand alone", hint="vgr derive --list")
        return _drop(ctx, repo, drop) if drop else _list(ctx, repo)
    asked = _part(words or [], [_EMBEDDING] if model or regions else list(_USUAL))
    _refuse_mixing(asked.names, model, regions=regions)
    version, keys = _chosen(ctx, repo, asked.rest, where)
    started = time.monotonic()
    progress = ctx.progress("deriving")
    methods = [_method(repo, name, model) for name in asked.names]
    if regions:
        done = embed_regions(repo, version, methods[0], keys, progress=progress)
    else:
        done = derive(repo, version, methods, keys, progress=progress)
    what = [method.name for method in methods]
    noun = "region" if regions else "image"
    return _tell(ctx, what, noun, done, time.monotonic() - started)


def _part(words: Sequence[str], usual: list[str]) -> _Asked:
    """What of the first words names a method, by default the usual ones, and the words after."""
    asked = _Asked()
    for word in words:
        if not asked.rest and _is_method(word):
            asked.names.append(word)
        else:
            asked.rest.append(word)
    asked.names = list(dict.fromkeys(asked.names or usual))
    return asked


def _refuse_mixing(names: Sequence[str], model: str | None, *, regions: bool) -> None:
    if model and _EMBEDDING not in names:
        raise UsageError(
            "--model is about embeddings", hint=f"vgr derive embedding --model {model}"
        )
    other = next((name for name in names if name != _EMBEDDING), None)
    if regions and other is not None:
        raise UsageError(
            f"of regions there are embeddings, and no {other}",
            hint="vgr derive embedding --regions",
        )


def _method(repo: Repository, name: str, model: str | None) -> Method:
    from voyager.commands.models import looks_model
    from voyager.derived.embeddings import embedding, open_embedder
    from voyager.derived.registry import method_of

    if name == _EMBEDDING:
        return embedding(open_embedder(looks_model(repo, model)))
    return method_of(name)


def _is_method(word: str) -> bool:
    from voyager.derived.registry import method_of

    try:
        return word == _EMBEDDING or method_of(word) is not None
    except NotFoundError:
        return False


def _chosen(
    ctx: Context, repo: Repository, words: list[str], where: str | None
) -> tuple[Dataset, list[str] | None]:
    """The version, and the keys of it that were named; None for all."""
    parted = read_words(ctx, repo, words, most=1)
    version = repo.at(parted.revisions[0]) if parted.revisions else repo.staged()
    for name in () if parted.sure else parted.keys:
        if not has_key(version, name):
            raise NotFoundError(
                f"'{name}' is no derived value, no revision and no key", hint="vgr derive --help"
            )
    if not parted.keys and where is None:
        return version, None
    return version, chosen_samples(ctx, repo, version, parted.keys, where)


def _tell(ctx: Context, what: Sequence[str], noun: str, done: Derived, seconds: float) -> int:
    if ctx.json:
        ctx.emit(
            {
                "what": list(what),
                f"{noun}s": done.things,
                "computed": done.computed,
                "failed": done.failed,
                "absent": done.absent,
            }
        )
    names = ", ".join(map(_kind, what))
    if done.computed:
        rate = f" in {seconds:.0f} s, {done.computed / seconds:,.0f} a second"
        timed = rate if seconds > _WORTH_TELLING else ""
        ctx.say(f"derived {names} of {counted(done.computed, noun)}{timed}")
    if not done.things:
        ctx.say(f"there is no {noun} of these samples")
    known = done.things - done.computed - done.missing
    if not done.computed and known > 0:
        ctx.say(f"nothing to do: {names} of {counted(done.things, noun)} is known")
    skipped = [(key, "cannot be decoded") for key in done.failed]
    skipped += [(key, "not here (vgr get brings it)") for key in done.absent]
    return ctx.done_with_skips(list(capped(skipped)))


def _list(ctx: Context, repo: Repository) -> int:
    kept, vectors = derived_cache(repo).kept(), kept_vectors(repo.folder)
    every: list[Kept | KeptVectors] = [*kept, *vectors]
    wide = max((len(one.name) for one in every), default=0)
    for one in kept:
        count = one.count()
        if ctx.json:
            row = {"name": one.name, "version": one.version, "values": count, "bytes": one.bytes}
            ctx.emit_line(row)
        ctx.show(f"{size_text(one.bytes):>9}  {one.name:<{wide}}  {counted(count, 'value')}")
    for of_model in vectors:
        if ctx.json:
            ctx.emit_line({"name": of_model.name, "bytes": of_model.bytes})
        size = size_text(of_model.bytes)
        ctx.show(f"{size:>9}  {of_model.name:<{wide}}  as vgr search reads them")
    limit = size_text(repo.config.get_int(LIMIT) * 1_000_000)
    total = sum(one.bytes for one in every)
    ctx.show(f"{size_text(total):>9}  in all, of {limit} ({LIMIT})")
    return 0


def _drop(ctx: Context, repo: Repository, names: Sequence[str]) -> int:
    cache = derived_cache(repo)
    kept, vectors = cache.kept(), kept_vectors(repo.folder)
    known = {*(one.name for one in kept), *(one.name for one in vectors), _EVERYTHING}
    for name in names:
        if name not in known and not _is_method(name):
            raise NotFoundError(f"no values '{name}' are kept", hint="vgr derive --list")
    gone = [one for one in kept if _is_named(names, one.name)]
    searched = [one for one in vectors if _is_named(names, one.name, one.embedding)]
    for one in gone:
        cache.drop(one.name)
    for of_model in searched:
        of_model.remove()
    every: list[Kept | KeptVectors] = [*gone, *searched]
    dropped = sorted({one.name for one in every})
    size = sum(one.bytes for one in every)
    if ctx.json:
        ctx.emit({"dropped": dropped, "bytes": size})
    ctx.say(f"deleted {counted(len(dropped), 'kind')} of values, {size_text(size)}")
    return 0


def _is_named(words: Sequence[str], *names: str) -> bool:
    """Whether one of some names is meant, or the kind that it is of."""
    return not {_EVERYTHING, *names, *map(_kind, names)}.isdisjoint(words)


def _kind(name: str) -> str:
    """What is typed for a kept value: its name, without the id of a model."""
    return _EMBEDDING if name.startswith(f"{_EMBEDDING}-") else name
