"""`mounts add` and `mounts remove`: the mounts of a container that runs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "add mounts to a running container, or remove some"
USAGE = "mounts add|remove CONTAINER FILE"
WORDS = (3, 3)
OPTIONS = ()
HELP = """\
FILE holds an array of mounts, as in config.json; of those to be removed only the destination
counts. They last until the container ends.

   pycontainer mounts add mybox mounts.json
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.base.errors import UsageError
    from pycontainer.lifecycle import mounts as live_mounts
    from pycontainer.lifecycle.container import Container

    verb, name, path = arguments.words
    if verb not in ("add", "remove"):
        raise UsageError(f"mounts {verb}: must be add or remove", "not-one-of")
    container = Container.load(settings, name)
    live_mounts.change(container, live_mounts.read(path), verb == "add")
    return 0
