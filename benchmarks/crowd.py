"""The cost of the n-th container: one more of them beside so many that are alive already.

Each runtime in turn has that many containers of its own, which sleep (a static busybox each), and
creates, starts and deletes one more. They are removed afterwards, also after an interrupt.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import cases
from cases import Runtime
from inprocess import NAME, InProcess
from timing import reap, run

COUNTS = (1, 100, 1000)
QUICK_COUNTS = (1, 100)
EACH_KIB = 4096  # what one of them may cost in all, kernel included; measured: a quarter of it
EACH_PROCESSES = 4  # with room for the others of this machine
CALLERS = 8
STOPS = (signal.SIGINT, signal.SIGTERM)
ROW = "create+start+delete"


def possible(counts: tuple[int, ...]) -> tuple[int, ...]:
    """Those that this machine has the memory, the pids and the namespaces for."""
    room = min(
        _memory_kib() // EACH_KIB,
        _number("/proc/sys/kernel/pid_max") // EACH_PROCESSES,
        *(
            _number(f"/proc/sys/user/max_{kind}_namespaces") // 2
            for kind in ("pid", "net", "ipc", "uts", "mnt")
        ),
    )
    return tuple(count for count in counts if count <= room)


def _memory_kib() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


def _number(path: str) -> int:
    try:
        return int(Path(path).read_text())
    except FileNotFoundError:
        return 1 << 30


class Crowd:
    """The containers of one runtime that are alive; `with` removes them."""

    def __init__(self, runtime: Runtime, bundle: str) -> None:
        self.runtime = runtime
        self.bundle = bundle
        self.alive: dict[str, int] = {}  # name, pid of init; 0 until it is known

    def grow(self, count: int) -> None:
        """Until there are so many."""
        while len(self.alive) < count:
            name = self.runtime.id()
            self.alive[name] = 0  # before: what is interrupted is removed, too
            self.alive[name] = self.runtime.create(self.bundle, name)
            run(self.runtime.command("start", name))

    def grow_at_once(self, count: int) -> float:
        """So many more by CALLERS callers; the seconds until the last one is created."""
        names = [self.runtime.id() for _ in range(count)]
        self.alive |= dict.fromkeys(names, 0)

        def create(name: str) -> None:
            pid_file = f"{self.runtime.pid_file}-{name}"
            run(self.runtime.command("create", "-b", self.bundle, "--pid-file", pid_file, name))
            self.alive[name] = int(Path(pid_file).read_text())

        start = time.perf_counter()
        with ThreadPoolExecutor(CALLERS) as pool:
            list(pool.map(create, names))
        return time.perf_counter() - start

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # a second Ctrl-C comes after that
        try:
            for pid in filter(None, self.alive.values()):  # all at once: an end takes its time
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    continue
            for name, pid in self.alive.items():
                if pid:
                    reap(pid)
                command = self.runtime.command("delete", "--force", name)
                subprocess.run(command, capture_output=True, check=False)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def crowded(
    runtimes: list[Runtime], bundle: str, counts: tuple[int, ...], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Medians in ms, by row and runtime."""
    table: dict[str, dict[str, list[float]]] = {_row(count): {} for count in possible(counts)}
    for runtime in runtimes:
        with ExitStack() as stack:
            crowd = stack.enter_context(Crowd(runtime, bundle))
            inside = None
            if runtime.name == "pycontainer":
                inside = stack.enter_context(InProcess(runtime.work / "root"))
            for count in possible(counts):
                crowd.grow(count)
                row = table[_row(count)]
                row[runtime.name] = [_one_more(runtime, bundle, rounds)]
                if inside is not None:
                    samples = [inside.time("life", bundle) for _ in range(rounds + 1)]
                    row[NAME] = [statistics.median(samples[1:])]
    return table


def made_at_once(
    runtimes: list[Runtime], bundle: str, count: int
) -> tuple[str, dict[str, list[float]]]:
    """Seconds by runtime for so many containers at once, and what to call that."""
    count = min(count * 6 // 5, max(possible(tuple(range(count * 6 // 5 + 1)))))
    row = {}
    for runtime in runtimes:
        with Crowd(runtime, bundle) as crowd:
            row[runtime.name] = [crowd.grow_at_once(count)]
    return f"{count:,} created by {CALLERS} callers", row


def _row(count: int) -> str:
    return f"{ROW} of one more, {count:,} alive"


def _one_more(runtime: Runtime, bundle: str, rounds: int) -> float:
    runtime.samples.clear()
    for _ in range(rounds + 1):
        cases.life(runtime, {"sleep": bundle})
    return statistics.median(runtime.samples[ROW][1:])
