"""Runs every check with every engine and writes the table into conformance/README.md.

    report.py                   run, then write
    report.py --vm              the same in the virtual machine: systemd, cgroup v2, rootless Podman
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
TABLES = (("podman", "rootless", "docker"), ("containerd", "cri"))
ENGINES = tuple(engine for engines in TABLES for engine in engines)
NAMES = {"rootless": "rootless podman", "cri": "containerd's CRI"}
RUNTIMES = ("pycontainer", "runc")
RANK = ("", "skipped", "passed", "failed")  # of a check that ran more than once, the worst
SIGNS = {"": "", "skipped": "–", "passed": "yes", "failed": "no"}

Results = dict[tuple[str, str], dict[str, str]]  # (module, check): {engine-runtime: result}


def run_all(junit: Path) -> None:
    """All checks; what fails is in the report."""
    command = [sys.executable, "-m", "pytest", "-q", str(HERE), f"--junit-xml={junit}"]
    env = {**os.environ, "PYCONTAINER_ENGINES": "all"}
    subprocess.run(command, cwd=HERE.parents[1], env=env, check=False)


def run_in_vm(directory: Path) -> list[Path]:
    """All checks in there, as root and as an ordinary user; $PYCONTAINER_VM says where it is."""
    options = "-q -p pytest_timeout -p no:cacheprovider -o timeout=600 --junit-xml=/out/junit.xml"
    pytest = f"python3 -m pytest {options} conformance/clients"
    reports = []
    for user in ("root", "tester"):
        words = ["tools/in-vm", "--timeout=7200", f"--out={directory / user}"]
        words += [] if user == "root" else ["--user", user]
        words += ["--env", "PYCONTAINER_ENGINES=all", "--", "sh", "-c", pytest]
        subprocess.run(words, cwd=HERE.parents[1], check=False)
        reports.append(directory / user / "junit.xml")
    return reports


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
    ran = {title for row in results.values() for title in row}
    columns = [(e, r) for e in engines for r in RUNTIMES if f"{e}-{r}" in ran]
    titles = [f"{engine}-{runtime}" for engine, runtime in columns]
    lines = [
        "| check | " + " | ".join(f"{NAMES.get(e, e)}, {r}" for e, r in columns) + " |",
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
        if any(passed.values()):
            counts.append(f"{NAMES.get(engine, engine)}: {words}")
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


def write(lines: list[str], place: str) -> None:
    """Replace what is between the marks of this place."""
    begin, end = f"<!-- {place}: begin -->", f"<!-- {place}: end -->"
    text = README.read_text()
    before, rest = text.split(begin, 1)
    after = rest.split(end, 1)[1]
    README.write_text("\n".join([before + begin, *lines, end]) + after)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--junit", nargs="+", type=Path, help="reports to read instead of running")
    parser.add_argument("--vm", action="store_true", help="in the virtual machine")
    options = parser.parse_args()
    results: Results = {}
    with tempfile.TemporaryDirectory() as directory:
        given = options.junit
        if given is None and options.vm:
            given = run_in_vm(Path(directory))
        elif given is None:
            given = [Path(directory) / "junit.xml"]
            run_all(given[0])
        for file in given:
            read(file, results)
    lines = [summary(results)]
    for engines in TABLES:
        lines += ["", *table(results, engines)]
    write(lines, "clients in the virtual machine" if options.vm else "clients")
    for line in worse(results):
        print(f"fails with pycontainer alone: {line}")
    return bool(worse(results))


if __name__ == "__main__":
    sys.exit(main())
