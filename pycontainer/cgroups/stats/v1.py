"""Statistics of cgroup v1: Documentation/admin-guide/cgroup-v1/."""

from __future__ import annotations

import posix

from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.cgroups.stats.common import CPUSET, cpu, huge_page_sizes, memory_entry, number_list
from pycontainer.linux.files import Files, present

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NANOSECONDS = 1_000_000_000
# Where block I/O is counted, best first: BFQ with debugging, BFQ, CFQ, throttling.
# (prefix of the files, suffix, whether the set has all files of IO_ALL, or only those of IO_FEW)
IO_SETS = (
    ("blkio.bfq.", "_recursive", True),
    ("blkio.bfq.", "_recursive", False),
    ("blkio.", "_recursive", True),
    ("blkio.throttle.", "_recursive", False),
    ("blkio.throttle.", "", False),
)
IO_FEW = {"io_serviced": "ioServicedRecursive", "io_service_bytes": "ioServiceBytesRecursive"}
IO_ALL = {
    "sectors": "sectorsRecursive",
    "io_service_time": "ioServiceTimeRecursive",
    "io_wait_time": "ioWaitTimeRecursive",
    "io_merged": "ioMergedRecursive",
    "io_queued": "ioQueueRecursive",
    "time": "ioTimeRecursive",
    **IO_FEW,
}


def fill(paths: CgroupPaths, document: dict[str, Any]) -> None:
    """Put the cgroup's numbers into the document of stats.collect."""

    def files(controller: str) -> Files:
        return Files(paths.directory(controller))

    document["cpu"] = _cpu(files("cpuacct"), files("cpu"))
    document["cpuset"] = _cpuset(files("cpuset"))
    document["memory"] = _memory(files("memory"))
    pids = files("pids")
    limit = pids.text("pids.max").strip()
    document["pids"] = present(
        current=pids.number("pids.current"), limit=int(limit) if limit.isdigit() else 0
    )
    document["blkio"] = _blkio(files("blkio"))
    huge = files("hugetlb")
    for size in huge_page_sizes():
        for prefix in (f"hugetlb.{size}.rsvd.", f"hugetlb.{size}."):
            usage = huge.number(prefix + "usage_in_bytes")
            if usage is not None:
                document["hugetlb"][size] = {
                    **present(usage=usage, max=huge.number(prefix + "max_usage_in_bytes")),
                    "failcnt": huge.number(prefix + "failcnt") or 0,
                }
                break


def _cpu(account: Files, limits: Files) -> dict[str, Any]:
    tick = NANOSECONDS // posix.sysconf("SC_CLK_TCK")
    modes = account.pairs("cpuacct.stat")
    kernel, user = [], []
    for line in account.text("cpuacct.usage_all").splitlines()[1:]:
        words = line.split()
        if len(words) >= 3:
            user.append(int(words[1]))
            kernel.append(int(words[2]))
    usage = present(
        total=account.number("cpuacct.usage"),
        percpu=[int(word) for word in account.text("cpuacct.usage_percpu").split()],
        percpu_kernel=kernel,
        percpu_user=user,
    )
    usage["kernel"] = modes.get("system", 0) * tick
    usage["user"] = modes.get("user", 0) * tick
    found = limits.pairs("cpu.stat")
    throttling = tuple(found.get(n, 0) for n in ("nr_periods", "nr_throttled", "throttled_time"))
    return cpu(usage, throttling, {})  # type: ignore[arg-type]


def _cpuset(files: Files) -> dict[str, Any]:
    found = {name: files.number(f"cpuset.{name}") or 0 for name in CPUSET}
    lists = {name: number_list(files.text(f"cpuset.{name}")) for name in ("cpus", "mems")}
    return {**present(**lists), **found}


def _memory(files: Files) -> dict[str, Any]:
    raw = files.pairs("memory.stat")
    entries = {}
    for name, prefix in (
        ("usage", "memory"),
        ("swap", "memory.memsw"),
        ("kernel", "memory.kmem"),
        ("kernelTCP", "memory.kmem.tcp"),
    ):
        usage, limit, peak, failures = (
            files.number(f"{prefix}.{file}") or 0
            for file in ("usage_in_bytes", "limit_in_bytes", "max_usage_in_bytes", "failcnt")
        )
        entries[name] = memory_entry(usage, limit, peak, failures)
    return present(cache=raw.get("cache", 0), **entries, raw=raw)


def _blkio(files: Files) -> dict[str, Any]:
    for prefix, suffix, complete in IO_SETS:
        names = IO_ALL if complete else IO_FEW
        first = next(iter(names))
        if not _entries(files.text(f"{prefix}{first}{suffix}")):
            continue
        return present(
            **{
                table: _entries(files.text(f"{prefix}{name}{suffix}"))
                for name, table in names.items()
            }
        )
    return {}


def _entries(text: str) -> list[dict[str, Any]]:
    """Lines `MAJOR:MINOR [OPERATION] NUMBER`; the line of the total has no device."""
    found = []
    for line in text.splitlines():
        words = line.replace(":", " ").split()
        if len(words) in (3, 4) and words[0].isdigit():
            operation = words[2] if len(words) == 4 else ""
            found.append(
                present(
                    major=int(words[0]), minor=int(words[1]), op=operation, value=int(words[-1])
                )
            )
    return found
