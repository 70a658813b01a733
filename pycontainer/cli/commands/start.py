"""`start`: lets the user's program of a created container run."""

from __future__ import annotations

from pycontainer.cli.options import NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "start the program of a created container"
USAGE = "start CONTAINER"
WORDS = (1, 1)
# Hidden: what csrc/launcher/front.c adds when init has said why it does not start.
OPTIONS = (("connection", "", NUMBER, "FD", ""),)
HELP = """\
   pycontainer start mybox
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.cli import find

    connection = arguments["connection"] if "connection" in arguments else -1
    find(settings, arguments).start(connection)
    return 0
