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
    from pycontainer.base.errors import DamagedState, NotFound
    from pycontainer.cli import find, named

    force = arguments["force"]
    try:
        find(settings, arguments).delete(force=force)
    except DamagedState as error:
        if not force:
            raise
        from pycontainer.lifecycle import delete_damaged

        settings.log.warning(f"{error.message}: removing what can be found")
        delete_damaged.remove(settings, named(arguments))
    except NotFound:
        from pycontainer.state.store import Store

        # A create or delete that was killed may have left a directory without a container.
        swept = Store(settings.root).discard(named(arguments))
        if not (force or swept):
            raise
