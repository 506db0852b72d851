"""`vgr train`: train a network on a commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.floors import FloorOption, parse_floors
from voyager.commands.frozen import HeadsPlan, train_heads
from voyager.commands.run_options import needs_torch, parse_setting, validation_split
from voyager.commands.train_network import train_network
from voyager.commands.train_plan import Asked, Plan, plan_of, refuse_contrary

if TYPE_CHECKING:
    from voyager.repo.repository import Repository


def run(
    ctx: Context,
    revision: Annotated[str, typer.Argument(metavar="REV", help="the commit to train on")] = "HEAD",
    *,
    tasks: Annotated[
        list[str] | None,
        typer.Option("--task", metavar="TASK", help="what to learn; may be given several times"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="a network (resnet-18), or a folder of transformers"),
    ] = None,
    frozen: Annotated[
        str | None,
        typer.Option(
            "--frozen", metavar="MODEL", help="heads on vectors of default, a folder, a run or file"
        ),
    ] = None,
    head: Annotated[
        str | None, typer.Option(metavar="HEAD", help="with --frozen: linear (default) or knn")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="start from the trunk of a run or a file"),
    ] = None,
    scope: Annotated[
        str | None, typer.Option(metavar="WHAT", help="image or region; found out by itself")
    ] = None,
    split: Annotated[str, typer.Option(metavar="SPLIT", help="what is trained on")] = "train",
    validate: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT", help="looked at after each epoch: val, if any; none for none"
        ),
    ] = None,
    where: Annotated[
        str | None, typer.Option(metavar="EXPR", help="only samples for which EXPR is true")
    ] = None,
    epochs: Annotated[int, typer.Option(metavar="N", help="times through the data")] = 10,
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="steps in all, instead of epochs")
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", help="samples of a step")] = 64,
    size: Annotated[
        int | None, typer.Option(metavar="PIXELS", help="of the pictures: 224, or the model's")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(metavar="RATE", help="the highest learning rate")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="of weights, order and chances")] = 0,
    augment: Annotated[
        str, typer.Option(metavar="HOW", help="none, light, standard or strong, with changes")
    ] = "standard",
    sampling: Annotated[
        str, typer.Option(metavar="HOW", help="all, classes, tasks or sources")
    ] = "all",
    rendition: Annotated[
        str, typer.Option(metavar="PIXELS", help="auto, none, or the short side of renditions")
    ] = "auto",
    embedding: Annotated[
        int | None, typer.Option(metavar="DIMS", help="an embedding before the classes")
    ] = None,
    precision: Annotated[str, typer.Option(metavar="TYPE", help="fp32, bf16 or fp16")] = "fp32",
    compiled: Annotated[bool, typer.Option("--compile", help="compile the network")] = False,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="less memory, a third more time")
    ] = False,
    accumulate: Annotated[
        int, typer.Option(metavar="N", help="parts that a batch is computed in")
    ] = 1,
    ranks: Annotated[
        int, typer.Option(metavar="N", help="parts of a batch that processes share")
    ] = 1,
    ema: Annotated[float, typer.Option(metavar="DECAY", help="keep an average of weights")] = 0.0,
    patience: Annotated[
        int | None, typer.Option(metavar="N", help="stop after N epochs without a better one")
    ] = None,
    checkpoint_steps: Annotated[
        int | None, typer.Option(metavar="N", help="steps between checkpoints; an epoch's else")
    ] = None,
    repro: Annotated[
        str | None, typer.Option(metavar="WHAT", help="bits or order: what a repeat comes to")
    ] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", help="of the computation")] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps")] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="any other setting of docs/training.md"),
    ] = None,
    loggers: Annotated[
        list[str] | None,
        typer.Option("--log", metavar="WHERE", help="also to tensorboard, wandb or mlflow"),
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="what to call the run")] = "",
    message: Annotated[
        str, typer.Option("-m", "--message", metavar="MSG", help="why it is made")
    ] = "",
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="go on with a run that was stopped")
    ] = None,
    repeat: Annotated[
        str | None, typer.Option(metavar="RUN", help="do a run again and compare the weights")
    ] = None,
    fail_below: FloorOption = None,
    fast_dev_run: Annotated[
        bool, typer.Option("--fast-dev-run", help="two steps of everything, and keep nothing")
    ] = False,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="though copies of test images are in train")
    ] = False,
    allow_unchecked: Annotated[
        bool, typer.Option("--allow-unchecked", help="though the guard cannot look at images")
    ] = False,
    allow_dirty: Annotated[
        bool, typer.Option("--allow-dirty", help="though staged changes are left out")
    ] = False,
) -> int:
    """Train a network on a commit.

    The run is recorded with all that it depends on: the same commit, settings and seed come to the
    same weights, to the bit. It can be stopped with Ctrl-C and gone on with (--resume), pushed,
    compared (vgr runs diff) and asked where it comes from (vgr why). Images of protected splits,
    held ones and those in conflict are never trained on.

    With --frozen nothing but heads is trained, on vectors of a model that stays as it is: they are
    computed once per image ever, so that after labels changed it takes seconds. It takes --task,
    --scope, --split, --validate, --where, --sampling all or classes, and --set k=10 (neighbours) or
    --set strengths=[0.3] (what holds weights small; else the best of some on --validate).

    Under torchrun the processes share each batch (--ranks).

    With --fail-below the exit code is 1 where a measure of --validate is below what was asked for,
    and 125 where nothing measures it, so that vgr bisect run finds the commit that hurt a class.

    JSON: {"run", "commit", "weights", "metrics", "state"}; with --repeat also "repeats": whether
    the weights are the same, or of --repro order the order.

    Example:
      $ vgr train --task category --model resnet-18 --epochs 20
      $ vgr train --task category --model ../dinov2-small --lr 1e-5
      $ vgr train --frozen default --task category
      $ vgr bisect run vgr train --frozen default --fail-below category/shoes=0.8
      $ torchrun --nproc-per-node 2 -m voyager train --task category --ranks 2
    """
    given = {
        "start": start,
        "scope": scope,
        "split": split,
        "validate": validation_split(validate),
        "where": where,
        "epochs": epochs,
        "steps": steps,
        "batch": batch,
        "seed": seed,
        "augmentation": augment,
        "sampling": sampling,
        "rendition": rendition,
        "embedding": embedding,
        "precision": precision,
        "compile": compiled,
        "checkpointing": checkpointing,
        "accumulate": accumulate,
        "ranks": ranks,
        "ema": ema,
        "patience": patience,
        "checkpoint_steps": checkpoint_steps,
        "repro": repro or ("bits" if precision == "fp32" and not compiled else "order"),
        "threads": threads,
    }
    optional = {"model": model, "size": size, "lr": lr}
    given |= {name: value for name, value in optional.items() if value is not None}
    asked = Asked(
        revision=revision,
        given=given,
        tasks=tasks or [],
        settings=dict(parse_setting(text) for text in settings or []),
        validate=None if validate is None else validation_split(validate),
        frozen=frozen,
        head=head,
        resume=resume,
        repeat=repeat,
        device=device,
        loggers=loggers or [],
        name=name,
        message=message,
        floors=parse_floors(fail_below),
        fast=fast_dev_run,
    )
    allowed = {"leak": allow_leak, "unchecked": allow_unchecked, "dirty": allow_dirty}
    return _train(ctx, asked, allowed)


def _train(ctx: Context, asked: Asked, allowed: Mapping[str, bool]) -> int:
    refuse_contrary(asked)
    repo = ctx.open_repository()
    plan = plan_of(repo, asked)
    if isinstance(plan, HeadsPlan):
        _check(ctx, repo, plan, **allowed)
        return train_heads(ctx, repo, plan, asked)
    needs_torch()
    from voyager.train.loggers import refuse_missing

    refuse_missing(list(asked.loggers))
    plan = plan.shortened() if asked.fast else plan
    _check(ctx, repo, plan, **allowed)
    return train_network(ctx, repo, plan, asked)


def _check(
    ctx: Context,
    repo: Repository,
    plan: Plan,
    *,
    leak: bool,
    unchecked: bool,
    dirty: bool,
) -> None:
    from voyager.train.checks import refuse_unfit
    from voyager.train.torchrun import speaks

    warnings = refuse_unfit(
        repo,
        plan.version,
        allow_leak=leak,
        allow_unchecked=unchecked,
        allow_dirty=dirty or plan.resume is not None or plan.repeats is not None,
        progress=ctx.progress("checking"),
    )
    for warning in warnings if speaks() else ():
        ctx.warn(warning)
