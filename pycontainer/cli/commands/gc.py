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
    ("unused", "", TEXT, "AGE", "list layers not used for so long (default 1d)"),
    ("idle", "", TEXT, "AGE", "list containers as well that have done nothing for so long"),
    ("json", "", FLAG, "", "list as JSON"),
    LAYERS,
)
HELP = """\
Lists state directories, cgroups and systemd units of containers that are gone, of the state
directory in use only, and what no container needs of the layers of images. Stopped containers are
not among them. With --idle those are listed as well, and all that have used next to no CPU time,
done no I/O and got no exec for so long, as far as anybody has looked (list --long, metrics, or gc
--idle from a timer); and broken ones. Without --yes nothing changes.
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.base.errors import ContainerError
    from pycontainer.cli.output import emit
    from pycontainer.image import gc as layers
    from pycontainer.lifecycle import gc
    from pycontainer.monitor.units import seconds

    unused = layers.orphans(arguments["layers"], seconds(arguments["unused"] or "1d"))
    found = [*gc.orphans(settings), *unused]
    if arguments["idle"]:
        from pycontainer.monitor.idle import idle

        found += idle(settings, seconds(arguments["idle"]))
    listed, failures = [], 0
    for orphan in found:
        verb = ""
        if arguments["yes"]:
            try:
                orphan.remove()
                verb = "removed "
            except ContainerError as error:
                failures += 1
                settings.log.warning(f"remove {orphan.kind} {orphan.name}: {error}")
                continue
        if arguments["json"]:
            entry = {"kind": orphan.kind, "name": orphan.name, "note": orphan.note}
            listed.append({**entry, "removed": bool(verb)})
        else:
            emit(f"{verb}{orphan.kind:6} {orphan.name} ({orphan.note})\n")
    if arguments["json"]:
        from pycontainer.base import jsonfast

        emit(jsonfast.dumps(listed) + "\n")
    return 1 if failures else 0
