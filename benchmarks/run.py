"""Measure pycontainer beside the machine's other runtimes, in one run: `make bench`.

Same bundles, same moment: the runtimes take turns, and the floor (floor.c) with them. Prints
tables, and writes them to RESULTS.md beside this file, with a chart in docs/pictures. Root only. On
a host with a hybrid cgroup layout two more comparisons are made in private mount namespaces:
without /sys/fs/cgroup/unified, as crun 1.8 refuses it, and with cgroup v2 alone, whose controllers
are those that v1 has not taken. What takes long is measured in one place alone: with pauses between
the commands, and beside many others that are alive.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bundles
import cases
import crowd
import footprint
from breakdown import build_floor
from cases import FLOOR, Runtime
from inprocess import NAME, InProcess
from report import OURS, Table, report, write
from timing import become_reaper, run

HERE = Path(__file__).resolve().parent
CGROUPS = Path("/sys/fs/cgroup")
UNIFIED = CGROUPS / "unified"
CROWDED_PLACE = "without the v2 mount of a hybrid host"  # where most runtimes run
ELSEWHERE = {  # what is mounted in the private namespace
    CROWDED_PLACE: f"umount {UNIFIED}",
    "cgroup v2 alone": f"umount --recursive {CGROUPS} && mount -t cgroup2 none {CGROUPS}",
}
IN_PROCESS = 200  # containers in one process
FEWER = 21  # rounds of what takes long: with pauses, and beside many others
SPACE = 0.2  # seconds between commands: what the kernel defers is paid for again then
ROWS = (
    "run of true",
    "create",
    "start",
    "state",
    "kill",
    "delete, stopped",
    "create+start+delete",
    "exec of true",
    "delete --force, running",
    "CPU time of create+start+delete",
    "--version",
    "state of none",
)


def main() -> None:
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is made is removed
    if options.inside:
        print(json.dumps(compare(options)))
        return
    options.crowd = not UNIFIED.is_dir()
    results = {"as the host is": compare(options)}
    if UNIFIED.is_dir():
        for place, mounts in ELSEWHERE.items():
            options.crowd = place == CROWDED_PLACE
            results[place] = compare_elsewhere(options, mounts)
    text = report(results, options)
    print(text)
    if not options.quick:
        write(text)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, and no file")
    parser.add_argument("--rounds", type=int, default=0, help="default 41, quick 5")
    parser.add_argument("--pycontainer", default=str(OURS), help="the command to measure")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--crowd", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.rounds = options.rounds or (5 if options.quick else 41)
    options.space = SPACE
    if os.geteuid():
        parser.error("needs root")
    return options


def compare_elsewhere(options: argparse.Namespace, mounts: str) -> dict[str, Any]:
    """The same once more, in a mount namespace that this shell command changes."""
    command = [sys.executable, __file__, "--inside", f"--rounds={options.rounds}"]
    command += ["--quick"] * options.quick + ["--crowd"] * options.crowd
    command += [f"--pycontainer={options.pycontainer}"]
    script = f'{mounts} && exec "$@"'
    unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    with subprocess.Popen([*unshare, *command], stdout=subprocess.PIPE, text=True) as process:
        try:
            text, _ = process.communicate()
        except BaseException:
            process.terminate()  # it removes what it has made
            process.wait()
            raise
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}")
    found: dict[str, Any] = json.loads(text)
    return found


# -- one comparison ------------------------------------------------------------------------------


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Tables by title."""
    become_reaper()
    tables: dict[str, Table] = {}
    with places(options) as (runtimes, work):
        config = bundles.default_config()
        kinds = {"default spec": config}
        if bundles.PROFILE.exists():
            kinds["podman's seccomp profile"] = bundles.with_profile(config)
        peers = [runtime for runtime in runtimes if runtime.name != FLOOR]
        for kind, changed in kinds.items():
            some = runtimes if changed is config else peers  # the floor has one spec
            made = {
                name: bundles.make(work / f"{kind[0]}-{name}", changed, *words)
                for name, words in (("true", ("/bin/true",)), ("sleep", ("/bin/sleep", "1000")))
            }
            say(title := f"{kind}, tight")
            tables[title + ", ms"] = times(some, options.rounds, made, 0.0)
            if options.crowd:
                say(title := f"{kind}, {SPACE} s apart")
                tables[title + ", ms"] = times(some, min(options.rounds, FEWER), made, SPACE)
            say(f"{kind}, in-process from Python")
            rounds = 20 if options.quick else IN_PROCESS
            tables[f"{kind}, in-process from Python, ms"] = in_process(some, made, rounds)
        say("memory")
        tables["memory, MiB"] = memory(peers, config, made, work)
        say("parallel")
        tables["run of true, containers per second"] = parallel(peers, made, options.rounds)
        if not options.crowd:
            return tables
        say("many alive")
        counts = crowd.QUICK_COUNTS if options.quick else crowd.COUNTS
        rounds = min(options.rounds, FEWER)
        tables["beside others, ms"] = crowd.crowded(peers, made["sleep"], counts, rounds)
        title, seconds = crowd.made_at_once(peers, made["sleep"], counts[-1])
        tables["many at once, s"] = {title: seconds}
    return tables


@contextmanager
def places(options: argparse.Namespace) -> Iterator[tuple[list[Runtime], Path]]:
    """The runtimes that work here, and a directory in memory, as /run is where containers run."""
    programs = {name: shutil.which(name) for name in ("runc", "crun")}
    memory = next((d for d in ("/run", "/dev/shm") if in_memory(d)), "/run")
    work = Path(tempfile.mkdtemp(prefix="pycontainer-bench-", dir=memory))
    try:
        made = bundles.make(work / "try", bundles.default_config(), "/bin/true")
        runtimes = [Runtime(name, path, work) for name, path in programs.items() if path]
        if shutil.which("gcc"):
            runtimes.append(Runtime(FLOOR, build_floor(work), work))
        ours = Runtime("pycontainer", options.pycontainer, work)
        yield [ours, *(runtime for runtime in runtimes if works(runtime, made))], work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def works(runtime: Runtime, bundle: str) -> bool:
    """Whether it runs here at all; not every one knows every layout."""
    name = runtime.id()
    command = runtime.command("run", "-b", bundle, name)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        if (left := CGROUPS / name).is_dir():  # crun's, when it cannot have a device filter
            left.rmdir()
        say(f"{runtime.name} does not run here: {done.stderr.strip()}")
    return done.returncode == 0


def in_memory(directory: str) -> bool:
    """Whether a tmpfs is mounted there."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return any(mount[1] == directory and mount[2] == "tmpfs" for mount in mounts)


def times(runtimes: list[Runtime], rounds: int, made: dict[str, str], pause: float) -> Table:
    """Medians and quartiles of the cases of ROWS."""
    for runtime in runtimes:
        runtime.pause = pause
        runtime.samples.clear()
    inside = cases.Inside()
    try:
        for case in (cases.run_true, cases.life, inside, cases.force, cases.answers):
            cases.interleaved(runtimes, rounds, case, made)
    finally:
        inside.close(runtimes)
        for runtime in runtimes:
            runtime.pause = 0.0
    return {
        row: {r.name: quartiles(r.samples[row]) for r in runtimes if r.samples[row]} for row in ROWS
    }


def quartiles(samples: list[float]) -> list[float]:
    """The median, and between what half of the samples lie."""
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return [median, low, high]


def memory(
    runtimes: list[Runtime], config: dict[str, Any], made: dict[str, str], work: Path
) -> Table:
    """Peaks, shares and least limits."""

    def peak(runtime: Runtime) -> float:
        return footprint.peak_rss_mib(runtime.command("run", "-b", made["true"], runtime.id()))

    def share(runtime: Runtime) -> float:
        return footprint.created_pss_mib(runtime, made["sleep"])

    def waiting(runtime: Runtime) -> float:
        return footprint.waiting_private_mib(runtime, made["sleep"])

    def least(runtime: Runtime) -> float:
        return footprint.smallest_limit(runtime, config, work)

    rows = {
        "peak RSS of run": peak,
        "PSS of a created container's init": share,
        "private memory of run in the foreground": waiting,
    }
    if (CGROUPS / "memory").is_dir() or "memory" in (CGROUPS / "cgroup.controllers").read_text():
        rows["smallest memory limit for true"] = least
    return {row: {r.name: [measure(r)] for r in runtimes} for row, measure in rows.items()}


def parallel(runtimes: list[Runtime], made: dict[str, str], rounds: int) -> Table:
    """Throughput with so many callers at once, the runtimes one after the other."""
    table: Table = {}
    for callers in (1, 4, 16):
        count = max(4 * rounds, callers)  # a second or so
        row = table[f"{callers} at once"] = {}
        for runtime in runtimes:
            names = [runtime.id() for _ in range(count)]
            threads = [
                threading.Thread(target=run_each, args=(runtime, made["true"], names[n::callers]))
                for n in range(callers)
            ]
            start = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            row[runtime.name] = [len(names) / (time.perf_counter() - start)]
    return table


def run_each(runtime: Runtime, bundle: str, names: list[str]) -> None:
    for name in names:
        run(runtime.command("run", "-b", bundle, name))


def in_process(runtimes: list[Runtime], made: dict[str, str], rounds: int) -> Table:
    """One Python process that makes all its containers, beside as many commands."""
    row: dict[str, list[float]] = {NAME: [], **{runtime.name: [] for runtime in runtimes}}
    with InProcess(runtimes[0].work / "root") as inside:
        inside.time("run", made["true"])
        for runtime in runtimes:
            runtime.samples.clear()
        for _ in range(rounds):
            row[NAME].append(inside.time("run", made["true"]))
            for runtime in runtimes:
                cases.run_true(runtime, made)
    for runtime in runtimes:
        row[runtime.name] = runtime.samples["run of true"]
    title = f"run of true, {rounds} in one process"
    return {title: {name: quartiles(samples) for name, samples in row.items()}}


def say(words: str) -> None:
    print(f"... {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
