"""`gc`: what containers have left behind."""

from __future__ import annotations

from pycontainer.cli.options import FLAG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "list, and remove, what dead containers have left behind"
USAGE = "gc [options]"
WORDS = (0, 0)
OPTIONS = (("yes", "y", FLAG, "", "remove what is listed"),)
HELP = """\
Lists state directories, cgroups and systemd units of containers that are gone, of the state
directory in use only; stopped containers are not among them. Without --yes nothing changes.
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.base.errors import ContainerError
    from pycontainer.cli.output import emit
    from pycontainer.lifecycle import gc

    failures = 0
    for orphan in gc.orphans(settings):
        verb = ""
        if arguments["yes"]:
            try:
                orphan.remove()
                verb = "removed "
            except ContainerError as error:
                failures += 1
                settings.log.warning(f"remove {orphan.kind} {orphan.name}: {error}")
                continue
        emit(f"{verb}{orphan.kind:6} {orphan.name} ({orphan.note})\n")
    return 1 if failures else 0
