"""Draw, move and remove regions.

A region is drawn in pixels of the stored image, from its top left corner.

Example:
  $ vgr region add train/1.jpg --box 10,20,110,220 category=hat
  $ vgr region move train/1.jpg#1 --by 4,-2
"""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.choosing import WhereOption, chosen_regions, chosen_samples
from voyager.commands.context import Context
from voyager.commands.labels import (
    is_key,
    meta_value,
    read_pairs,
    tell_changed,
    voice_of,
)
from voyager.commands.samples import region_text
from voyager.commands.shapes import (
    BoxOption,
    Drawn,
    EllipseOption,
    GeometryOption,
    KeypointsOption,
    MaskOption,
    PointsOption,
    PolygonOption,
    PolylineOption,
    RotatedBoxOption,
    read_numbers,
    read_shape,
)
from voyager.errors import UsageError
from voyager.repo import label_edits
from voyager.repo.assignments import part_words, read_assignments
from voyager.repo.dataset import Dataset
from voyager.repo.keys import shown
from voyager.repo.staged_edit import StagedEdit
from voyager.schema import FLAGS, Geometry, Image, Region, State, random_region_id, sample_to_json
from voyager.schema.values import BadValueError

app = typer.Typer()

_SHAPES = "--box, --polygon, --points, --mask or another shape"
_DryRun = Annotated[bool, typer.Option("-n", "--dry-run", help="only tell what would change")]
_Role = Annotated[
    str | None, typer.Option(metavar="ROLE", help="what the shape is of the region (its type)")
]


@app.command("add")
def add(
    ctx: Context,
    words: Annotated[
        list[str], typer.Argument(metavar="KEY TASK=CLASS", help="a sample, then what it is")
    ],
    *,
    box: BoxOption = None,
    polygon: PolygonOption = None,
    points: PointsOption = None,
    keypoints: KeypointsOption = None,
    rotated_box: RotatedBoxOption = None,
    polyline: PolylineOption = None,
    ellipse: EllipseOption = None,
    mask: MaskOption = None,
    geometry: GeometryOption = None,
    role: _Role = None,
    flags: Annotated[
        list[str] | None, typer.Option("--flag", metavar="FLAG", help=", ".join(FLAGS))
    ] = None,
    attrs: Annotated[
        list[str] | None, typer.Option("--attr", metavar="NAME=VALUE", help="an attribute")
    ] = None,
    track: Annotated[
        str | None, typer.Option(metavar="TRACK", help="the track it is a frame of")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="who says it: KIND[:NAME] (human)")
    ] = None,
    score: Annotated[float | None, typer.Option(metavar="X", help="how surely")] = None,
    state: Annotated[State | None, typer.Option(help="how far it is checked")] = None,
    create: Annotated[bool, typer.Option("--create", help="make classes not yet there")] = False,
    dry_run: _DryRun = False,
) -> None:
    """Draw one region on a sample, after the others.

    JSON: {"key", "region", "number"}.

    Example:
      $ vgr region add train/1.jpg --box 10,20,110,220 category=hat
      $ vgr region add train/1.jpg --polygon 10,10,90,10,90,60 --flag occluded --attr worn=true
      $ vgr region add train/1.jpg --mask hat.png category=hat --create
    """
    repo = ctx.open_repository()
    voice = voice_of(source, score, state)
    drawn = Drawn(box, polygon, points, keypoints, rotated_box, polyline, ellipse, mask, geometry)
    with StagedEdit(repo, "region", f"add {' '.join(words)}", dry_run=dry_run) as edit:
        names, said = part_words(
            words,
            edit.draft.tasks,
            is_key=is_key(repo, edit.version),
            after_dashes=ctx.after_dashes,
        )
        keys = chosen_samples(ctx, repo, edit.version, names)
        if len(keys) != 1:
            raise UsageError(f"a region is drawn on one sample, not on {len(keys):,}")
        image = edit.version[keys[0]].image
        shape = read_shape(drawn, image)
        if shape is None:
            raise UsageError("nothing is drawn", hint=_SHAPES)
        shape = label_edits.stored_geometry(edit, shape)
        _warn_odd(ctx, shape, image)
        region = Region(
            id=random_region_id(),
            geometries={role or shape.name: shape},
            flags=_read_flags(flags),
            attrs={name: meta_value(value) for name, value in read_pairs(attrs, "--attr")},
            track=track,
            source=voice.source,
            score=voice.score,
            state=voice.state or "accepted",
        )
        assignments = read_assignments(edit.draft, said, voice, create=create)
        label_edits.add_region(edit, keys[0], region)
        label_edits.label(edit, edit.draft, [(keys[0], region.id)], assignments)
        number = len(edit[keys[0]].regions)
    if ctx.json:
        ctx.emit({"key": keys[0], "region": region.id.hex(), "number": number})
        return
    verb = "would add" if dry_run else "added"
    ctx.say(f"{verb} {shown(keys[0])}#{number} ({region.id.hex()[:8]})")


def _read_flags(flags: list[str] | None) -> tuple[str, ...]:
    for flag in flags or ():
        if flag not in FLAGS:
            raise UsageError(f"no flag '{flag}'", hint=f"one of {', '.join(FLAGS)}")
    return tuple(flags or ())


def _warn_odd(ctx: Context, shape: Geometry, image: Image) -> None:
    """Say what is odd about a shape that somebody drew; it is taken all the same."""
    from voyager.schema.shape_check import problems

    for problem in problems(shape, image.width, image.height):
        ctx.warn(problem.message)


@app.command("move")
def move(
    ctx: Context,
    words: Annotated[
        list[str], typer.Argument(metavar="KEY#REGION", help="regions, by number or id")
    ],
    *,
    by: Annotated[
        str | None, typer.Option("--by", metavar="DX,DY", help="so many pixels right and down")
    ] = None,
    box: BoxOption = None,
    polygon: PolygonOption = None,
    points: PointsOption = None,
    keypoints: KeypointsOption = None,
    rotated_box: RotatedBoxOption = None,
    polyline: PolylineOption = None,
    ellipse: EllipseOption = None,
    mask: MaskOption = None,
    geometry: GeometryOption = None,
    role: _Role = None,
    dry_run: _DryRun = False,
) -> None:
    """Move regions by pixels, or draw one anew.

    A shape stands instead of the primary one; with --role it is one more of the region, or stands
    instead of that one. What an import said of the old primary (its own box and area) goes.

    JSON: {"samples", "regions", "labels", "keys"}.

    Example:
      $ vgr region move train/1.jpg#1 --box 12,20,110,220
      $ vgr region move 'train/1.jpg#*' --by 4,-2
      $ vgr region move train/1.jpg#1 --mask hat.png --role mask
    """
    repo = ctx.open_repository()
    drawn = Drawn(box, polygon, points, keypoints, rotated_box, polyline, ellipse, mask, geometry)
    if (by is None) == (not any(drawn)):
        raise UsageError("how it is moved is said once", hint=f"--by DX,DY, or {_SHAPES}")
    with StagedEdit(repo, "region", f"move {' '.join(words)}", dry_run=dry_run) as edit:
        targets = chosen_regions(ctx, repo, edit.version, words)
        if by is not None:
            dx, dy = read_numbers(by, "--by", count=2)
            try:
                done = label_edits.shift(edit, targets, dx, dy, read=repo.store.get_blob)
            except BadValueError as error:
                raise UsageError(f"--by: {error.message}") from None
        else:
            if len(targets) != 1:
                raise UsageError(f"one shape cannot be that of {len(targets):,} regions")
            image = edit.version[targets[0][0]].image
            shape = read_shape(drawn, image)
            assert shape is not None
            shape = label_edits.stored_geometry(edit, shape)
            _warn_odd(ctx, shape, image)
            done = label_edits.put_geometry(edit, targets, shape, role)
        edit.wrote(targets, ("geometries",))
    tell_changed(ctx, done, dry_run=dry_run, resolved=edit.resolved)


@app.command("rm")
def remove(
    ctx: Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="KEY#REGION", help="regions, by number or id")
    ] = None,
    *,
    where: WhereOption = None,
    dry_run: _DryRun = False,
) -> None:
    """Remove regions, with what is said of them.

    JSON: {"samples", "regions", "labels", "keys"}.

    Example:
      $ vgr region rm train/1.jpg#2
      $ vgr region rm --where "area < 16 and source = 'model:m1'"
    """
    repo = ctx.open_repository()
    with StagedEdit(repo, "region", f"rm {' '.join(words or ())}", dry_run=dry_run) as edit:
        targets = chosen_regions(ctx, repo, edit.version, words or [], where)
        done = label_edits.remove_regions(edit, targets)
    tell_changed(ctx, done, dry_run=dry_run, verbs=("removed", "remove"))


@app.command("ls")
def list_regions(
    ctx: Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="KEY", help="samples, folders or globs")
    ] = None,
    *,
    where: WhereOption = None,
) -> None:
    """List the regions of samples, with the numbers by which they are named.

    JSON: a line for each region: {"key", "number"} and the region as vgr show has it.

    Example:
      $ vgr region ls train/1.jpg
      $ vgr region ls --where "area < 16"
    """
    repo = ctx.open_repository()
    version = repo.staged()
    if where is None:
        keys = chosen_samples(ctx, repo, version, words or [])
        only = None
    else:
        only = set(chosen_regions(ctx, repo, version, words or [], where))
        keys = list(dict.fromkeys(key for key, _ in sorted(only)))
    for key in keys:
        _list_regions(ctx, version, key, only)


def _list_regions(
    ctx: Context, version: Dataset, key: str, only: set[tuple[str, bytes]] | None
) -> None:
    sample, words = version[key], version.vocabulary
    written = sample_to_json(key, sample, words.resolve)["regions"] if ctx.json else []
    for place, region in enumerate(sample.regions):
        if only is not None and (key, region.id) not in only:
            continue
        if ctx.json:
            ctx.emit_line({"key": key, "number": place + 1, **written[place]})
        name = f"{shown(key)}#{place + 1} {region.id.hex()[:8]}"
        ctx.show(f"{name}  {region_text(words, region)}")
