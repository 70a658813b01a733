"""containerd's own shim beside pycontainer's: the time of calls, and the memory of pods.

    shims.py [--rounds 20] [--pods 10 50 100 200] [--cpu 0]

Three containerds, alone with their roots and sockets, take turns in random order; each has pods
until all of a size are there. With --cpu there is a table of so many rounds that holds on a busy
machine, too: the CPU time that containerd, its client, the shim and the runtime's commands take
together (what runs in the container's own cgroup is left out), and the fastest call. Root only; no
CNI plugin: pods are in the host's network namespace.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("PYCONTAINER_COMMAND", "build/fast/pycontainer")

from conformance.clients.containerd import Containerd  # noqa: E402
from conformance.clients.cri import Cri  # noqa: E402
from conformance.clients.engine import SHIM  # noqa: E402
from tests.support.leftovers import processes  # noqa: E402

SPACE = 0.2  # seconds between calls: what the kernel defers is paid for again then
TITLES = {
    "runc": "containerd's shim, runc",
    "pycontainer": "containerd's shim, pycontainer",
    SHIM: "pycontainer's shim",
}


def ctr(engine: Containerd, *words: str) -> None:
    """A command of ctr; the wait for it costs nothing, unlike subprocess's with a timeout."""
    argv = [*engine.argv(), *words]
    nothing = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1)]
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=nothing)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, argv


def run(engine: Containerd) -> None:
    ctr(engine, "run", "--rm", *engine._with_image(("true",)))


def execute(engine: Containerd, box: str) -> None:
    engine.boxes += 1
    ctr(engine, "tasks", "exec", f"--exec-id=e{engine.boxes}", box, "true")


def measured(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median of each in ms; they take turns in random order."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name in random.sample(list(calls), len(calls)):
            time.sleep(SPACE)
            begin = time.perf_counter()
            calls[name]()
            times[name].append((time.perf_counter() - begin) * 1000)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def shims(token: str) -> list[int]:
    """The shims of one containerd."""
    found = []
    for pid in processes(token):
        argv = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if "containerd-shim" in argv[0]:
            found.append(pid)
    return found


def memory(pids: list[int]) -> tuple[float, float]:
    """PSS and what is private and dirty, of each, in MiB."""
    pss = dirty = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            pss += int(line.split()[1]) if line.startswith("Pss:") else 0
            dirty += int(line.split()[1]) if line.startswith("Private_Dirty:") else 0
    return pss / 1024 / len(pids), dirty / 1024 / len(pids)


def crowd(engine: Cri, sizes: list[int]) -> dict[int, tuple[float, float]]:
    """Memory for each number of pods; all live, can be run in, and go."""
    found = {}
    boxes: list[str] = []
    for size in sorted(sizes):
        while len(boxes) < size:
            boxes.append(engine.box(engine.pod()))
        pids = shims(engine.token)
        assert len(pids) == size, f"{len(pids)} shims of {size} pods"
        for box in boxes:
            assert engine.says(box, "echo here") == (0, "here\n", "")
        found[size] = memory(pids)
    engine.sweep()
    deadline = time.monotonic() + 10
    while shims(engine.token):
        assert time.monotonic() < deadline, "shims are left"
        time.sleep(0.1)
    return found


def times(rounds: int) -> dict[str, dict[str, float]]:
    """Rows of the table: what, then the medians by runtime."""
    rows = {}
    engines = {name: Containerd(name) for name in TITLES}
    boxes = {name: engine.running() for name, engine in engines.items()}
    rows["`ctr run --rm` of true"] = measured(
        {name: lambda e=engine: run(e) for name, engine in engines.items()}, rounds
    )
    rows["`ctr tasks exec` of true"] = measured(
        {name: lambda e=e, b=boxes[name]: execute(e, b) for name, e in engines.items()}, rounds
    )
    for engine in engines.values():
        engine.close()
    pods = {name: Cri(name) for name in TITLES}
    rows["CRI RunPodSandbox"] = measured({n: e.pod for n, e in pods.items()}, rounds)
    homes = {name: engine.pods[0] for name, engine in pods.items()}
    rows["CRI CreateContainer, StartContainer"] = measured(
        {name: lambda e=e, p=homes[name]: e.box(p) for name, e in pods.items()}, rounds
    )
    inside = {name: engine.box(homes[name]) for name, engine in pods.items()}
    rows["CRI ExecSync of true"] = measured(
        {
            name: lambda e=e, b=inside[name]: e.call(
                "ExecSync", container_id=b, cmd=["true"], timeout=30
            )
            for name, e in pods.items()
        },
        rounds,
    )
    for engine in pods.values():
        engine.close()
    return rows


class Account:
    """A cgroup that this process, and what it starts from now on, is in; v1's, for its CPU time."""

    def __enter__(self) -> Account:
        self.path = Path(f"/sys/fs/cgroup/cpuacct/shims-{os.getpid()}")
        self.path.mkdir()
        (self.path / "cgroup.procs").write_text("0")
        return self

    def used(self) -> float:
        """ms."""
        return int((self.path / "cpuacct.usage").read_text()) / 1e6

    def __exit__(self, *_: object) -> None:
        for _ in range(50):
            for pid in (self.path / "cgroup.procs").read_text().split():
                (self.path.parent / "cgroup.procs").write_text(pid)
            time.sleep(0.1)
            try:
                self.path.rmdir()
            except OSError:
                continue  # some process is still in it
            return


def costs(name: str, rounds: int) -> dict[str, str]:
    """CPU time and the fastest time of each call, with one runtime."""

    def cost(call: Callable[[], object]) -> str:
        call()
        before, fastest = account.used(), float("inf")
        for _ in range(rounds):
            begin = time.perf_counter()
            call()
            fastest = min(fastest, (time.perf_counter() - begin) * 1000)
        return f"{(account.used() - before) / rounds:.1f} ({fastest:.1f})"

    found = {}
    with Account() as account:
        engine = Containerd(name)
        try:
            found["`ctr run --rm` of true"] = cost(lambda: run(engine))
            box = engine.running()
            found["`ctr tasks exec` of true"] = cost(lambda: execute(engine, box))
        finally:
            engine.close()
        pods = Cri(name)
        try:
            found["CRI RunPodSandbox"] = cost(pods.pod)
            inside = pods.box(pods.pods[0])
            found["CRI ExecSync of true"] = cost(
                lambda: pods.call("ExecSync", container_id=inside, cmd=["true"], timeout=30)
            )
        finally:
            pods.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--pods", type=int, nargs="*", default=[10, 50, 100])
    parser.add_argument("--cpu", type=int, default=0, metavar="ROUNDS")
    options = parser.parse_args()
    if options.cpu:
        print("| ms of CPU (fastest call) | " + " | ".join(TITLES.values()) + " |")
        print("|---" + "|--:" * len(TITLES) + "|")
        all_costs = {name: costs(name, options.cpu) for name in TITLES}
        for what in all_costs[SHIM]:
            cells = [all_costs[name][what] for name in TITLES]
            print(f"| {what} | " + " | ".join(cells) + " |")
        return
    print("| ms, median | " + " | ".join(TITLES.values()) + " |")
    print("|---" + "|--:" * len(TITLES) + "|")
    if options.rounds:
        for what, row in times(options.rounds).items():
            print(f"| {what} | " + " | ".join(f"{row[name]:.1f}" for name in TITLES) + " |")
            sys.stdout.flush()
    if not options.pods:
        return
    print("\n| MiB for each pod: PSS (private) | " + " | ".join(TITLES.values()) + " |")
    print("|---" + "|--:" * len(TITLES) + "|")
    found = {}
    for name in TITLES:
        engine = Cri(name)
        try:
            found[name] = crowd(engine, options.pods)
        finally:
            engine.close()
    for size in options.pods:
        cells = [f"{found[name][size][0]:.2f} ({found[name][size][1]:.2f})" for name in TITLES]
        print(f"| {size} pods | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
