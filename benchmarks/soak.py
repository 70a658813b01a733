"""A machine full of containers: soak.py [--containers N] [--callers N] [--runtime PATH].

Each step is done to every container by so many callers at once: create, start, exec, update, kill,
delete. A table says how long it took, how much memory the machine uses beyond the start, and how
many kernel objects there are. Exit status 1 when a command failed, a container was lost, or
something is left in the end. As root; everything is below a temporary directory, and goes with it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import bundles  # noqa: E402

UPDATE = json.dumps({"pids": {"limit": 33}}).encode()
Numbers = dict[str, int]


class Soak:
    """The containers, and what has gone wrong."""

    def __init__(self, runtime: str, place: Path, count: int, callers: int) -> None:
        self.runtime = runtime
        self.root = place / "root"
        self.names = [f"soak{place.name[-6:]}-{number}" for number in range(count)]
        self.callers = callers
        self.faults: list[str] = []
        self.bundle = bundles.make(
            place / "bundle", bundles.default_config(), "/bin/sleep", "100000"
        )
        self.before = numbers()
        print(f"{count} containers, {callers} callers, {runtime}\n")
        print("| step | s | per second | memory, MiB | processes | cgroups | mounts |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")

    def call(self, *words: str, given: bytes = b"") -> bytes:
        """What a command prints; a failure is noted."""
        argv = [self.runtime, "--root", str(self.root), *words]
        done = subprocess.run(argv, input=given, capture_output=True, timeout=600, check=False)
        if done.returncode:
            self.faults.append(f"{' '.join(words)}: {done.returncode}: {done.stderr.decode()}")
        return done.stdout

    def step(self, name: str, work: Callable[[str], object]) -> None:
        """Do something to all, and print its line."""
        start = time.monotonic()
        with ThreadPoolExecutor(self.callers) as pool:
            list(pool.map(work, self.names))
        self.line(name, time.monotonic() - start, len(self.names))

    def line(self, name: str, took: float, count: int) -> None:
        now = numbers()
        more = [now[key] - self.before[key] for key in now]
        rate = f"{count / took:.0f}" if count else ""
        print(f"| {name} | {took:.1f} | {rate} | " + " | ".join(map(str, more)) + " |", flush=True)

    def create(self, name: str) -> None:
        """With no pipe that the container would keep open."""
        argv = [self.runtime, "--root", str(self.root), "create", "-b", self.bundle, name]
        with tempfile.TemporaryFile() as err:
            nothing = subprocess.DEVNULL
            done = subprocess.run(
                argv, stdin=nothing, stdout=nothing, stderr=err, timeout=600, check=False
            )
            if done.returncode:
                err.seek(0)
                self.faults.append(f"create {name}: {err.read().decode()}")

    def listed(self, status: str) -> None:
        """All are there, in this state."""
        start = time.monotonic()
        found = json.loads(self.call("list", "--format", "json") or b"null") or []
        self.line(f"list ({status})", time.monotonic() - start, len(self.names))
        right = {row["id"] for row in found if row["status"] == status}
        if right != set(self.names):
            self.faults.append(f"{len(set(self.names) - right)} containers are not {status}")

    def run(self) -> None:
        """All steps; `delete --force` takes whatever is left."""
        try:
            self.step("create", self.create)
            self.listed("created")
            self.step("start", lambda name: self.call("start", name))
            self.listed("running")
            self.step("exec true", lambda name: self.call("exec", name, "/bin/true"))
            self.step("update", lambda name: self.call("update", "-r", "-", name, given=UPDATE))
            self.step("state", lambda name: self.call("state", name))
            half = set(self.names[::2])
            self.step("kill half", lambda n: n in half and self.call("kill", n, "KILL"))
        finally:
            self.step("delete --force", lambda name: self.call("delete", "--force", name))
        time.sleep(2)  # the kernel frees cgroups and namespaces later
        self.line("2 s later", 2.0, 0)
        left = [entry.name for entry in self.root.iterdir() if entry.name[0] != "~"]
        token = self.names[0].partition("-")[0]
        left += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{token}-*")]
        self.faults += [f"left: {name}" for name in left]


def numbers() -> Numbers:
    """MiB of memory in use, processes, cgroups, mounts of our own mount namespace."""
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    kib = {key: int(value.split()[0]) for key, value in memory.items()}
    groups = [line.split()[2] for line in Path("/proc/cgroups").read_text().splitlines()[1:]]
    return {
        "memory": (kib["MemTotal"] - kib["MemAvailable"]) // 1024,
        "processes": sum(entry.name.isdigit() for entry in Path("/proc").iterdir()),
        "cgroups": max(map(int, groups)),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--containers", type=int, default=1200)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--runtime", default=str(ROOT / "build/fast/pycontainer"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pycontainer-soak-") as place:
        soak = Soak(options.runtime, Path(place), options.containers, options.callers)
        soak.run()
    for fault in soak.faults[:20]:
        print(fault, file=sys.stderr)
    print(f"\n{len(soak.faults)} faults" if soak.faults else "\nnothing lost, nothing left")
    return 1 if soak.faults else 0


if __name__ == "__main__":
    sys.exit(main())
