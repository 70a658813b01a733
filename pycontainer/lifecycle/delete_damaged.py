"""Removes a container whose facts make no sense any more: `delete --force` after a disk fault.

Nothing in the file is believed but a pid with the right start time. The cgroup is the one that the
kept config and the id lead to, as when it was made; its processes are killed.
"""

from __future__ import annotations

from pycontainer import cgroups
from pycontainer.base.errors import ContainerError, HostError
from pycontainer.base.steps import attempt
from pycontainer.linux.process import signal_process
from pycontainer.state.store import FACTS, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.base.settings import Settings
    from pycontainer.state.store import Entry

_SIGKILL = 9


def remove(settings: Settings, container_id: str) -> None:
    """Kill what can be found of the container, and take it out of the store."""
    with Store(settings.root).open(container_id) as entry:
        entry.lock()
        facts = _salvaged(entry, FACTS)
        config = _salvaged(entry, "config.json")
        steps = (
            lambda: _end(facts.get("pid"), facts.get("start_time")),
            lambda: _remove_cgroup(config, settings, container_id),
        )
        for failure in attempt(steps):
            raise failure
        entry.remove()


def _end(pid: object, started: object) -> None:
    if type(pid) is int and type(started) is int and pid > 1:
        signal_process(pid, started, _SIGKILL)


def _salvaged(entry: Entry, name: str) -> dict[str, Any]:
    """What can be read of a file of the entry; empty when that is nothing."""
    from pycontainer.base import jsonfast

    try:
        value = jsonfast.loads(entry.read(name), surrogates=True)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _remove_cgroup(config: dict[str, Any], settings: Settings, container_id: str) -> None:
    linux = config.get("linux")
    path = linux.get("cgroupsPath") if isinstance(linux, dict) else ""
    known = {"linux": {"cgroupsPath": path if isinstance(path, str) else ""}}
    try:
        driver = cgroups.open_driver(systemd=settings.systemd_cgroup, rootless=settings.rootless)
        cgroup = driver.cgroup(driver.plan_path(known, container_id))
    except ContainerError as error:
        settings.log.warning(f"the cgroup of {container_id} stays: {error}")
        return
    if not cgroup.exists():
        return
    left: list[int] = []
    failures = attempt([lambda: left.extend(cgroup.kill()), cgroup.delete])
    if left:
        raise HostError(
            f"kill container {container_id}: processes {left} do not die", "still-running"
        )
    for failure in failures:
        raise failure
