"""Memory: of a command, of a container that waits, and the least that one can run in."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bundles import make, with_memory
from cases import Runtime
from timing import Failed, run

MIB = 1024 * 1024


def peak_rss_mib(argv: list[str]) -> float:
    """The peak of a command and its children.

    Measured by busybox's time: a child inherits the peak of the process that it was spawned from,
    and busybox is small. Some of its versions count in pages, so it has to measure a process first
    that knows its own peak.
    """
    said, counted = _peak(["/bin/cat", "/proc/self/status"])
    own = re.search(r"VmHWM:\s+(\d+) kB", said)
    unit = max(1, round(counted / int(own[1]))) if own else 1
    return _peak(argv)[1] / unit / 1024


def _peak(argv: list[str]) -> tuple[str, int]:
    command = ["/bin/busybox", "time", "-v", *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"Maximum resident set size \(kbytes\): (\d+)", done.stderr)
    if found is None:
        raise Failed(f"{' '.join(command)}: {done.stderr}")
    return done.stdout, int(found[1])


def created_pss_mib(runtime: Runtime, bundle: str) -> float:
    """The proportional share of a created container's init, which waits for start."""
    name = runtime.id()
    pid = runtime.create(bundle, name)
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    finally:
        runtime.end(name, pid)
    return sum(map(int, re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE))) / 1024


def waiting_private_mib(runtime: Runtime, bundle: str) -> float:
    """The dirty memory of `run` that no other process shares, while it waits in the foreground."""
    name = runtime.id()
    argv = runtime.command("run", "-b", bundle, "--pid-file", runtime.pid_file, name)
    Path(runtime.pid_file).unlink(missing_ok=True)
    quiet = subprocess.DEVNULL
    with subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            for _ in range(200):
                if Path(runtime.pid_file).exists():
                    break
                time.sleep(0.05)
            time.sleep(0.5)  # what it does afterwards, too
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        finally:
            os.kill(runtime.init(), 9)
    return sum(map(int, re.findall(r"^Private_Dirty:\s+(\d+) kB", text, re.MULTILINE))) / 1024


def smallest_limit(runtime: Runtime, config: dict[str, Any], work: Path) -> float:
    """The least linux.resources.memory.limit, in MiB, under which `true` runs three times."""

    def works(limit: int) -> bool:
        bundle = make(work / f"{runtime.name}-{limit}", with_memory(config, limit), "/bin/true")
        try:
            for _ in range(3):
                run(runtime.command("run", "-b", bundle, runtime.id()))
        except Failed:
            return False
        return True

    return _least(works, 64 * 1024, 32 * MIB) / MIB


def _least(works: Callable[[int], bool], low: int, high: int) -> int:
    """The least multiple of 32 KiB that works, by bisection."""
    if works(low):
        return low
    while high - low > 32 * 1024:
        middle = (low + high) // 2 // 32768 * 32768
        if works(middle):
            high = middle
        else:
            low = middle
    return high
