"""Runs the list as an ordinary user, with each runtime, and writes it into conformance/README.md.

    report.py                   run in the virtual machine that $PYCONTAINER_VM starts, then write
    report.py --keep DIR        the same, and leave each setup's report there
    report.py --junit FILE...   take the results of runs that are over, of one machine or of more

Each setup has a machine of its own, one after the other: what one of them loses is its own. Under
software emulation each takes about ten minutes.

The user is in a cgroup of root's, as after a login over ssh: a runtime has no cgroup that it may
write to, or asks the user's systemd for one. Exit status 1 when a check fails with pycontainer.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
README = HERE.parent / "README.md"
BEGIN, END = "<!-- rootless: begin -->", "<!-- rootless: end -->"
RUNTIMES = ("pycontainer", "runc", "crun")
WORDS = {
    "own-systemd": "one id, systemd",
    "own-none": "one id, no cgroup",
    "ranges-systemd": "a range, systemd",
    "ranges-none": "a range, no cgroup",
}
USER = "tester"
SCRIPT = f"""
id=$(id -u {USER})
while [ ! -S /run/user/$id/bus ]; do sleep 0.2; done
install -d -o {USER} $OUT/{USER}
setpriv --reuid {USER} --regid {USER} --init-groups \\
    env HOME=/home/{USER} USER={USER} XDG_RUNTIME_DIR=/run/user/$id \\
    DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$id/bus PYCONTAINER_SLOWNESS=4 \\
    PYCONTAINER_COMMAND=build/fast/pycontainer /usr/bin/python3 -m pytest -q -p pytest_timeout \\
    -p no:cacheprovider -o timeout=600 --tb=short --junitxml=$OUT/{USER}/rootless.xml "$@"
"""

Results = dict[str, dict[tuple[str, str], str]]  # check: {(runtime, setup): how it went}


def run(place: Path, arguments: list[str]) -> list[Path]:
    """All checks in virtual machines; the paths of the reports that came back."""
    reports = []
    for setup in WORDS:
        out = place / setup
        in_vm = [str(CHECKOUT / "tools/in-vm"), "--timeout", "3000", "--out", str(out), "--"]
        words = ["-k", setup, *(arguments or ["conformance/rootless"])]
        argv = [*in_vm, "sh", "-c", SCRIPT, "sh", *words]
        subprocess.run(argv, cwd=CHECKOUT, check=False, stdin=subprocess.DEVNULL)
        reports.append(out / USER / "rootless.xml")
    return [report for report in reports if report.exists()]


def read(reports: list[Path]) -> Results:
    """What JUnit reports say; a check with parameters of its own has the worst of its results."""
    results: Results = {}
    for case in (case for report in reports for case in xml.parse(report).iter("testcase")):
        name, _, parameters = case.get("name", "").rstrip("]").partition("[")
        runtime = next((name for name in RUNTIMES if name in parameters), "")
        setup = next((name for name in WORDS if name in parameters), "")
        if not runtime or not setup:
            continue
        bad = any(child.tag in ("failure", "error") for child in case)
        skipped = any(child.tag == "skipped" for child in case)
        row = results.setdefault(name.removeprefix("test_").replace("_", " "), {})
        went = "no" if bad else "–" if skipped else "yes"
        before = row.get((runtime, setup), went)
        row[runtime, setup] = "no" if "no" in (before, went) else went
    return results


def cell(row: dict[tuple[str, str], str], runtime: str) -> str:
    """Yes, or the setups in which it fails."""
    failed = [words for setup, words in WORDS.items() if row.get((runtime, setup)) == "no"]
    if not {"yes", "no"} & {row.get((runtime, setup)) for setup in WORDS}:
        return "–"  # it has not run
    if len(failed) == len(WORDS):
        return "no"
    return f"no: {'; '.join(failed)}" if failed else "yes"


def table(results: Results) -> list[str]:
    """The lines for the README: how many hold in each setup, and then each check."""
    head = f"|---{'|---' * len(RUNTIMES)}|"
    lines = [f"| setup | {' | '.join(RUNTIMES)} |", head]
    for setup, words in WORDS.items():
        counts = []
        for runtime in RUNTIMES:
            went = [row.get((runtime, setup), "–") for row in results.values()]
            ran = len(went) - went.count("–")
            counts.append(f"{went.count('yes')} of {ran}" if ran else "–")
        lines.append(f"| {words} | {' | '.join(counts)} |")
    lines += ["", f"| check | {' | '.join(RUNTIMES)} |", head]
    for check, row in results.items():
        lines.append(f"| {check} | {' | '.join(cell(row, runtime) for runtime in RUNTIMES)} |")
    return lines


def write(lines: list[str]) -> None:
    """Replace what is between the marks."""
    text = README.read_text()
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    README.write_text("\n".join([before + BEGIN, *lines, END]) + after)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--junit", nargs="+", type=Path, help="reports to read instead of running")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="where the reports are to stay")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest: then nothing is written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        results = read(given.junit or run(given.keep or Path(place), given.pytest))
    if not given.pytest:
        write(table(results))
    failed = [check for check, row in results.items() if cell(row, "pycontainer").startswith("no")]
    for check in failed:
        print(f"fails with pycontainer: {check}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
