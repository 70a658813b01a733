"""Runs every check with every engine and writes the table into conformance/README.md.

    report.py                   run, then write
    report.py --junit FILE...   take the results of runs that are over, of one machine or of more

A check that fails on both runtimes is the engine's or the machine's; one that fails on ours alone
makes the exit status 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- clients: begin -->", "<!-- clients: end -->"
ENGINES = ("podman", "docker", "containerd")
RUNTIMES = ("pycontainer", "runc")
RANK = ("", "skipped", "passed", "failed")  # of a check that ran more than once, the worst
SIGNS = {"": "", "skipped": "–", "passed": "yes", "failed": "no"}

Results = dict[tuple[str, str], dict[str, str]]  # (module, check): {engine-runtime: result}


def run_all(junit: Path) -> None:
    """All checks; what fails is in the report."""
    command = [sys.executable, "-m", "pytest", "-q", str(HERE), f"--junit-xml={junit}"]
    env = {**os.environ, "PYCONTAINER_ENGINES": "all"}
    subprocess.run(command, cwd=HERE.parents[1], env=env, check=False)


def read(junit: Path, results: Results) -> None:
    """Add the results in a JUnit report."""
    for case in xml.parse(junit).iter("testcase"):
        name, bracket, parameters = case.get("name", "").partition("[")
        titles = [f"{e}-{r}" for e in ENGINES for r in RUNTIMES]
        title = next((title for title in titles if parameters.startswith(title)), "")
        if not bracket or not title:
            continue
        module = case.get("classname", "").rpartition(".")[2].removeprefix("test_")
        result = "passed"
        for child in case:
            if child.tag in ("failure", "error"):
                result = "failed"
            elif child.tag == "skipped":
                result = "skipped"
        row = results.setdefault((module, name.removeprefix("test_").replace("_", " ")), {})
        row[title] = max(row.get(title, ""), result, key=RANK.index)


def table(results: Results, engines: tuple[str, ...]) -> list[str]:
    """The lines of the table of these engines, ordered by module and then as the checks ran."""
    titles = [f"{engine}-{runtime}" for engine in engines for runtime in RUNTIMES]
    lines = [
        "| check | " + " | ".join(title.replace("-", ", ") for title in titles) + " |",
        "|---" * (1 + len(titles)) + "|",
    ]
    for (_, check), row in sorted(results.items(), key=lambda item: item[0][0]):
        cells = [SIGNS[row.get(title, "")] for title in titles]
        if any(cells):
            lines.append(f"| {check} | " + " | ".join(cells) + " |")
    return lines


def summary(results: Results) -> str:
    """One sentence: how many pass."""
    counts = []
    for engine in ENGINES:
        passed = {
            runtime: sum(row.get(f"{engine}-{runtime}") == "passed" for row in results.values())
            for runtime in RUNTIMES
        }
        words = ", ".join(f"{number} with {runtime}" for runtime, number in passed.items())
        counts.append(f"{engine}: {words}")
    return "Checks that pass: " + "; ".join(counts) + "."


def worse(results: Results) -> list[str]:
    """Checks that pass with runc and fail with ours."""
    return [
        f"{engine}: {check}"
        for (_, check), row in results.items()
        for engine in ENGINES
        if row.get(f"{engine}-runc") == "passed"
        and row.get(f"{engine}-pycontainer", "") not in ("passed", "")
    ]


def write(lines: list[str]) -> None:
    """Replace what is between the marks."""
    text = README.read_text()
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    README.write_text("\n".join([before + BEGIN, *lines, END]) + after)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--junit", nargs="+", type=Path, help="reports to read instead of running")
    given = parser.parse_args().junit
    results: Results = {}
    with tempfile.TemporaryDirectory() as directory:
        if given is None:
            given = [Path(directory) / "junit.xml"]
            run_all(given[0])
        for file in given:
            read(file, results)
    both = table(results, ("podman", "docker")), table(results, ("containerd",))
    write([summary(results), "", *both[0], "", *both[1]])
    for line in worse(results):
        print(f"fails with pycontainer alone: {line}")
    return bool(worse(results))


if __name__ == "__main__":
    sys.exit(main())
