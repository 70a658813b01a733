"""A value that the kernel does not know: what was perhaps meant, or what there is."""

from __future__ import annotations

import os
import re
from errno import ENOENT, ENOTBLK

from pycontainer.base.nearest import did_you_mean
from pycontainer.diagnose.namespaces import read
from pycontainer.tables import mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.errors import ContainerError
    from pycontainer.plan.ops import Op

MOST_FILES = (1 << 31) - 64  # the highest that fs.nr_open takes (the kernel: sysctl_nr_open_max)
_SYSCTLS = "/proc/"  # where the files of sysctl operations are


def sysctl(op: Op, errno: int) -> str:
    """A kernel parameter that is not there, or does not take this value."""
    path = _SYSCTLS + op["file"].decode("utf-8", "replace")
    directory, _, name = path.rpartition("/")
    if errno != ENOENT:
        now = " ".join(read(path).split())
        like = f"; fix: give one like that of the host, which is {now}" if now else ""
        return f"the kernel takes no such value for it{like}"
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
    field = f"{op.field}.options"
    for name, _, value in [part.partition("=") for part in given]:
        if own is not None and name not in own.split():
            known = [*own.split(), *mount_options.known_options()]
            otherwise = f"this file system has no option {name}; fix: remove it from {field}"
            return did_you_mean(name, known) or otherwise
        pattern, words = FORMS.get(name, ("", ""))
        if not re.fullmatch(pattern, value) and words:
            return f"{name} is {value}; fix: give it in {field} as {words}"
    return ""


# What options of tmpfs and others look like: a pattern, and words for it.
FORMS = {
    "size": ("[0-9]+[kKmMgGtTpPeE%]?", "bytes, with k, m or g, or a percentage: 64m, 50%"),
    "nr_inodes": ("[0-9]+[kKmMgG]?", "a number: 10000, 10k"),
    "mode": ("[0-7]+", "octal digits: 1777"),
    "uid": ("[0-9]+", "a number"),
    "gid": ("[0-9]+", "a number"),
}


def sources(op: Op, errno: int) -> str:
    """A directory of an overlay, or the block device of another file system, that is not there."""
    from pycontainer.diagnose.paths import missing

    for part in op["options"].decode("utf-8", "surrogateescape").split("\0"):
        name, _, value = part.partition("=")
        if name in ("lowerdir", "upperdir", "workdir"):
            for path in value.replace("::", ":").split(":"):
                if path and (problem := missing(path)):
                    return f"{name}: {problem}; fix: make it, or correct {op.field}.options"
    source = op["source"].decode("utf-8", "surrogateescape")
    if errno == ENOTBLK:
        command = f"losetup --find --show {source}"
        return f"{source} is no block device; fix: make one of it with {command}, or bind it"
    if source[:1] == "/" and (problem := missing(source)):
        return f"{problem}; fix: correct {op.field}.source"
    return ""


def device(op: Op, errno: int) -> str:
    """A network device that is not there."""
    try:
        known = [name for name in os.listdir("/sys/class/net") if name != "lo"]
    except OSError:
        known = []
    listed = f"; fix: take one of {', '.join(sorted(known)[:8])}" if known else ""
    name = op["name"].decode("utf-8", "replace")
    missing = f"the runtime's own network namespace has no {name}{listed}"
    return did_you_mean(name, known) or missing


def namespace(op: Op, errno: int) -> str:
    """A file of a namespace that is not there."""
    path = op["path"].decode("utf-8", "surrogateescape")
    if errno != ENOENT:
        return "its process has more privileges than we; fix: join it as root with CAP_SYS_PTRACE"
    if path.startswith("/proc/") and not os.path.exists("/".join(path.split("/")[:3])):
        return f"the process {path.split('/')[2]} has ended; fix: start it before this container"
    from pycontainer.diagnose.paths import which_part

    return f"{which_part(path)}; fix: start its owner first, or correct the path"


def nodes(op: Op, errno: int) -> str:
    """Memory nodes that this machine has not."""
    online = read("/sys/devices/system/node/online")
    if not online:
        return ""
    return f"this machine has the memory nodes {online}; fix: name some of these in {op.field}"


def limit(op: Op, errno: int) -> str:
    """A hard limit above our own, or above what the host gives to anybody."""
    import resource

    kind, hard = op["type"].decode(), op["hard"]
    most = int(read("/proc/sys/fs/nr_open") or 0)
    if kind == "RLIMIT_NOFILE" and 0 < most < hard % (1 << 64):  # -1 is no limit
        return f"this host allows {most}; fix: {room_for_files(most, hard)}"
    ours = resource.getrlimit(op["resource"])[1]
    return (
        f"raising a hard limit needs CAP_SYS_RESOURCE; fix: give at most {ours}, which is the "
        "runtime's own, or start it with a higher one"
    )


def room_for_files(most: int, hard: int) -> str:
    """A hard RLIMIT_NOFILE above fs.nr_open, which itself has a highest value."""
    lower = f"set soft and hard to at most {most}"
    return f"{lower}, or sudo sysctl -w fs.nr_open={hard}" if 0 < hard <= MOST_FILES else lower


def clock(op: Op, errno: int) -> str:
    """An offset of a time namespace; the kernel takes no clock below zero."""
    for line in op["lines"].decode().splitlines():
        name, seconds, _ = line.split()
        if name not in ("monotonic", "boottime"):
            return f"there is no clock {name}; fix: the clocks are monotonic and boottime"
        if int(seconds) < 0:
            up = read("/proc/uptime").partition(".")[0]
            return f"{name} would be before 0; fix: go back at most {up} seconds, its value now"
    return ""


def keys(op: Op, errno: int) -> str:
    """Each container has a keyring, which is one of its user's keys."""
    most, size = (int(read(f"/proc/sys/kernel/keys/max{what}") or 0) for what in ("keys", "bytes"))
    return (
        f"its user has as many keys as one may have ({most}); fix: sudo sysctl -w"
        f" kernel.keys.maxkeys={2 * most} kernel.keys.maxbytes={2 * size}"
    )


# -- values of config.json that the schema or a rule refuses --------------------------------------

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def limit_name(error: ContainerError) -> str:
    """A resource limit that does not exist."""
    if not (error.field.startswith("process.rlimits[") and error.field.endswith(".type")):
        return ""
    from pycontainer.tables import rlimits

    name = str(error.params.get("value"))
    near = did_you_mean(f"RLIMIT_{name.upper().removeprefix('RLIMIT_')}", rlimits.NUMBERS)
    return near or f"fix: take one of {', '.join(rlimits.NUMBERS)}"


def not_of_a_bind(error: ContainerError) -> str:
    """An option of a bind mount that is misspelt, or a file system's."""
    name = error.params["value"].partition("=")[0]
    return did_you_mean(name, mount_options.known_options()) or f"fix: remove {name}"


def out_of_range(error: ContainerError) -> str:
    """A resource limit below 0, or a soft one above the hard one."""
    if not error.field.startswith("process.rlimits["):
        return ""
    if int(error.params.get("value", 0)) < 0:
        return f"fix: no limit is {(1 << 64) - 1}"
    return "fix: lower soft, or raise hard"


def wrong_type(error: ContainerError) -> str:
    """A number, a boolean or a list that was written as a string; a string without quotes."""
    value, expected = error.params.get("value"), error.params.get("expected")
    if type(value) is int and expected == "string":
        return f'fix: write "{value}" with quotes'
    if type(value) is not str:
        return ""
    if expected == "array":
        parts = value.split(",") if error.field.endswith(".options") else value.split()
        if error.field.endswith(".additionalGids"):  # numbers
            return f"fix: write [{', '.join(value.replace(',', ' ').split())}]"
        words = ", ".join(f'"{word}"' for word in parts)
        return f"fix: write [{words}]"
    if expected == "boolean" and value.lower() in ("true", "false"):
        return f"fix: write {value.lower()} without quotes"
    if expected != "integer":
        return ""
    octal = error.field.endswith(("fileMode", "umask"))
    if octal and value.isdigit() and not value.strip("01234567"):
        return f"fix: JSON has no octal numbers: write {int(value, 8)}"
    text = value.strip().lower().removesuffix("b").removesuffix("i")
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS else (text, "")
    if number.isascii() and number.isdigit():
        in_bytes = ", in bytes" if unit else ""
        return f"fix: write {int(number) * _UNITS[unit]} without quotes{in_bytes}"
    uid = error.field.endswith(".uid")
    return "fix: look its number up in the image's /etc/passwd" if uid else ""
