"""What the attendant has left to do, with `--ended STATUS:KILLS:ERRNO` on the command line."""

from __future__ import annotations

from pycontainer.base.errors import NotFound, check
from pycontainer.lifecycle.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings

_KILLED = 128 + 9


def finish_run(settings: Settings, container_id: str, ended: str) -> int:
    """The rest of a `run`; the exit status."""
    exit_status, kills, error = map(int, ended.split(":"))
    container = Container.load(settings, container_id)
    if exit_status == _KILLED:
        container.tell_oom(kills)
    container.delete(force=True)
    check(-error, "wait for the container")
    return exit_status


def finish_exec(settings: Settings, container_id: str, ended: str) -> int:
    """The rest of an `exec`; the exit status."""
    exit_status, kills, error = map(int, ended.split(":"))
    check(-error, "wait for the process")
    try:
        Container.load(settings, container_id).tell_oom(kills)
    except NotFound:
        pass  # it has been deleted since
    return exit_status
