"""Runs every check with every engine and writes the table into conformance/README.md.

    report.py                   run, then write
    report.py --vm [PART...]    the same in the virtual machine: systemd, cgroup v2, rootless Podman
    report.py --junit FILE...   take the results of runs that are over, of one machine or of more

The virtual machine takes hours for all, so it runs in parts, one machine for each; each leaves its
results in build/clients-vm, and the table is made of all that are there. What has passed does not
run again, so that a run that ended too early can go on. Two parts with a + between them share one.
Programs that Debian has not, CRI-O's for one, are taken along as PYCONTAINER_VM_COPIES names them:
FILE:/usr/local/bin/NAME, with spaces between.

A check that fails on both runtimes is the engine's or the machine's; one that fails on ours alone
makes the exit status 1.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
TABLES = (("podman", "rootless", "docker"), ("containerd", "cri", "crio"))
ENGINES = tuple(engine for engines in TABLES for engine in engines)
NAMES = {"rootless": "rootless podman", "cri": "containerd's CRI", "crio": "CRI-O"}
RUNTIMES = ("pycontainer", "runc")
SHIM = "shim"  # pycontainer below its own containerd shim: engine.py
TITLED = {"shim": "pycontainer's shim"}
RANK = ("", "skipped", "passed", "failed")  # of a check that ran more than once, the worst
SIGNS = {"": "", "skipped": "–", "passed": "yes", "failed": "no"}

KEPT = HERE.parents[1] / "build" / "clients-vm"
# The processor is emulated.
ENVIRONMENT = {
    "PYCONTAINER_ENGINES": "all",
    "PYCONTAINER_SLOWNESS": "8",
    "PYCONTAINER_MASSES": "50",
    "GOGC": "400",  # engines collect less often: a seventh of their time
    "GOMAXPROCS": "1",  # fifty clients at once only get in each other's way
}
PYTEST = [
    *("python3", "-m", "pytest", "-v", "-p", "pytest_timeout", "-p", "no:cacheprovider"),
    *("-o", "timeout=1200", "--tb=short", "--durations=8"),
]
# The user, and what pytest's -k says for a runtime.
PARTS = {
    "containerd": ("", "containerd-{} and not masses"),
    "cri": ("", "cri-{}"),
    "crio": ("", "crio-{}"),
    "podman": ("", "podman-{} and not masses"),
    "docker": ("", "docker-{} and not masses"),
    "rootless": ("tester", "rootless-{} and not masses"),
    "masses": ("", "masses and {}"),
    "rootless-masses": ("tester", "masses and {}"),
}

Results = dict[tuple[str, str], dict[str, str]]  # (module, check): {engine-runtime: result}


def run_all(junit: Path) -> None:
    """All checks; what fails is in the report."""
    command = [sys.executable, "-m", "pytest", "-q", str(HERE), f"--junit-xml={junit}"]
    env = {**os.environ, "PYCONTAINER_ENGINES": "all"}
    subprocess.run(command, cwd=HERE.parents[1], env=env, check=False)


def run_in_vm(parts: list[str], options: argparse.Namespace) -> None:
    """Parts in one machine, side by side, but for the masses; $PYCONTAINER_VM says where it is.

    An interrupted pytest still writes what it has: no time is lost when there was too little.
    """
    seconds, jobs = options.minutes * 60, []
    for part, runtime in [(part, runtime) for part in parts for runtime in options.runtime]:
        chosen = PARTS[part][1].format(runtime) + (f" and ({options.only})" if options.only else "")
        report = f"/out/{part}-{runtime}-{int(time.time())}.xml"
        words = ["timeout", "--signal=INT", "--kill-after=300", str(seconds), *PYTEST]
        words += ["-k", chosen, f"--junit-xml={report}", *(() if options.again else passed())]
        jobs.append(shlex.join([*words, "conformance/clients"]))
    alone = any("masses" in part for part in parts)
    script = " ".join(f"{job};" if alone else f"{job} &" for job in jobs)
    words = ["tools/in-vm", f"--timeout={seconds * (len(jobs) if alone else 1) + 400}"]
    # Fifty Podmans at once want 80 MB each: with less they only wait for their own pages.
    words += [f"--memory={10240 if alone else 3072}", f"--out={KEPT}"]
    words += [f"--user={user}"] if (user := PARTS[parts[0]][0]) else []
    for name, value in ENVIRONMENT.items():
        words += ["--env", f"{name}={os.environ.get(name, value)}"]
    for copy in os.environ.get("PYCONTAINER_VM_COPIES", "").split():
        words.append(f"--copy={copy}")
    KEPT.mkdir(parents=True, exist_ok=True)
    command = [*words, "--", "sh", "-c", f"{script} wait"]
    subprocess.run(command, cwd=HERE.parents[1], check=False)


def passed() -> list[str]:
    """The options of pytest that leave out what has been seen in there."""
    names = [
        f"conformance/clients/{case.get('classname').rpartition('.')[2]}.py::{case.get('name')}"
        for file in kept()
        for case in xml.parse(file).iter("testcase")
        # One that was interrupted has no name.
        if case.get("classname") and result_of(case) == "passed"
    ]
    return [f"--deselect={name}" for name in names]


def kept() -> list[Path]:
    """The results of all parts that have run, the oldest first."""
    return sorted(KEPT.glob("*.xml"), key=lambda file: file.stem.rpartition("-")[2])


def read(junit: Path) -> Results:
    """The results in a JUnit report."""
    results: Results = {}
    for case in xml.parse(junit).iter("testcase"):
        name, bracket, parameters = case.get("name", "").partition("[")
        titles = [f"{e}-{r}" for e in ENGINES for r in (*RUNTIMES, SHIM)]
        title = next((title for title in titles if parameters.startswith(title)), "")
        if not bracket or not title:
            continue
        module = case.get("classname", "").rpartition(".")[2].removeprefix("test_")
        row = results.setdefault((module, name.removeprefix("test_").replace("_", " ")), {})
        row[title] = max(row.get(title, ""), result_of(case), key=RANK.index)
    return results


def result_of(case: xml.Element) -> str:
    """How a check of a JUnit report ended."""
    tags = {child.tag for child in case}
    if tags & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in tags else "passed"


def together(files: list[Path]) -> Results:
    """The results of several reports; of a check that has run in more than one, the last."""
    results: Results = {}
    for file in files:
        for check, row in read(file).items():
            known = results.setdefault(check, {})
            ran = {title: result for title, result in row.items() if result != "skipped"}
            known.update({**row, **known, **ran})
    return results


def table(results: Results, engines: tuple[str, ...]) -> list[str]:
    """The lines of the table of these engines, ordered by module and then as the checks ran."""
    ran = {title for row in results.values() for title in row}
    columns = [(e, r) for e in engines for r in (*RUNTIMES, SHIM) if f"{e}-{r}" in ran]
    titles = [f"{engine}-{runtime}" for engine, runtime in columns]
    lines = [
        "| check | "
        + " | ".join(f"{NAMES.get(e, e)}, {TITLED.get(r, r)}" for e, r in columns)
        + " |",
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
            for runtime in (*RUNTIMES, SHIM)
        }
        if not passed[SHIM]:
            del passed[SHIM]
        words = ", ".join(f"{n} with {TITLED.get(r, r)}" for r, n in passed.items())
        if any(passed.values()):
            counts.append(f"{NAMES.get(engine, engine)}: {words}")
    return "Checks that pass: " + "; ".join(counts) + "."


def worse(results: Results) -> list[str]:
    """Checks that pass with runc and fail with ours."""
    return [
        f"{engine}: {check}"
        for (_, check), row in results.items()
        for engine in ENGINES
        for ours in ("pycontainer", SHIM)
        if row.get(f"{engine}-runc") == "passed"
        and row.get(f"{engine}-{ours}", "") not in ("passed", "")
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
    parser.add_argument("--vm", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--only", default="", help="these checks of the parts (pytest's -k)")
    parser.add_argument(
        "--runtime", action="append", choices=(*RUNTIMES, SHIM), help="this one alone"
    )
    parser.add_argument("--again", action="store_true", help="what has passed, too")
    parser.add_argument("--minutes", type=int, default=240, help="for a part")
    options = parser.parse_args()
    options.runtime = options.runtime or RUNTIMES
    with tempfile.TemporaryDirectory() as directory:
        files = options.junit
        if files is None and options.vm is not None:
            for parts in options.vm or PARTS:
                run_in_vm(parts.split("+"), options)
            files = kept()
        elif files is None:
            files = [Path(directory) / "junit.xml"]
            run_all(files[0])
        results = together(files)
    lines = [summary(results)]
    for engines in TABLES:
        lines += ["", *table(results, engines)]
    in_vm = options.vm is not None
    write(lines, "clients in the virtual machine" if in_vm else "clients")
    for line in worse(results):
        print(f"fails with pycontainer alone: {line}")
    return bool(worse(results))


if __name__ == "__main__":
    sys.exit(main())
