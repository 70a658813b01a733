"""What the benchmark has measured, as RESULTS.md: the machine, the versions, tables, the chart."""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from cases import FLOOR

HERE = Path(__file__).resolve().parent
OURS = HERE.parent / "build" / "fast" / "pycontainer"
CHART = HERE.parent / "docs" / "pictures" / "performance.svg"
Table = dict[str, dict[str, list[float]]]  # row, runtime: the value, or median and quartiles

HOW = """\
`make bench`: the runtimes take turns, {rounds} rounds (21 of what is *apart* or beside
others); medians, and in parentheses the quartiles.
*Tight*: one command follows the other. *Apart*: a command begins {space} s after the last one, so
that what the kernel defers is paid for again. The time of a command is that until its caller has
reaped it. The *floor* is a C program that makes the system calls of our plan for the default spec
([floor.c](floor.c)); the last column says how many times as much pycontainer takes.
"""


def report(results: dict[str, dict[str, Table]], options: argparse.Namespace) -> str:
    """Markdown: what was measured, where, and the tables."""
    lines = ["# Results", "", *surroundings(options), ""]
    lines += [f"![milliseconds of some commands](../{CHART.relative_to(HERE.parent)})", ""]
    lines += ["## Where the time goes, \u00b5s (as the host is)", "", by_step(options), ""]
    for place, tables in results.items():
        for title, table in tables.items():
            lines += [f"## {title} ({place})", "", *markdown(table), ""]
    return "\n".join(lines)


def write(text: str) -> None:
    """To RESULTS.md, and the chart that is drawn from it."""
    (HERE / "RESULTS.md").write_text(text)
    sys.path.insert(0, str(HERE.parent / "tools"))
    import pictures

    CHART.write_text(pictures.chart(pictures.HEADING))


def surroundings(options: argparse.Namespace) -> list[str]:
    versions = []
    for program in (options.pycontainer, "runc", "crun"):
        if shutil.which(program):
            done = subprocess.run([program, "--version"], capture_output=True, text=True)
            versions.append(", ".join(done.stdout.splitlines()[:2]))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return [
        HOW.format(rounds=options.rounds, space=options.space),
        f"- {time.strftime('%Y-%m-%d')}, Linux {platform.release()}, load {load} at the end",
        f"- {os.cpu_count()} processors: {model[1] if model else platform.machine()}",
        *(f"- {version}" for version in versions),
        f"- Python {platform.python_version()}",
    ]


def by_step(options: argparse.Namespace) -> str:
    """The tables of breakdown.py."""
    command = [sys.executable, HERE / "breakdown.py", "--pycontainer", options.pycontainer]
    command += ["--rounds", str(options.rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else f"not measured: {done.stderr.strip()}"


def markdown(table: Table) -> list[str]:
    """One table."""
    names = list(dict.fromkeys(name for values in table.values() for name in values))
    compared = {"pycontainer", FLOOR} <= set(names)
    heads = names + ["of the floor"] * compared
    lines = [f"| | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    for row, values in table.items():
        cells = [_cell(values.get(name)) for name in names]
        if compared:
            both = [values.get(name) for name in ("pycontainer", FLOOR)]
            ours, floor = (value[0] if value else 0 for value in both)
            cells.append(f"{ours / floor:.1f} \u00d7" if floor else "")
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


def _cell(values: list[float] | None) -> str:
    if not values:
        return ""
    texts = [f"{value:.{2 if value < 10 else 1}f}" for value in values]
    return texts[0] + (f" ({texts[1]}\u2013{texts[2]})" if len(texts) == 3 else "")
