"""Whose files may be believed: those that only the caller could have written.

A state file names processes and cgroups, and the commands act on them with the caller's rights. So
root must not use a directory that another user can write to. Checked each time when a directory or
a file is opened: the state root here, the rest through its descriptor. The front
(csrc/launcher/front_container.c) does the same, and leaves to Python what does not pass its simpler
checks.
"""

from __future__ import annotations

import _stat
import posix
from errno import EIO

from pycontainer.base.errors import HostError
from pycontainer.base.settings import in_user_namespace

_OTHERS_WRITE = _stat.S_IWGRP | _stat.S_IWOTH
_READ = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOFOLLOW


def check_root(path: str) -> None:
    """HostError unless the state root, and a symlink at its path, is of the caller or of root.

    In a sticky directory (/tmp) others may write: what they make there does not pass check_entry.
    FileNotFoundError when there is none.
    """
    found = posix.stat(path, follow_symlinks=False)
    if _stat.S_ISLNK(found.st_mode):
        _check_owner(path, found.st_uid)
        found = posix.stat(path)
    _check_owner(path, found.st_uid)
    if found.st_mode & _OTHERS_WRITE and not found.st_mode & _stat.S_ISVTX:
        if found.st_mode & _stat.S_IWOTH or not _is_private_group(found.st_gid):
            raise _writable(path)


def check_entry(fd: int, path: str) -> None:
    """HostError unless the open file or directory is the caller's, and no other user may write."""
    found = posix.fstat(fd)
    user = posix.geteuid()
    if found.st_uid != user:
        raise _of_somebody_else(path, found.st_uid)
    if found.st_mode & _OTHERS_WRITE:
        raise _writable(path)
    if not (_stat.S_ISDIR(found.st_mode) or _stat.S_ISREG(found.st_mode)):
        raise HostError(f"use {path}: it is not a regular file", "not-ours", path=path)


def read_checked(name: str, dir_fd: int, path: str) -> bytes:
    """The file's content, with the same check; `path` is what an error calls it."""
    fd = posix.open(name, _READ, dir_fd=dir_fd)
    try:
        check_entry(fd, path)
        chunks = []
        while chunk := posix.read(fd, 65536):
            chunks.append(chunk)
            if len(chunk) < 65536:
                break
        return b"".join(chunks)
    finally:
        posix.close(fd)


def _check_owner(path: str, owner: int) -> None:
    if owner in (posix.geteuid(), 0):
        return
    if owner == _overflow_uid() and in_user_namespace():
        return  # of a user whom the namespace does not know, such as root of the host
    raise _of_somebody_else(path, owner)


def _is_private_group(group: int) -> bool:
    """Where the umask is 002, each user has a group alone; that is not so for root's."""
    user = posix.geteuid()
    return group == posix.getegid() and (user != 0 or in_user_namespace())


def _overflow_uid() -> int:
    try:
        with open("/proc/sys/kernel/overflowuid", "rb", buffering=0) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 65534


def _of_somebody_else(path: str, owner: int) -> HostError:
    text = f"use {path}: it belongs to user {owner}, not to us"
    return HostError(text, "not-ours", path=path, owner=owner)


def _writable(path: str) -> HostError:
    return HostError(f"use {path}: other users may write to it", "not-ours", path=path)


def path_error(verb: str, path: str, error: OSError) -> HostError:
    """What the kernel says of a path of the state directory."""
    return HostError.of(verb, path, error.errno or EIO, code="state-directory")
