"""Where the time of `run` and `exec` goes: microseconds by step, beside the floor (floor.c).

    breakdown.py [--rounds N] [--pycontainer COMMAND]

The kernel's tracer notes when each system call begins and ends, each page fault, and when a process
gets a processor; so the time outside of the kernel is Python's (of the floor, C's), and a busy
machine changes little. Of each step the lower quartile of all rounds is printed. The tracer itself
costs some tenths of a microsecond for each event; the page faults' own time is Python's here.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import bundles
from timing import become_reaper

HERE = Path(__file__).resolve().parent
OURS = HERE.parent / "build" / "fast" / "pycontainer"
TRACER = Path("/sys/kernel/tracing")
EVENTS = (
    "raw_syscalls/sys_enter raw_syscalls/sys_exit sched/sched_switch sched/sched_process_exec"
    " sched/sched_process_exit exceptions/page_fault_user exceptions/page_fault_kernel"
).split()
LINE = re.compile(r"\s*.+-(\d+)\s+\[\d+\]\s+\S+\s+([\d.]+): (\w+): (.*)")
# (step, the system calls that may begin the next one, how often one has been made then)
RUN = (
    ("start, read config.json, validate", "mkdir", 1),
    ("state directory, plan", "mkdir", 2),
    ("cgroups", "clone3", 1),
    ("clone", "clone3", -1),
    ("hand the plan over", "recvmsg", 1),
    ("wait for the container's part", "recvmsg", -1),
    ("devices, state", "recvmsg", 2),
    ("become the attendant, wait for the program", "rmdir or unlinkat", 1),
    ("delete", "exit_group", 1),
    ("exit", "", 0),
)
EXEC = (
    ("start, state, plan", "clone3", 1),
    ("clone", "clone3", -1),
    ("namespaces, hand the plan over", "recvmsg", 1),
    ("wait for the container's part", "recvmsg", -1),
    ("release the program", "recvmsg", 2),
    ("wait for the program", "exit_group", 1),
    ("exit", "", 0),
)
CHILD = (
    ("container: start, receive the plan", "recvmsg", -1),
    ("container: its part", "sendmsg", 1),
)
CHILD += (("container: until the program has ended", "", 0),)


class Cost(NamedTuple):
    """What a step has taken: microseconds outside and inside of system calls, and how many."""

    user: float = 0
    kernel: float = 0
    calls: int = 0
    faults: int = 0


class Event(NamedTuple):
    time: float  # microseconds
    pid: int
    kind: str
    text: str


# -- the tracer ----------------------------------------------------------------------------------


@contextmanager
def tracer() -> Iterator[Path]:
    """A tracer of our own; whoever else traces is not disturbed."""
    own = TRACER / "instances" / f"pycontainer-{os.getpid()}"
    own.mkdir()
    try:
        (own / "trace_clock").write_text("mono")
        (own / "buffer_size_kb").write_text("4096")
        (own / "options" / "event-fork").write_text("1")
        for event in EVENTS:
            (own / "events" / event / "enable").write_text("1")
        yield own
    finally:
        (own / "tracing_on").write_text("0")
        (own / "events" / "enable").write_text("0")
        own.rmdir()


def traced(own: Path, argv: list[str]) -> tuple[int, list[Event]]:
    """The pid of a command, and what it and its children did."""
    (own / "tracing_on").write_text("0")
    (own / "trace").write_text("")
    wait, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(wait, 1)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(null, fd)
        os.execv(argv[0], argv)
    (own / "set_event_pid").write_text(str(pid))
    (own / "tracing_on").write_text("1")
    os.write(go, b"x")
    _, status = os.waitpid(pid, 0)
    (own / "tracing_on").write_text("0")
    os.close(wait)
    os.close(go)
    if status:
        raise SystemExit(f"{' '.join(argv)}: status {os.waitstatus_to_exitcode(status)}")
    found = map(LINE.match, (own / "trace").read_text().splitlines())
    return pid, [Event(float(m[2]) * 1e6, int(m[1]), m[3], m[4]) for m in found if m]


def call_names() -> dict[int, str]:
    """System calls by number."""
    source = "#include <asm/unistd.h>\n"
    command = ["gcc", "-E", "-dM", "-xc", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=True)
    found = re.findall(r"#define __NR_(\w+) (\d+)", done.stdout)
    return {int(number): name for name, number in found}


# -- from events to steps ------------------------------------------------------------------------


def costs(
    events: list[Event], pid: int, steps: tuple[tuple[str, str, int], ...], names: dict[int, str]
) -> dict[str, Cost]:
    """The cost of each step of one process, from its (first) execve on."""
    found: dict[str, Cost] = {}
    made: dict[str, int] = defaultdict(int)
    rest = iter(steps)
    step, until, count = next(rest)
    user = kernel = last = off = 0.0
    calls = faults = 0
    inside = ""
    for event in events:
        if event.kind == "sched_switch":
            if f"prev_pid={pid} " in event.text:
                user, kernel = _add(user, kernel, event.time - last, inside)
                off = event.time
            elif f"next_pid={pid} " in event.text and off:
                last, off = event.time, 0.0
            continue
        if event.pid != pid:
            continue
        if not last:
            if event.kind == "sched_process_exec" or (event.kind, inside) == ("sys_enter", ""):
                last = event.time
            if event.kind != "sys_enter":
                continue
        if event.kind.startswith("page_fault"):
            faults += 1
            continue
        user, kernel = _add(user, kernel, event.time - last, inside)
        last = event.time
        name = names.get(int(event.text.split()[1]), "?") if event.kind.startswith("sys_") else ""
        if event.kind == "sys_enter":
            calls += 1
            made[name] += 1
            inside = name
        elif event.kind == "sys_exit":
            inside = ""
        begins = event.kind == "sys_enter" and name in until.split() and made[name] == count
        ends = event.kind == "sys_exit" and name == until and count == -1
        if begins or ends:
            found[step] = Cost(user, kernel, calls - begins, faults)
            user = kernel = 0.0
            calls, faults = int(begins), 0
            step, until, count = next(rest)
    found[step] = Cost(user, kernel, calls, faults)
    return found


def _add(user: float, kernel: float, time: float, inside: str) -> tuple[float, float]:
    return (user, kernel + time) if inside else (user + time, kernel)


def children(events: list[Event], pid: int) -> list[int]:
    """Those of the container, in the order in which they appear."""
    order = dict.fromkeys(event.pid for event in events if event.kind == "sys_enter")
    return [other for other in order if other != pid]


# -- the measurement -----------------------------------------------------------------------------


def measure(
    own: Path, rounds: int, ways: dict[str, list[str]], steps: tuple[tuple[str, str, int], ...]
) -> dict[str, dict[str, list[Cost]]]:
    """The costs of each round, by way and step; the ways take turns."""
    names = call_names()
    seen: dict[str, dict[str, list[Cost]]] = {way: defaultdict(list) for way in ways}
    for number, (way, argv) in itertools.product(range(rounds), ways.items()):
        pid, events = traced(own, [word.replace("%", str(number)) for word in argv])
        found = costs(events, pid, steps, names)
        if forked := children(events, pid):
            found |= costs(events, forked[0], CHILD, names)
        for step, cost in found.items():
            seen[way][step].append(cost)
    return seen


def quartile(costs: list[Cost]) -> Cost:
    """The lower quartile of each number."""
    if len(costs) < 2:
        return costs[0] if costs else Cost()
    columns = zip(*costs, strict=True)
    low = [statistics.quantiles(column, n=4, method="inclusive")[0] for column in columns]
    return Cost(low[0], low[1], round(low[2]), round(low[3]))


def table(seen: dict[str, dict[str, list[Cost]]], steps: list[str]) -> list[str]:
    """Markdown."""
    lines = [
        "| step | Python, µs | kernel, µs | calls | page faults | floor: C, µs | kernel | calls |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    sums = [Cost(), Cost()]
    for step in steps:
        ours, floor = (quartile(seen[way][step]) for way in ("pycontainer", "floor"))
        lines.append(_row(step, ours, floor))
        sums = [
            Cost(*map(sum, zip(s, c, strict=True)))
            for s, c in zip(sums, (ours, floor), strict=True)
        ]
    return [*lines, _row("**sum**", *sums)]


def _row(step: str, ours: Cost, floor: Cost) -> str:
    cells = [f"{ours.user:,.0f}", f"{ours.kernel:,.0f}", f"{ours.calls}", f"{ours.faults}"]
    cells += [f"{floor.user:,.0f}", f"{floor.kernel:,.0f}", f"{floor.calls}"]
    return f"| {step} | {' | '.join(cells)} |"


def build_floor(directory: Path) -> str:
    """The floor, compiled."""
    program = str(directory / "floor.bin")
    flags = ["-O2", "-static", "-Wall", "-Wextra", "-Werror", "-Wno-format-truncation"]
    subprocess.run(["gcc", *flags, "-o", program, *HERE.glob("floor*.c")], check=True)
    return program


def breakdown(command: str, rounds: int) -> str:
    """Markdown: a table for run, and one for exec."""
    become_reaper()
    work = Path(tempfile.mkdtemp(prefix="pycontainer-breakdown-", dir="/run"))
    programs = {"pycontainer": command, "floor": build_floor(work)}
    ids = {way: f"breakdown-{os.getpid()}-{way}" for way in programs}
    heads = {way: [program, "--root", str(work / way)] for way, program in programs.items()}
    try:
        config = bundles.default_config()
        true, sleep = (
            bundles.make(work / Path(words[0]).name, config, *words)
            for words in (("/bin/true",), ("/bin/sleep", "1000"))
        )
        with tracer() as own:
            ways = {way: [*head, "run", "-b", true, f"{ids[way]}-%"] for way, head in heads.items()}
            ran = measure(own, rounds, ways, RUN)
            for way, head in heads.items():
                quiet = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}
                pid_file = str(work / f"{way}.pid")
                subprocess.run(
                    [*head, "create", "-b", sleep, "--pid-file", pid_file, ids[way]], **quiet
                )
                subprocess.run([*head, "start", ids[way]], **quiet)
            ways = {way: [*head, "exec", ids[way], "/bin/true"] for way, head in heads.items()}
            executed = measure(own, rounds, ways, EXEC)
    finally:
        for way, head in heads.items():
            if (work / way / ids[way]).is_dir():
                pid = int((work / f"{way}.pid").read_text())
                os.kill(pid, 9)
                os.waitpid(pid, 0)
                subprocess.run([*head, "delete", ids[way]], check=False)
        shutil.rmtree(work, ignore_errors=True)
    lines = []
    for title, seen, steps in (("run of true", ran, RUN), ("exec of true", executed, EXEC)):
        names = [step for step, *_ in (*steps, *CHILD)]
        lines += [f"### {title}", "", *table(seen, names), ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--pycontainer", default=str(OURS))
    options = parser.parse_args()
    if not (TRACER / "instances").is_dir():
        if not os.environ.get("PYCONTAINER_BREAKDOWN"):
            inside = (
                'mount -t tracefs none /sys/kernel/tracing && PYCONTAINER_BREAKDOWN=1 exec "$@"'
            )
            words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", inside, "sh"]
            os.execvp(words[0], [*words, sys.executable, *sys.argv])
        raise SystemExit("the kernel has no tracer")
    print(f"Lower quartiles of {options.rounds} rounds, Linux {platform.release()}.\n")
    print(breakdown(options.pycontainer, options.rounds))


if __name__ == "__main__":
    main()
