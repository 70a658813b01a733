"""A value that the kernel does not know: what was perhaps meant, or what there is."""

from __future__ import annotations

import os

from pycontainer.base.nearest import did_you_mean
from pycontainer.diagnose.namespaces import read
from pycontainer.tables import mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.plan.ops import Op

_SYSCTLS = "/proc/"  # where the files of sysctl operations are


def sysctl(op: Op, errno: int) -> str:
    """A kernel parameter that is not there."""
    path = _SYSCTLS + op["file"].decode("utf-8", "replace")
    directory, _, name = path.rpartition("/")
    try:
        known = os.listdir(directory)
    except OSError:
        known = []
    near = did_you_mean(name, known)
    return "the kernel has no such setting" + (near and f"; {near}")


def filesystem(op: Op, errno: int) -> str:
    """A type of file system that is neither built in nor a module that is there."""
    kind = op["fstype"].decode("utf-8", "replace").partition(".")[0]
    known = [line.split()[-1] for line in read("/proc/filesystems").splitlines()]
    return did_you_mean(kind, known) or "fix: load the file system's kernel module"


def option(op: Op, errno: int) -> str:
    """An option that is none of the file system's."""
    own = mount_options.OF_FILESYSTEMS.get(op["fstype"].decode("utf-8", "replace"))
    given = [part.decode("utf-8", "replace") for part in op["options"].split(b"\0")[:-1]]
    for name in [part.partition("=")[0] for part in given]:
        if own is not None and name not in own.split():
            known = [*own.split(), *mount_options.known_options()]
            return did_you_mean(name, known) or f"{name} is no option of this file system"
    return ""


def layers(op: Op, errno: int) -> str:
    """A directory of an overlay that is not there."""
    from pycontainer.diagnose.paths import missing

    for part in op["options"].decode("utf-8", "surrogateescape").split("\0"):
        name, _, value = part.partition("=")
        if name in ("lowerdir", "upperdir", "workdir"):
            for path in value.replace("::", ":").split(":"):
                if path and (problem := missing(path)):
                    return f"{name}: {problem}"
    return ""


def device(op: Op, errno: int) -> str:
    """A network device that is not there."""
    try:
        known = [name for name in os.listdir("/sys/class/net") if name != "lo"]
    except OSError:
        known = []
    listed = f"; there are {', '.join(sorted(known)[:8])}" if known else ""
    name = op["name"].decode("utf-8", "replace")
    missing = f"the runtime's own network namespace has no {name}{listed}"
    return did_you_mean(name, known) or missing


def namespace(op: Op, errno: int) -> str:
    """A file of a namespace that is not there."""
    path = op["path"].decode("utf-8", "surrogateescape")
    if path.startswith("/proc/") and not os.path.exists("/".join(path.split("/")[:3])):
        return f"the process {path.split('/')[2]} has ended; fix: start it before this container"
    from pycontainer.diagnose.paths import which_part

    return f"{which_part(path)}; fix: start its owner first, or correct the path"


def nodes(op: Op, errno: int) -> str:
    """Memory nodes that this machine has not."""
    online = read("/sys/devices/system/node/online")
    return f"this machine has the memory nodes {online}" if online else ""


def keys(op: Op, errno: int) -> str:
    """Each container has a keyring, which is one of its user's keys."""
    most, size = (int(read(f"/proc/sys/kernel/keys/max{what}") or 0) for what in ("keys", "bytes"))
    return (
        f"its user has as many keys as one may have ({most}); fix: sudo sysctl -w"
        f" kernel.keys.maxkeys={2 * most} kernel.keys.maxbytes={2 * size}"
    )
