"""What one container uses at one moment, read from as few small files as will do.

A thousand of these are read every few seconds, so a file is read with three system calls and only
the wanted lines of it are parsed. Limits change rarely and are read every tenth time.
"""

from __future__ import annotations

import os
from time import monotonic

from pycontainer.cgroups.paths import CgroupPaths

_READ = os.O_RDONLY | os.O_CLOEXEC
_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
NO_LIMIT = 1 << 62  # v1 writes the largest multiple of a page
REREAD = 10  # samples between two readings of limits
RESOURCES = ("cpu", "memory", "io")


class Sample:
    """Counters are totals since the cgroup was made; times are seconds, sizes bytes."""

    def __init__(self) -> None:
        self.time = monotonic()
        self.cpu = self.cpu_user = self.cpu_system = 0.0
        self.periods = self.throttled_periods = 0
        self.throttled = 0.0
        self.memory = self.inactive_file = self.anonymous = self.file = self.swap = 0
        self.oom_kills = 0
        self.pids = 0
        self.read_bytes = self.write_bytes = self.reads = self.writes = 0
        # resource → seconds in which some, and all, of its processes waited
        self.pressure: dict[str, tuple[float, float]] = {}
        self.memory_limit = self.pids_limit = 0  # 0: none
        self.memory_peak = 0
        self.cpu_quota = 0.0  # processors
        self.cpu_period = 0  # microseconds, 0: no quota

    @property
    def working_set(self) -> int:
        """Memory without what the kernel can drop at once, as cAdvisor has it."""
        return max(0, self.memory - self.inactive_file)


class Reader:
    """Reads one container's cgroup again and again."""

    def __init__(self, paths: CgroupPaths) -> None:
        self.paths = paths
        self.directory = paths.unified or paths.directory("memory") or paths.directory("pids")
        self._limits: Sample | None = None
        self._reads = 0

    def read(self) -> Sample | None:
        """None when the cgroup is gone, or there was none."""
        sample = Sample()
        mode = self.paths.mode
        fill = _fill_v2 if mode == "v2" else _fill_v1
        if mode not in ("v1", "v2", "hybrid") or not fill(self.paths, sample):
            return None
        self._add_limits(sample)
        return sample

    def _add_limits(self, sample: Sample) -> None:
        if self._limits is None or self._reads % REREAD == 0:
            self._limits = Sample()
            (_limits_v2 if self.paths.mode == "v2" else _limits_v1)(self.paths, self._limits)
        self._reads += 1
        for name in ("memory_limit", "pids_limit", "memory_peak", "cpu_quota", "cpu_period"):
            setattr(sample, name, getattr(self._limits, name))


def _read(path: str) -> bytes:
    """The file, b"" when there is none."""
    try:
        fd = os.open(path, _READ)
    except OSError:
        return b""
    try:
        return os.read(fd, 8192)
    except OSError:  # EOPNOTSUPP of pressure, ENODEV of a cgroup that goes
        return b""
    finally:
        os.close(fd)


def _number(path: str) -> int:
    """The file's only number; 0 for "max" and for what v1 calls no limit."""
    text = _read(path)
    try:
        value = int(text)
    except ValueError:
        return 0
    return 0 if value >= NO_LIMIT else value


def _line(text: bytes, key: bytes) -> int:
    """The number in the line `KEY NUMBER`, 0 without one."""
    at = 0 if text.startswith(key + b" ") else text.find(b"\n" + key + b" ") + 1
    if at == 0 and not text.startswith(key + b" "):
        return 0
    at += len(key) + 1
    end = text.find(b"\n", at)
    return int(text[at : end if end >= 0 else None])


def _fill_v2(paths: CgroupPaths, sample: Sample) -> bool:
    base = paths.unified
    stat = _read(f"{base}/cpu.stat")
    if not stat:
        return False
    sample.cpu = _line(stat, b"usage_usec") / 1e6
    sample.cpu_user = _line(stat, b"user_usec") / 1e6
    sample.cpu_system = _line(stat, b"system_usec") / 1e6
    sample.periods = _line(stat, b"nr_periods")
    sample.throttled_periods = _line(stat, b"nr_throttled")
    sample.throttled = _line(stat, b"throttled_usec") / 1e6
    sample.memory = _number(f"{base}/memory.current")
    stat = _read(f"{base}/memory.stat")
    sample.inactive_file = _line(stat, b"inactive_file")
    sample.anonymous = _line(stat, b"anon")
    sample.file = _line(stat, b"file")
    sample.swap = _number(f"{base}/memory.swap.current")
    sample.oom_kills = _line(_read(f"{base}/memory.events"), b"oom_kill")
    sample.pids = _number(f"{base}/pids.current")
    for line in _read(f"{base}/io.stat").splitlines():
        for item in line.split()[1:]:
            name, _, value = item.partition(b"=")
            if name in _IO:
                setattr(sample, _IO[name], getattr(sample, _IO[name]) + int(value))
    for resource in RESOURCES:
        totals = [
            int(line.rpartition(b"total=")[2]) / 1e6
            for line in _read(f"{base}/{resource}.pressure").splitlines()
        ]
        if totals:
            sample.pressure[resource] = (totals[0], totals[1] if len(totals) > 1 else 0.0)
    return True


_IO = {b"rbytes": "read_bytes", b"wbytes": "write_bytes", b"rios": "reads", b"wios": "writes"}


def _limits_v2(paths: CgroupPaths, sample: Sample) -> None:
    base = paths.unified
    sample.memory_limit = _number(f"{base}/memory.max")
    sample.pids_limit = _number(f"{base}/pids.max")
    sample.memory_peak = _number(f"{base}/memory.peak")
    quota, _, period = _read(f"{base}/cpu.max").partition(b" ")
    if quota.isdigit() and period:
        sample.cpu_period = int(period)
        sample.cpu_quota = int(quota) / sample.cpu_period


def _fill_v1(paths: CgroupPaths, sample: Sample) -> bool:
    account, cpu = paths.directory("cpuacct"), paths.directory("cpu")
    memory, pids, blkio = (paths.directory(name) for name in ("memory", "pids", "blkio"))
    usage = _read(f"{account}/cpuacct.usage")
    current = _read(f"{pids}/pids.current")
    if not usage and not current and not os.path.isdir(memory):
        return False
    sample.cpu = int(usage or 0) / 1e9
    stat = _read(f"{account}/cpuacct.stat")
    sample.cpu_user = _line(stat, b"user") * _TICK / 1e9
    sample.cpu_system = _line(stat, b"system") * _TICK / 1e9
    stat = _read(f"{cpu}/cpu.stat")
    sample.periods = _line(stat, b"nr_periods")
    sample.throttled_periods = _line(stat, b"nr_throttled")
    sample.throttled = _line(stat, b"throttled_time") / 1e9
    sample.memory = _number(f"{memory}/memory.usage_in_bytes")
    stat = _read(f"{memory}/memory.stat")
    sample.inactive_file = _line(stat, b"total_inactive_file")
    sample.anonymous = _line(stat, b"total_rss")
    sample.file = _line(stat, b"total_cache")
    sample.swap = _line(stat, b"total_swap")
    sample.oom_kills = _line(_read(f"{memory}/memory.oom_control"), b"oom_kill")
    sample.pids = int(current or 0)
    sample.read_bytes, sample.write_bytes = _blkio(f"{blkio}/blkio.throttle.io_service_bytes")
    sample.reads, sample.writes = _blkio(f"{blkio}/blkio.throttle.io_serviced")
    return True


def _blkio(path: str) -> tuple[int, int]:
    """Read and written, of all devices."""
    found = {b"Read": 0, b"Write": 0}
    text = _read(f"{path}_recursive") or _read(path)
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in found:
            found[words[1]] += int(words[2])
    return found[b"Read"], found[b"Write"]


def _limits_v1(paths: CgroupPaths, sample: Sample) -> None:
    memory, cpu = paths.directory("memory"), paths.directory("cpu")
    sample.memory_limit = _number(f"{memory}/memory.limit_in_bytes")
    sample.memory_peak = _number(f"{memory}/memory.max_usage_in_bytes")
    sample.pids_limit = _number(f"{paths.directory('pids')}/pids.max")
    quota, period = _number(f"{cpu}/cpu.cfs_quota_us"), _number(f"{cpu}/cpu.cfs_period_us")
    if quota > 0 and period:
        sample.cpu_period = period
        sample.cpu_quota = quota / period
