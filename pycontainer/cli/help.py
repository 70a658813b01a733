"""Help for someone in a hurry, and --version; off the path of every other command."""

from __future__ import annotations

import posix

from pycontainer import __version__
from pycontainer.base.settings import NAME, default_root
from pycontainer.cli.commands import COMMANDS, load
from pycontainer.cli.options import FLAG, GLOBALS, HELP, NUMBERS, TEXTS
from pycontainer.cli.output import emit
from pycontainer.cli.runc_errors import program
from pycontainer.spec.default_config import SPEC_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cli.options import Table

# Laid out as runc's: there are scripts that look for the headings.
PROGRAM = f"""\
NAME:
   {NAME} - run containers from OCI bundles: a directory with a config.json and a root filesystem

USAGE:
   {NAME} [global options] COMMAND [options] [arguments]

TRY IT (as root; nothing is downloaded):
   {NAME} spec --host -b demo      write a bundle made of this machine's own /usr
   {NAME} plan demo                see every step before anything happens
   {NAME} run -b demo mybox        a shell in a container
"""


def of_program() -> int:
    """Print the commands and the global options."""
    root, _ = default_root(posix.environ)
    lines = [PROGRAM, "VERSION:", f"   {__version__}", "", "COMMANDS:"]
    lines += _columns([(name, load(name).SUMMARY) for name in COMMANDS])
    lines += ["", "GLOBAL OPTIONS: (before or after the command)"]
    table = tuple((*option[:4], option[4].replace("/run/pycontainer", root)) for option in GLOBALS)
    lines += _options(table)
    lines += ["", f'"{NAME} help COMMAND" or "{NAME} COMMAND --help" tells more.']
    emit(_as_called(lines))
    return 0


def of_command(name: str) -> int:
    """Print the help of one command; UnknownCommand when there is none of that name."""
    command = load(name)
    lines = ["NAME:", f"   {NAME} {name} - {command.SUMMARY}"]
    lines += ["", "USAGE:", f"   {NAME} {command.USAGE}"]
    if command.HELP:
        lines += ["", "DESCRIPTION:", command.HELP.strip("\n")]
    lines += ["", "OPTIONS:", *_options((*command.OPTIONS, HELP))]
    emit(_as_called(lines))
    return 0


def _as_called(lines: list[str]) -> str:
    text = "\n".join(lines) + "\n"
    name = program()
    return text if name == NAME else text.replace(f"{NAME} ", f"{name} ")


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
        with open(__file__.rpartition("/cli/")[0] + "/COMMIT", encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""


def _options(table: Table) -> list[str]:
    rows = []
    for name, short, kind, placeholder, text in table:
        if not text:
            continue
        left = f"-{short}, --{name}" if short else f"    --{name}"
        if kind != FLAG:
            left += f" {placeholder}"
        rows.append((left, text + (" (repeatable)" if kind in (TEXTS, NUMBERS) else "")))
    return _columns(rows)


def _columns(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows) + 3
    return [f"   {left:<{width}}{right}" for left, right in rows]
