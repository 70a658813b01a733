"""Namespace types of config-linux.md#namespaces: their clone(2) flags and /proc/<pid>/ns files."""

from __future__ import annotations

CLONE_NEWTIME = 0x00000080  # only clone3(2) and unshare(2): clone(2) keeps the signal there
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# Type to (flag, file below /proc/<pid>/ns).
TYPES = {
    "cgroup": (CLONE_NEWCGROUP, "cgroup"),
    "ipc": (CLONE_NEWIPC, "ipc"),
    "mount": (CLONE_NEWNS, "mnt"),
    "network": (CLONE_NEWNET, "net"),
    "pid": (CLONE_NEWPID, "pid"),
    "time": (CLONE_NEWTIME, "time"),
    "user": (CLONE_NEWUSER, "user"),
    "uts": (CLONE_NEWUTS, "uts"),
}

FLAGS = {name: flag for name, (flag, _) in TYPES.items()}
FILES = {name: file for name, (_, file) in TYPES.items()}
NAMES_OF_FLAGS = {flag: name for name, flag in FLAGS.items()}
