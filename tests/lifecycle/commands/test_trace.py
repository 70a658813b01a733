"""--trace FILE: a timeline that Chrome opens, of a command that does what it does without."""

from __future__ import annotations

import json

from tests.support.box import Box
from tests.support.runtimes import CHECKOUT, Runtime


def test_a_timeline(box: Box, pyc: Runtime):
    file = box.directory / "trace.json"
    bundle = box.bundle().script("exit 3")
    assert pyc("--trace", file, "run", "-b", bundle, box.id()).status == 3
    events = json.loads(file.read_text())["traceEvents"]
    names = {event["name"] for event in events}
    assert {"shim_spawn", "executor.engine.execute", "lifecycle.create.compile"} <= names
    if pyc.command == str(CHECKOUT / "build" / "pycontainer"):  # the other has loaded it before
        assert "load lifecycle.create" in names
    assert all(event["ph"] == "X" and event["dur"] >= 20 for event in events)


def test_a_failure_is_traced_too(box: Box, pyc: Runtime):
    file = box.directory / "trace.json"
    pyc("--trace", file, "state", box.id()).fails("does not exist")
    assert json.loads(file.read_text())["traceEvents"]


def test_a_file_that_cannot_be_written_is_a_warning(box: Box, pyc: Runtime):
    name = box.running()
    done = pyc("--trace", "/nonexistent/trace", "state", name).ok()
    assert "level=warning" in done.err and json.loads(done.out)["status"] == "running"
