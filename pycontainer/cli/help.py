"""Help for someone in a hurry, and --version; off the path of every other command."""

from __future__ import annotations

import posix
import textwrap

from pycontainer import __version__
from pycontainer.base.settings import NAME, default_root
from pycontainer.cli import manual
from pycontainer.cli.commands import COMMANDS, load
from pycontainer.cli.options import FLAG, GLOBALS, HELP, NUMBERS, TEXTS
from pycontainer.cli.output import emit, looks
from pycontainer.cli.runc_errors import program
from pycontainer.linux.files import read_text
from pycontainer.spec.default_config import SPEC_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cli.options import Option, Table

# Laid out as runc's: there are scripts that look for the headings.
PROGRAM = f"""\
NAME:
   {NAME} - run containers from OCI bundles

USAGE:
   {NAME} [global options] COMMAND [options] [arguments]

TRY IT (as root; nothing is downloaded):
   {NAME} spec --host -b demo   write a bundle of this machine's own /usr
   {NAME} plan demo             see every step before anything happens
   {NAME} run -b demo mybox     a shell in a container
"""
_WIDTH = 80  # where there is no terminal
_WIDEST = 100  # longer lines are hard to read
_NARROWEST = 40
_BOLD, _PLAIN = "\033[1m", "\033[m"


def of_program() -> int:
    """Print the commands and the global options."""
    root, _ = default_root(posix.environ)
    lines = [PROGRAM, "VERSION:", f"   {__version__}", "", "COMMANDS:"]
    lines += _columns([(name, load(name).SUMMARY) for name in COMMANDS])
    lines += ["", "GLOBAL OPTIONS: (before or after the command)"]
    table = tuple((*option[:4], option[4].replace("/run/pycontainer", root)) for option in GLOBALS)
    lines += _options(table)
    lines += ["", *_fill(f'"{NAME} help COMMAND" or "{NAME} COMMAND --help" tells more.', "")]
    _print(lines)
    return 0


def of_command(name: str) -> int:
    """Print the help of one command; UnknownCommand when there is none of that name."""
    command = load(name)
    usage = command.USAGE.split("  |  ")
    start = f"   {NAME} {name} - "
    lines = ["NAME:", *_fill(command.SUMMARY, start, " " * len(start))]
    lines += ["", "USAGE:", *(f"   {NAME} {form}" for form in usage)]
    if command.HELP:
        lines += ["", "DESCRIPTION:", *_text(command.HELP)]
    lines += ["", "OPTIONS:", *_options((*command.OPTIONS, HELP))]
    given = ", ".join(option_name(option) for option in GLOBALS if option[4] and option != HELP)
    lines += ["", f'GLOBAL OPTIONS: (see "{NAME} --help")', *_fill(given, "   ")]
    if name in manual.EXITS_OF:
        lines += ["", "EXIT STATUS:", *_columns(manual.EXITS_OF[name])]
    _print(lines)
    return 0


def option_name(option: Option) -> str:
    """The option with its placeholder."""
    name, _, kind, placeholder, _ = option
    return f"--{name}" if kind == FLAG else f"--{name} {placeholder}"


def _print(lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    name = program()
    if name != NAME:
        text = text.replace(f"{NAME} ", f"{name} ")
    if looks()[0]:
        text = "\n".join(_emphasized(line) for line in text.split("\n"))
    emit(text)


def _emphasized(line: str) -> str:
    heading, colon, rest = line.partition(":")
    is_heading = colon and not line.startswith(" ") and heading.split(" (")[0].isupper()
    return f"{_BOLD}{heading}:{_PLAIN}{rest}" if is_heading else line


def version() -> int:
    """Print the version; engines parse the first line, then `commit:` and `spec:`."""
    import sys

    from pycontainer.hostinfo import features

    lines = [f"{program()} version {__version__}"]
    commit = _commit()
    if commit:
        lines.append(f"commit: {commit}")
    lines.append(f"spec: {SPEC_VERSION}")
    lines.append("python: " + ".".join(str(part) for part in sys.version_info[:3]))
    library = features.libseccomp_version()
    if library:
        lines.append(f"libseccomp: {library}")
    emit("\n".join(lines) + "\n")
    return 0


def _commit() -> str:
    """The commit this was built from: a file that the build leaves, and nothing without it."""
    try:
        return read_text(__file__.rpartition("/cli/")[0] + "/COMMIT").strip()
    except OSError:
        return ""


def _width() -> int:
    return max(_NARROWEST, min(looks()[1] or _WIDTH, _WIDEST))


def _text(text: str) -> list[str]:
    """Paragraphs, filled; indented lines are examples and stay as they are."""
    lines: list[str] = []
    for paragraph in text.strip("\n").split("\n\n"):
        if lines:
            lines.append("")
        if paragraph.startswith(" "):
            lines += paragraph.split("\n")
        else:
            lines += _fill(paragraph, "")
    return lines


def _fill(text: str, indent: str, hanging: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        _width(),
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def option_rows(table: Table, no_short: str = "") -> list[tuple[str, str]]:
    """Each option that has a text, as it is written, and the text; `no_short` stands in place of a
    short name."""
    rows = []
    for option in table:
        _, short, kind, _, text = option
        if text:
            left = (f"-{short}, " if short else no_short) + option_name(option)
            rows.append((left, text + (" (repeatable)" if kind in (TEXTS, NUMBERS) else "")))
    return rows


def _options(table: Table) -> list[str]:
    return _columns(option_rows(table, "    "))


def _columns(rows: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> list[str]:
    width = max(len(left) for left, _ in rows) + 3
    lines = []
    for left, right in rows:
        lines += _fill(right, f"   {left:<{width}}", " " * (width + 3))
    return lines
