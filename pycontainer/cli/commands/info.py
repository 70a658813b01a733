"""`info`: what this host and this user can do, and what fixes what they cannot."""

from __future__ import annotations

from pycontainer.cli.options import FLAG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "show what this host offers, and what is missing"
USAGE = "info [options]"
WORDS = (0, 0)
STATE = False
OPTIONS = (("json", "", FLAG, "", "print JSON"),)
HELP = """\
Kernel, cgroups, namespaces, security modules, ranges of ids: each with what it means for
containers, and with the command that fixes it where something is missing. Changes nothing; root
and an ordinary user get different answers.
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.cli.output import emit
    from pycontainer.hostinfo import report

    if arguments["json"]:
        from pycontainer.base import jsonfast

        emit(jsonfast.dumps(report.document(settings), 4) + "\n")
    else:
        emit(report.text(settings))
    return 0
