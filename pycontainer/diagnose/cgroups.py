"""Why an ordinary user has no cgroup, or no limit of some kind, and what gives them one."""

from __future__ import annotations

import os

from pycontainer.diagnose.namespaces import Obstacle

DELEGATE = (
    "sudo mkdir -p /etc/systemd/system/user@.service.d && "
    "printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | "
    "sudo tee /etc/systemd/system/user@.service.d/delegate.conf && "
    "sudo systemctl daemon-reload (then log in again)"
)
UNIFIED = "boot with systemd.unified_cgroup_hierarchy=1"


def none_to_be_had(mode: str) -> Obstacle:
    """Why no cgroup could be made, by the host's mode."""
    if mode == "none":
        return Obstacle("no cgroups are mounted here", "sudo mount -t cgroup2 none /sys/fs/cgroup")
    if os.geteuid() == 0:
        return Obstacle("the outer container has them read-only, or gives no rights over them")
    if mode != "v2":
        return Obstacle("only cgroup v2 can be delegated to an ordinary user", UNIFIED)
    if bus():
        return Obstacle(
            "this cgroup is not yours, but your own systemd manager can make one",
            "pycontainer --systemd-cgroup ...",
        )
    return Obstacle(
        "no cgroup is delegated to you, and your own systemd manager does not run",
        f"sudo loginctl enable-linger {os.geteuid()} (then: pycontainer --systemd-cgroup ...)",
    )


def not_delegated(controller: str) -> str:
    """What gives an ordinary user this controller; "" for root."""
    usual = controller in ("cpu", "cpuset", "io", "memory", "pids")
    return f"to mend it: {DELEGATE}" if os.geteuid() != 0 and usual else ""


def bus() -> str:
    """The socket of the caller's own systemd manager, "" without one."""
    path = f"/run/user/{os.geteuid()}/bus"
    return path if os.path.exists(path) else ""
