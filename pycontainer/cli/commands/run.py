"""`run`: create, start, wait, delete; the exit status is the container's."""

from __future__ import annotations

from pycontainer.base.errors import UsageError
from pycontainer.cli.create_options import OPTIONS as _CREATE_OPTIONS
from pycontainer.cli.create_options import create_options
from pycontainer.cli.options import FLAG, TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "create and run a container"
USAGE = "run [options] CONTAINER"
WORDS = (1, 1)
FAILURE = ("pycontainer run failed: ", 1)
OPTIONS = (
    *_CREATE_OPTIONS,
    ("detach", "d", FLAG, "", "do not wait; the container goes on on its own"),
    ("keep", "", FLAG, "", "do not delete the container when it ends"),
    ("no-subreaper", "", FLAG, "", "do not adopt the container's orphaned processes"),
    ("seccomp-report", "", TEXT, "FILE", "write to FILE (- is stderr) what its seccomp refuses"),
)
HELP = """\
Exits with the status of the container's program, or 128+n when signal n ended it.

   pycontainer run -b mybundle mybox        in the foreground, deleted when it ends
   pycontainer run -d -b mybundle mybox     in the background
   pycontainer run --seccomp-report - -b mybundle mybox     what its profile refuses, and why
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.cli import named
    from pycontainer.lifecycle.container import Container

    options = create_options(arguments)
    options.detach = arguments["detach"]
    options.keep = arguments["keep"]
    options.no_subreaper = arguments["no-subreaper"]
    report = arguments["seccomp-report"]
    if not report:
        return Container.run(settings, named(arguments), options)
    if options.detach:
        raise UsageError("--seccomp-report needs a run in the foreground, without --detach")
    from pycontainer.seccomp.report import Watch

    with Watch(report) as options.watch:
        return Container.run(settings, named(arguments), options)
