"""Completion for zsh."""

from __future__ import annotations

from pycontainer.base.settings import NAME
from pycontainer.cli import manual
from pycontainer.cli.commands import COMMANDS, load
from pycontainer.cli.options import FLAG, GLOBALS, NUMBERS, TEXTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cli.options import Option

_SCRIPT = """\
#compdef @NAME@
# zsh completion for @NAME@; made by "@NAME@ completion zsh"

_@NAME@_containers() {
    local -a ids root
    [[ -n ${opt_args[--root]} ]] && root=(--root ${opt_args[--root]})
    ids=(${(f)"$(_call_program containers @NAME@ $root list --quiet 2>/dev/null)"})
    _describe container ids
}

_@NAME@_commands() {
    local -a commands
    commands=(
@COMMANDS@
    )
    _describe command commands
}

_@NAME@() {
    local curcontext=$curcontext state line
    local -A opt_args
    local -a globals
    globals=(
@GLOBALS@
    )
    _arguments -C $globals '1:command:_@NAME@_commands' '*::argument:->argument'
    [[ $state == argument ]] || return
    curcontext=${curcontext%:*}-$words[1]:
    case $words[1] in
@CASES@
    help) _arguments '1:command:_@NAME@_commands' ;;
    esac
}

if [[ $funcstack[1] == _@NAME@ ]]; then
    _@NAME@ "$@"
else
    compdef _@NAME@ @NAME@
fi
"""
_ACTIONS = {
    manual.DIRECTORY: "_files -/",
    manual.FILE: "_files",
    manual.CONTAINER: f"_{NAME}_containers",
    manual.SIGNAL: "_signals -s",
    manual.WORD: "",
}


def script() -> str:
    """The whole script."""
    shown = [option for option in GLOBALS if option[4]]
    replaced = {
        "COMMANDS": "\n".join(
            f"        {_quoted(f'{name}:{load(name).SUMMARY}')}" for name in COMMANDS
        ),
        "GLOBALS": "\n".join(f"        {_option(option)}" for option in shown),
        "CASES": "\n".join(_case(name) for name in COMMANDS),
        "NAME": NAME,
    }
    return manual.filled(_SCRIPT, replaced)


def _case(name: str) -> str:
    # The global -h and -v come with $globals.
    specs = [_option(option) for option in manual.table_of(name) if option[0] != "help"]
    places = manual.places(name)
    for index, place in enumerate(places):
        more = index == len(places) - 1 and manual.repeats(name)
        label = place if isinstance(place, str) and place else "argument"
        position = "*" if more else str(index + 1)
        specs.append(_quoted(f"{position}:{label}:{_action(place)}"))
    body = " \\\n            ".join(["_arguments $globals", *specs])
    return f"    {name})\n        {body} ;;"


def _action(place: str | tuple[str, ...]) -> str:
    return _ACTIONS[place] if isinstance(place, str) else f"({' '.join(place)})"


def _option(option: Option) -> str:
    name, short, kind, placeholder, text = option
    text = text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    value = ""
    if kind != FLAG:
        label = placeholder.replace(":", "\\:") or "value"
        value = f":{label}:{_action(manual.values(option))}"
    equals = "" if kind == FLAG else "="
    again = "*" if kind in (TEXTS, NUMBERS) else ""
    if not short:
        return _quoted(f"{again}--{name}{equals}[{text}]{value}")
    alone = "*" if again else f"(-{short} --{name})"
    forms = f"{{-{short}{'+' if equals else ''},--{name}{equals}}}"
    return f"{_quoted(alone)}{forms}{_quoted(f'[{text}]{value}')}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
