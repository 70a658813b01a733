"""The proofs themselves: what is not run is not proven, and what is worse is found."""

from __future__ import annotations

import argparse

import pytest

from conformance import report, runtime_tools
from conformance.clauses import MUST, Clause, load, node

TAP = """TAP version 13
ok 1 - has expected hostname
  ---
  { "level": "MUST" }
  ...
not ok 2 - wrong pid 12345 of 0b6a9a9e-1f42-4b39-9d7c-0d5b8a1f2c3d in /tmp/ocitest12/x
ok 3 # SKIP needs root
    ok 4 - nested
1..4
"""
JUNIT = """<testsuites><testsuite>
<testcase classname="tests.a.test_x" name="test_one"/>
<testcase classname="tests.a.test_x" name="test_two[p q]"/>
<testcase classname="tests.a.test_x" name="test_two[r]"><skipped message="not here"/></testcase>
<testcase classname="tests.a.test_x" name="test_bad[1]"/>
<testcase classname="tests.a.test_x" name="test_bad[2]"><failure message="no&#10;more"/></testcase>
<testcase classname="tests.a.test_x" name="test_away"><skipped message="v2 only"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def results(tmp_path):
    (tmp_path / "junit.xml").write_text(JUNIT)
    made = report.Results()
    made.read(tmp_path / "junit.xml")
    return made


@pytest.mark.parametrize(
    ("proof", "verdict", "why"),
    [
        ("a/x::one", "proven", "1 test"),
        ("a/x::one a/x::two", "proven", "2 tests"),
        ("a/x::two[p q]", "proven", ""),
        ("a/x::two[r]", "open", "skipped: not here"),
        ("a/x::one a/x::bad", "open", "failed: no"),
        ("a/x::away", "open", "skipped: v2 only"),
        ("a/x::nosuch", "open", "absent"),
        ("a/x::one a/x::tw", "open", "absent"),
        ("n/a: because", "not applicable", "because"),
        ("deviates: so", "deviates", "so"),
    ],
)
def test_a_clause_is_proven_by_what_ran(results, proof, verdict, why):
    found, reason = report.judge(Clause("x.md#y", MUST, "words", proof), results)
    assert found == verdict and why in reason


def test_another_machine_adds_what_this_one_skips(results, tmp_path):
    other = JUNIT.replace('<skipped message="v2 only"/>', "")
    (tmp_path / "other.xml").write_text(other)
    results.read(tmp_path / "other.xml")
    assert results.outcome(node("a/x::away")) == ("passed", "")
    assert results.outcome(node("a/x::bad"))[0] == "failed"


def test_every_clause_is_bound_to_files_that_exist():
    clauses = load()
    assert len(clauses) > 150
    for clause in clauses:
        assert clause.tests or clause.reason, clause
        for test in clause.tests:
            assert (report.ROOT / test.partition("::")[0]).exists(), test


def test_every_bound_test_is_written():
    for clause in load():
        for test in clause.tests:
            file, _, name = test.partition("::")
            text = (report.ROOT / file).read_text()
            assert f"def {name.partition('[')[0]}(" in text, test


def test_tap():
    found = runtime_tools.parse(TAP)
    assert [(a.result, a.words) for a in found] == [
        ("ok", "has expected hostname"),
        ("not ok", "wrong pid N of ID in PATH"),
        ("skip", ""),
        ("ok", "nested"),
    ]


def file_result(*assertions: tuple[str, str]) -> runtime_tools.FileResult:
    made = [runtime_tools.Assertion(words, result) for result, words in assertions]
    return runtime_tools.FileResult("a.t", 0, made, "")


def test_what_is_worse_than_another_runtime():
    theirs = {"a.t": file_result(("ok", "x"), ("ok", "y"), ("not ok", "z"), ("ok", "x"))}
    ours = {"a.t": file_result(("ok", "x"), ("not ok", "y"), ("not ok", "z"))}
    assert runtime_tools.regressions(ours, theirs) == ["a.t: not ok: y", "a.t: missing: x (2)"]


def test_the_runner_needs_a_built_checkout(tmp_path, capsys):
    assert runtime_tools.main([str(tmp_path)]) == 2
    assert "build them first" in capsys.readouterr().err


def test_a_program_that_hangs_is_a_failure(tmp_path):
    program = tmp_path / "validation" / "x.t"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho ok 1 - begun\nsleep 100\n")
    program.chmod(0o755)
    options = argparse.Namespace(only="", timeout=1.0, logs="")
    try:
        found = runtime_tools.run_all(tmp_path, "true", options)["x.t"]
    except PermissionError:
        pytest.skip("unshare needs root")
    if "Operation not permitted" in found.log:
        pytest.skip("a mount namespace needs root")
    assert [a.result for a in found.assertions] == ["ok", "not ok"]
