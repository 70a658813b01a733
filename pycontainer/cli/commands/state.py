"""`state`: the state document of runtime.md#query-state, laid out as runc lays it out."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "print the state of a container"
USAGE = "state CONTAINER"
WORDS = (1, 1)
OPTIONS = ()
HELP = """\
Prints JSON: ociVersion, id, pid (0 when stopped), status (creating, created, running, paused,
stopped), bundle, rootfs, created, annotations, owner. Of a stopped container also: oom, when
processes of it were killed for lack of memory; exit (status, signal, time), when that has been
recorded: by "run --keep" in the foreground, or with --record-exit.
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.base import jsonfast
    from pycontainer.cli import find
    from pycontainer.cli.output import emit_document

    emit_document(jsonfast.dumps(find(settings, arguments).state(), 2))
    return 0
