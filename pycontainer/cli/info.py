"""`info`: what this host and this user can do, and what mends what they cannot."""

from __future__ import annotations

from pycontainer.cli.options import FLAG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cli.options import Arguments
    from pycontainer.settings import Settings

SUMMARY = "show what this host offers, and what is missing"
USAGE = "info [options]"
WORDS = (0, 0)
STATE = False
OPTIONS = (("json", "", FLAG, "", "print JSON"),)
HELP = """\
Kernel, cgroups, namespaces, security modules, ranges of ids: each with what it means for
containers, and with the command that mends it where something is missing. Changes nothing; root
and an ordinary user get different answers.
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer import info
    from pycontainer.cli.output import emit

    if arguments["json"]:
        from pycontainer import jsonfast

        emit(jsonfast.dumps(info.document(settings), 4) + "\n")
    else:
        emit(info.text(settings))
    return 0
