"""What is measured: the commands of one container's life, one after the other.

Each case takes one runtime through a round and adds to its samples, in milliseconds. Whatever is
needed for a round but not measured (ending the container, reaping it) happens outside the clock.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from timing import cpu_ms, reap, run

FLOOR = "floor"  # the name of benchmarks/floor.c as a runtime


class Runtime:
    """One runtime, its state directory and its samples by name."""

    def __init__(self, name: str, program: str, work: Path, *options: str) -> None:
        self.name = name
        self.work = work / name
        self.work.mkdir()
        self.head = [program, *options, "--root", str(self.work / "root")]
        self.pid_file = str(self.work / "pid")
        self.samples: dict[str, list[float]] = defaultdict(list)
        self.pause = 0.0  # seconds before each measured command
        self.count = 0

    def command(self, *words: str) -> list[str]:
        """A whole command line."""
        return [*self.head, *words]

    def id(self) -> str:
        """A new container's id."""
        self.count += 1
        return f"bench-{os.getpid()}-{self.name}-{self.count}"

    def init(self) -> int:
        """The pid that create or run -d has written."""
        return int(Path(self.pid_file).read_text())

    def timed(self, case: str, *words: str, expect: int = 0) -> None:
        """Run and keep the time."""
        if self.pause:
            time.sleep(self.pause)
        self.samples[case].append(run(self.command(*words), expect))

    def create(self, bundle: str, name: str) -> int:
        """Create without the clock; the init's pid."""
        run(self.command("create", "-b", bundle, "--pid-file", self.pid_file, name))
        return self.init()

    def end(self, name: str, pid: int) -> None:
        """Kill and delete without the clock."""
        os.kill(pid, 9)
        reap(pid)
        run(self.command("delete", name))


def run_true(runtime: Runtime, bundles: dict[str, str]) -> None:
    """`run` of a program that ends at once."""
    runtime.timed("run of true", "run", "-b", bundles["true"], runtime.id())


def life(runtime: Runtime, bundles: dict[str, str]) -> None:
    """create, state, start, kill, delete of one container; and the processor's time for it."""
    name = runtime.id()
    before = cpu_ms()
    runtime.timed("create", "create", "-b", bundles["sleep"], "--pid-file", runtime.pid_file, name)
    pid = runtime.init()
    runtime.timed("start", "start", name)
    used = cpu_ms() - before
    runtime.timed("state", "state", name)
    runtime.timed("kill", "kill", name, "KILL")
    before = cpu_ms()
    reap(pid)
    runtime.timed("delete, stopped", "delete", name)
    runtime.samples["CPU time of create+start+delete"].append(used + cpu_ms() - before)
    parts = (runtime.samples[case][-1] for case in ("create", "start", "delete, stopped"))
    runtime.samples["create+start+delete"].append(sum(parts))


def force(runtime: Runtime, bundles: dict[str, str]) -> None:
    """`delete --force` of a running container."""
    name = runtime.id()
    pid = runtime.create(bundles["sleep"], name)
    run(runtime.command("start", name))
    runtime.timed("delete --force, running", "delete", "--force", name)
    reap(pid)


def answers(runtime: Runtime, bundles: dict[str, str]) -> None:
    """What needs no container: the version, and an error."""
    if runtime.name != FLOOR:
        runtime.timed("--version", "--version")
        runtime.timed("state of none", "state", runtime.id(), expect=1)


class Inside:
    """`exec` of true in a container that stays."""

    def __init__(self) -> None:
        self.containers: dict[str, tuple[str, int]] = {}

    def __call__(self, runtime: Runtime, bundles: dict[str, str]) -> None:
        if runtime.name not in self.containers:
            name = runtime.id()
            pid = runtime.create(bundles["sleep"], name)
            run(runtime.command("start", name))
            self.containers[runtime.name] = name, pid
        runtime.timed("exec of true", "exec", self.containers[runtime.name][0], "/bin/true")

    def close(self, runtimes: list[Runtime]) -> None:
        """End the containers."""
        for runtime in runtimes:
            if runtime.name in self.containers:
                runtime.end(*self.containers.pop(runtime.name))


def interleaved(
    runtimes: list[Runtime], rounds: int, case: Callable[..., None], bundles: dict[str, str]
) -> None:
    """Round after round, each time with another one first; what the first one says is dropped."""
    for number in range(rounds + 1):
        turn = number % len(runtimes)
        for runtime in runtimes[turn:] + runtimes[:turn]:
            before = {name: len(samples) for name, samples in runtime.samples.items()}
            case(runtime, bundles)
            if number == 0:
                for name, samples in runtime.samples.items():
                    del samples[before.get(name, 0) :]
