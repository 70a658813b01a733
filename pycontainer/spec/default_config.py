"""The config.json that `spec` writes: runc's example for a new bundle, as a value.

`example` is the starting point for root, `rootless` turns any config into one that an
unprivileged user can run. Every call returns a new value, so that no two callers share a list.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SPEC_VERSION = "1.3.0"
HOSTNAME = "pycontainer"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
CAPABILITY_SETS = ("bounding", "effective", "permitted")
NAMESPACES = ("pid", "network", "ipc", "uts", "mount")
FILES_LIMIT = 1024

# destination, type, source, options
MOUNTS = (
    ("/proc", "proc", "proc", ""),
    ("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
    ("/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"),
    ("/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 size=65536k"),
    ("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
    ("/sys", "sysfs", "sysfs", "nosuid noexec nodev ro"),
    ("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid noexec nodev relatime ro"),
)
# What of /proc and /sys tells about, or reaches, more than the container.
MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
)
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def example(unified_cgroups: bool | None = None) -> dict[str, Any]:
    """The example config; it differs with the host only in the cgroup namespace of cgroup v2."""
    if unified_cgroups is None:
        unified_cgroups = has_unified_cgroups()
    namespaces = NAMESPACES + (("cgroup",) if unified_cgroups else ())
    return {
        "ociVersion": SPEC_VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [PATH, "TERM=xterm"],
            "cwd": "/",
            "capabilities": {name: list(CAPABILITIES) for name in CAPABILITY_SETS},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": FILES_LIMIT, "soft": FILES_LIMIT}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": HOSTNAME,
        "mounts": [mount(*row) for row in MOUNTS],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": name} for name in namespaces],
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(READONLY),
        },
    }


def mount(destination: str, fstype: str, source: str, options: str) -> dict[str, Any]:
    """One entry of `mounts`; `options` are separated by blanks."""
    entry: dict[str, Any] = {"destination": destination, "type": fstype, "source": source}
    if options:
        entry["options"] = options.split()
    return entry


def rootless(config: dict[str, Any]) -> dict[str, Any]:
    """The config for someone without privileges: a user namespace in which they are root.

    Their network namespace would have no way out, sysfs belongs to the network namespace's owner,
    cgroups may not be theirs, and one mapped id leaves no other gid for a filesystem.
    """
    linux = {key: value for key, value in config["linux"].items() if key != "resources"}
    kept = [entry for entry in linux["namespaces"] if entry["type"] not in ("network", "user")]
    linux["namespaces"] = [*kept, {"type": "user"}]
    mappings = {
        "uidMappings": [{"containerID": 0, "hostID": posix.geteuid(), "size": 1}],
        "gidMappings": [{"containerID": 0, "hostID": posix.getegid(), "size": 1}],
    }
    mounts = [_rootless_mount(entry) for entry in config["mounts"]]
    return {**config, "mounts": mounts, "linux": {**mappings, **linux}}


def _rootless_mount(entry: dict[str, Any]) -> dict[str, Any]:
    if entry["destination"] == "/sys":
        return mount("/sys", "none", "/sys", "rbind nosuid noexec nodev ro")
    options = entry.get("options", [])
    kept = [option for option in options if not option.startswith(("uid=", "gid="))]
    return {**entry, "options": kept} if options else entry


def has_unified_cgroups() -> bool:
    """Whether the host has cgroup v2 only: /sys/fs/cgroup itself is its root."""
    try:
        posix.stat("/sys/fs/cgroup/cgroup.controllers")
    except OSError:
        return False
    return True
