"""`vgr blame`: who made each label, region and field of a sample what it is."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.blame_text import Wording, blame_lines, blamed_as_json
from voyager.commands.context import Context
from voyager.commands.words import key_of
from voyager.errors import UsageError
from voyager.repo.blame import blame
from voyager.repo.keys import shown
from voyager.repo.region_names import find_regions, parse_region_name


def run(
    ctx: Context,
    name: Annotated[str, typer.Argument(metavar="KEY[#REGION]", help="a sample, region or file")],
    revision: Annotated[
        str | None, typer.Argument(metavar="REV", help="as it was there (default: as staged)")
    ] = None,
    *,
    task: Annotated[
        str | None, typer.Option(metavar="TASK", help="only what is said for this task")
    ] = None,
) -> None:
    """Say who made each label, region and field of a sample what it is, when, and in which commit.

    A value is of the commit where it became what it is: the sample is followed through renames,
    and a merge is named only for what neither side had. Another state or score of a label is a
    change of that label; a region as such, its shapes and its labels are told apart. A value that
    an import brought is marked with its name.

    JSON: a line for each value {"path", "text", "key", "region", "task", "value", "commit",
    "author", "committer", "time", "message", "import", "model", "reports"}; commit is null for what
    is staged, key is what the sample was called there.

    Example:
      $ vgr blame train/hat/1.jpg
      $ vgr blame train/hat/1.jpg#2 v1
      $ vgr blame hat/1.jpg --task color
    """
    repo = ctx.open_repository()
    version = repo.staged() if revision is None else repo.at(revision)
    named = parse_region_name(key_of(repo, name), lambda text: version.space_of(text) is not None)
    sample = version.get(named.key)
    regions = None
    if named.region is not None and (sample is not None or version.space_of(named.key)):
        if sample is None:
            raise UsageError(f"'{shown(named.key)}' has no regions", hint=f"vgr show {named.key}")
        regions = [region.id for region in find_regions(named.key, sample, named.region)]
    found = blame(repo, named.key, revision, regions=regions, task=task)
    words = Wording(version.vocabulary, sample)
    if ctx.json:
        for one in found:
            ctx.emit_line(blamed_as_json(one, words))
        return
    for line in blame_lines(ctx, found, words):
        ctx.show(line)
    if not found:
        about = "nothing" if task is None else f"nothing for task '{task}'"
        ctx.say(f"{about} is said of '{shown(named.key)}'")
