"""`vgr import`: take labels, and the images they name, from another tool's files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from voyager.commands.context import Context
from voyager.commands.format_options import parse_settings, show_report
from voyager.commands.reports import shown_pairs
from voyager.commands.sizes import counted
from voyager.errors import NotFoundError, UsageError
from voyager.repo.keys import shown
from voyager.repo.layout import FOLDER

if TYPE_CHECKING:
    from voyager.formats.base import Format
    from voyager.formats.imported import Imported
    from voyager.merge.edits import Edits
    from voyager.repo.guard import Review


def run(
    ctx: Context,
    source: Annotated[str, typer.Argument(metavar="PATH|REPO@REV", help="what to import")],
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY", help="(repository) only these samples")
    ] = None,
    *,
    format: Annotated[
        str | None, typer.Option("--format", metavar="F", help="its format; else it is found out")
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="where the images are")
    ] = None,
    to: Annotated[
        str, typer.Option("--to", metavar="PREFIX", help="the folder of keys for new samples")
    ] = "",
    split: Annotated[
        str | None, typer.Option("--split", metavar="S", help="the split of what is imported")
    ] = None,
    task: Annotated[
        str, typer.Option("--task", metavar="T", help="the task of its classes")
    ] = "category",
    voice: Annotated[
        str, typer.Option("--source", metavar="S", help="whose labels they are: KIND[:NAME]")
    ] = "import",
    base: Annotated[
        str | None, typer.Option("--base", metavar="REV", help="what an edited file was made of")
    ] = None,
    frame: Annotated[
        Literal["auto", "stored", "upright"],
        typer.Option("--frame", help="how turned photos were seen when they were labeled"),
    ] = "auto",
    origin: Annotated[
        Literal["0", "1"] | None, typer.Option("--origin", help="what pixels count from")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="N", help="what the import is called")
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="EXPR", help="(repository) which samples")
    ] = None,
    predictions: Annotated[
        str | None, typer.Option("--predictions", metavar="NAME", help="into a prediction set")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="an option of the format"),
    ] = None,
    assume_exhaustive: Annotated[
        bool, typer.Option("--assume-exhaustive", help="whatever is not labeled is not there")
    ] = False,
    take_labels: Annotated[
        bool,
        typer.Option("--take-labels", help="give protected images what dropped copies say of them"),
    ] = False,
    strategies: Annotated[
        list[str] | None,
        typer.Option(
            "-X", "--strategy", metavar="[WHAT=]HOW", help="how to decide conflicts; repeatable"
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="fail when something is lost, guessed or in conflict")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only say what would be staged")
    ] = False,
) -> int:
    """Take labels, and the images they name, from another tool's files; stage them.

    The format is found out by looking. Images are matched by their bytes, else by declared hash or
    URL, else by name; those that are not here yet are waited for. Importing a newer file of the
    same name updates what the older one brought, and keeps what was edited here since; an edited
    export is merged with what became of the commit that it came from. What was changed both here
    and in the file is a conflict, unless -X decides it (as of vgr merge): vgr conflicts lists it,
    and the exit code is 1. What does not fit is reported.

    REPO@REV takes samples of another repository, with their ids and labels.

    Copies of images of a protected split (vgr guard) are dropped where their bytes or pixels are
    the same, and near ones held, unless the policy says otherwise.

    JSON: {"format", "samples", "regions", "labels", "added", "updated", "unchanged", "pending",
    "attached", "changed_regions", "classes", "source_ids", "base", "same_as", "conflicts": how
    many, "staged", "guard": {"dropped", "held", "moved", "warned", "unchecked"} or null, "report":
    [{"class", "kind", "count", "examples"}]}.

    Example:
      $ vgr import annotations/instances_train.json --images train
      $ vgr import bccd --format voc --to blood --dry-run
      $ vgr import round1/annotations.xml -X theirs
      $ vgr import ../other@v2 --where "split = 'train'"
    """
    repo = ctx.open_repository()
    path = Path(source)
    from voyager.formats.reading import ReadOptions

    options = ReadOptions(
        images=images,
        to=to.strip("/"),
        split=split,
        task=task,
        source=voice,
        origin=None if origin is None else int(origin),  # type: ignore[arg-type]
        frame=frame,
        assume_exhaustive=assume_exhaustive,
        predictions=predictions,
        settings=parse_settings(settings),
    )
    if not path.exists() and "@" in source and Path(source.rpartition("@")[0]).is_dir():
        of_files = {
            "--format": format,
            "--images": images,
            "--split": split,
            "--task": task != "category",
            "--source": voice != "import",
            "--base": base,
            "--frame": frame != "auto",
            "--origin": origin,
            "--name": name,
            "--predictions": predictions,
            "--set": settings,
            "--assume-exhaustive": assume_exhaustive,
            "-X": strategies,
            "--strict": strict,
        }
        _refuse_options([option for option, given in of_files.items() if given])
        _import_repository(
            ctx, source, keys or [], where, to, take_labels=take_labels, dry_run=dry_run
        )
        return 0
    if keys or where is not None:
        raise UsageError(
            "only samples of another repository can be chosen", hint="vgr import REPO@REV"
        )
    if not path.exists():
        raise NotFoundError(f"'{source}' names no file or folder", hint="ls")
    from voyager.formats.importing import import_labels

    form, why = _format_of(path, format)

    def load_merge() -> Edits:
        from voyager.merge.edits import Edits  # most imports merge nothing

        return Edits(strategies or ())

    if strategies:
        load_merge()  # which refuses those that are none, before anything is read
    done = import_labels(
        repo,
        path,
        form,
        options,
        why=why,
        name=name,
        base=base,
        take_labels=take_labels,
        merge=load_merge,
        strict=strict,
        dry_run=dry_run,
        progress=ctx.progress(f"importing {form.title}"),
    )
    if ctx.json:
        ctx.emit(done.as_json())
    else:
        ctx.say(f"{form.title}: {why}")
        _tell(ctx, done, dry_run=dry_run, predictions=predictions, take_labels=take_labels)
        _tell_merge(ctx, done, dry_run=dry_run)
    return 1 if done.conflicts else 0


def _refuse_options(options: list[str]) -> None:
    if options:
        raise UsageError(
            f"{', '.join(options)}: only of label files, not of a repository",
            hint="vgr import REPO@REV KEY… --where EXPR --to PREFIX",
        )


def _format_of(path: Path, name: str | None) -> tuple[Format, str]:
    """The format of a source, and how it was known."""
    from voyager.formats.registry import detect, format_named

    if name is not None:
        return format_named(name), "as --format says"
    try:
        form, detection = detect(path)
    except NotFoundError:
        if (path / FOLDER).is_dir():
            raise UsageError(
                f"'{path}' is a repository", hint=f"vgr import '{path}@HEAD' takes its samples"
            ) from None
        raise
    return form, detection.why


def _tell_guard(ctx: Context, found: Review | None, *, took: bool) -> None:
    """What the guard did; its words are loaded only then."""
    if found is not None:
        from voyager.commands.guard_text import offer_lines, review_lines

        for line in review_lines(found):
            ctx.say(line)
        for line in offer_lines(ctx.open_repository().staged().vocabulary, found.offers, took=took):
            ctx.say(line)


def _tell_merge(ctx: Context, done: Imported, *, dry_run: bool) -> None:
    """What a merge with what was changed here came to, and what to do next."""
    if done.merged is None:
        return
    from voyager.commands.merge_text import disputed_lines, merge_notes
    from voyager.merge import Merged

    if isinstance(done.merged, Merged):
        for line in merge_notes(done.merged):
            ctx.say(line)
    if not done.conflicts:
        return
    if dry_run and done.view is not None:
        for line in disputed_lines(done.view, done.conflicts):
            ctx.say(line)
        return
    ctx.say(f"{counted(done.conflicts, 'conflict')} to resolve: vgr conflicts, vgr resolve")
    ctx.say("hint: then vgr commit, or vgr undo to give the import up")


def _tell(
    ctx: Context, done: Imported, *, dry_run: bool, predictions: str | None, take_labels: bool
) -> None:
    if predictions is not None:
        verb = "would put" if dry_run else "put"
        ctx.say(
            f"{verb} {counted(done.regions, 'region')} and {counted(done.labels, 'label')} of"
            f" {counted(done.samples, 'sample')} into the prediction set '{predictions}'"
        )
        show_report(ctx, done.report)
        return
    counts = ((done.added, "added"), (done.updated, "updated"))
    staged = ", ".join(f"{count:,} {word}" for count, word in counts if count)
    if staged:
        said = f"{'would stage' if dry_run else 'staged'} {staged}"
        said += f", {done.unchanged:,} unchanged" if done.unchanged else ""
    else:
        said = "staged new classes" if done.staged else "nothing changed"
    ctx.say(
        f"read {counted(done.samples, 'sample')}, {counted(done.regions, 'region')},"
        f" {counted(done.labels, 'label')}: {said}"
    )
    changed = [
        f"{count:,} {word}"
        for count, word in (
            (done.regions_added, "added"),
            (done.regions_changed, "changed"),
            (done.regions_removed, "removed"),
            (done.divided, "divided"),
        )
        if count
    ]
    if changed:
        ctx.say(f"regions of samples that were here: {', '.join(changed)}")
    for change in done.renames:
        verb = "renamed to" if change.kind == "renamed" else "merged into"
        ctx.say(f"class {change.old} {verb} {change.new} (by {counted(change.regions, 'region')})")
    if done.trust[1] and done.updated:
        agree, of = done.trust
        ctx.say(f"ids of the source agree for {agree:,} of {of:,} equal regions")
    if done.base is not None and done.updated:
        ctx.say(f"compared with {done.base[:10] if len(done.base) == 64 else done.base}")
    if done.attached:
        ctx.say(f"labels that waited have their image now: {counted(done.attached, 'sample')}")
    if done.matched_elsewhere:
        ctx.say("known under another key:")
        for line in shown_pairs(done.matched_elsewhere):
            ctx.say(line)
    _tell_guard(ctx, done.guard, took=take_labels)
    show_report(ctx, done.report)
    if done.same_as is not None:
        name = f"'{shown(done.same_as)}'"
        again = f"vgr undo, and vgr import --name {name}" if done.staged else f"--name {name}"
        ctx.say(f"most regions came with the import {name} before; to update those: {again}")
    if done.pending:
        ctx.say(
            f"waiting for {counted(done.pending, 'image')}: vgr add at the key,"
            " or vgr import with --images DIR, brings one"
        )


def _import_repository(
    ctx: Context,
    source: str,
    keys: list[str],
    where: str | None,
    to: str,
    *,
    take_labels: bool,
    dry_run: bool,
) -> None:
    from voyager.formats.repository import import_samples

    done = import_samples(
        ctx.open_repository(),
        source,
        keys,
        where=where,
        to=to,
        take_labels=take_labels,
        dry_run=dry_run,
        progress=ctx.progress("importing samples"),
    )
    if ctx.json:
        ctx.emit(done.as_json())
        return
    verb = "would stage" if dry_run else "staged"
    ctx.say(
        f"{verb} {counted(done.samples, 'sample')} of {done.name}"
        f" ({done.added:,} added, {done.updated:,} updated, {done.unchanged:,} unchanged)"
    )
    _tell_guard(ctx, done.guard, took=take_labels)
    show_report(ctx, done.report)
