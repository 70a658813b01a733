"""Completion for fish."""

from __future__ import annotations

from pycontainer.base.settings import NAME
from pycontainer.cli import manual
from pycontainer.cli.commands import COMMANDS, load
from pycontainer.cli.options import FLAG, GLOBALS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cli.options import Option

_HEAD = f"""\
# fish completion for {NAME}; made by "{NAME} completion fish"

function __{NAME}_words # the words after the options of the command line, the command first
    set -l valued $argv
    set -l skip
    for word in (commandline -opc)[2..-1]
        if test -n "$skip"
            set skip
        else if contains -- $word $valued
            set skip yes
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

function __{NAME}_at # COMMAND COUNT [OPTION-WITH-VALUE...]: its word of this number is next
    set -l words (__{NAME}_words $argv[3..-1])
    test "$words[1]" = "$argv[1]"; and test (count $words) -eq (math $argv[2] + 1)
end

function __{NAME}_after # COMMAND COUNT [OPTION-WITH-VALUE...]: this word, or a later one
    set -l words (__{NAME}_words $argv[3..-1])
    test "$words[1]" = "$argv[1]"; and test (count $words) -gt $argv[2]
end

function __{NAME}_containers
    set -l words (commandline -opc)
    set -l root
    if set -l index (contains -i -- --root $words)
        set root --root $words[(math $index + 1)]
    end
    {NAME} $root list --quiet 2>/dev/null
end

complete -c {NAME} -f
"""
_FROM = {
    manual.DIRECTORY: "(__fish_complete_directories)",
    manual.CONTAINER: f"(__{NAME}_containers)",
}


def script() -> str:
    """The whole script."""
    from pycontainer.tables.signals import NUMBERS

    signals = tuple(name.removeprefix("SIG") for name in NUMBERS)
    shown = [option for option in GLOBALS if option[4]]
    common = " ".join(f"--{option[0]}" for option in shown if option[2] != FLAG)
    lines = [_option("", option) for option in shown]
    no_command = f"'test (count (__{NAME}_words {common})) -eq 0'"
    for name in COMMANDS:
        summary = _quoted(load(name).SUMMARY)
        lines.append(f"complete -c {NAME} -n {no_command} -a {name} -d {summary}")
    for name in COMMANDS:
        table = manual.table_of(name)
        condition = f"-n 'contains {name} (__{NAME}_words {common})[1]'"
        lines += [_option(condition, option) for option in table if option[0] != "help"]
        valued = [f"--{o[0]}" for o in table if o[2] != FLAG]
        valued += [f"-{o[1]}" for o in table if o[2] != FLAG and o[1]]
        places = manual.places(name)
        for index, place in enumerate(places):
            more = index == len(places) - 1 and manual.repeats(name)
            test = "after" if more else "at"
            where = f"-n '__{NAME}_{test} {name} {index} {' '.join((common, *valued))}'"
            if place == manual.FILE:
                lines.append(f"complete -c {NAME} {where} -F")
            elif place:
                words = signals if place == manual.SIGNAL else place
                lines.append(f"complete -c {NAME} {where} -a {_source(words)}")
    names = _quoted(" ".join(COMMANDS))
    lines.append(f"complete -c {NAME} -n '__{NAME}_at help 0 {common}' -a {names}")
    return _HEAD + "\n".join(lines) + "\n"


def _option(condition: str, option: Option) -> str:
    name, short, kind, _, text = option
    words = ["complete", "-c", NAME, condition, "-s " + short if short else "", f"-l {name}"]
    if kind != FLAG:
        place = manual.values(option)
        words.append("-r -F" if place == manual.FILE else "-x")
        if place and place != manual.FILE:
            words.append(f"-a {_source(place)}")
    words.append(f"-d {_quoted(text)}")
    return " ".join(filter(None, words))


def _source(place: str | tuple[str, ...]) -> str:
    return _quoted(_FROM[place] if isinstance(place, str) else " ".join(place))


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
