"""What the statistics of cgroup v1 and v2 share."""

from __future__ import annotations

import posix

from pycontainer.linux.files import Files, present

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
