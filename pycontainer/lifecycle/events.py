"""`events`: statistics every so often, and out-of-memory kills as they happen, until the end."""

from __future__ import annotations

import posix
import select
from time import monotonic

from pycontainer.base.errors import StateError
from pycontainer.cgroups.stats.oom import Watch, amounts, kills
from pycontainer.lifecycle import outcome
from pycontainer.linux.process import open_pidfd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pycontainer.lifecycle.container import Container

_REAPED_MS = 2000  # for init's parent to learn of its end; before that its status is unknown


def stats(container: Container) -> dict[str, Any]:
    """One event with the statistics of now; StateError once the container has stopped."""
    if container.status() == "stopped":
        raise StateError(f"container with id {container.id} is not running", "not-running")
    return _stats(container)


def _stats(container: Container) -> dict[str, Any]:
    data = container.cgroup.stats()
    if group := container.facts.extra.get("resctrl"):
        from pycontainer.resctrl import group as resctrl_group
        from pycontainer.resctrl import stats as resctrl_stats

        data["intel_rdt"] = resctrl_stats.collect(group, resctrl_group.find_root())
    return {"type": "stats", "id": container.id, "data": data}


def watch(container: Container, interval_s: float) -> Iterator[dict[str, Any]]:
    """Events until the container ends: `stats` each interval, `oom` for each kill, `exit`.

    An `oom` event has, beyond runc's, the number of kills, the limit and the peak as `data`;
    `exit` has the status (see outcome.py).
    """
    stats(container)
    facts = container.facts
    pidfd = open_pidfd(facts.pid, facts.start_time)
    memory = Watch(container.cgroup.paths)
    try:
        poller = select.poll()
        poller.register(memory.fd, memory.events)
        if pidfd >= 0:
            poller.register(pidfd, select.POLLIN)
        due = monotonic() + interval_s
        while True:
            ready = {fd for fd, _ in poller.poll(max(0.0, due - monotonic()) * 1000)}
            # Before the end is believed: it may be what killed the container.
            if (memory.fd in ready or pidfd in ready) and (fresh := memory.news()):
                for _ in range(fresh):
                    yield _oom(container)
            if pidfd in ready:
                end = outcome.of_pidfd(pidfd, _REAPED_MS)
                yield {"type": "exit", "id": container.id, "data": end}
            if pidfd < 0 or pidfd in ready or not container.cgroup.exists():
                return
            if monotonic() >= due:
                due = monotonic() + interval_s
                yield _stats(container)  # should it end just now, the next round tells
    finally:
        memory.close()
        if pidfd >= 0:
            posix.close(pidfd)


def _oom(container: Container) -> dict[str, Any]:
    paths = container.cgroup.paths
    # v1 tells before it kills, and counts after that.
    data = {"kills": max(1, kills(paths)), **amounts(paths)}
    return {"type": "oom", "id": container.id, "data": data}
