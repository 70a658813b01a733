"""Statistics of cgroup v2, named as those of v1: Documentation/admin-guide/cgroup-v2.rst."""

from __future__ import annotations

from pycontainer.cgroups.files import processes
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.cgroups.stats.common import cpu, huge_page_sizes, memory_entry, pressure
from pycontainer.linux.files import NO_LIMIT, Files, present

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# item of io.stat -> (table, operation)
IO = {
    "rbytes": ("ioServiceBytesRecursive", "Read"),
    "wbytes": ("ioServiceBytesRecursive", "Write"),
    "rios": ("ioServicedRecursive", "Read"),
    "wios": ("ioServicedRecursive", "Write"),
}


def fill(paths: CgroupPaths, document: dict[str, Any]) -> None:
    """Put the cgroup's numbers into the document of stats.collect."""
    files = Files(paths.unified)
    document["cpu"] = _cpu(files)
    document["memory"] = _memory(files)
    limit, current = files.number("pids.max"), files.number("pids.current")
    if current is None:  # the controller is not given to this cgroup
        current = len(processes(paths.unified))
    document["pids"] = present(current=current, limit=0 if limit == NO_LIMIT else limit)
    document["blkio"] = _io(files)
    for size in huge_page_sizes():
        usage = files.number(f"hugetlb.{size}.rsvd.current")
        if usage is None:
            usage = files.number(f"hugetlb.{size}.current")
        if usage is not None:
            failures = files.pairs(f"hugetlb.{size}.events").get("max", 0)
            document["hugetlb"][size] = {**present(usage=usage), "failcnt": failures}


def _cpu(files: Files) -> dict[str, Any]:
    found = files.pairs("cpu.stat")
    usage = present(total=found.get("usage_usec", 0) * 1000)
    usage["kernel"] = found.get("system_usec", 0) * 1000
    usage["user"] = found.get("user_usec", 0) * 1000
    throttled = found.get("throttled_usec", 0) * 1000
    throttling = (found.get("nr_periods", 0), found.get("nr_throttled", 0), throttled)
    return cpu(usage, throttling, pressure(files, "cpu.pressure"))


def _memory(files: Files) -> dict[str, Any]:
    raw = files.pairs("memory.stat")
    usage, limit, peak = _amounts(files, "memory")
    swap, swap_limit, _ = _amounts(files, "memory.swap")
    # v1 counts memory and swap together there.
    total = swap_limit if swap_limit == NO_LIMIT else swap_limit + limit
    return present(
        cache=raw.get("file", 0),
        usage=memory_entry(usage, limit, peak, 0),
        swap=memory_entry(swap + usage, min(total, NO_LIMIT), 0, 0),
        raw=raw,
        psi=pressure(files, "memory.pressure"),
    )


def _amounts(files: Files, name: str) -> tuple[int, int, int]:
    """Usage, limit, and peak (kernel 5.19; of swap 6.5)."""
    names = (f"{name}.current", f"{name}.max", f"{name}.peak")
    usage, limit, peak = (files.number(file) or 0 for file in names)
    return usage, limit, peak


def _io(files: Files) -> dict[str, Any]:
    tables: dict[str, list[dict[str, Any]]] = {}
    for line in files.text("io.stat").splitlines():
        device, *items = line.split()
        major, _, minor = device.partition(":")
        for item in items:
            name, _, value = item.partition("=")
            if name in IO and minor:
                table, operation = IO[name]
                entry = present(major=int(major), minor=int(minor), op=operation, value=int(value))
                tables.setdefault(table, []).append(entry)
    return present(**tables, psi=pressure(files, "io.pressure"))
