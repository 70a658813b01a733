"""Which cgroups are ours: an extended attribute that names the container's state directory.

Beside the path stands the identity of the directory that holds all states, because the same path
can mean another directory in another mount namespace, and `gc` must not touch what is alive there.
"""

from __future__ import annotations

import posix

# `trusted` needs CAP_SYS_ADMIN and works on v1 and v2; `user` is for the owner of a v2 directory.
NAMES = ("trusted.pycontainer", "user.pycontainer")


def identity(root: str) -> str:
    """What tells this directory of states from any other one, "" when it does not exist."""
    try:
        found = posix.stat(root)
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"


def value_of(owner: str) -> bytes:
    """The mark of a container, whose state directory is `owner`."""
    return f"{identity(owner[: owner.rindex('/')])} {owner}".encode("utf-8", "surrogateescape")


def put(directory: str, value: bytes) -> None:
    """Put a mark on a cgroup; without privilege it stays unmarked."""
    for name in NAMES:
        try:
            posix.setxattr(directory, name, value)
            return
        except OSError:
            continue


def get(directory: str) -> tuple[str, str]:
    """(identity of the root, state directory) of a marked cgroup, else two empty texts."""
    for name in NAMES:
        try:
            value = posix.getxattr(directory, name).decode("utf-8", "surrogateescape")
        except OSError:
            continue
        mark, _, owner = value.partition(" ")
        return mark, owner
    return "", ""
