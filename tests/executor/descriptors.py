"""What each descriptor of a traced executor stands for, followed call by call.

A name says where a descriptor came from: `root:/dev/pts` is a path inside of the container's root,
`tree:/usr` a detached copy of a host's mount, `fs:tmpfs` a file system that is being configured,
`tree:fs:tmpfs` its mount, `slot:3` one that came with the plan, `host:/x` a path of the host.
"""

from __future__ import annotations

import posixpath
import re

from tests.executor.trace import Call

AT_FDCWD = -100
IN_ROOT = 0x10
CLONE = 1
NEWNS = 0x20000


class Descriptors:
    """The table; `note` brings it up to date with one more call."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {0: "stdio", 1: "stdio", 2: "stdio", 3: "channel"}
        self.coming = -1  # the first slot of the next descriptors; the plan comes before
        self.outside = "host:"  # what a path stands for

    def __getitem__(self, fd: int) -> str:
        return self.names.get(fd, self.outside if fd == AT_FDCWD else f"unknown:{fd}")

    def note(self, call: Call) -> None:
        """Only calls that succeeded change the table."""
        handler = getattr(self, f"_{call.name}", None)
        if handler is not None and call.ok:
            handler(call)

    def _close(self, call: Call) -> None:
        self.names.pop(call.number(0), None)

    def _recvmsg(self, call: Call) -> None:
        found = re.search(r"cmsg_data=\[([0-9, ]+)\]", ",".join(call.args))
        if found:
            fds = [int(part) for part in found[1].split(",")]
            if self.coming < 0:
                self.names[fds.pop(0)] = "plan"
                self.coming = 0
            self.names.update({fd: f"slot:{i}" for i, fd in enumerate(fds, self.coming)})

    def _openat2(self, call: Call) -> None:
        base = self[call.number(0)]
        resolve, path = call.member(2, "resolve"), call.text(1) or ""
        if resolve & IN_ROOT:
            assert base == "root:/", f"{call!r} does not start at the root but at {base}"
        self.names[call.result] = join(base, path)

    def _openat(self, call: Call) -> None:
        base, path = self[call.number(0)], call.text(1) or ""
        again = base.endswith("/self/fd") and path.isdigit()
        self.names[call.result] = self[int(path)] if again else join(base, path)

    def _pivot_root(self, call: Call) -> None:
        self.outside = "root:/"

    def _setns(self, call: Call) -> None:
        """Who joins mounts without making a root of its own (`exec`) has the container's."""
        if call.number(1) == NEWNS:
            self.outside = "root:/"

    def _chroot(self, call: Call) -> None:
        self.outside = "root:/"

    def _open_tree(self, call: Call) -> None:
        base, path = self[call.number(0)], call.text(1) or ""
        assert call.number(2) & CLONE
        name = path if base == "host:" else base if not path else join(base, path)
        self.names[call.result] = f"tree:{name.removeprefix('tree:')}"

    def _fsopen(self, call: Call) -> None:
        self.names[call.result] = f"fs:{call.text(0)}"

    def _fsmount(self, call: Call) -> None:
        self.names[call.result] = f"tree:{self[call.number(0)]}"

    def _move_mount(self, call: Call) -> None:
        if call.number(2) == AT_FDCWD:
            self.names[call.number(0)] = "root:/"

    def _dup3(self, call: Call) -> None:
        self.names[call.result] = self[call.number(0)]

    def _pipe2(self, call: Call) -> None:
        for part in call.args[0].strip("[]").split(","):
            self.names[int(part)] = "pipe"

    def _accept4(self, call: Call) -> None:
        self.names[call.result] = "channel"

    def _ioctl(self, call: Call) -> None:
        if call.number(1) == 0x5441:  # TIOCGPTPEER
            self.names[call.result] = "slave"


def join(base: str, path: str) -> str:
    """`path` below the named place `base`."""
    kind, _, place = base.partition(":")
    whole = posixpath.normpath(f"{place or '/'}/{path}")
    return f"{kind}:{'/' + whole.lstrip('/')}"
