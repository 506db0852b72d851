"""Run a command by its name: find its function, parse the arguments, call it.

A module of a command has either a function `run(ctx: Context, …)`, or an
`app = typer.Typer(help="…")` whose commands are its sub-commands, with an optional `DEFAULT`: the
one that runs when none is named, and with `DEFAULT_TAKES_WORDS` also when the first word names none
of them. Functions return None or an exit code. `NUMBER` in a module is the
option that -3 is short for; `WORDS_AS_THEY_ARE` are sub-commands that pass on what follows their
first word, options and all.
"""

from __future__ import annotations

import importlib
import keyword
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, cast

import typer

from voyager.commands.context import Context
from voyager.commands.help_page import Page, Row, first_line, read_group_page
from voyager.commands.parameters import build_parser, label, show_page, spellings
from voyager.commands.table import HELP
from voyager.errors import UsageError

Functions = dict[str, Callable[..., int | None]]

_ClickUsageError = cast(type[Exception], typer.BadParameter.__base__)  # typer does not export it


def run_command(name: str, args: Sequence[str], context: Context) -> int:
    """Parse the arguments of a command and run it; its exit code.

    Raises UsageError for arguments that do not fit, and whatever the body raises.
    """
    module = _import_command(name)
    functions = _subcommands(module)
    if not functions:
        args = _spell_numbers(args, getattr(module, "NUMBER", None))
        return _run(name, module.run, args, context)
    sub, rest = _choose(name, module, functions, list(args))
    if sub is None:
        show_page(_group_page(name, module, functions))
        return 0
    if sub in getattr(module, "WORDS_AS_THEY_ARE", ()):
        rest = _end_options(rest)
    return _run(f"{name} {sub}", functions[sub], rest, context)


def pages(name: str) -> list[Page]:
    """The help pages of a command: its own, and one for each sub-command."""
    module = _import_command(name)
    functions = _subcommands(module)
    if not functions:
        return [_page(name, module.run)]
    children = [_page(f"{name} {sub}", function) for sub, function in functions.items()]
    return [_group_page(name, module, functions), *children]


def module_name(name: str) -> str:
    """The module of a command: its name, with `_` after a word of the language (`import_`)."""
    module = name.replace("-", "_")
    return f"voyager.commands.{module}{'_' * keyword.iskeyword(module)}"


def _import_command(name: str) -> ModuleType:
    return importlib.import_module(module_name(name))


def _subcommands(module: ModuleType) -> Functions:
    """Name → function of the sub-commands of a module; empty for a plain command."""
    app = getattr(module, "app", None)
    if not isinstance(app, typer.Typer):
        return {}
    return {
        info.name or info.callback.__name__.replace("_", "-"): info.callback
        for info in app.registered_commands
        if info.callback is not None
    }


def _spell_numbers(args: Sequence[str], option: str | None) -> list[str]:
    """Write -3 as `-n 3`, where an option takes such numbers; not after --, nor as its value."""
    found: list[str] = []
    end = args.index("--") if "--" in args else len(args)
    for at, arg in enumerate(args):
        number = arg[1:].isdecimal() and arg.startswith("-") and at < end
        if option is not None and number and (not at or args[at - 1] != option):
            found += [option, arg[1:]]
        else:
            found.append(arg)
    return found


def _end_options(args: Sequence[str]) -> list[str]:
    """Let `--` stand before the first word, so that options after it are not ours."""
    at = next((at for at, arg in enumerate(args) if not arg.startswith("-")), None)
    return list(args) if at is None or "--" in args[:at] else [*args[:at], "--", *args[at:]]


def _choose(
    name: str, module: ModuleType, functions: Functions, args: list[str]
) -> tuple[str | None, list[str]]:
    """Which sub-command the arguments mean, and what is left for it; None asks for help."""
    default: str | None = getattr(module, "DEFAULT", None)
    if args and args[0] in functions:
        return args[0], args[1:]
    if args and args[0] in HELP.spellings:
        return None, []
    if default is not None and (not args or args[0].startswith("-")):
        return default, args
    if default is not None and getattr(module, "DEFAULT_TAKES_WORDS", False):
        return default, args
    if not args:
        hint = f"vgr {name} --help"
        raise UsageError(f"vgr {name} wants a command: {', '.join(functions)}", hint=hint)
    raise UsageError(
        f"no command 'vgr {name} {args[0]}'", hint=f"vgr {name} {_nearest(args[0], functions)}"
    )


def _run(
    path: str, function: Callable[..., int | None], args: Sequence[str], context: Context
) -> int:
    command = build_parser(path, function, context).command
    context.after_dashes = list(args[args.index("--") + 1 :]) if "--" in args else None
    try:
        with command.make_context(f"vgr {path}", list(args)) as click_context:
            if click_context.args:
                message = f"vgr {path} has no use for '{click_context.args[0]}'"
                raise UsageError(message, hint=f"vgr {path} --help")
            result = command.invoke(click_context)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        raise KeyboardInterrupt from None
    except _ClickUsageError as error:
        raise _usage_error(error, path, command) from None
    return result or 0


def _usage_error(error: Any, path: str, command: Any) -> UsageError:
    """A fault that click found in the arguments, in the words of this house."""
    kind, param = type(error).__name__, getattr(error, "param", None)
    hint = f"vgr {path} --help"
    if kind == "NoSuchOption":
        known = [spelling for item in command.params for spelling in spellings(item)]
        hint = f"vgr {path} {_nearest(error.option_name, known)}"
        return UsageError(f"vgr {path} has no option '{error.option_name}'", hint=hint)
    if kind == "MissingParameter" and param is not None:
        return UsageError(f"vgr {path} wants {label(param)}", hint=hint)
    message = str(error.message).rstrip(".")
    where = f"vgr {path}" if param is None else label(param)
    return UsageError(f"{where}: {message[:1].lower()}{message[1:]}", hint=hint)


def _nearest(typed: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    return next(iter(get_close_matches(typed, known, 1)), "--help")


def _page(path: str, function: Callable[..., int | None]) -> Page:
    return build_parser(path, function, Context()).page


def _group_page(name: str, module: ModuleType, functions: Functions) -> Page:
    rows = [Row(sub, first_line(function.__doc__)) for sub, function in functions.items()]
    told = module.app.info.help
    return read_group_page(name, told if isinstance(told, str) else module.__doc__, rows)
