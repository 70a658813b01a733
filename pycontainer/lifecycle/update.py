"""`update`: new limits for a container, remembered for the update after this one.

The config in the state directory stays what the bundle said; the limits that hold since stand
beside it, in resources.json. One transaction over all that an update changes: the cgroup, the
systemd unit, the device rules, the Intel RDT group, and that file.
"""

from __future__ import annotations

from pycontainer import cgroups, spec
from pycontainer.base import jsonfast
from pycontainer.base.errors import ConfigError, NotRunning
from pycontainer.base.steps import Transaction
from pycontainer.cgroups import update as change_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.lifecycle.container import Container

FILE = "resources.json"


def update(
    container: Container, resources: dict[str, Any], schemas: dict[str, str] | None = None
) -> None:
    """Change what `resources` (of linux.resources) names; the rest stays.

    `schemas` are new l3CacheSchema and memBwSchema of linux.intelRdt. ConfigError for values that
    cannot be, StateError for a stopped container, OperationError when the kernel or systemd
    refuses; after any of them nothing has changed.
    """
    entry, log = container.entry, container.settings.log
    entry.lock()
    try:
        if container.status() in ("stopped", "creating"):
            raise NotRunning
        change = change_of.without_nulls(resources)
        spec.validate_resources(change)
        change = change_of.with_implied(change_of.without_unset(change))
        for warning in spec.validate_resources(change):
            log.warning(warning)
        if schemas:
            from pycontainer.resctrl import group as resctrl_group

            resctrl_group.check(container.facts.extra.get("resctrl"), schemas)
        _carry_out(container, change, schemas)
    finally:
        entry.unlock()


def _carry_out(
    container: Container, change: dict[str, Any], schemas: dict[str, str] | None
) -> None:
    entry, log, cgroup = container.entry, container.settings.log, container.cgroup
    config = container.config()
    current = _current(container, config)
    whole = change_of.merged(current, change)
    spec.validate_resources(whole)  # what fits by itself must fit what holds already
    # A change of a unit lets systemd write all that it knows again: so must we.
    written = whole if cgroup.paths.unit else change_of.effective(current, change)
    driver = _driver(container)
    plan = driver.compile(_with_limits(config, written))
    warnings = list(plan.warnings)
    with Transaction(log.warning) as undo:
        warnings += change_of.apply(cgroup, plan, undo)
        # Kubernetes repeats the whole config; what a hook has allowed since is to stay.
        devices = change.get("devices")
        if devices and devices != change_of.without_nulls(current.get("devices")):
            before = driver.compile(_with_limits(config, current))
            rootless = container.settings.rootless
            warnings += change_of.apply_devices(cgroup, plan, before, rootless, undo)
        if schemas:
            from pycontainer.resctrl import group as resctrl_group

            resctrl_group.change(container.facts.extra["resctrl"], schemas, undo)
        entry.write(FILE, jsonfast.dumps(whole).encode())
    for warning in warnings:
        log.warning(warning)


def _current(container: Container, config: dict[str, Any]) -> dict[str, Any]:
    try:
        return jsonfast.loads(container.entry.read(FILE))
    except FileNotFoundError:
        return (config.get("linux") or {}).get("resources") or {}
    except ValueError as error:
        raise ConfigError(f"read {container.entry.path(FILE)}: {error}", "unreadable") from None


def _with_limits(config: dict[str, Any], resources: dict[str, Any]) -> dict[str, Any]:
    linux = config.get("linux") or {}
    return {**config, "annotations": {}, "linux": {**linux, "resources": resources}}


def _driver(container: Container) -> cgroups.Driver:
    unit = container.cgroup.paths.unit
    return cgroups.open_driver(systemd=unit is not None, rootless=bool(unit and unit.get("user")))
