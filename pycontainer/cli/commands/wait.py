"""`wait`: until a container has ended, and with which status."""

from __future__ import annotations

from pycontainer.cli.options import FLAG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "wait for a container to end, and print its exit status"
USAGE = "wait [options] CONTAINER"
WORDS = (1, 1)
OPTIONS = (("json", "", FLAG, "", "print JSON: status, signal and time"),)
HELP = """\
The status is 128+N when signal N ended the container's program. For a container that has stopped
already, it is known if it was recorded: by "run --keep" in the foreground, or with --record-exit.
Otherwise it needs Linux 6.15.

   pycontainer run -d -b mybundle mybox
   pycontainer wait mybox
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.base import jsonfast
    from pycontainer.cli import find
    from pycontainer.cli.output import emit
    from pycontainer.lifecycle.outcome import await_end

    end = await_end(find(settings, arguments))
    emit(f"{jsonfast.dumps(end) if arguments['json'] else end['status']}\n")
    return 0
