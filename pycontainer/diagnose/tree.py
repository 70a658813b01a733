"""Follow a path in a container's root file system, and say where it ends, and why there.

Input: a descriptor of the container's root directory, in its mount namespace. Symbolic links are
followed inside of that root, component by component, as the kernel does for a process in there.
Nothing is opened but for its name (O_PATH): a device or a fifo of the image has no effect on us.
"""

from __future__ import annotations

import os
import stat
from errno import ELOOP, ENOENT, ENOTDIR

_LINKS = 40  # the kernel's own limit (MAXSYMLINKS)
_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_ENTRIES = 20000  # names of one directory that are looked at


class Unseen(Exception):
    """The path leads into a mount that is not there yet."""


class Node:
    """A file on the way: its path in the container, descriptor, status and mount."""

    __slots__ = ("fd", "mount", "path", "status")

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path
        self.status = os.fstat(fd)
        self.mount = _mount_id(fd)

    @property
    def is_dir(self) -> bool:
        """Whether something can be looked up in it."""
        return stat.S_ISDIR(self.status.st_mode)


class Walk:
    """What became of following a path; `close` when it is no longer needed.

    `errno` is 0 when the path leads to `end`; else `end` is the last node that was reached and
    `missing` the component that follows it there. `directories` are those that were searched,
    `link` the last symbolic link that was followed: (its path, its target).

    `mounts` are for a container that does not exist yet: what will lie where, as sources of the
    host; "" for what cannot be looked into before (Unseen).
    """

    def __init__(
        self, root: int, path: str, cwd: str = "/", mounts: dict[str, str] | None = None
    ) -> None:
        self._mounts = mounts or {}
        self.errno = 0
        self.missing = ""
        self.link = ("", "")
        self.directories: list[Node] = []
        self._opened: list[int] = []
        self._links = 0
        self._stack = [Node(self._keep(os.open(".", _FLAGS, dir_fd=root)), "/")]
        self._root = self._stack[0]
        self._follow(path if path.startswith("/") else f"{cwd}/{path}")
        self.end = self._stack[-1]

    def close(self) -> None:
        """Give all descriptors back."""
        while self._opened:
            os.close(self._opened.pop())

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def mount_point(self, of: Node | None = None) -> str:
        """Where the file system of a node (`end`) is mounted, as a path in the container."""
        at = of or self.end
        for node in reversed(self._stack):
            if not f"{at.path}/".startswith(f"{node.path.rstrip('/')}/"):
                continue  # below it
            if node.mount != at.mount:
                break
            at = node
        return at.path

    def is_noexec(self) -> bool:
        """Whether nothing may be executed on the mount of `end`."""
        return bool(os.fstatvfs(self.end.fd).f_flag & os.ST_NOEXEC)

    def _keep(self, fd: int) -> int:
        self._opened.append(fd)
        return fd

    def _follow(self, path: str) -> None:
        parts = [part for part in path.split("/") if part not in ("", ".")][::-1]
        while parts and not self.errno:
            part, here = parts.pop(), self._stack[-1]
            if not here.is_dir:
                self.errno, self.missing = ENOTDIR, part
            elif part == "..":
                if len(self._stack) > 1:
                    self._stack.pop()
            else:
                self.directories.append(here)
                self._enter(here, part, parts)

    def _enter(self, here: Node, part: str, parts: list[str]) -> None:
        path = f"{here.path.rstrip('/')}/{part}"
        source = self._mounts.get(path)
        try:
            if source == "":
                raise Unseen(path)
            place = (part, here.fd) if source is None else (source, None)
            fd = self._keep(os.open(place[0], _FLAGS, dir_fd=place[1]))
        except OSError as error:
            if any(mount.startswith(f"{path}/") for mount in self._mounts):
                raise Unseen(path) from None  # a directory that is made for a mount
            self.errno, self.missing = error.errno or ENOENT, part
            return
        node = Node(fd, path)
        if not stat.S_ISLNK(node.status.st_mode):
            self._stack.append(node)
            return
        target = os.readlink("", dir_fd=fd)
        self._links += 1
        self.link = (node.path, target)
        if self._links > _LINKS:
            self.errno, self.missing = ELOOP, part
            return
        if target.startswith("/"):
            self._stack = [self._root]
        parts += [part for part in target.split("/") if part not in ("", ".")][::-1]


def names(node: Node) -> list[str]:
    """What is in a directory, as far as we may know."""
    try:
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=node.fd)
    except OSError:
        return []
    try:
        with os.scandir(fd) as entries:
            return [entry.name for _, entry in zip(range(_ENTRIES), entries, strict=False)]
    finally:
        os.close(fd)


def _mount_id(fd: int) -> str:
    with open(f"/proc/self/fdinfo/{fd}", encoding="utf-8") as file:
        return next((line for line in file if line.startswith("mnt_id:")), "")
