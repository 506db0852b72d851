"""The guard: keeps images of protected splits, by default test, out of every other split.

It finds copies by equal bytes (when they are added or committed), and by equal pixels and near
hashes (when a merge or import brings them in, and in vgr guard check). A copy that is held stays
out of training until it is released or dropped.

Example:
  $ vgr guard check
  $ vgr guard release train/7.jpg
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.guard_text import (
    finding_line,
    held_json,
    held_line,
    offer_json,
    offer_lines,
    policy_json,
    policy_lines,
    read_actions,
)
from voyager.commands.reports import shown_keys
from voyager.commands.sizes import counted
from voyager.commands.words import key_of
from voyager.errors import UsageError

app = typer.Typer()
DEFAULT = "show"

_MOST = 50
_Keys = Annotated[list[str], typer.Argument(metavar="KEY", help="held samples, folders or globs")]


@app.command("show")
def show(ctx: Context) -> None:
    """Show the policy, and what is held.

    JSON: {"policy": {"action", "actions", "detectors", "threshold", "protect", "off"},
    "protected": how many images, "held": [{"key", "split", "protected", "kind", "distance",
    "method"}]}.

    Example:
      $ vgr guard show
    """
    from voyager.repo.guard_held import guarded, held_samples
    from voyager.repo.guard_policy import read_policy

    repo = ctx.open_repository()
    version = repo.staged()
    policy, protected = read_policy(version), len(guarded(repo, version))
    held = held_samples(repo, version)
    if ctx.json:
        value = {"policy": policy_json(policy), "protected": protected}
        ctx.emit({**value, "held": [held_json(one) for one in held]})
        return
    for line in policy_lines(policy, protected):
        ctx.show(line)
    ctx.show(f"held:       {counted(len(held), 'sample')}")
    for one in held[:_MOST]:
        ctx.show(f"  {held_line(one)}")
    if len(held) > _MOST:
        ctx.show(f"  … and {len(held) - _MOST:,} more (--json lists them all)")


@app.command("set")
def set_policy(
    ctx: Context,
    *,
    actions: Annotated[
        list[str] | None,
        typer.Option(
            "--action", metavar="[DETECTOR=]A", help="drop, hold, move, warn or error; repeatable"
        ),
    ] = None,
    detectors: Annotated[
        str | None, typer.Option(metavar="D,…", help="which look: bytes, pixels, near")
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(metavar="N", help="distance of near images, 0 to 100")
    ] = None,
    protect: Annotated[
        list[str] | None,
        typer.Option(metavar="SPLIT", help="repeatable; the first ranks highest (test)"),
    ] = None,
    off: Annotated[bool | None, typer.Option("--off/--on", help="whether it looks at all")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="begin with the defaults")] = False,
) -> None:
    """Change the policy; it is part of the next version.

    Without --action, what a merge or import brings in and is the same in bytes or pixels is
    dropped; near copies, what was there before and samples of a group are held. drop takes a copy
    out, hold keeps it out of training, move puts it into the protected split, warn only tells, and
    error refuses. vgr add and vgr commit look at bytes alone, and hold where others would drop.

    JSON: as "policy" of vgr guard show.

    Example:
      $ vgr guard set --protect test --protect val
      $ vgr guard set --action hold --action near=warn --threshold 24
    """
    from voyager.repo import guard_policy
    from voyager.repo.guard_held import guarded

    given = (actions, detectors, threshold, protect, off)
    if all(value is None for value in given) and not reset:
        raise UsageError("nothing to change", hint="vgr guard set --help")
    action, by_detector = read_actions(actions or [])
    repo = ctx.open_repository()
    before, after = guard_policy.set_policy(
        repo,
        action=action,
        actions=by_detector or None,
        detectors=None if detectors is None else [part.strip() for part in detectors.split(",")],
        thresholds=None if threshold is None else {"near": threshold},
        protect=protect,
        off=off,
        reset=reset,
    )
    if ctx.json:
        ctx.emit(policy_json(after))
    ctx.say("the guard's policy is as it was" if before == after else "set the guard's policy")
    for line in policy_lines(after, len(guarded(repo, repo.staged())) if protect else None):
        ctx.say(line)


@app.command("check")
def check(
    ctx: Context,
    revision: Annotated[
        str | None, typer.Argument(metavar="REV", help="the version (what is staged)")
    ] = None,
    *,
    detectors: Annotated[
        str | None, typer.Option(metavar="D,…", help="which look: bytes, pixels, near")
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(metavar="N", help="distance of near images, 0 to 100")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write a page with both pictures of each")
    ] = None,
) -> int:
    """Look for copies of protected images in a whole version.

    The exit code is 1 when one leaks: is neither held nor released. Images that are not here, or
    cannot be decoded, are named as unchecked.

    JSON: [{"a": the copy, "b": the protected image, "kind", "distance", "a_split", "b_split",
    "state": leak, held or released}].

    Example:
      $ vgr guard check
      $ vgr guard check v1 --detectors near --threshold 24 --html leaks.html
    """
    from voyager.repo.guard_check import audit

    repo = ctx.open_repository()
    version = repo.staged() if revision is None else repo.at(revision)
    found = audit(
        repo,
        version,
        detectors=None if detectors is None else [part.strip() for part in detectors.split(",")],
        threshold=threshold,
        progress=ctx.progress("looking at images"),
    )
    if html is not None:
        from voyager.commands.guard_page import write_page

        write_page(html, version, found, revision or "what is staged")
        ctx.say(f"{html}: {counted(len(found.findings), 'pair')}")
    if ctx.json:
        ctx.emit([finding.as_json() for finding in found.findings])
    for finding in found.findings[:_MOST] if html is None else ():
        ctx.show(finding_line(finding))
    if html is None and len(found.findings) > _MOST:
        ctx.show(f"… and {len(found.findings) - _MOST:,} more (--json lists them all)")
    if found.unchecked:
        ctx.warn(f"unchecked, not here or not decodable: {counted(len(found.unchecked), 'image')}")
        for line in [] if ctx.json else shown_keys(found.unchecked):
            ctx.say(line)
    if not found.protected:
        ctx.say("no sample is in a protected split: there is nothing to guard")
        return 0
    leaks = found.leaks
    verb = "leaks" if len(leaks) == 1 else "leak"
    said = f"{counted(len(leaks), 'pair')} {verb}" if leaks else "nothing leaks"
    ctx.say(f"{said}: {counted(found.protected, 'protected image')} of {found.samples:,}")
    return 1 if leaks else 0


@app.command("release")
def release(ctx: Context, keys: _Keys) -> None:
    """Let held samples go: these pairs are not held again.

    JSON: {"released": [as "held" of vgr guard show]}.

    Example:
      $ vgr guard release train/7.jpg
      $ vgr guard release 'train/**'
    """
    from voyager.repo import guard_held

    repo = ctx.open_repository()
    done = guard_held.release(repo, [key_of(repo, key) for key in keys])
    if ctx.json:
        ctx.emit({"released": [held_json(one) for one in done]})
    ctx.say(f"released {counted(len(done), 'sample')}")
    for line in shown_keys([one.key for one in done]):
        ctx.say(line)


@app.command("drop")
def drop(
    ctx: Context,
    keys: _Keys,
    *,
    take_labels: Annotated[
        bool,
        typer.Option("--take-labels", help="give the protected sample what it lacks of theirs"),
    ] = False,
) -> None:
    """Take held samples out of the next version, and their files, as vgr rm does.

    What they say and the protected sample does not is told, and with --take-labels taken by it.

    JSON: {"dropped": [key], "labels": how many go, "offers": [{"key", "labels", "regions", "meta",
    "contradicting"}], "taken"}.

    Example:
      $ vgr guard drop train/7.jpg --take-labels
    """
    from voyager.repo import guard_held

    repo = ctx.open_repository()
    done = guard_held.drop(repo, [key_of(repo, key) for key in keys], take_labels=take_labels)
    vocabulary = repo.staged().vocabulary
    if ctx.json:
        offers = [offer_json(vocabulary, key, offer) for key, offer in done.offers.items()]
        ctx.emit(
            {"dropped": done.keys, "labels": done.labels, "offers": offers, "taken": take_labels}
        )
    labels = f" with {counted(done.labels, 'label')}" if done.labels else ""
    ctx.say(f"dropped {counted(len(done.keys), 'sample')}{labels}")
    for line in shown_keys(done.keys):
        ctx.say(line)
    for line in offer_lines(vocabulary, done.offers, took=take_labels):
        ctx.say(line)
