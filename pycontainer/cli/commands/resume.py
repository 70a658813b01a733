"""`resume`: thaws what pause froze."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "resume a paused container"
USAGE = "resume CONTAINER"
WORDS = (1, 1)
OPTIONS = ()
HELP = """\
   pycontainer resume mybox
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.cli import find

    find(settings, arguments).resume()
    return 0
