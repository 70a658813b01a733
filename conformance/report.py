"""What of runtime-spec 1.3.0 is proven by tests that ran: `make conformance`.

    python conformance/report.py [--junit FILE ...] [--also FILE ...] [--all]

Runs the tests that the clauses name (or reads the JUnit XML of a run), adds what other machines
have run (--also, and every report in build/reports, where `make test-vm` leaves its own), and
prints each clause as proven, not applicable (and why), deviating (and why), or open. A clause is
proven only when each of its tests exists, ran, and passed. Exit status 1 when a MUST is open.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "build" / "reports"
sys.path.insert(0, str(ROOT))

from conformance.clauses import MUST, Clause, load  # noqa: E402

# What became of a test's parameters, worst first; "absent" tests are in no report.
ORDER = ("failed", "absent", "skipped", "passed")
PROVEN, REASON, DEVIATES, OPEN = "proven", "not applicable", "deviates", "open"


class Results:
    """The outcome of each test case by its node id, from JUnit XML."""

    def __init__(self) -> None:
        self.cases: dict[str, str] = {}
        self.notes: dict[str, str] = {}

    def read(self, path: Path) -> None:
        """Add a report; a case that one machine skips counts as another one saw it."""
        for case in xml.parse(path).getroot().iter("testcase"):
            module, name = case.get("classname", ""), case.get("name", "")
            node = f"{module.replace('.', '/')}.py::{name}"
            outcome, note = "passed", ""
            for child in case:
                if child.tag in ("failure", "error", "skipped"):
                    outcome = "skipped" if child.tag == "skipped" else "failed"
                    note = (child.get("message") or "").partition("\n")[0]
            before = self.cases.get(node, "skipped")
            if before == "skipped" or outcome == "failed":
                self.cases[node], self.notes[node] = outcome, note

    def outcome(self, node: str) -> tuple[str, str]:
        """(outcome, note) of a test with all its parameters, or of the one in brackets.

        Some parameters may have been skipped, if others ran and none failed.
        """
        if node.endswith("]"):
            found = {node: self.cases[node]} if node in self.cases else {}
        else:
            found = {
                case: outcome
                for case, outcome in self.cases.items()
                if case == node or case.startswith(f"{node}[")
            }
        if not found:
            return "absent", "no such test, or it did not run"
        for wanted in ("failed", "passed", "skipped"):
            for case, outcome in found.items():
                if outcome == wanted:
                    return outcome, self.notes.get(case, "")
        return "absent", ""


def judge(clause: Clause, results: Results) -> tuple[str, str]:
    """(verdict, why) of a clause."""
    if clause.deviates:
        return DEVIATES, clause.reason
    if clause.reason:
        return REASON, clause.reason
    outcomes = [(results.outcome(node), node) for node in clause.tests]
    (worst, note), node = min(outcomes, key=lambda item: ORDER.index(item[0][0]))
    if worst == "passed":
        return PROVEN, f"{len(clause.tests)} tests" if len(clause.tests) > 1 else "1 test"
    return OPEN, f"{node} {worst}" + (f": {note}" if note else "")


def run_tests(clauses: list[Clause], report: Path) -> None:
    """Run every bound test once."""
    nodes = sorted({node for clause in clauses for node in clause.tests})
    files = {node.partition("::")[0] for node in nodes}
    present = [node for node in nodes if (ROOT / node.partition("::")[0]).exists()]
    missing = sorted(file for file in files if not (ROOT / file).exists())
    for file in missing:
        print(f"no such file: {file}", file=sys.stderr)
    known = _collected({node.partition("::")[0] for node in present})
    present = [n for n in present if any(k == n or k.startswith(f"{n}[") for k in known)]
    argv = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *present]
    subprocess.run(argv, cwd=ROOT, check=False, stdout=sys.stderr)


def _collected(files: set[str]) -> set[str]:
    """The node ids that there are: one unknown id would end the whole run."""
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", *sorted(files)]
    done = subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True)
    return {line for line in done.stdout.splitlines() if "::" in line}


def age(report: Path) -> str:
    """When it was made, and whether that was before the last change of what it is about."""
    made = report.stat().st_mtime
    sources = [*ROOT.glob("pycontainer/**/*.py"), *ROOT.glob("csrc/**/*.[ch]")]
    late = " (older than the sources: make test-vm)" if newest(sources) > made else ""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(made)) + late


def newest(files: list[Path]) -> float:
    """The last change of any of them."""
    return max(file.stat().st_mtime for file in files)


def show(clauses: list[Clause], results: Results, all_of_them: bool) -> int:
    """Print the report; how many MUSTs are open."""
    counts: dict[str, int] = {}
    open_musts, anchor = 0, ""
    for clause in clauses:
        verdict, why = judge(clause, results)
        counts[verdict] = counts.get(verdict, 0) + 1
        open_musts += verdict == OPEN and clause.level == MUST
        if verdict == PROVEN and not all_of_them:
            continue
        if clause.anchor != anchor:
            anchor = clause.anchor
            print(anchor)
        print(f"  {verdict:15} {clause.level:6} {clause.words}\n{'':26}{why}")
    total = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    print(f"{len(clauses)} clauses: {total}; {open_musts} MUST open")
    return open_musts


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--junit", action="append", type=Path, help="reports of runs of the tests")
    parser.add_argument("--also", action="append", type=Path, help="reports of other machines")
    parser.add_argument("--all", action="store_true", help="list what is proven, too")
    options = parser.parse_args(argv)
    clauses, results = load(), Results()
    if options.junit:
        for path in options.junit:
            results.read(path)
    else:
        descriptor, name = tempfile.mkstemp(suffix=".xml")
        os.close(descriptor)
        try:
            run_tests(clauses, Path(name))
            results.read(Path(name))
        finally:
            os.unlink(name)
    for path in options.also or ():
        results.read(path)
    for path in sorted(REPORTS.glob("*.xml")):
        results.read(path)
        print(f"with {path.relative_to(ROOT)}, {age(path)}")
    return 1 if show(clauses, results, options.all) else 0


if __name__ == "__main__":
    sys.exit(main())
