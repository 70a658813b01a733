"""`pause`: freezes the container's processes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cli.options import Arguments
    from pycontainer.settings import Settings

SUMMARY = "suspend all processes of a container"
USAGE = "pause CONTAINER"
WORDS = (1, 1)
OPTIONS = ()
HELP = """\
Freezes the container's cgroup; "resume" thaws it.
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.cli import find

    find(settings, arguments).pause()
    return 0
