"""A bundle that needs no image: this machine's own programs, bound read-only.

`plan` looks at the host and returns a HostBundle, a value; `write` makes its directories, links
and mount points below the bundle. What a container may see of /etc is a list of what may, not of
what may not: nothing that holds a secret, and nothing that not everybody on the host may read.
"""

from __future__ import annotations

import os
import stat

from pycontainer.base.errors import HostError
from pycontainer.spec import default_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROOTFS = "rootfs"
PROGRAM_DIRECTORIES = ("bin", "lib", "lib32", "lib64", "libx32", "sbin", "usr")
# Directories and files of /etc that programs want and that tell nothing but names and tastes.
PUBLIC_ETC = (
    "alternatives",
    "bash.bashrc",
    "debian_version",
    "gai.conf",
    "group",
    "host.conf",
    "hosts",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "localtime",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "profile",
    "profile.d",
    "protocols",
    "rpc",
    "services",
    "shells",
    "terminfo",
    "timezone",
)
MOUNT_POINTS = ("dev", "home", "proc", "run", "sys", "tmp", "var")
VOLATILE = (
    ("/tmp", "mode=1777 size=65536k"),
    ("/run", "mode=755 size=16384k noexec"),
    ("/home", "mode=755 size=65536k"),
)
MEMORY_LIMIT = 256 * 1024 * 1024  # bytes
PIDS_LIMIT = 128
CAPABILITY_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")
_LOCKED_PASSWORDS = ("", "x", "*", "!", "!!", "*LK*", "NP")


class HostBundle:
    """What to write: config.json, and below the root filesystem directories, files and links."""

    __slots__ = ("config", "directories", "files", "links")

    def __init__(self) -> None:
        self.config: dict[str, Any] = {}
        self.directories: list[str] = list(MOUNT_POINTS)
        self.files: list[str] = []  # empty, to be mounted on
        self.links: list[tuple[str, str]] = []  # name, target


def plan(host: str = "/", *, terminal: bool, rootless: bool) -> HostBundle:
    """Look at the host below `host` and describe the bundle; nothing is written.

    `rootless` makes a config for the calling user, with a user namespace and without limits.
    """
    bundle = HostBundle()
    mounts: list[dict[str, Any]] = []
    bind = _RECURSIVE if rootless else _BIND
    for name in PROGRAM_DIRECTORIES:
        _add_programs(bundle, mounts, host, name, bind)
    bundle.directories.append("etc")
    for name in PUBLIC_ETC:
        _add_etc(bundle, mounts, host, name, bind)
    bundle.config = _config(mounts, terminal)
    if rootless:
        bundle.config = default_config.rootless(bundle.config)
    return bundle


# Without privileges, mounts below the one that is bound are locked to it (mount_namespaces(7)) and
# come along; root leaves them out, because read-only would not hold for them.
_BIND = "bind ro nosuid nodev"
_RECURSIVE = "rbind ro nosuid nodev"


def _add_programs(
    bundle: HostBundle, mounts: list[dict[str, Any]], host: str, name: str, bind: str
) -> None:
    path = os.path.join(host, name)
    if os.path.islink(path):  # merged /usr
        bundle.links.append((name, os.readlink(path)))
    elif os.path.isdir(path):
        bundle.directories.append(name)
        mounts.append(default_config.mount("/" + name, "none", path, bind))


def _add_etc(
    bundle: HostBundle, mounts: list[dict[str, Any]], host: str, name: str, bind: str
) -> None:
    path = os.path.join(host, "etc", name)
    if not os.path.lexists(path):
        return
    inside = "etc/" + name
    target = os.readlink(path) if os.path.islink(path) else ""
    if target.startswith(("/usr/", "../usr/")):
        bundle.links.append((inside, target))
        return
    if not is_public(path) or (name == "passwd" and has_passwords(path)):
        return
    (bundle.directories if os.path.isdir(path) else bundle.files).append(inside)
    mounts.append(default_config.mount("/" + inside, "none", path, bind))


def is_public(path: str) -> bool:
    """A file that everybody may read, or a directory with nothing else in it."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            return bool(mode & stat.S_IROTH)
        if not stat.S_ISDIR(mode) or not mode & stat.S_IROTH or not mode & stat.S_IXOTH:
            return False
        entries = list(os.scandir(path))
    except OSError:
        return False
    return all(entry.is_symlink() or is_public(entry.path) for entry in entries)


def has_passwords(path: str) -> bool:
    """Whether a passwd(5) file holds password hashes, as on a system without shadow(5)."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            fields = [line.rstrip("\n").split(":") for line in file if ":" in line]
    except OSError:
        return True
    return any(field[1] not in _LOCKED_PASSWORDS for field in fields)


def _config(binds: list[dict[str, Any]], terminal: bool) -> dict[str, Any]:
    """The example config with our mounts, no capability and small limits."""
    config = default_config.example()
    volatile = [
        default_config.mount(target, "tmpfs", "tmpfs", "nosuid nodev " + options)
        for target, options in VOLATILE
    ]
    process = {
        **config["process"],
        "terminal": terminal,
        "env": [
            default_config.PATH,
            "TERM=" + (os.environ.get("TERM") or "xterm"),
            "LANG=C.UTF-8",
            "HOME=/home",
        ],
        "capabilities": {name: [] for name in CAPABILITY_SETS},
    }
    linux = {
        **config["linux"],
        "resources": {**config["linux"]["resources"], **_limits()},
        "namespaces": _namespaces(config["linux"]["namespaces"]),
    }
    mounts = [*config["mounts"], *binds, *volatile]
    return {**config, "process": process, "mounts": mounts, "linux": linux}


def _limits() -> dict[str, Any]:
    controllers = enabled_controllers()
    limits: dict[str, Any] = {}
    if "memory" in controllers:
        limits["memory"] = {"limit": MEMORY_LIMIT}
    if "pids" in controllers:
        limits["pids"] = {"limit": PIDS_LIMIT}
    return limits


def enabled_controllers() -> set[str]:
    """The cgroup controllers that the kernel was started with (/proc/cgroups, column 4)."""
    try:
        with open("/proc/cgroups", encoding="ascii") as file:
            rows = [line.split() for line in file if not line.startswith("#")]
    except OSError:
        return set()
    return {row[0] for row in rows if len(row) == 4 and row[3] == "1"}


def _namespaces(namespaces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """These, and a cgroup namespace where the kernel has them."""
    cgroup = {"type": "cgroup"}
    if cgroup in namespaces or not os.path.exists("/proc/self/ns/cgroup"):
        return namespaces
    return [*namespaces, cgroup]


def write(bundle: HostBundle, directory: str) -> None:
    """Make the root filesystem below `directory`; HostError when there is one with content.

    config.json is the caller's to write, last: a bundle is complete once it has one.
    """
    rootfs = os.path.join(directory, ROOTFS)
    try:
        os.makedirs(rootfs, exist_ok=True)
        if os.listdir(rootfs):
            raise HostError(f"use {rootfs}: directory not empty", "directory-not-empty")
        for name in bundle.directories:
            os.makedirs(os.path.join(rootfs, name), exist_ok=True)
        for name in bundle.files:
            with open(os.path.join(rootfs, name), "xb"):
                pass
        for name, target in bundle.links:
            os.symlink(target, os.path.join(rootfs, name))
    except OSError as error:
        raise HostError.of("make", error.filename, error) from None
