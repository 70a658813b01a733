"""The container that a command names."""

from __future__ import annotations

from pycontainer.container import Container
from pycontainer.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cli.options import Arguments
    from pycontainer.settings import Settings

EMPTY_ID = "container id cannot be empty"  # runc's words


def named(arguments: Arguments) -> str:
    """The id on the command line; its form is checked by the store."""
    container_id = arguments.words[0]
    if not container_id:
        raise UsageError(EMPTY_ID)
    return container_id


def container(settings: Settings, arguments: Arguments) -> Container:
    """The container itself; StateError when there is none."""
    return Container.load(settings, named(arguments))
