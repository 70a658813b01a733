"""Why new namespaces were refused: limits, switches, AppArmor, a filter, a chroot.

Each function looks for one obstacle and returns an Obstacle or None; `OBSTACLES` are those that
`pycontainer info` shows before anything fails.
"""

from __future__ import annotations

import os
from errno import EINVAL, ENOSPC, EUSERS

from pycontainer.base.obstacle import Obstacle
from pycontainer.tables.namespaces import NAMES_OF_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycontainer.plan.ops import Op

NEWUSER = 0x10000000
USUAL_LIMIT = 15000
_NO_LIMIT = 1 << 30  # the kernel counts to 1 << 31
# /proc/sys/user/max_X_namespaces, by our names of the types
_LIMITS = {
    "user": "user",
    "pid": "pid",
    "network": "net",
    "mount": "mnt",
    "uts": "uts",
    "ipc": "ipc",
    "cgroup": "cgroup",
    "time": "time",
}


def refused(op: Op, errno: int) -> str:
    """Why clone or unshare with the operation's flags failed, or ""."""
    flags = op["flags"]
    if errno in (ENOSPC, EUSERS):
        return str(limit(flags) or "")
    if errno == EINVAL:
        return str(missing(flags) or "")
    if flags & NEWUSER:
        found = switched_off() or apparmor() or chrooted() or filtered()
        return str(found or "")
    if op.kind == "clone" and os.geteuid() != 0:
        return (
            "an ordinary user needs a user namespace in linux.namespaces; "
            "fix: pycontainer spec --rootless writes such a config.json"
        )
    return str(apparmor() or filtered() or "")


def read(path: str) -> str:
    """A small file's content without its newline; "" when it is not there or not readable."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def limit(flags: int = NEWUSER) -> Obstacle | None:
    """A limit of namespaces(7) that is 0, or reached."""
    reached = None
    for flag, name in NAMES_OF_FLAGS.items():
        if not flags & flag or name not in _LIMITS:
            continue
        setting = f"user.max_{_LIMITS[name]}_namespaces"
        value = read(f"/proc/sys/{setting.replace('.', '/')}")
        if value == "0":
            return Obstacle(
                f"new {name} namespaces are disabled: {setting} is 0",
                f"sudo sysctl -w {setting}={USUAL_LIMIT}",
            )
        if name == "user" and value and int(value) >= _NO_LIMIT:
            deep = "user namespaces are nested 32 deep already"
            reached = Obstacle(f"{deep}, or the limit of an outer one is reached")
        elif value and reached is None:
            # user_namespaces(7): the same errno for both, and nothing tells how deep we are.
            deep = ", or they are nested 32 deep already" if name == "user" else ""
            reached = Obstacle(
                f"the limit of {name} namespaces is reached: {setting} is {value}{deep}",
                f"sudo sysctl -w {setting}={2 * int(value)}",
            )
    return reached


def missing(flags: int = NEWUSER) -> Obstacle | None:
    """A type of namespace that the kernel was built without."""
    from pycontainer.tables.namespaces import FILES

    for flag, name in NAMES_OF_FLAGS.items():
        if flags & flag and name in FILES and not os.path.exists(f"/proc/self/ns/{FILES[name]}"):
            return Obstacle(f"this kernel was built without {name} namespaces")
    return None


def switched_off() -> Obstacle | None:
    """Debian's and Ubuntu's switch, and a limit of zero, which other distributions use."""
    if read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return Obstacle(
            "user namespaces are off for ordinary users: kernel.unprivileged_userns_clone is 0",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        )
    if read("/proc/sys/user/max_user_namespaces") == "0":
        return limit()
    return None


def restricted(ops: Sequence[Op]) -> Obstacle | None:
    """AppArmor lets the namespace be made, and then forbids all that it is for."""
    made = any(op.kind == "unshare" and op["flags"] & NEWUSER for op in ops)
    return apparmor() if made else None


def apparmor() -> Obstacle | None:
    """Ubuntu since 23.10: a user namespace of an unconfined program has no capabilities."""
    setting = "kernel.apparmor_restrict_unprivileged_userns"
    if os.geteuid() == 0 or read("/proc/sys/" + setting.replace(".", "/")) != "1":
        return None
    return Obstacle(
        f"AppArmor takes the privileges of user namespaces away: {setting} is 1",
        f"sudo sysctl -w {setting}=0 (to keep it: echo '{setting}=0' | "
        "sudo tee /etc/sysctl.d/60-userns.conf)",
    )


def chrooted() -> Obstacle | None:
    """unshare(2): EPERM in a chroot. Its root is no mount point of its mount namespace."""
    mounts = read("/proc/self/mountinfo").splitlines()
    if not mounts or any(line.split(" ", 5)[4] == "/" for line in mounts):
        return None
    return Obstacle(
        "in a chroot the kernel makes no user namespaces", "use pivot_root, or a container"
    )


def filtered() -> Obstacle | None:
    """A seccomp filter around us, as outer containers have it."""
    for line in read("/proc/self/status").splitlines():
        if line.split() == ["Seccomp:", "2"]:
            return Obstacle(
                "a seccomp filter is around this process, and may forbid it",
                "run the outer container with --security-opt seccomp=unconfined (less isolation)",
            )
    return None


OBSTACLES = (switched_off, apparmor, missing, chrooted)


def flag_of(kind: str) -> int:
    """The CLONE_NEW flag of a type."""
    return next(flag for flag, name in NAMES_OF_FLAGS.items() if name == kind)
