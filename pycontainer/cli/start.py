"""`start`: lets the user's program of a created container run."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cli.options import Arguments
    from pycontainer.settings import Settings

SUMMARY = "start the program of a created container"
USAGE = "start CONTAINER"
WORDS = (1, 1)
OPTIONS = ()
HELP = """\
   pycontainer start mybox
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.cli import find

    find(settings, arguments).start()
    return 0
