"""`pause`: freezes the container's processes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

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
