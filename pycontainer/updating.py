"""`update`: new limits for a container, remembered for the update after this one.

The config in the state directory stays what the bundle said; the limits that hold since stand
beside it, in resources.json.
"""

from __future__ import annotations

import posix

from pycontainer import cgroups, jsonfast, spec
from pycontainer.cgroups import update as change_of
from pycontainer.cgroups.files import write_text
from pycontainer.errors import (
    CLIENT_TEXTS,
    ConfigError,
    HostError,
    OperationError,
    StateError,
    os_reason,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.container import Container

FILE = "resources.json"


def update(container: Container, resources: dict[str, Any]) -> None:
    """Change what `resources` (of linux.resources) names; the rest stays.

    ConfigError for values that cannot be, StateError for a stopped container, OperationError when
    the kernel or systemd refuses; after any of them nothing has changed.
    """
    entry, log = container.entry, container.settings.log
    entry.lock()
    try:
        if container.status() in ("stopped", "creating"):
            raise StateError(CLIENT_TEXTS["not_running"])
        change = change_of.without_nulls(resources)
        spec.validate_resources(change)
        change = change_of.settled(change_of.said(change))
        config = container.config()
        linux = config.get("linux") or {}
        current = _current(container, linux)
        whole = change_of.merged(current, change)
        for warning in spec.validate_resources(change):
            log.warning(warning)
        spec.validate_resources(whole)  # what fits by itself must fit what holds already
        # A change of a unit lets systemd write all that it knows again: so must we.
        unit = container.cgroup.paths.unit
        written = whole if unit else change_of.effective(current, change)
        wanted = {**config, "annotations": {}, "linux": {**linux, "resources": written}}
        plan = _driver(container).compile(wanted)
        for warning in plan.warnings + change_of.apply(container.cgroup, plan):
            log.warning(warning)
        # Kubernetes repeats the whole config; what a hook has allowed since is to stay.
        if change.get("devices") and change["devices"] != change_of.without_nulls(
            current.get("devices")
        ):
            _devices(container, plan)
        _keep(entry.path(FILE), jsonfast.dumps(whole).encode())
    finally:
        entry.unlock()


def _current(container: Container, linux: dict[str, Any]) -> dict[str, Any]:
    try:
        return jsonfast.loads(container.entry.read(FILE))
    except FileNotFoundError:
        return linux.get("resources") or {}
    except ValueError as error:
        raise ConfigError(f"read {container.entry.path(FILE)}: {error}") from None


def _keep(path: str, data: bytes) -> None:
    """All or nothing; the lock is held."""
    new = path + ".new"
    fd = posix.open(new, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o600)
    try:
        posix.write(fd, data)
    finally:
        posix.close(fd)
    posix.rename(new, path)


def _driver(container: Container) -> cgroups.Driver:
    paths = container.cgroup.paths
    unit = paths.unit
    return cgroups.open_driver(systemd=unit is not None, rootless=bool(unit and unit.get("user")))


def _devices(container: Container, plan: Any) -> None:
    """New device rules. A v1 list is empty for a moment: nobody may open something then."""
    cgroup = container.cgroup
    freeze = bool(plan.device_writes) and not cgroup.frozen()
    if freeze:
        cgroup.freeze()
    try:
        cgroup.apply_devices(plan, container.settings.rootless)
    finally:
        if freeze:
            cgroup.thaw()


# -- Intel RDT -----------------------------------------------------------------------------

_FEATURES = {
    "l3CacheSchema": ("L3", "CAT: l3 cache"),
    "memBwSchema": ("MB", "MBA: memory bandwidth"),
}


def check_schemas(container: Container, schemas: dict[str, str]) -> None:
    """HostError where the CPU or the kernel has no such control, StateError without a group."""
    from pycontainer.intel_rdt import find_root

    root = find_root()
    for name in schemas:
        resource, words = _FEATURES[name]
        if not root or not posix.access(f"{root}/info/{resource}", posix.F_OK):
            raise HostError(f"Intel RDT/{words} schema is not enabled")
    if "resctrl" not in container.facts.extra:
        raise StateError("updating a non-existent Intel RDT configuration is not supported")


def write_schemas(container: Container, schemas: dict[str, str]) -> None:
    """New schemata for the container's group, in one write: the kernel takes all or none.

    OperationError when it refuses.
    """
    path = f"{container.facts.extra['resctrl']['groups'][0]}/schemata"
    lines = "".join(f"{schema}\n" for schema in schemas.values())
    try:
        write_text(path, lines)
    except OSError as error:
        raise OperationError(
            f"write {lines!r} to {path}: {os_reason(error.errno or 0)}",
            errno=error.errno or 0,
            field="linux.intelRdt",
        ) from None
