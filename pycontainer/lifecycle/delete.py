"""The end of a container: its processes, its cgroup, what else it holds, its state.

The steps do not depend on each other: all are tried, even when one fails. The state directory is
removed after everything on the host, and only when nothing else is left, so that one more
`delete --force` finds the rest; within it, state.json goes first.
"""

from __future__ import annotations

from pycontainer.base.errors import CLIENT_TEXTS, ContainerError, DamagedState, NotFound, StateError
from pycontainer.base.steps import attempt
from pycontainer.linux.process import alive, wait_gone
from pycontainer.state.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycontainer.base.settings import Settings
    from pycontainer.lifecycle.container import Container

SIGKILL = 9
_ON_HOST = frozenset(("resctrl", "mounted", "layer", "bound"))  # host_cleanup.py
PATIENCE_S = 10.0  # for a killed process to go, and for a cgroup without processes
NO_PATIENCE_S = 0.1  # the same, when something has been refused before


def delete(
    settings: Settings, container_id: str, force: bool, delete_loaded: Callable[[], None]
) -> None:
    """Delete by id: also what a create or delete that died has left, and with `force` a container
    with damaged state, or none. `delete_loaded` loads the container and deletes it."""
    try:
        delete_loaded()
    except DamagedState as error:
        if not force:
            raise
        from pycontainer.lifecycle import delete_damaged

        settings.log.warning(f"{error.message}: removing what can be found")
        delete_damaged.remove(settings, container_id)
    except NotFound:
        # A create or delete that was killed may have left a directory without a container.
        swept = Store(settings.root).discard(container_id)
        if not (force or swept):
            raise


def after_failure(failure: ContainerError, container_id: str) -> str:
    """The warning about what could not be taken back; what failed before is the error."""
    return f"after the failure: {failure}; delete --force {container_id} removes the rest"


def destroy(container: Container, force: bool, meanwhile: Callable[[], None] | None = None) -> None:
    """Remove all that it holds. The caller holds the lock.

    `force` kills init first. Processes that are left in the cgroup are killed in any case.

    The first failure is raised, and the others are warnings.
    """
    facts = container.facts
    failures = attempt([lambda: _end_init(container, meanwhile)] if force else [])
    if facts.cgroup:
        failures += attempt([lambda: _end_members(container)])
        patience = NO_PATIENCE_S if failures else PATIENCE_S
        failures += attempt([lambda: container.cgroup.delete(patience)])
    failures += remove_from_host(facts.extra, facts.rootfs)
    for failure in failures[1:]:
        container.settings.log.warning(str(failure))
    if failures:
        raise failures[0]
    _tell_poststop(container)
    container.entry.remove()


def remove_from_host(extra: dict[str, Any], rootfs: str) -> list[ContainerError]:
    """Remove what few containers leave outside of their namespaces and cgroup; what failed."""
    if _ON_HOST.isdisjoint(extra):
        return []
    from pycontainer.lifecycle import host_cleanup

    return host_cleanup.remove(extra, rootfs)


def _end_init(container: Container, meanwhile: Callable[[], None] | None) -> None:
    facts = container.facts
    if not alive(facts.pid, facts.start_time):
        return
    failures = attempt([lambda: container.signal_scattered(SIGKILL)])
    # On v1 a frozen process does not even die.
    refused = attempt([lambda: container.signal_init(SIGKILL), container.thaw_if_frozen])
    patience = NO_PATIENCE_S if refused else PATIENCE_S
    if not wait_gone(facts.pid, facts.start_time, int(patience * 1000), meanwhile):
        failures += refused or [_still_there(container, [facts.pid])]
    if failures:
        raise failures[0]


def _end_members(container: Container) -> None:
    if container.cgroup.exists() and (stay := container.cgroup.kill()):
        raise _still_there(container, stay)


def _still_there(container: Container, pids: list[int]) -> StateError:
    """Which processes do not die, and why; init may just wait for those of its namespace."""
    from pycontainer.cgroups.processes import describe

    others = container.cgroup.pids() if container.facts.cgroup else []
    words = "; ".join(describe(pid) for pid in sorted({*pids, *others})[:4])
    return StateError(f"{CLIENT_TEXTS['still_running']}: {words}", "still-running")


def _tell_poststop(container: Container) -> None:
    """poststop hooks, when their config can still be read.

    They run again if a `delete` is killed after them, before it has removed the state.
    """
    try:
        if b'"poststop"' not in container.entry.read_config():
            return
        config = container.config()
    except ContainerError as error:
        container.settings.log.warning(f"no poststop hooks: {error}")
        return
    from pycontainer.lifecycle.hooks import run_poststop
    from pycontainer.state.state import state_document

    facts = container.facts
    state = state_document(facts.id, "stopped", 0, facts.bundle, facts.annotations)
    run_poststop(config, state, facts.bundle, container.settings)
