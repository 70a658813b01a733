"""Completion for bash, without the bash-completion package."""

from __future__ import annotations

from pycontainer.base.settings import NAME
from pycontainer.cli import manual
from pycontainer.cli.commands import COMMANDS
from pycontainer.cli.options import FLAG, GLOBALS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cli.options import Table

_SCRIPT = """\
# bash completion for @NAME@; made by "@NAME@ completion bash"

_@NAME@_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }

_@NAME@_place() { # KIND [WORD...]
    case $1 in
    directory) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    container) _@NAME@_words "$("${COMP_WORDS[0]}" "${root[@]}" list --quiet 2>/dev/null)" ;;
    signal) _@NAME@_words "@SIGNALS@" ;;
    words) shift; _@NAME@_words "$*" ;;
    esac
}

_@NAME@() {
    local cur=${COMP_WORDS[COMP_CWORD]} word option='' command='' value='' index count=0 root=()
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if [[ -n $option ]]; then # its value; bash makes three words of --option=value
            [[ $word == = ]] && continue
            [[ $option == --root ]] && root=(--root "$word")
            option=''
        elif [[ $word == -* ]]; then
            case "$command $word" in
            @VALUED@) option=$word ;;
            esac
        elif [[ -z $command ]]; then
            command=$word
        else
            ((++count))
        fi
    done
    if [[ -n $option ]]; then
        [[ $cur == = ]] && cur=''
        case "$command $option" in
@OPTION_VALUES@
        esac
    elif [[ $cur == -* ]]; then
        case $command in
@OPTIONS@
        esac
    else
        case "$command $count" in
        ' '*) _@NAME@_words "@COMMANDS@" ;;
@WORDS@
        esac
    fi
}
complete -F _@NAME@ @NAME@
"""


def script() -> str:
    """The whole script."""
    from pycontainer.tables.signals import NUMBERS

    tables: dict[str, Table] = {name: manual.table_of(name) for name in COMMANDS}
    shown: Table = tuple(option for option in GLOBALS if option[4])
    valued = [f"*' --{o[0]}'" for o in shown if o[2] != FLAG]
    cases = [_value(f"*' --{o[0]}'", manual.values(o)) for o in shown if o[2] != FLAG]
    for name, table in tables.items():
        for option in table:
            if option[2] != FLAG:
                names = [f"--{option[0]}", *([f"-{option[1]}"] if option[1] else [])]
                patterns = [f"'{name} {word}'" for word in names]
                valued += patterns
                cases.append(_value(" | ".join(patterns), manual.values(option)))
    lists = [f"        '') _{NAME}_words \"{_names(shown)}\" ;;"]
    lists += [f'        {n}) _{NAME}_words "{_names((*t, *shown))}" ;;' for n, t in tables.items()]
    replaced = {
        "SIGNALS": " ".join(name.removeprefix("SIG") for name in NUMBERS),
        "VALUED": " | ".join(valued),
        "OPTION_VALUES": "\n".join(filter(None, cases)),
        "OPTIONS": "\n".join(lists),
        "COMMANDS": " ".join((*COMMANDS, "help")),
        "WORDS": "\n".join(_words()),
        "NAME": NAME,
    }
    return manual.filled(_SCRIPT, replaced)


def _names(table: Table) -> str:
    names = [f"--{option[0]}" for option in table]
    return " ".join(dict.fromkeys(names))


def _value(pattern: str, place: str | tuple[str, ...]) -> str:
    if not place:
        return ""
    kind = place if isinstance(place, str) else f"words {' '.join(place)}"
    return f"        {pattern}) _{NAME}_place {kind} ;;"


def _words() -> list[str]:
    lines = []
    for name in COMMANDS:
        places = manual.places(name)
        for index, place in enumerate(places):
            more = index == len(places) - 1 and manual.repeats(name)
            lines.append(_value(f"'{name} '" + ("*" if more else str(index)), place))
    lines.append(f"        'help 0') _{NAME}_words \"{' '.join(COMMANDS)}\" ;;")
    return [line for line in lines if line]
