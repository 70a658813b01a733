"""Every metric is what a file of the container's cgroup says, on cgroup v1 and v2."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.monitor.test_monitor import limited, parsed, stats
from tests.support.box import Box

# metric without "container_" → controller of v1, file, word before the number, units per unit
V1 = {
    "cpu_usage_seconds_total": ("cpuacct", "cpuacct.usage", "", 1e9),
    "cpu_user_seconds_total": ("cpuacct", "cpuacct.stat", "user", 100),
    "cpu_system_seconds_total": ("cpuacct", "cpuacct.stat", "system", 100),
    "cpu_cfs_periods_total": ("cpu", "cpu.stat", "nr_periods", 1),
    "cpu_cfs_throttled_periods_total": ("cpu", "cpu.stat", "nr_throttled", 1),
    "cpu_cfs_throttled_seconds_total": ("cpu", "cpu.stat", "throttled_time", 1e9),
    "memory_usage_bytes": ("memory", "memory.usage_in_bytes", "", 1),
    "memory_rss": ("memory", "memory.stat", "total_rss", 1),
    "memory_cache": ("memory", "memory.stat", "total_cache", 1),
    "memory_max_usage_bytes": ("memory", "memory.max_usage_in_bytes", "", 1),
    "oom_events_total": ("memory", "memory.oom_control", "oom_kill", 1),
    "threads": ("pids", "pids.current", "", 1),
    "threads_max": ("pids", "pids.max", "", 1),
    "spec_memory_limit_bytes": ("memory", "memory.limit_in_bytes", "", 1),
    "spec_cpu_quota": ("cpu", "cpu.cfs_quota_us", "", 1),
    "spec_cpu_period": ("cpu", "cpu.cfs_period_us", "", 1),
}
V2 = {
    "cpu_usage_seconds_total": ("", "cpu.stat", "usage_usec", 1e6),
    "cpu_user_seconds_total": ("", "cpu.stat", "user_usec", 1e6),
    "cpu_system_seconds_total": ("", "cpu.stat", "system_usec", 1e6),
    "cpu_cfs_periods_total": ("", "cpu.stat", "nr_periods", 1),
    "cpu_cfs_throttled_periods_total": ("", "cpu.stat", "nr_throttled", 1),
    "cpu_cfs_throttled_seconds_total": ("", "cpu.stat", "throttled_usec", 1e6),
    "memory_usage_bytes": ("", "memory.current", "", 1),
    "memory_rss": ("", "memory.stat", "anon", 1),
    "memory_cache": ("", "memory.stat", "file", 1),
    "memory_swap": ("", "memory.swap.current", "", 1),
    "memory_max_usage_bytes": ("", "memory.peak", "", 1),
    "oom_events_total": ("", "memory.events", "oom_kill", 1),
    "threads": ("", "pids.current", "", 1),
    "threads_max": ("", "pids.max", "", 1),
    "spec_memory_limit_bytes": ("", "memory.max", "", 1),
    "spec_cpu_quota": ("", "cpu.max", "", 1),
}
SLACK = 1 << 18  # bytes that the kernel charges or writes back meanwhile
WORK = "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; head -c 3000000 /dev/zero > /data"


def number(path: Path, word: str) -> float:
    """The first number of the file, or of the line that begins with the word."""
    rows = [line.split() for line in path.read_text().splitlines()]
    if not word:
        return float(rows[0][0])
    return next(float(row[1]) for row in rows if row[0] == word)


@pytest.fixture
def busy(box: Box) -> tuple[str, dict[str, str], str]:
    """A container that has done something and is paused, its cgroup's directories and version."""
    box.needs_a_cgroup()
    name = limited(box, f"{WORK}; sleep 1000")
    time.sleep(2)
    box.pycontainer("pause", name).ok()
    cgroup = json.loads((box.pycontainer.root / name / "state.json").read_text())["cgroup"]
    return name, cgroup["paths"], cgroup["mode"]


def test_metrics_are_those_of_the_files(box: Box, busy: tuple[str, dict[str, str], str]):
    name, paths, mode = busy
    found = parsed(box.pycontainer("metrics").ok().out)
    table = V2 if mode == "v2" else V1
    for metric, (controller, file, word, units) in table.items():
        path = Path(paths[controller]) / file
        if not path.exists():  # memory.peak since Linux 5.19, memory without swap
            continue
        value = found[f"container_{metric}"][name]
        slack = SLACK if metric.startswith("memory") else 0
        assert value == pytest.approx(number(path, word) / units, rel=1e-6, abs=slack), metric
    assert found["container_cpu_usage_seconds_total"][name] > 0
    assert found["container_memory_usage_bytes"][name] > 0
    if mode == "v2":
        for resource in ("cpu", "memory", "io"):
            path = Path(paths[""]) / f"{resource}.pressure"
            for line in path.read_text().splitlines() if path.exists() else ():
                word = {"some": "waiting", "full": "stalled"}[line.split()[0]]
                total = int(line.rpartition("total=")[2]) / 1e6
                metric = f"container_pressure_{resource}_{word}_seconds_total"
                # Time goes on while somebody waits, as frozen processes may.
                assert 0 <= found[metric][name] <= total


def test_stats_are_the_same(box: Box, busy: tuple[str, dict[str, str], str]):
    name, _, _ = busy
    row, found = stats(box)[name], parsed(box.pycontainer("metrics").ok().out)
    for key, metric in {
        "cpu_s": "cpu_usage_seconds_total",
        "memory": "memory_usage_bytes",
        "memory_limit": "spec_memory_limit_bytes",
        "pids": "threads",
        "pids_limit": "threads_max",
        "throttled_s": "cpu_cfs_throttled_seconds_total",
    }.items():
        slack = SLACK if key == "memory" else 0
        value = found[f"container_{metric}"][name]
        assert row[key] == pytest.approx(value, rel=1e-6, abs=slack), key
    assert row["status"] == "paused" and row["cpu_percent"] == 0


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool of prometheus")
def test_promtool_finds_nothing_wrong(box: Box, busy: tuple[str, dict[str, str], str]):
    text = box.pycontainer("metrics").ok().out
    check = ["promtool", "check", "metrics"]
    done = subprocess.run(check, input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
