"""Memory that ran out: how often, at what limit; and watching for it.

v2: memory.events of the cgroup, which counts those below it too, and notifies by poll(2). v1: an
eventfd registered with memory.oom_control; it is also signalled when the cgroup is removed.
"""

from __future__ import annotations

import posix
import select
from errno import ENODEV, ENOENT

from pycontainer.base.errors import HostError
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.linux.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNLIMITED = 1 << 62  # v1 writes "no limit" as the largest multiple of a page


def kills(paths: CgroupPaths) -> int:
    """How many processes the kernel killed for lack of memory; 0 if that is not known."""
    name = "memory.events" if paths.mode == "v2" else "memory.oom_control"
    try:
        for line in read_text(f"{paths.directory('memory')}/{name}").splitlines():
            if line.startswith("oom_kill "):
                return int(line[9:])
    except OSError:
        pass
    return 0


def report(paths: CgroupPaths, refused: bool = False) -> dict[str, Any]:
    """{"kills": n, "limit": bytes, "peak": bytes}, what is known of it; {} without a kill.

    `refused`: memory that was not given counts as well; an exec fails of that without a kill.
    """
    count = kills(paths)
    if count or (refused and _refusals(paths)):
        return {"kills": count, **amounts(paths)}
    return {}


def _refusals(paths: CgroupPaths) -> int:
    """How often the limit was hit."""
    v2 = paths.mode == "v2"
    name = "memory.events" if v2 else "memory.failcnt"
    try:
        text = read_text(f"{paths.directory('memory')}/{name}")
    except OSError:
        return 0
    if not v2:
        return int(text)
    counts = dict(line.split() for line in text.splitlines())
    return int(counts.get("max", 0)) + int(counts.get("oom", 0))


def amounts(paths: CgroupPaths) -> dict[str, Any]:
    """The limit and the peak in bytes, as far as there are such."""
    v2 = paths.mode == "v2"
    names = {
        "limit": "memory.max" if v2 else "memory.limit_in_bytes",
        "peak": "memory.peak" if v2 else "memory.max_usage_in_bytes",
    }
    found: dict[str, Any] = {}
    for key, name in names.items():
        try:
            text = read_text(f"{paths.directory('memory')}/{name}").strip()
        except OSError:
            continue  # memory.peak is of kernel 5.19
        if text.isdigit() and int(text) < UNLIMITED:
            found[key] = int(text)
    return found


def words(found: dict[str, Any]) -> str:
    """A report as part of a sentence: `out of memory (limit 65536 bytes, peak 65536 bytes)`."""
    details = [f"{key} {found[key]} bytes" for key in ("limit", "peak") if key in found]
    return "out of memory" + (f" ({', '.join(details)})" if details else "")


class Watch:
    """Tells of OOM kills, and of the cgroup's end. `fd` is for poll(2), with `events`."""

    __slots__ = ("_file", "_paths", "_seen", "events", "fd")

    def __init__(self, paths: CgroupPaths) -> None:
        self._paths = paths
        self._seen = kills(paths)
        directory = paths.directory("memory")
        name = "memory.events" if paths.mode == "v2" else "memory.oom_control"
        try:
            self._file = posix.open(f"{directory}/{name}", posix.O_RDONLY | posix.O_CLOEXEC)
        except FileNotFoundError:
            raise HostError(
                "memory controller missing: nothing tells when the container runs out of memory",
                "no-memory-controller",
            ) from None
        self.fd, self.events = self._file, select.POLLPRI
        if paths.mode != "v2":
            self.fd = posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
            self.events = select.POLLIN
            control = posix.open(
                f"{directory}/cgroup.event_control", posix.O_WRONLY | posix.O_CLOEXEC
            )
            try:
                posix.write(control, f"{self.fd} {self._file}".encode())
            finally:
                posix.close(control)

    def close(self) -> None:
        """Stop watching."""
        for fd in {self.fd, self._file}:
            posix.close(fd)

    def news(self) -> int | None:
        """OOM kills since the last time; None when the cgroup is gone.

        v1 signals before the kill is counted, and also with the killer off, so one at least.
        """
        if self._paths.mode == "v2":
            try:
                posix.pread(self._file, 1, 0)  # or poll keeps saying that there is something
            except OSError as error:
                if error.errno in (ENODEV, ENOENT):
                    return None
                raise
        else:
            try:
                posix.eventfd_read(self.fd)
            except BlockingIOError:
                return 0
        if not posix.access(self._paths.directory("memory"), posix.F_OK):
            return None
        count = kills(self._paths)
        fresh, self._seen = count - self._seen, count
        return fresh if self._paths.mode == "v2" else max(1, fresh)
