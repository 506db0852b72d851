"""`vgr completion`: print the script that completes vgr in a shell.

The script holds the commands and their flags, so that TAB starts vgr only for names that change:
keys, revisions, settings (see `candidates`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, get_args

import typer

from voyager.commands.context import Context
from voyager.commands.help_page import Page, Row
from voyager.commands.parsing import pages
from voyager.commands.table import ALL_FLAGS, COMMANDS

Shell = Literal["bash", "zsh", "fish"]


def run(
    ctx: Context,
    shell: Annotated[Shell, typer.Argument(help="the shell that is to complete vgr")],
) -> None:
    """Print the script that completes vgr in your shell.

    Put the line of the example into ~/.bashrc; for zsh, the same with zsh into ~/.zshrc, after
    compinit; for fish, write the script to ~/.config/fish/completions/vgr.fish.

    Example:
      $ source <(vgr completion bash)
    """
    script = _fish() if shell == "fish" else _case_script(_BASH if shell == "bash" else _ZSH)
    if ctx.json:
        ctx.emit({"shell": shell, "script": script})
    ctx.show(script.rstrip("\n"))


def _case_script(template: str) -> str:
    """The script of bash or zsh: what follows each command, as the arms of a `case`."""
    described = {name: pages(name) for name in COMMANDS}
    groups = [name for name, found in described.items() if found[0].commands]
    arms = [_arm("", [spelling for flag in ALL_FLAGS for spelling in flag.spellings], COMMANDS)]
    for name, found in described.items():
        arms += [
            _arm(page.path, _spellings(page), _words(name, page), COMMANDS[name].completes)
            for page in found
        ]
    return template.replace("@GROUPS@", " ".join(groups)).replace("@ARMS@", "\n".join(arms))


def _arm(path: str, flags: Iterable[str], words: Iterable[str], kind: str = "") -> str:
    # No flag or word has a space or a quote in it.
    values = f"flags='{' '.join(flags)}' names='{' '.join(words)}' kind='{kind}'"
    return f"        '{path}') {values} ;;"


def _spellings(page: Page) -> list[str]:
    return [spelling for row in (*page.options, *page.flags) for spelling in row.spellings]


def _words(name: str, page: Page) -> tuple[str, ...]:
    """The fixed words that may follow: sub-commands, or shells."""
    if COMMANDS[name].completes == "shells":
        return get_args(Shell)
    return tuple(row.left for row in page.commands)


def _fish() -> str:
    lines = ["complete -c vgr -f"]
    for flag in ALL_FLAGS:
        row = Row("", flag.help, flag.spellings, takes_value=flag.metavar is not None)
        lines.append(_fish_option("", row))
    for name, entry in COMMANDS.items():
        lines.append(_fish_line("__fish_use_subcommand", f"-a {name} -d {_quoted(entry.help)}"))
        for page in pages(name):
            lines += _fish_page(name, page)
    return "\n".join(lines) + "\n"


def _fish_page(name: str, page: Page) -> Iterator[str]:
    seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in page.path.split())
    for row in page.options:
        yield _fish_option(seen, row)
    for word in _words(name, page):
        yield _fish_line(seen, f"-a {word}")
    kind = COMMANDS[name].completes
    if kind in {"files", "folders"}:
        yield _fish_line(seen, "-F")
    elif kind not in {"", "shells"}:
        yield _fish_line(seen, f"-a '(vgr __complete {kind} (commandline -ct))'")


def _fish_option(condition: str, row: Row) -> str:
    spelled = [
        f"-l {spelling[2:]}" if spelling.startswith("--") else f"-s {spelling[1:]}"
        for spelling in row.spellings
    ]
    value = ["-r"] if row.takes_value else []
    return _fish_line(condition, " ".join([*spelled, *value, f"-d {_quoted(row.help)}"]))


def _fish_line(condition: str, rest: str) -> str:
    return (
        f"complete -c vgr -n {_quoted(condition)} {rest}"
        if condition
        else f"complete -c vgr {rest}"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_BASH = r"""# vgr in bash: source <(vgr completion bash)
_vgr() {
    local current="${COMP_WORDS[COMP_CWORD]}" at='' where='' flags='' names='' kind='' word i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        case "$word" in
        -C) ((i++)); where="${COMP_WORDS[i]}" ;;
        -*) ;;
        *) case ' @GROUPS@ ' in *" $at "*) at="$at $word" ;; *) at="${at:-$word}" ;; esac ;;
        esac
    done
    case "$at" in
@ARMS@
    esac
    COMPREPLY=()
    if [[ "$current" == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$current"))
    elif [[ -n "$names" ]]; then
        COMPREPLY=($(compgen -W "$names" -- "$current"))
    elif [[ -n "$kind" && "$kind" != files && "$kind" != folders ]]; then
        while IFS= read -r word; do
            COMPREPLY+=("$word")
        done < <(vgr ${where:+-C "$where"} __complete "$kind" "$current" 2>/dev/null)
        [[ "$kind" != keys ]] || compopt -o filenames 2>/dev/null
        [[ "${COMPREPLY[0]-}" != */ ]] || compopt -o nospace 2>/dev/null
    fi
}
complete -o bashdefault -o default -F _vgr vgr
"""

_ZSH = r"""#compdef vgr
# vgr in zsh: source <(vgr completion zsh)
_vgr() {
    local current="$words[CURRENT]" at='' flags='' names='' kind='' word i
    local -a where found
    for ((i = 2; i < CURRENT; i++)); do
        word="$words[i]"
        case "$word" in
        -C) ((i++)); where=(-C "$words[i]") ;;
        -*) ;;
        *) case ' @GROUPS@ ' in *" $at "*) at="$at $word" ;; *) at="${at:-$word}" ;; esac ;;
        esac
    done
    case "$at" in
@ARMS@
    esac
    if [[ "$current" == -* ]]; then
        compadd -- ${=flags}
    elif [[ -n "$names" ]]; then
        compadd -- ${=names}
    elif [[ "$kind" == folders ]]; then
        _files -/
    elif [[ -n "$kind" && "$kind" != files ]]; then
        found=("${(@f)$(vgr $where __complete "$kind" "$current" 2>/dev/null)}")
        if [[ "$kind" == keys ]]; then
            compadd -f -S '' -- $found
        else
            compadd -- $found || _files
        fi
    else
        _files
    fi
}
if [[ "$funcstack[1]" == _vgr ]]; then
    _vgr "$@"
else
    compdef _vgr vgr
fi
"""
