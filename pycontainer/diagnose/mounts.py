"""Why a mount was refused inside of a user namespace: covered /proc, locked mounts, its type."""

from __future__ import annotations

from pycontainer.base.obstacle import Obstacle
from pycontainer.diagnose.namespaces import read
from pycontainer.tables import mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.plan.ops import Op

# Types that the kernel mounts in a user namespace (FS_USERNS_MOUNT), as of Linux 6.12.
ALLOWED = (
    "bpf", "binfmt_misc", "cgroup", "cgroup2", "devpts", "fuse", "mqueue", "overlay", "proc",
    "ramfs", "sysfs", "tmpfs",
)  # fmt: skip
_SHOWN = 4
_ACCESS_TIMES = (
    ("noatime", mount_options.ATTR_NOATIME),
    ("strictatime", mount_options.ATTR_STRICTATIME),
    ("nodiratime", mount_options.ATTR_NODIRATIME),
)
_DEFAULTS = ("relatime, atime", "diratime")  # which set no attribute
_UNCOVERED = (
    "run the outer container with --security-opt systempaths=unconfined (docker) or "
    "--security-opt unmask=ALL (podman); both isolate it less"
)


def refused(op: Op) -> str:
    """Why a new file system of this type was refused with EPERM, or ""."""
    from pycontainer.base.settings import in_user_namespace

    fstype = op["fstype"].decode()
    place = {"proc": "/proc", "sysfs": "/sys"}.get(fstype, "")
    if place:
        return str(covered(place) or "")
    if fstype.split(".")[0] not in ALLOWED:
        reason = f"the kernel mounts no {fstype} in a user namespace"
        return f"{reason}; fix: let root mount it, and bind it" if fstype else ""
    return "" if not in_user_namespace() else "the namespace that it shows belongs to an outer one"


def covered(place: str) -> Obstacle | None:
    """mount_too_revealing() in the kernel: a new /proc or /sys must not show more than the one
    that is there, so one that is partly covered or read-only keeps new ones from being made."""
    hidden: list[str] = []
    flags = ""
    for line in read("/proc/self/mountinfo").splitlines():
        fields = line.split(" ")
        point, options = fields[4], fields[5].split(",")
        if point == place:
            hidden, flags = [], "ro" if "ro" in options else ""
        elif point.startswith(place + "/") and not _harmless(fields):
            hidden.append(point)
    if not hidden and not flags:
        return None
    names = ", ".join(hidden[:_SHOWN]) + (" and others" if len(hidden) > _SHOWN else "")
    what = f"is covered at {names}" if hidden else "is read-only"
    return Obstacle(
        f"{place} of this (outer) container {what}, so it allows no new one", _UNCOVERED
    )


def _harmless(fields: list[str]) -> bool:
    """Mounts on directories that the kernel keeps empty for them do not count."""
    fstype = fields[fields.index("-") + 1] if "-" in fields else ""
    return fstype in (
        "binfmt_misc", "autofs", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "bpf",
        "pstore", "efivarfs", "configfs", "fusectl", "selinuxfs", "nfsd", "smackfs",
    ) or fields[4] == "/sys/fs/cgroup"  # fmt: skip


def locked(op: Op, code: str) -> str:
    """A bind without what is mounted below its source would uncover what root has covered."""
    if code in ("locked-flag", "locked-flags", "attributes"):  # which say it all
        return ""
    if code == "locked-atime":
        words = [name for name, bit in _ACCESS_TIMES if op["attr_set"] & bit]
        return f"fix: remove {' and '.join(words or _DEFAULTS)} from {op.field}.options"
    source = op["path" if op.kind.startswith("open") else "source"].decode()
    below = [
        line.split(" ")[4]
        for line in read("/proc/self/mountinfo").splitlines()
        if line.split(" ")[4].startswith(source.rstrip("/") + "/")
    ]
    if not below:
        return ""
    return (
        f"{below[0]} is mounted below it, and must come along in a user namespace; "
        'fix: use the option "rbind"'
    )
