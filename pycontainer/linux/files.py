"""Reads and writes the small files of procfs, sysfs and cgroupfs with few system calls."""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

READ = posix.O_RDONLY | posix.O_CLOEXEC
WRITE = posix.O_WRONLY | posix.O_CLOEXEC
NO_LIMIT = 2**64 - 1  # what "max" reads as


def read_text(path: str) -> str:
    """The whole file; OSError as the kernel gives it."""
    fd = posix.open(path, READ)
    try:
        data = posix.read(fd, 65536)
        if len(data) < 4096:  # seq_file hands out at most a page at a time: this was all
            return data.decode("utf-8", "replace")
        chunks = [data]
        while data := posix.read(fd, 65536):
            chunks.append(data)
        return b"".join(chunks).decode("utf-8", "replace")
    finally:
        posix.close(fd)


def write_text(path: str, value: str) -> None:
    """One write(2) of `value`; OSError as the kernel gives it. Creates nothing."""
    fd = posix.open(path, WRITE)
    try:
        posix.write(fd, value.encode("utf-8", "surrogatepass"))
    finally:
        posix.close(fd)


def close_all(*fds: int) -> None:
    """Close descriptors, those that are not negative. No failure: each one is given up in any case,
    and close(2) tells of lost data only where files are written."""
    for fd in fds:
        if fd >= 0:
            posix.closerange(fd, fd + 1)


class Files:
    """Reads the files of one directory; a missing file, or directory, reads as nothing."""

    __slots__ = ("directory",)

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def text(self, name: str) -> str:
        """The file, "" when there is none (or it cannot be read: EOPNOTSUPP of PSI)."""
        if not self.directory:
            return ""
        try:
            return read_text(f"{self.directory}/{name}")
        except OSError:
            return ""

    def number(self, name: str) -> int | None:
        """The file's only number; "max" is 2**64 - 1."""
        text = self.text(name).strip()
        if text == "max":
            return NO_LIMIT
        return int(text) if text.lstrip("-").isdigit() else None

    def pairs(self, name: str) -> dict[str, int]:
        """The lines `KEY NUMBER` of a file."""
        found = {}
        for line in self.text(name).splitlines():
            key, _, value = line.rpartition(" ")
            if value.isdigit():
                found[key] = int(value)
        return found


def present(**members: Any) -> dict[str, Any]:
    """The members that aren't zero, empty or None."""
    return {name: value for name, value in members.items() if value}
