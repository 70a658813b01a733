"""Man pages, man(7): one for each command, one for the program, one for what config.json may say
beyond the specification.
"""

from __future__ import annotations

from pycontainer import __version__
from pycontainer.base.settings import NAME, SYSTEM_ROOT
from pycontainer.cli import manual
from pycontainer.cli.commands import COMMANDS, load
from pycontainer.cli.help import option_rows
from pycontainer.cli.options import GLOBALS
from pycontainer.tables import mount_options
from pycontainer.tables.annotations import OCI, ROWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pycontainer.cli.options import Table

SUMMARY = "run containers from OCI bundles"
_DESCRIPTION = f"""\
{NAME} is a low-level container runtime, a drop-in for runc. It makes a Linux container of a bundle:
a directory with a config.json, as the Open Container Initiative specifies it, and a root file
system. A container is created, started, signalled and deleted by commands; "run" does all of that.

"plan" prints what a bundle means, operation by operation. "check" finds mistakes in it. An error
names the operation that failed, the field of config.json that it comes from, the reason, and what
to do.

   {NAME} spec --host -b demo
   {NAME} run -b demo mybox
"""
_ENVIRONMENT = (
    ("NO_COLOR", "no colours when it is set and not empty; there are none but on a terminal"),
    ("XDG_RUNTIME_DIR", f"an ordinary user's containers are in its directory {NAME}"),
    ("LISTEN_FDS", "how many descriptors from 3 on are passed to the container"),
    ("NOTIFY_SOCKET", "the container may notify the service manager through it"),
    ("PYCONTAINER_TRUST_ANNOTATIONS", "1: as --trust-annotations"),
    ("PYCONTAINER_ORDINARY_START", "1: start Python as usual, and not from the snapshot"),
    ("RUN_OCI_SECCOMP_RECEIVER", "as linux.seccomp.listenerPath, which has precedence"),
)
_FILES = (
    (SYSTEM_ROOT, "states of the containers of root (--root names another directory)"),
    (f"$XDG_RUNTIME_DIR/{NAME}", "states of the containers of an ordinary user"),
    (f"/var/lib/{NAME}", "layers of images"),
)
_CONFIG = f"""\
{NAME} follows the runtime specification 1.3 of the Open Container Initiative. This page lists what
it accepts beyond that. Members that the specification does not have are ignored with a warning, as
it demands; "{NAME} check" finds them.
"""
_TRUST = f"""\
These annotations have a meaning for {NAME}; crun has them, too. Those marked (trusted) reach beyond
the container, and are ignored with a warning unless annotations are trusted: with the option
--trust-annotations, or $PYCONTAINER_TRUST_ANNOTATIONS.
"""
_REFUSED = "refused: programs of the kernel and agents behind a socket only"


def pages() -> dict[str, str]:
    """All pages by file name."""
    made = {f"{NAME}.1": _program(), f"{NAME}-config.5": _config()}
    return made | {f"{NAME}-{name}.1": _command(name) for name in COMMANDS}


def _program() -> str:
    return _page(
        (NAME, 1, SUMMARY),
        _section("SYNOPSIS", _bold(NAME), "[global options] COMMAND [options] [arguments]"),
        _section("DESCRIPTION", _text(_DESCRIPTION)),
        _section("COMMANDS", _list((f"{NAME}-{n}(1)", load(n).SUMMARY) for n in COMMANDS)),
        _section("GLOBAL OPTIONS", ".PP\nBefore or after the command.", _options(GLOBALS)),
        _section("EXIT STATUS", _list(manual.EXITS), _own_exits()),
        _section("ENVIRONMENT", _list(_ENVIRONMENT)),
        _section("FILES", _list(_FILES)),
        _section("SEE ALSO", _bold(f"{NAME}-config") + "(5),", _bold("runc") + "(8)"),
    )


def _own_exits() -> str:
    own = manual.EXITS_OF
    rows = [(f"{name}: {row[0]}", row[1]) for name in own for row in own[name]]
    return ".PP\nSome commands have others:\n" + _list(rows)


def _command(name: str) -> str:
    command = load(name)
    forms = command.USAGE.split("  |  ")
    synopsis = [f"{_bold(NAME)} {_plain(form)}" for form in forms]
    return _page(
        (f"{NAME}-{name}", 1, command.SUMMARY),
        _section("SYNOPSIS", "\n.br\n".join(synopsis)),
        _section("DESCRIPTION", _text(command.HELP)) if command.HELP else "",
        _section("OPTIONS", _options(manual.table_of(name))),
        _section("GLOBAL OPTIONS", ".PP\nThose of " + _bold(NAME) + "(1) may be given, too."),
        _section("EXIT STATUS", _list(manual.exits(name))),
        _section("SEE ALSO", _bold(NAME) + "(1),", _bold(f"{NAME}-config") + "(5)"),
    )


def _config() -> str:
    rows = [
        (OCI + name + (" (trusted)" if trusted else ""), text or _REFUSED)
        for name, trusted, text in ROWS
    ]
    systemd = (
        "org.systemd.property.NAME",
        "a property of the container's systemd unit, as with runc. Those that concern the"
        " resources, the end and the record of this unit are followed; others need to be trusted",
    )
    return _page(
        (f"{NAME}-config", 5, "extensions to config.json of OCI bundles"),
        _section("DESCRIPTION", _text(_CONFIG)),
        _section("ANNOTATIONS", _text(_TRUST), _list([*rows, systemd])),
        _section("MOUNT OPTIONS", _list(mount_options.EXTENSIONS)),
        _section("SEE ALSO", _bold(NAME) + "(1)"),
    )


# -- man(7) --------------------------------------------------------------------------------------


def _page(head: tuple[str, int, str], *sections: str) -> str:
    name, chapter, summary = head
    title = f'.TH "{name.upper()}" {chapter} "" "{NAME} {__version__}"'
    lines = [title, _section("NAME", f"{_plain(name)} \\- {_plain(summary)}"), *sections]
    return "\n".join(filter(None, lines)) + "\n"


def _section(title: str, *parts: str) -> str:
    return "\n".join([f".SH {title}", *parts])


def _text(text: str) -> str:
    """Paragraphs; indented lines are examples."""
    parts = []
    for paragraph in text.strip("\n").split("\n\n"):
        if paragraph.startswith(" "):
            lines = [_plain(line.removeprefix("   ")) for line in paragraph.split("\n")]
            parts += [".PP", ".RS 2", ".EX", *lines, ".EE", ".RE"]
        else:
            parts += [".PP", _plain(paragraph)]
    return "\n".join(parts)


def _options(table: Table) -> str:
    return _list(option_rows(table))


def _list(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f".TP\n{_bold(left)}\n{_plain(right)}" for left, right in rows)


def _bold(text: str) -> str:
    return f"\\fB{_plain(text)}\\fR"


def _plain(text: str) -> str:
    """The text with what roff would take for something else escaped."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti").replace("`", "\\(ga")
    return "\n".join(f"\\&{line}" if line[:1] == "." else line for line in text.split("\n"))
