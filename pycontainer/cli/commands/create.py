"""`create`: everything but the user's program, which waits for `start`."""

from __future__ import annotations

from pycontainer.cli.create_options import OPTIONS as _CREATE_OPTIONS
from pycontainer.cli.create_options import create_options
from pycontainer.cli.options import FLAG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "create a container"
USAGE = "create [options] CONTAINER"
WORDS = (1, 1)
FAILURE = ("pycontainer create failed: ", 1)
OPTIONS = (
    *_CREATE_OPTIONS,
    ("no-subreaper", "", FLAG, "", "accepted, and of no effect: create adopts no processes"),
)
HELP = """\
Builds the container that the bundle's config.json describes and stops right before its program
runs; "start" lets it run. CONTAINER is a name of your choice, unique on this machine.

   pycontainer create -b mybundle mybox
   pycontainer start mybox
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.cli import named
    from pycontainer.lifecycle.container import Container

    Container.create(settings, named(arguments), create_options(arguments))
    return 0
