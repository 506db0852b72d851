"""A function with typer annotations → what parses its arguments, and its help page.

Typer reads the annotations and splits the words; the context, the global flags and the conversion
of values are added here.
"""

from __future__ import annotations

import inspect
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import typer

from voyager.commands.context import Context
from voyager.commands.help_page import Page, read_page, render_text
from voyager.commands.table import FLAGS, HELP
from voyager.errors import UsageError


class Parser(NamedTuple):
    """The click command of one function, and the page about it."""

    command: Any
    page: Page


def build_parser(path: str, function: Callable[..., int | None], context: Context) -> Parser:
    """The parser of a function, with the global flags whose spellings it leaves free."""
    command = _click_command(_without_context(function, context))
    own = list(command.params)
    taken = {spelling for param in own for spelling in spellings(param)}
    pages: list[Page] = []
    for param in _click_command(_global_flags(context, pages)).params:
        param.opts = [spelling for spelling in param.opts if spelling not in taken]
        if param.opts:
            command.params.append(param)
    for param in command.params:
        _convert_plainly(param)
    pages.append(read_page(path, command.help, own, command.params[len(own) :]))
    return Parser(command, pages[0])


def show_page(page: Page) -> None:
    """Print a help page, fitted to the terminal."""
    sys.stdout.write(render_text(page, shutil.get_terminal_size().columns))


def spellings(param: Any) -> list[str]:
    """What may be typed for an option; nothing for an argument."""
    return [*param.opts, *param.secondary_opts] if param.param_type_name == "option" else []


def label(param: Any) -> str:
    """How messages call a parameter: the longest spelling, or the name of the argument."""
    if param.param_type_name == "option":
        return str(max(param.opts, key=len))
    return str(param.metavar or param.name.upper())


def _click_command(function: Callable[..., Any]) -> Any:
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    # Help and leftover arguments are ours: typer would import pydantic for its own help flag.
    app.command(add_help_option=False, context_settings={"allow_extra_args": True})(function)
    return typer.main.get_command(app)


def _without_context(function: Callable[..., Any], context: Context) -> Callable[..., Any]:
    """`function` with its Context filled in, and out of sight of typer."""
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters
    given = {name: context for name in parameters if hints.get(name) is Context}

    def call(**values: Any) -> Any:
        return function(**given, **values)

    call.__name__, call.__doc__ = function.__name__, function.__doc__
    visible = {name: param for name, param in parameters.items() if name not in given}
    return _with_signature(
        call, {name: (hints[name], param.default) for name, param in visible.items()}
    )


def _global_flags(context: Context, pages: list[Page]) -> Callable[..., Any]:
    """A function whose options are the global flags; each acts at once when it is given.

    `pages` will hold the page that the help flag shows.
    """

    def setter(name: str) -> Any:
        return lambda value: context.set_flag(name, value) if value else None

    def show_help(value: bool) -> None:
        if value:
            show_page(pages[0])
            raise typer.Exit

    def call() -> None:
        pass

    options: dict[str, tuple[Any, Any]] = {}
    for flag in (*FLAGS, HELP):
        option = typer.Option(
            *flag.spellings,
            help=flag.help,
            metavar=flag.metavar,
            callback=show_help if flag is HELP else setter(flag.name),
            is_eager=flag is HELP,
            expose_value=False,
        )
        kind, default = (str | None, None) if flag.metavar else (bool, False)
        options[f"global_{flag.name}"] = (Annotated[kind, option], default)
    return _with_signature(call, options)


def _with_signature(
    function: Callable[..., Any], parameters: dict[str, tuple[Any, Any]]
) -> Callable[..., Any]:
    """Make typer see these parameters, name → (annotation, default), on a function."""
    signature = inspect.Signature(
        [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
            )
            for name, (annotation, default) in parameters.items()
        ]
    )
    function.__annotations__ = {name: annotation for name, (annotation, _) in parameters.items()}
    vars(function)["__signature__"] = signature
    return function


_PLAIN: dict[type, tuple[Callable[[Any], Any], str]] = {
    str: (str, "text"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    bool: (bool, "true or false"),
    Path: (Path, "a path"),
}


class _PlainValue:
    """Converts the values of one parameter: text, numbers, paths and fixed choices."""

    def __init__(self, kind: type, choices: Sequence[str], info: Any) -> None:
        self.convert, self.expected = _PLAIN[kind]
        self.choices = choices
        self.low, self.high = info.min, info.max

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The name and shape that typer calls."""
        if param.multiple or param.nargs == -1:
            return [self._one(item, param, ctx) for item in value or ()]
        return None if value is None else self._one(value, param, ctx)

    def _one(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            result = self.convert(value)
        except ValueError:
            result = None
        if result is None or not self._allows(result):
            raise UsageError(
                f"{label(param)} is {self._expected()}, not '{value}'",
                hint=f"{ctx.command_path} --help",
            )
        return result

    def _allows(self, result: Any) -> bool:
        if self.choices:
            return result in self.choices
        low_enough = self.high is None or result <= self.high
        return low_enough and (self.low is None or result >= self.low)

    def _expected(self) -> str:
        if self.choices:
            from voyager.config import one_of

            return one_of(self.choices)
        low = "" if self.low is None else f" from {self.low}"
        return self.expected + low + ("" if self.high is None else f" up to {self.high}")


def _convert_plainly(param: Any) -> None:
    """Take the conversion of plain types from typer, which imports pydantic for it: 90 ms.

    A version of typer that is built otherwise, or another type, converts as typer does.
    """
    descriptor = getattr(param, "type_descriptor", None)
    if descriptor is None or not hasattr(param, "_runtime_param"):
        return
    info, annotation = descriptor.parameter_info, descriptor.annotation
    kind = get_args(annotation)[0] if get_origin(annotation) is list else annotation
    choices = descriptor.choices or ()
    if choices and all(isinstance(choice, str) for choice in choices):
        kind = str
    checks_path = info.exists or info.writable or not (info.file_okay and info.dir_okay)
    if kind in _PLAIN and info.parser is None and not checks_path and not info.resolve_path:
        param._runtime_param = _PlainValue(kind, choices, info)
