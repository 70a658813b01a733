"""Mounts of a container that runs: the plan of `mounts add` and `mounts remove`.

The executor joins the container's mounts, not its processes: none in there sees it. What is bound
comes with the plan, as detached copies; what is done to a mount is done by its own descriptor,
because the procfs in there is the container's.
"""

from __future__ import annotations

from pycontainer.base.errors import ConfigError, HostError
from pycontainer.base.settings import clean
from pycontainer.plan import namespaces
from pycontainer.plan.bind_sources import open_sources
from pycontainer.plan.builder import Plan, Sketch
from pycontainer.plan.mounts import Mounts
from pycontainer.plan.namespaces import Spaces
from pycontainer.tables.mount_options import parse
from pycontainer.tables.namespaces import FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.linux.host import Host
    from pycontainer.tables.mount_options import ParsedOptions

KINDS = ("user", "mount", "network", "ipc")  # of the namespaces that are joined
# What shows a namespace or a cgroup would show that of the mounter.
_NOT_LIVE = ("proc", "sysfs", "mqueue", "cgroup", "cgroup2")


def compile_add(
    config: dict[str, Any], host: Host, spaces: list[dict[str, Any]], bundle: str
) -> Plan:
    """The plan for `config["mounts"]`, beside those that the container has; `spaces` are init's."""
    sketch = _sketch(config, host, spaces)
    mounts = Mounts(sketch, bundle, None)
    parsed = [parse(mount.get("options") or ()) for mount in config["mounts"]]
    for index, mount in enumerate(config["mounts"]):
        _check(mount, parsed[index], f"mounts[{index}]")
    namespaces.clone(sketch, 0)
    user, _ = sketch.spaces.joined.get("user", ("", ""))
    open_sources(mounts, "open_locked" if user else "open_tree", sketch.slot, True, user)
    _enter(sketch)
    for index, mount in enumerate(config["mounts"]):
        mounts.add_live(index, mount, clean(mount["destination"]), parsed[index])
    return _ended(sketch)


def compile_remove(config: dict[str, Any], host: Host, spaces: list[dict[str, Any]]) -> Plan:
    """The plan that takes away what is mounted at the destinations, the last one first."""
    sketch = _sketch(config, host, spaces)
    namespaces.clone(sketch, 0)
    _enter(sketch)
    for index, mount in reversed([*enumerate(config["mounts"])]):
        field = f"mounts[{index}].destination"
        target = clean(mount["destination"])
        if target == "/":
            raise ConfigError("is the root of the container", "wrong-path", field)
        sketch.add("unmount", target=target, field=field)
    return _ended(sketch)


def _sketch(config: dict[str, Any], host: Host, spaces: list[dict[str, Any]]) -> Sketch:
    sketch = Sketch(config, host)
    sketch.spaces = Spaces([space for space in spaces if space["type"] in KINDS])
    if "mount" not in sketch.spaces.joined:
        raise HostError("change the container's mounts: it has the host's own", "of-the-host")
    if not host.mounts:
        raise HostError(
            "change the mounts of a running container: it takes root of the host", "not-allowed"
        )
    return sketch


def _check(mount: dict[str, Any], options: ParsedOptions, field: str) -> None:
    if not options.bind and mount.get("type") in _NOT_LIVE:
        raise ConfigError(
            f"is {mount['type']}, which cannot be mounted from outside",
            "not-mountable",
            f"{field}.type",
            value=mount["type"],
        )
    if options.remount or options.classic or (options.propagation and not options.bind):
        raise ConfigError(
            "has remount, silent, iversion, or propagation without bind: not possible in a"
            " container that runs",
            "wrong-options",
            f"{field}.options",
        )
    if clean(mount["destination"]) in ("/", "/proc"):
        raise ConfigError(
            "must be below the root, and not /proc", "wrong-path", f"{field}.destination"
        )


def _enter(sketch: Sketch) -> None:
    for kind, slot in namespaces.open_joined(sketch).items():
        path, _ = sketch.spaces.joined[kind]
        sketch.add("setns", slot=slot, nstype=FLAGS[kind], path=path)
        if kind == "user":
            sketch.add("become_root")
    sketch.add("umask", mask=0o022)


def _ended(sketch: Sketch) -> Plan:
    sketch.add("finish")
    return Plan(sketch, False)
