"""Prometheus text of a fleet: names, units and labels as cAdvisor has them where it has them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from pycontainer.monitor.fleet import Row
from pycontainer.monitor.sample import Sample

Labels = dict[str, str]
Value = tuple[Labels, float]


def _one(name: str, scale: float = 1) -> Callable[[Row, Sample], Iterator[Value]]:
    def values(row: Row, sample: Sample) -> Iterator[Value]:
        yield {}, getattr(sample, name) * scale

    return values


def _limit(name: str) -> Callable[[Row, Sample], Iterator[Value]]:
    """0 says that there is none, as in cAdvisor."""
    return _one(name)


def _pressure(resource: str, part: int) -> Callable[[Row, Sample], Iterator[Value]]:
    def values(row: Row, sample: Sample) -> Iterator[Value]:
        if resource in sample.pressure:
            yield {}, sample.pressure[resource][part]

    return values


def _quota(row: Row, sample: Sample) -> Iterator[Value]:
    if sample.cpu_quota:
        yield {}, round(sample.cpu_quota * sample.cpu_period)


def _quota_period(row: Row, sample: Sample) -> Iterator[Value]:
    if sample.cpu_quota:
        yield {}, sample.cpu_period


def _failures(row: Row, sample: Sample) -> Iterator[Value]:
    yield {}, sample.oom_kills


# name, type, help, values
METRICS: tuple[tuple[str, str, str, Callable[[Row, Sample], Iterator[Value]]], ...] = (
    ("cpu_usage_seconds_total", "counter", "CPU time used.", _one("cpu")),
    ("cpu_user_seconds_total", "counter", "CPU time used in user mode.", _one("cpu_user")),
    ("cpu_system_seconds_total", "counter", "CPU time used in the kernel.", _one("cpu_system")),
    ("cpu_cfs_periods_total", "counter", "Periods of the CPU quota.", _one("periods")),
    ("cpu_cfs_throttled_periods_total", "counter", "Periods in which the CPU quota was used up.",
     _one("throttled_periods")),
    ("cpu_cfs_throttled_seconds_total", "counter", "Time in which the CPU quota kept it waiting.",
     _one("throttled")),
    ("memory_usage_bytes", "gauge", "Memory used, with all caches.", _one("memory")),
    ("memory_working_set_bytes", "gauge", "Memory used, without inactive files.",
     _one("working_set")),
    ("memory_rss", "gauge", "Anonymous memory.", _one("anonymous")),
    ("memory_cache", "gauge", "Memory of cached files.", _one("file")),
    ("memory_swap", "gauge", "Swap used.", _one("swap")),
    ("memory_max_usage_bytes", "gauge", "Most memory ever used.", _one("memory_peak")),
    ("oom_events_total", "counter", "Processes killed for lack of memory.", _failures),
    ("fs_reads_bytes_total", "counter", "Bytes read from block devices.", _one("read_bytes")),
    ("fs_writes_bytes_total", "counter", "Bytes written to block devices.", _one("write_bytes")),
    ("fs_reads_total", "counter", "Reads from block devices.", _one("reads")),
    ("fs_writes_total", "counter", "Writes to block devices.", _one("writes")),
    ("threads", "gauge", "Processes and threads.", _one("pids")),
    ("threads_max", "gauge", "Most processes and threads (0: no limit).", _limit("pids_limit")),
    ("spec_memory_limit_bytes", "gauge", "Memory limit (0: none).", _limit("memory_limit")),
    ("spec_cpu_quota", "gauge", "CPU quota in microseconds.", _quota),
    ("spec_cpu_period", "gauge", "Period of the CPU quota in microseconds.", _quota_period),
    ("pressure_cpu_waiting_seconds_total", "counter", "Time in which some waited for a CPU.",
     _pressure("cpu", 0)),
    ("pressure_cpu_stalled_seconds_total", "counter", "Time in which all waited for a CPU.",
     _pressure("cpu", 1)),
    ("pressure_memory_waiting_seconds_total", "counter", "Time in which some waited for memory.",
     _pressure("memory", 0)),
    ("pressure_memory_stalled_seconds_total", "counter", "Time in which all waited for memory.",
     _pressure("memory", 1)),
    ("pressure_io_waiting_seconds_total", "counter", "Time in which some waited for I/O.",
     _pressure("io", 0)),
    ("pressure_io_stalled_seconds_total", "counter", "Time in which all waited for I/O.",
     _pressure("io", 1)),
)  # fmt: skip
STATUSES = ("creating", "created", "running", "paused", "stopped", "broken")


def text(rows: Sequence[Row]) -> str:
    """The exposition format, version 0.0.4."""
    names = [_labels(row) for row in rows]
    lines: list[str] = []
    for name, kind, explanation, values in METRICS:
        full = f"container_{name}"
        found = [
            _line(full, labels | extra, value)
            for row, labels in zip(rows, names, strict=True)
            if row.sample is not None
            for extra, value in values(row, row.sample)
        ]
        if found:
            lines += [f"# HELP {full} {explanation}", f"# TYPE {full} {kind}", *found]
    lines += _of_facts(rows, names)
    return "".join(f"{line}\n" for line in lines)


def _of_facts(rows: Sequence[Row], names: Sequence[Labels]) -> Iterator[str]:
    """What is known without a cgroup, too."""
    both = list(zip(rows, names, strict=True))
    yield "# HELP container_start_time_seconds When it was created, since 1970."
    yield "# TYPE container_start_time_seconds gauge"
    yield from (_line("container_start_time_seconds", n, r.created) for r, n in both if r.created)
    yield "# HELP container_last_seen When it was last looked at, since 1970."
    yield "# TYPE container_last_seen gauge"
    now = float(int(time.time()))
    yield from (_line("container_last_seen", n, now) for r, n in both if r.sample)
    yield "# HELP pycontainer_container_idle_seconds Time since it did something, as was seen."
    yield "# TYPE pycontainer_container_idle_seconds gauge"
    yield from (
        _line("pycontainer_container_idle_seconds", n, r.idle)
        for r, n in both
        if r.idle is not None
    )
    yield "# HELP pycontainer_containers Containers by status."
    yield "# TYPE pycontainer_containers gauge"
    for status in STATUSES:
        count = sum(row.status == status for row in rows)
        yield _line("pycontainer_containers", {"status": status}, count)


def _labels(row: Row) -> Labels:
    return {"id": row.cgroup, "name": row.id, "image": row.image, "engine": row.engine}


def _line(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    shown = str(int(value)) if value == int(value) else repr(float(value))
    return f"{name}{{{inner}}} {shown}"


def _escaped(value: str) -> str:
    safe = value.encode("utf-8", "replace").decode()
    return safe.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
