"""Runs the validation suite of a built opencontainers/runtime-tools checkout against a runtime.

    python conformance/runtime_tools.py CHECKOUT --runtime build/pycontainer --against runc

Each `validation/**/*.t` is a program that speaks TAP. They run one after another: several of them
use the same cgroup paths. Prints a table of files, and with `--against` every assertion that the
two runtimes answer differently. Exit status 1 when one fails that passes with the other.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TAP = re.compile(r"^(not ok|ok)\b *(\d*)[ -]*(.*?)(?:\s*#\s*(skip|todo)\b\s*(.*))?$", re.I)
# Words that differ from run to run.
NOISE = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}"), "ID"),
    (re.compile(r"/tmp/[\w./-]+"), "PATH"),
    (re.compile(r"\b\d{3,}\b"), "N"),
)


# Some files run containers without a mount namespace: what is mounted then must not stay.
ALONE = ("unshare", "--mount", "--propagation", "slave")


class Assertion:
    """One line of TAP: its words without what changes from run to run, and how it ended."""

    def __init__(self, words: str, result: str, note: str = "") -> None:
        self.words = words
        self.result = result  # "ok", "not ok", "skip"
        self.note = note

    def __repr__(self) -> str:
        return f"{self.result} {self.words}"


class FileResult:
    """What one program of the suite said."""

    def __init__(self, name: str, status: int, assertions: list[Assertion], log: str) -> None:
        self.name = name
        self.status = status
        self.assertions = assertions
        self.log = log

    def count(self, result: str) -> int:
        """How many assertions ended so."""
        return sum(a.result == result for a in self.assertions)

    def by_words(self) -> dict[str, str]:
        """The result of each assertion; equal words are told apart by their number."""
        found: dict[str, str] = {}
        for assertion in self.assertions:
            words, number = assertion.words, 1
            while words in found:
                number += 1
                words = f"{assertion.words} ({number})"
            found[words] = assertion.result
        return found


def parse(text: str) -> list[Assertion]:
    """The assertions of a TAP stream; a nested runtimetest's lines are indented and count too."""
    found = []
    for line in text.splitlines():
        match = TAP.match(line.strip())
        if not match:
            continue
        result, _, words, directive, reason = match.groups()
        for pattern, place in NOISE:
            words = pattern.sub(place, words)
        outcome = "skip" if directive and directive.lower() == "skip" else result.lower()
        found.append(Assertion(words.strip(), outcome, reason or ""))
    return found


def run_file(program: Path, checkout: Path, runtime: str, seconds: float) -> FileResult:
    """One program, in a directory of temporary files that goes away afterwards."""
    name = str(program.relative_to(checkout / "validation"))
    with _scratch() as scratch:
        env = {**os.environ, "RUNTIME": runtime, "TMPDIR": scratch}
        process = subprocess.Popen(
            [*ALONE, str(program)],
            cwd=checkout,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            output += f"\nnot ok 0 - ended after {seconds:.0f} s\n"
        _sweep(runtime, scratch)
    assertions = parse(output)
    if process.returncode and not any(a.result == "not ok" for a in assertions):
        assertions.append(Assertion(f"exit status {process.returncode}", "not ok"))
    return FileResult(name, process.returncode, assertions, output)


def _sweep(runtime: str, scratch: str) -> None:
    """Delete the containers that a program has left, by the place of their bundles."""
    argv = [runtime, "list", "--format", "json"]
    listed = subprocess.run(argv, check=False, capture_output=True, text=True).stdout
    for entry in json.loads(listed or "null") or ():
        if entry["bundle"].startswith(f"{scratch}/"):
            subprocess.run([runtime, "delete", "--force", entry["id"]], check=False)


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    """A directory that goes away; never through a mount that somebody has left in it."""
    directory = tempfile.mkdtemp(prefix="runtime-tools-")
    os.chmod(directory, 0o755)
    try:
        yield directory
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", directory], check=False)


def programs(checkout: Path, pattern: str) -> list[Path]:
    """The built programs whose name contains `pattern`."""
    found = sorted((checkout / "validation").glob("**/*.t"))
    return [program for program in found if pattern in str(program)]


def run_all(checkout: Path, runtime: str, options: argparse.Namespace) -> dict[str, FileResult]:
    """Every program in turn; what each one printed goes to --logs."""
    results = {}
    for program in programs(checkout, options.only):
        result = run_file(program, checkout, runtime, options.timeout)
        results[result.name] = result
        if options.logs:
            directory = Path(options.logs) / Path(runtime).name
            directory.mkdir(parents=True, exist_ok=True)
            (directory / result.name.replace("/", "_")).write_text(result.log)
        print(f"{Path(runtime).name:14} {summary(result)}", file=sys.stderr)
    return results


def summary(result: FileResult) -> str:
    """One file in one line."""
    counts = [f"{result.count(kind):4} {kind}" for kind in ("ok", "not ok", "skip")]
    return f"{result.name:55} {' '.join(counts)}"


def regressions(ours: dict[str, FileResult], theirs: dict[str, FileResult]) -> list[str]:
    """Assertions that fail with ours and pass with theirs, or that ours never came to."""
    lines = []
    for name, result in theirs.items():
        mine = ours[name].by_words() if name in ours else {}
        for words, outcome in result.by_words().items():
            if outcome == "ok" and mine.get(words, "missing") in ("not ok", "missing"):
                lines.append(f"{name}: {mine.get(words, 'missing')}: {words}")
    return lines


def table(ours: dict[str, FileResult], theirs: dict[str, FileResult], names: list[str]) -> str:
    """A Markdown table of files."""
    head = f"| file | {' | '.join(names)} |\n|---|{'---|' * len(names)}\n"
    rows = []
    for name, result in ours.items():
        cells = [_cell(result)]
        if theirs:
            cells.append(_cell(theirs[name]) if name in theirs else "")
        rows.append(f"| {name} | {' | '.join(cells)} |\n")
    return head + "".join(rows)


def _cell(result: FileResult) -> str:
    text = f"{result.count('ok')} ok"
    for kind in ("not ok", "skip"):
        if result.count(kind):
            text += f", {result.count(kind)} {kind}"
    return text


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path, help="with built validation/**/*.t and runtimetest")
    parser.add_argument("--runtime", default="build/pycontainer", help="the one to be judged")
    parser.add_argument("--against", default="", help="another one to compare with")
    parser.add_argument("--only", default="", help="a part of the files' names")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for each file")
    parser.add_argument("--logs", default="", help="a directory for what each file printed")
    parser.add_argument("--json", default="", help="a file for the results")
    return parser.parse_args(argv)


def _plain(results: dict[str, FileResult]) -> dict[str, Any]:
    return {name: result.by_words() for name, result in results.items()}


def main(argv: list[str] | None = None) -> int:
    """Run, print, and judge."""
    options = _arguments(argv)
    runtime = os.path.abspath(options.runtime) if "/" in options.runtime else options.runtime
    checkout = options.checkout.resolve()
    if not programs(checkout, ""):
        print(f"no validation/**/*.t in {checkout}: build them first", file=sys.stderr)
        return 2
    ours = run_all(checkout, runtime, options)
    theirs = run_all(checkout, options.against, options) if options.against else {}
    names = [Path(runtime).name, *([options.against] if options.against else [])]
    print(table(ours, theirs, names))
    worse = regressions(ours, theirs)
    for line in worse:
        print(f"worse: {line}")
    if options.json:
        document = {name: _plain(r) for name, r in zip(names, (ours, theirs), strict=False)}
        Path(options.json).write_text(json.dumps(document, indent=1))
    failed = worse if options.against else [r for r in ours.values() if r.count("not ok")]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
