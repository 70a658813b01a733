"""`delete`: everything that the container has left on the machine."""

from __future__ import annotations

from pycontainer.cli.options import FLAG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "delete a container and what it holds"
USAGE = "delete [options] CONTAINER"
WORDS = (1, 1)
OPTIONS = (
    ("force", "f", FLAG, "", "kill it first; no error when there is no such container"),
    ("regex", "r", FLAG, "", "CONTAINER is a regular expression: all containers that match"),
)
HELP = """\
Deletes a stopped or a created container; any other one needs --force.

   pycontainer delete -f mybox
"""


def run(settings: Settings, arguments: Arguments) -> int:
    if arguments["regex"]:
        from pycontainer.cli.select import each

        return each(settings, arguments, _delete)
    _delete(settings, arguments)
    return 0


def _delete(settings: Settings, arguments: Arguments) -> None:
    from pycontainer.cli import find, named
    from pycontainer.lifecycle.delete import delete

    force = arguments["force"]
    delete(settings, named(arguments), force, lambda: find(settings, arguments).delete(force))
