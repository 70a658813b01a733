"""Reads and writes the small files of cgroupfs with as few system calls as possible."""

from __future__ import annotations

import posix

READ = posix.O_RDONLY | posix.O_CLOEXEC
WRITE = posix.O_WRONLY | posix.O_CLOEXEC


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


def subdirectories(path: str) -> list[str]:
    """The child cgroups' directories; none when the cgroup is gone."""
    try:
        if posix.stat(path).st_nlink == 2:  # cgroupfs counts child directories there
            return []
        with posix.scandir(path) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        from errno import ENODEV

        if error.errno == ENODEV:  # removed while it was read
            return []
        raise


def processes(path: str, recursive: bool = True) -> list[int]:
    """The pids in the cgroup, and in those below it. A cgroup that is gone has none.

    A threaded v2 cgroup does not list processes (EOPNOTSUPP); its threads are given then. Pids of
    other pid namespaces read as 0 and are left out.
    """
    try:
        text = read_text(path + "/cgroup.procs")
    except OSError as error:
        from errno import ENODEV, ENOENT, EOPNOTSUPP

        if error.errno in (ENOENT, ENODEV):
            return []
        if error.errno != EOPNOTSUPP:
            raise
        text = read_text(path + "/cgroup.threads")
    pids = [int(line) for line in text.split() if line != "0"]
    if recursive:
        for child in subdirectories(path):
            pids += processes(child)
    return pids
