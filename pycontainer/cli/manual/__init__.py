"""What help, man pages and shell completion have in common: facts about commands and options.

All of them are made from the tables of the commands; what those do not say stands here.
"""

from __future__ import annotations

from pycontainer.cli.commands import load, trait
from pycontainer.cli.options import HELP, NO_LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cli.options import Option, Table

# Exit statuses of every command, then those that a command has beyond them.
EXITS = (
    ("0", "success"),
    ("1", "failure: the last line on stderr says what failed, why, and what to do"),
    ("3", "there is no command of this name"),
    ("130", "interrupted (SIGINT)"),
    ("141", "the reader of stdout is gone (SIGPIPE)"),
)
_OF_PROGRAM = (
    ("0 to 255", "the exit status of the container's program"),
    ("128+N", "signal N ended the program, like 137 for SIGKILL"),
)
EXITS_OF = {
    "check": (("1", "there are errors (with --strict: or warnings)"),),
    "exec": (
        ("0 to 254", "the exit status of the process"),
        ("128+N", "signal N ended the process"),
        ("255", "the process could not be started, or ended with this status"),
    ),
    "gc": (("1", "something could not be removed"),),
    "restore": _OF_PROGRAM,
    "run": (*_OF_PROGRAM, ("1", "the container could not be run, or its program ended with 1")),
}

DIRECTORY, FILE, CONTAINER, SIGNAL, WORD = "directory", "file", "container", "signal", ""
# What takes the place of a placeholder: a kind, or the words to choose from.
_PLACES: dict[str, str | tuple[str, ...]] = {
    "DIR": DIRECTORY,
    "BUNDLE": DIRECTORY,
    "OTHER": DIRECTORY,
    "FILE": FILE,
    "PATH": FILE,
    "IMAGE": FILE,
    "CONTAINER": CONTAINER,
    "SIGNAL": SIGNAL,
    "SHELL": ("bash", "zsh", "fish"),
    "0|1": ("0", "1"),
    "add|remove": ("add", "remove"),
    "METHOD": ("iptables", "nftables", "skip"),
    "MODE": ("soft", "full", "strict", "ignore"),
    "TYPE": ("network",),
    "NETWORK": ("none", "host"),
    "FORMAT": ("table", "json"),
    "LEVEL": ("error", "warning", "debug"),
    "MANAGER": ("cgroupfs", "systemd", "disabled"),
    "WHEN": ("auto", "true", "false"),
}
_LOG_FORMATS = ("text", "json")


def table_of(command: str) -> Table:
    """The options of a command that are worth showing in full, --help the last."""
    module = load(command)
    elsewhere = trait(module, "SHOWN_BY")
    texts = {option[0]: option[4] for option in (load(elsewhere).OPTIONS if elsewhere else ())}
    options = (_with_text(option, texts.get(option[0], "")) for option in module.OPTIONS)
    return (*(option for option in options if option[4]), HELP)


def _with_text(option: Option, text: str) -> Option:
    return option if option[4] else (*option[:4], text)


def values(option: Option) -> str | tuple[str, ...]:
    """What may stand after an option: a kind of thing, or words to choose from."""
    if option[0] == "log-format":
        return _LOG_FORMATS
    if option[0] in ("cap", "cap-add", "cap-drop"):
        from pycontainer.tables.caps import NAMES

        return NAMES
    return _PLACES.get(option[3], WORD)


def places(command: str) -> list[str | tuple[str, ...]]:
    """What the words of a command are, in order; the last may be repeated (see `repeats`)."""
    usage = load(command).USAGE.split("  |  ")[0].split()[1:]
    names = [word.strip("[].") for word in usage if word != "[options]"]
    return [_PLACES.get(name, WORD) for name in names]


def repeats(command: str) -> bool:
    """Whether any number of words may follow."""
    most: int = load(command).WORDS[1]
    return most == NO_LIMIT


def exits(command: str) -> tuple[tuple[str, str], ...]:
    """All exit statuses of a command; what it says itself comes first, and counts."""
    own: tuple[tuple[str, str], ...] = EXITS_OF.get(command, ())
    said = {status for status, _ in own} | ({"0"} if own and " to " in own[0][0] else set())
    return (*own, *(row for row in EXITS if row[0] not in said and row[0] != "3"))


def filled(script: str, replaced: dict[str, str]) -> str:
    """The script of a shell, with each @KEY@ replaced, in the order of the dict."""
    for key, value in replaced.items():
        script = script.replace(f"@{key}@", value)
    return script
