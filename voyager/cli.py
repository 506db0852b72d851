"""The command line: find the command, run it, and turn an error into words and an exit code.

The table of commands is static, so that help imports no command and a command imports no other.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from voyager.commands.context import Context
from voyager.commands.table import ALL_FLAGS, COMMANDS, help_text
from voyager.errors import EXIT_BUG, EXIT_INTERRUPTED, StateError, UsageError, VoyagerError
from voyager.version import __version__

_FLAG_OF = {spelling: flag for flag in ALL_FLAGS for spelling in flag.spellings}

EXIT_PIPE = 141
"""What a shell reports for a program that wrote to a pipe nobody reads: 128 + SIGPIPE."""


class BugError(VoyagerError):
    """Something that nobody raised on purpose."""

    kind = "bug"
    exit = EXIT_BUG


class InterruptedByUser(VoyagerError):
    """Ctrl-C."""

    kind = "interrupted"
    exit = EXIT_INTERRUPTED


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code of the process."""
    args = list(sys.argv[1:] if argv is None else argv)
    _accept_any_name()
    try:
        return _run_or_report(args)
    except BrokenPipeError:
        return EXIT_PIPE
    finally:
        _flush_or_silence(sys.stdout)


def explain(error: BaseException) -> VoyagerError:
    """Any exception as one that has words, a kind and an exit code."""
    if isinstance(error, VoyagerError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return InterruptedByUser("interrupted")
    if isinstance(error, MemoryError):
        return StateError("out of memory")
    if isinstance(error, OSError) and error.errno is not None:
        return _explain_system(error)
    return BugError(
        f"this is a bug of vgr {__version__}: {type(error).__name__}: {error}",
        hint="run it again with -v and report what it prints",
    )


def _run_or_report(args: list[str]) -> int:
    try:
        code = _run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        return _report(error, _asked(args))


def _run(args: list[str]) -> int:
    flags, rest = _read_flags(args)
    given = {name for name, _ in flags}
    if "version" in given:
        return _answer_version(json="json" in given)
    if rest and rest[0] == "help":
        rest, given = rest[1:], given | {"help"}
    if "help" in given and rest:
        rest = [*rest, "--help"]
    if not rest:
        sys.stdout.write(help_text())
        return 0 if "help" in given else UsageError.exit
    return _run_command(rest[0], rest[1:], flags)


def _run_command(name: str, args: list[str], flags: list[tuple[str, str | bool]]) -> int:
    if name not in COMMANDS and name != "__complete":
        raise _unknown(name)
    context = Context()
    try:
        for flag, value in flags:
            context.set_flag(flag, value)
        if name == "__complete":
            from voyager.commands.candidates import print_candidates

            return print_candidates(args, context)
        from voyager.commands.parsing import run_command

        return run_command(name, args, context)
    finally:
        context.close()


def _read_flags(args: list[str]) -> tuple[list[tuple[str, str | bool]], list[str]]:
    """The flags before the command's name, as (name, value), and what follows them."""
    flags: list[tuple[str, str | bool]] = []
    rest = list(args)
    while rest and rest[0].startswith("-"):
        spelling = rest.pop(0)
        flag = _FLAG_OF.get(spelling)
        if flag is None:
            raise UsageError(f"vgr has no option '{spelling}'", hint=_nearest(spelling, _FLAG_OF))
        if flag.metavar is not None and not rest:
            raise UsageError(f"{spelling} wants {flag.metavar}", hint="vgr --help")
        flags.append((flag.name, True if flag.metavar is None else rest.pop(0)))
    return flags, rest


def _unknown(name: str) -> UsageError:
    return UsageError(f"no command '{name}'", hint=_nearest(name, COMMANDS))


def _nearest(typed: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(typed, known, 1, 0.5)
    return f"vgr {near[0]}" if near else "vgr --help"


def _answer_version(*, json: bool) -> int:
    sys.stdout.write(f'{{"version": "{__version__}"}}\n' if json else f"vgr {__version__}\n")
    return 0


def _asked(args: list[str]) -> set[str]:
    """The flags that shape an error, wherever they stand before `--`."""
    own = args[: args.index("--")] if "--" in args else args
    return {_FLAG_OF[arg].name for arg in own if arg in _FLAG_OF}


def _report(error: BaseException, asked: set[str]) -> int:
    """Put an error into words, on stderr or with `--json` on stdout; its exit code."""
    from voyager.config import debugging

    known = explain(error)
    if debugging() or ("verbose" in asked and known is not error):
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    if "json" in asked:
        import json

        # One line, since it may come after JSON lines that a command printed already.
        sys.stdout.write(json.dumps({"error": known.as_dict()}, ensure_ascii=False) + "\n")
        return known.exit
    _flush_or_silence(sys.stdout)  # what was printed before the error comes first
    sys.stderr.write(f"error: {_place(known)}{known.message}\n")
    if known.hint is not None:
        sys.stderr.write(f"hint: {known.hint}\n")
    return known.exit


def _place(error: VoyagerError) -> str:
    """`file:line: ` where the message does not say it already."""
    if error.path is None or (error.line is None and error.path in error.message):
        return ""
    return f"{error.path}:{error.line}: " if error.line is not None else f"{error.path}: "


def _explain_system(error: OSError) -> StateError:
    import errno

    hints = {
        errno.ENOSPC: "free some space, then run the command again",
        errno.EDQUOT: "free some space, then run the command again",
        errno.EMFILE: "ulimit -n 4096",
    }
    reason = os.strerror(error.errno or 0)
    reason = reason[:1].lower() + reason[1:]
    names = [_name(name) for name in (error.filename, error.filename2) if name is not None]
    where = " -> ".join(names)
    return StateError(
        f"{reason}: {where}" if where else reason,
        hint=hints.get(error.errno or 0),
        path=names[0] if names else None,
    )


def _name(name: str | bytes | int) -> str:
    return f"file descriptor {name}" if isinstance(name, int) else os.fsdecode(name)


def _accept_any_name() -> None:
    """Let file names print that the terminal's encoding cannot show."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _flush_or_silence(stream: TextIO) -> None:
    """Flush a stream; one that cannot take it is pointed at nothing, so that the exit is quiet."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
