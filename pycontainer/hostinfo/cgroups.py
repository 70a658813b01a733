"""The cgroups part of `pycontainer info`: mode, controllers, what is delegated to the caller."""

from __future__ import annotations

import os

from pycontainer.cgroups.layout import Layout, probe
from pycontainer.diagnose.cgroups import DELEGATE, UNIFIED, bus
from pycontainer.diagnose.namespaces import read
from pycontainer.hostinfo.item import Item

WANTED = ("cpu", "cpuset", "io", "memory", "pids")
_MODES = {
    "v2": "one tree for all controllers: limits hold, and can be delegated to users",
    "v1": "a tree for each controller; a user's own limits are not possible",
    "hybrid": "v1 for limits, and a v2 tree without controllers; no limits for ordinary users",
    "none": "no cgroups are mounted: no limit can be set, no container can be paused",
}


def items() -> list[Item]:
    """Mode, controllers, delegation, systemd."""
    layout = probe()
    found = [Item("mode", layout.mode, _MODES[layout.mode]), _controllers(layout)]
    if os.geteuid() != 0:
        found.append(_delegated(layout))
    found.append(_systemd())
    return found


def _controllers(layout: Layout) -> Item:
    if layout.mode == "v2":
        names = read("/sys/fs/cgroup/cgroup.controllers").split()
        return Item("controllers", names, "of the host; each one limits what its name says")
    names = sorted({c for h in layout.hierarchies for c in h.controllers if "=" not in c})
    return Item("controllers", names, "mounted here; each one limits what its name says")


def delegated(layout: Layout) -> tuple[str, list[str]]:
    """The directory in which the caller may make cgroups ("" for none), its controllers."""
    hierarchy = layout.find("")
    if layout.mode != "v2" or hierarchy is None:
        return "", []
    directory = hierarchy.own_directory().rstrip("/")
    while directory.startswith(hierarchy.mountpoint):
        parent = os.path.dirname(directory)
        if os.access(directory, os.W_OK) and not os.access(parent, os.W_OK):
            return directory, read(f"{directory}/cgroup.controllers").split()
        directory = parent
    return "", []


def _delegated(layout: Layout) -> Item:
    if layout.mode != "v2":
        return Item(
            "delegated",
            [],
            "only cgroup v2 delegates to users: containers run without limits, pause and events",
            UNIFIED,
        )
    directory, names = delegated(layout)
    if not directory:
        words = "no cgroup is yours: limits take --systemd-cgroup and a systemd user session"
        return Item("delegated", [], words)
    lost = [name for name in WANTED if name not in names]
    if lost:
        words = f"in {directory}; no limit of {', '.join(lost)} can be set"
        return Item("delegated", names, words, DELEGATE)
    return Item("delegated", names, f"limits of these hold, below {directory}")


def _systemd() -> Item:
    if not os.path.isdir("/run/systemd/system"):
        return Item("systemd", False, "not the init here: no --systemd-cgroup")
    if os.geteuid() == 0:
        return Item("systemd", True, "--systemd-cgroup makes a scope for each container")
    if bus():
        return Item("systemd", True, f"--systemd-cgroup asks your own manager, at {bus()}")
    words = "your own manager is not running: no --systemd-cgroup"
    return Item("systemd", False, words, f"sudo loginctl enable-linger {os.geteuid()}")
