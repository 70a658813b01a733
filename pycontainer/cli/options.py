"""The option parser: argv and tables of options in, `Arguments` out.

It accepts what runc's parser (urfave/cli 3) accepts: one dash or two, `--name=value` or
`--name value`, `--flag=false`, `--` to end, options after words unless a command says otherwise,
and global options after the command's name. It refuses what no table names, so an option is
either implemented or an error. argparse would cost more than the whole command does.
"""

from __future__ import annotations

from pycontainer.base.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # name, short name or "", kind, placeholder in the help, help (an option without is hidden)
    Option = tuple[str, str, str, str, str]
    Table = tuple[Option, ...]

FLAG = "flag"  # true unless it says otherwise: --name, --name=false
TEXT = "text"
NUMBER = "number"  # not negative
TEXTS = "texts"  # repeatable; commas do not separate
NUMBERS = "numbers"  # repeatable, and may be negative

NO_LIMIT = -1
HELP: Option = ("help", "h", FLAG, "", "show this help")
GLOBALS: Table = (
    ("root", "", TEXT, "DIR", "state directory (default: /run/pycontainer)"),
    ("log", "", TEXT, "FILE", "append errors to FILE, journald:ID or syslog:ID, too"),
    ("log-format", "", TEXT, "FORMAT", "text (default) or json"),
    ("log-level", "", TEXT, "LEVEL", "what to log: error, warning (default) or debug"),
    ("debug", "", FLAG, "", "log what happens, each operation of the plan with its time"),
    ("trace", "", TEXT, "FILE", "write a timeline, for ui.perfetto.dev; FILE.svg is a picture"),
    ("systemd-cgroup", "", FLAG, "", "let systemd manage cgroups (cgroupsPath slice:prefix:name)"),
    ("cgroup-manager", "", TEXT, "MANAGER", "cgroupfs (default), systemd, or disabled: no cgroup"),
    ("rootless", "", TEXT, "WHEN", "ignore cgroup permission errors: true, false, auto (default)"),
    ("trust-annotations", "", FLAG, "", "follow annotations that reach beyond the container"),
    ("criu", "", TEXT, "PATH", ""),
    ("version", "v", FLAG, "", "print the version"),
    ("V", "", FLAG, "", ""),
    HELP,
)

# Of `run` and `exec`.
SECCOMP: Table = (
    ("seccomp-report", "", TEXT, "FILE", "report what its seccomp refuses (- is stderr)"),
    ("seccomp-patch", "", TEXT, "FILE", "a JSON Patch of config.json that allows it"),
)

# Of the same: what is left to do after the end (lifecycle/attendant.py).
ENDED: Option = ("ended", "", TEXT, "STATUS:KILLS:ERRNO", "")

_DEFAULTS = {FLAG: False, TEXT: "", NUMBER: 0}
# As Go's strconv.ParseBool.
_BOOLEANS = {
    "": True,
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


class WrongUsage(UsageError):
    """The command line does not parse: the command's usage is worth showing."""


class UnknownFlag(WrongUsage):
    """No table has an option of this name."""

    def __init__(self, flag: str) -> None:
        super().__init__(f"flag provided but not defined: -{flag}", "unknown-option")
        self.flag = flag


class WrongCount(WrongUsage):
    """Too few words, or too many."""


class Arguments:
    """One table's options with their values, and the words that are not options.

    `arguments[name]` is the value or its kind's default; `name in arguments` asks whether it was
    given at all.
    """

    __slots__ = ("_kinds", "table", "values", "words")

    def __init__(self, table: Table) -> None:
        self.table = table
        self._kinds = {option[0]: option[2] for option in table}
        self.values: dict[str, Any] = {}
        self.words: list[str] = []

    def __getitem__(self, name: str) -> Any:
        if name in self.values:
            return self.values[name]
        kind = self._kinds[name]
        return _DEFAULTS[kind] if kind in _DEFAULTS else []

    def __contains__(self, name: str) -> bool:
        return name in self.values


def parse_globals(argv: list[str], into: Arguments) -> list[str]:
    """Options before the command's name; returns the rest, from that name on."""
    index = 0
    while index < len(argv):
        word = argv[index]
        if word == "--":
            return argv[index + 1 :]
        if not _is_option(word):
            return argv[index:]
        index = _take(argv, index, (into,))
    return []


def parse(
    argv: list[str],
    sets: tuple[Arguments, ...],
    words_before_stop: int | Callable[[Arguments], int] = NO_LIMIT,
) -> None:
    """Parse a command's arguments; the words land in `sets[0]`.

    An option is looked up in each set in turn. After `words_before_stop` words everything is a
    word, which lets `exec ID ls -l` pass `-l` on; it may depend on the options before.
    Raises WrongUsage; what came before it is kept.
    """
    words = sets[0].words
    index = 0
    while index < len(argv):
        word = argv[index]
        if word == "--":
            words.extend(argv[index + 1 :])
            return
        stop = words_before_stop
        if not isinstance(stop, int):
            stop = stop(sets[0])
        if len(words) == stop or _is_negative_number(word):
            words.extend(argv[index:])
            return
        if _is_option(word):
            index = _take(argv, index, sets)
        else:
            words.append(word)
            index += 1


def _is_option(word: str) -> bool:
    return len(word) > 1 and word[0] == "-" and not _is_negative_number(word)


def _is_negative_number(word: str) -> bool:
    return len(word) > 1 and word[0] == "-" and word[1] != "-" and not word[1].isalpha()


def _take(argv: list[str], index: int, sets: tuple[Arguments, ...]) -> int:
    """Store the option at `index`; returns the index after it and its value."""
    word = argv[index]
    name, equals, value = word[2 if word.startswith("--") else 1 :].partition("=")
    for arguments in sets:
        for option in arguments.table:
            if name and name in option[:2]:
                if not equals and option[2] != FLAG:
                    index += 1
                    if index == len(argv):
                        raise WrongUsage(f"flag needs an argument: {word}", "required")
                    value = argv[index]
                _store(arguments.values, option, name, value)
                return index + 1
    raise UnknownFlag(name)


def _store(values: dict[str, Any], option: Option, name: str, value: str) -> None:
    kind = option[2]
    if kind == FLAG:
        if value not in _BOOLEANS:
            raise _invalid(name, value, "must be true or false")
        values[option[0]] = _BOOLEANS[value]
    elif kind == TEXT:
        values[option[0]] = value
    elif kind == TEXTS:
        values.setdefault(option[0], []).append(value)
    elif not _is_number(value.removeprefix("-") if kind == NUMBERS else value):
        raise _invalid(name, value, "must be a whole number")
    elif kind == NUMBER:
        values[option[0]] = int(value)
    else:
        values.setdefault(option[0], []).append(int(value))


def _is_number(digits: str) -> bool:
    return digits.isascii() and digits.isdigit() and len(digits) <= 10


def _invalid(name: str, value: str, reason: str) -> WrongUsage:
    return WrongUsage(f'invalid value "{value}" for flag -{name}: {reason}', "wrong-form")


def check_words(command: str, words: list[str], limits: tuple[int, int], why: str = "") -> None:
    """Refuse too few or too many words; a second limit of NO_LIMIT means any number."""
    least, most = limits
    if least == most and len(words) != least:
        text = f'"{command}" requires exactly {least} argument(s)'
        raise WrongCount(f"{text} {why}".rstrip(), "wrong-count")
    if len(words) < least:
        raise WrongCount(f'"{command}" requires a minimum of {least} argument(s)', "wrong-count")
    if most != NO_LIMIT and len(words) > most:
        raise WrongCount(f'"{command}" requires a maximum of {most} argument(s)', "wrong-count")
