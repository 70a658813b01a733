"""`kill`: one signal to the container's init, or with --all to every process of its cgroup."""

from __future__ import annotations

from pycontainer.cli.options import FLAG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "send a signal to a container"
USAGE = "kill [options] CONTAINER [SIGNAL]"
WORDS = (1, 2)
STOP = 1  # a signal may look like an option
OPTIONS = (
    ("all", "a", FLAG, "", "signal every process of the container, not only its init"),
    ("regex", "r", FLAG, "", "CONTAINER is a regular expression: all containers that match"),
)
HELP = """\
SIGNAL is a name (KILL, SIGKILL), a number, or SIGRTMIN+n; without it the signal is TERM.

   pycontainer kill mybox KILL
"""


def run(settings: Settings, arguments: Arguments) -> int:
    if arguments["regex"]:
        from pycontainer.cli.select import each

        return each(settings, arguments, _kill)
    _kill(settings, arguments)
    return 0


def _kill(settings: Settings, arguments: Arguments) -> None:
    from pycontainer.base.errors import NotRunning
    from pycontainer.cli import find
    from pycontainer.tables.signals import SIGTERM, parse_signal

    target = find(settings, arguments)
    word = arguments.words[1] if len(arguments.words) > 1 else ""
    number = parse_signal(word) if word else SIGTERM
    try:
        target.kill(number, all=arguments["all"])
    except NotRunning:
        # Engines send --all to sweep up after the init: nothing left is what they want.
        if not arguments["all"]:
            raise
