"""`mounts`: a container that runs gets more mounts, or loses some. They last as long as it does."""

from __future__ import annotations

import posix

from pycontainer import spec
from pycontainer.base.errors import ConfigError, NotRunning, OperationError
from pycontainer.executor import engine
from pycontainer.linux.files import close_all
from pycontainer.linux.host import probe
from pycontainer.linux.process import UNKNOWN_STATUS, alive, reap
from pycontainer.plan import live_mounts
from pycontainer.tables.namespaces import FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.lifecycle.container import Container


def read(path: str) -> list[dict[str, Any]]:
    """The mounts in a file: an array, or an object with `mounts`; ConfigError when it has none."""
    from pycontainer.base import jsonfast

    try:
        with open(path, "rb") as file:
            found = jsonfast.loads(file.read())
    except OSError as error:
        raise ConfigError.of("read", path, error) from None
    except ValueError as error:
        raise ConfigError(f"read {path}: {error}", "unreadable") from None
    if isinstance(found, dict):
        found = found.get("mounts")
    if not isinstance(found, list):
        raise ConfigError(f"{path} has no mounts: must be an array of them", "required")
    return found


def change(container: Container, mounts: list[dict[str, Any]], add: bool) -> None:
    """Add them, or remove what is mounted at their destinations; all of that in their order, up to
    the first that fails. The container must not have stopped."""
    config = {**container.config(), "mounts": mounts}
    if add:
        for warning in spec.validate(config):
            container.settings.log.warning(warning)
    elif not all(isinstance(m, dict) and isinstance(m.get("destination"), str) for m in mounts):
        raise ConfigError("each must have a destination", "required", "mounts")
    if container.status() in ("stopped", "creating"):
        raise NotRunning
    facts = container.facts
    # The directory stays the process's own: with init gone, nothing in it opens any more.
    init = posix.open(f"/proc/{facts.pid}", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        if not alive(facts.pid, facts.start_time):
            raise NotRunning
        spaces = [
            {"type": entry["type"], "path": f"/proc/self/fd/{init}/ns/{FILES[entry['type']]}"}
            for entry in (config.get("linux") or {}).get("namespaces") or ()
        ]
        host = probe(container.settings.rootless)
        if add:
            plan = live_mounts.compile_add(config, host, spaces, facts.bundle)
        else:
            plan = live_mounts.compile_remove(config, host, spaces)
        started = engine.execute(plan, engine.Context(_nothing))
    finally:
        posix.close(init)
    close_all(started.pidfd)
    status = reap(started.pid)
    if status is None:
        raise OperationError(f"change mounts: {UNKNOWN_STATUS}")
    if status:
        raise OperationError(
            f"change mounts: the executor ended with status {status:#x}", "protocol"
        )


def _nothing(phase: str, pid: int) -> None:
    """No fact changes."""
