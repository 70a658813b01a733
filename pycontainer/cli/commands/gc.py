"""`gc`: what containers have left behind."""

from __future__ import annotations

from pycontainer.cli.create_options import LAYERS
from pycontainer.cli.options import FLAG, TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "list, and remove, what dead containers have left behind"
USAGE = "gc [options]"
WORDS = (0, 0)
OPTIONS = (
    ("yes", "y", FLAG, "", "remove what is listed"),
    ("unused", "", TEXT, "AGE", "list layers that nobody has used for so long (default 1d)"),
    LAYERS,
)
HELP = """\
Lists state directories, cgroups and systemd units of containers that are gone, of the state
directory in use only, and what no container needs of the layers of images. Stopped containers are
not among them. Without --yes nothing changes.
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.base.errors import ContainerError
    from pycontainer.cli.output import emit
    from pycontainer.image import gc as layers
    from pycontainer.lifecycle import gc
    from pycontainer.monitor.units import seconds

    unused = layers.orphans(arguments["layers"], seconds(arguments["unused"] or "1d"))
    failures = 0
    for orphan in [*gc.orphans(settings), *unused]:
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
