"""What a container uses, in the shape of runc's `events` (types/events.go of runc).

Times are nanoseconds, sizes bytes; as there, most members that are zero are left out. A file that
the kernel does not have leaves its members out, too: statistics are for looking at.
"""

from __future__ import annotations

import posix

from pycontainer.cgroups.files import read_text
from pycontainer.cgroups.paths import CgroupPaths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NO_LIMIT = 2**64 - 1


def collect(paths: CgroupPaths) -> dict[str, Any]:
    """The statistics of the cgroup at `paths`, as of now."""
    if paths.mode == "v2":
        from pycontainer.cgroups.stats import v2 as version
    else:
        from pycontainer.cgroups.stats import v1 as version  # type: ignore[no-redef]
    document: dict[str, Any] = {
        "cpu": {},
        "cpuset": dict.fromkeys(CPUSET, 0),
        "memory": {},
        "pids": {},
        "blkio": {},
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": None,
    }
    version.fill(paths, document)
    return document


CPUSET = (
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
)


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


def memory_entry(usage: int, limit: int, peak: int, failures: int) -> dict[str, int]:
    """One kind of memory; {} when nothing is known of it."""
    if not (usage or limit or peak or failures):
        return {}
    return {
        "limit": limit,
        **present(usage=usage, max=peak),
        "failcnt": failures,
    }


def pressure(files: Files, name: str) -> dict[str, Any]:
    """Pressure stall information (kernel 4.20): averages in percent, the total in microseconds."""
    found: dict[str, Any] = {}
    for line in files.text(name).splitlines():
        kind, *pairs = line.split()
        if kind in ("some", "full"):
            values = dict(pair.split("=", 1) for pair in pairs)
            found[kind] = {
                key: int(value) if key == "total" else float(value) for key, value in values.items()
            }
    return found


def number_list(text: str) -> list[int]:
    """A list like 0-2,5 spelled out."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        if first:
            numbers += range(int(first), int(last if dash else first) + 1)
    return numbers


def cpu(
    usage: dict[str, Any], throttling: tuple[int, int, int], psi: dict[str, Any]
) -> dict[str, Any]:
    """`throttling` is periods, throttled periods, and nanoseconds."""
    periods, throttled, time = throttling
    document = {
        "usage": {"kernel": 0, "user": 0, **usage},
        "throttling": present(periods=periods, throttledPeriods=throttled, throttledTime=time),
    }
    return present(**document, psi=psi)


def huge_page_sizes() -> list[str]:
    """As the files of the hugetlb controller spell them: 2MB, 1GB."""
    try:
        names = posix.listdir("/sys/kernel/mm/hugepages")
    except OSError:
        return []
    sizes = []
    for name in sorted(names):
        size = int(name.removeprefix("hugepages-").removesuffix("kB"))
        units = ["GB", "MB", "KB"]
        while len(units) > 1 and size % 1024 == 0:
            size //= 1024
            units.pop()
        sizes.append(f"{size}{units[-1]}")
    return sizes
