"""--trace FILE: a timeline that Chrome opens, of a command that does what it does without."""

from __future__ import annotations

import json
import os
import re
from typing import Any
from xml.etree import ElementTree

from tests.support.box import Box
from tests.support.runtimes import CHECKOUT, Runtime, eventually


def test_a_timeline(box: Box, pyc: Runtime):
    file = box.directory / "trace.json"
    bundle = box.bundle().script("exit 3")
    assert pyc("--trace", file, "run", "-b", bundle, box.id()).status == 3
    events = json.loads(file.read_text())["traceEvents"]
    functions = [event for event in events if event.get("cat") == "function"]
    names = {event["name"] for event in functions}
    assert {"shim_spawn", "executor.engine.execute", "lifecycle.create.compile"} <= names
    if pyc.command == str(CHECKOUT / "build" / "pycontainer"):  # the other has loaded it before
        assert "load lifecycle.create" in names
    assert all(event["ph"] == "X" and event["dur"] >= 20 for event in functions)
    rows = {event["args"]["name"] for event in events if event["ph"] == "M"}
    assert "operations of the container" in rows


def operations(box: Box, *command: Any) -> list[dict[str, Any]]:
    """The operations in the timeline of a command."""
    file = box.directory / "operations.json"
    box.pycontainer("--trace", file, *command)
    events = json.loads(file.read_text())["traceEvents"]
    return [event for event in events if event.get("cat") == "operation"]


def steps(found: list[dict[str, Any]]) -> list[int]:
    return [int(event["args"]["operation"].split()[0]) for event in found]


def test_it_is_the_plan(box: Box):
    """Every operation, by who does it, in words, with its field and result."""
    bundle = box.bundle("true")
    plan = json.loads(box.pycontainer("plan", "--json", bundle).ok().out)
    found = operations(box, "run", "-b", bundle, box.id())
    gates = {"await_start", "open_gate"}  # of create, whose plan it is
    assert len(found) == len([entry for entry in plan if entry["operation"] not in gates])
    assert steps(found) == list(range(1, len(found) + 1))
    assert {event["args"]["result"] for event in found} == {"ok"}
    named = {event["name"]: event for event in found}
    proc = named["mount proc on /proc"]
    assert proc["args"]["field"] == "mounts[0]" and proc["tid"] == 3
    assert named["record the state: created"]["tid"] == 2


def test_times_are_in_order(box: Box):
    found = operations(box, "run", "-b", box.bundle("true"), box.id())
    for row in (2, 3):
        own = [event for event in found if event["tid"] == row]
        begun = [event["ts"] for event in own]
        assert begun == sorted(begun) and all(event["dur"] >= 0 for event in own)
        for event, following in zip(own, own[1:], strict=False):
            assert event["ts"] + event["dur"] <= following["ts"] + 0.5  # a float of 2e15
    assert max(event["ts"] for event in found) - min(event["ts"] for event in found) < 60e6


def test_an_operation_that_takes_long_is_seen_to_do_so(box: Box):
    bundle = box.bundle("true")
    script = bundle.rootfs / "bin" / "slow"
    script.write_text("#!/bin/sh\nsleep 0.3\n")
    script.chmod(0o755)
    bundle.config["hooks"] = {"startContainer": [{"path": "/bin/slow"}]}
    found = operations(box, "run", "-b", bundle, box.id())
    hooks = [event for event in found if event["name"].startswith("run startContainer hook #0")]
    assert [event["dur"] > 250_000 for event in hooks] == [True]


def test_a_failed_operation_has_its_reason(box: Box):
    found = operations(box, "run", "-b", box.bundle("/nowhere"), box.id())
    assert found[-1]["name"] == "find program /nowhere"
    assert found[-1]["args"]["result"] == "no such file or directory"


def test_create_comes_to_the_gate(box: Box):
    found = operations(box, "create", "-b", box.bundle("true"), box.id())
    assert "find program true" in {event["name"] for event in found}


def test_what_a_filter_may_refuse_is_not_called(box: Box):
    """Once the filter is loaded, the executor does not ask for the time."""
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["clock_gettime"], "action": "SCMP_ACT_KILL_PROCESS"}],
    }
    name = box.id()
    found = operations(box, "create", "-b", bundle, name)
    box.pycontainer("start", name).ok()
    assert found
    found = operations(box, "exec", name, "/bin/true")
    assert any(event["name"].startswith("load seccomp filter") for event in found)
    box.pycontainer("--trace", box.directory / "t", "exec", name, "/bin/true").ok()


def test_in_a_time_namespace(box: Box):
    bundle = box.bundle("true")
    bundle.new_namespace("time")
    bundle.linux["timeOffsets"] = {"monotonic": {"secs": 100000}}
    found = operations(box, "run", "-b", bundle, box.id())
    begun = [event["ts"] for event in found]
    assert found and max(begun) - min(begun) < 60e6


def test_a_picture(box: Box):
    file = box.directory / "trace.svg"
    box.pycontainer("--trace", file, "run", "-b", box.bundle("true"), box.id()).ok()
    root = ElementTree.parse(file).getroot()
    assert root.tag.endswith("svg")
    titles = [title.text or "" for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert any("mount proc on /proc: ok" in title for title in titles)
    box.pycontainer("--trace", file, "list").ok()
    assert "no plan" in file.read_text()


def test_debug_logs_each_operation(box: Box):
    log = box.directory / "log.json"
    flags = ["--debug", "--log", log, "--log-format", "json"]
    box.pycontainer(*flags, "run", "-b", box.bundle("true"), box.id()).ok()
    messages = [json.loads(line)["msg"] for line in log.read_text().splitlines()]
    lines = [message for message in messages if message.startswith("operation ")]
    pattern = r"operation \d+ of \d+, container: mount proc on /proc: ok, \d+ us"
    assert any(re.fullmatch(pattern, line) for line in lines)
    assert any(", runtime: clone init" in line for line in lines)


def test_debug_tells_of_operations_as_they_happen(box: Box):
    """A container that hangs in a hook: the log says so while it does."""
    bundle, log, fifo = box.bundle("true"), box.directory / "log", box.directory / "fifo"
    os.mkfifo(bundle.rootfs / "fifo")
    os.mkfifo(fifo)
    for name, command in (("inside", "cat /fifo"), ("outside", f"cat {fifo}")):
        hook = {"path": "/bin/sh", "args": ["sh", "-c", f"{command} >/dev/null"], "timeout": 60}
        stage = {"inside": "startContainer", "outside": "createRuntime"}[name]
        bundle.config.setdefault("hooks", {})[stage] = [hook]
    flags = ["--debug", "--log", log, "run", "-b", bundle, box.id()]
    with box.pycontainer.start_process(*flags) as running:
        outside = "runtime: run 1 createRuntime hooks: has begun"
        eventually(lambda: log.exists() and outside in log.read_text(), outside)
        assert "startContainer" not in log.read_text()
        fifo.write_text("")
        inside = r"container: run startContainer hook #0.*: has not ended yet"
        eventually(lambda: re.search(inside, log.read_text()) is not None, inside)
        assert running.poll() is None
        (bundle.rootfs / "fifo").write_text("")
        assert running.wait(timeout=60) == 0
    text = log.read_text()
    numbers = re.findall(r"operation (\d+) of \d+, \w+: .*: ok, \d+ us", text)
    total = int(re.findall(r"operation \d+ of (\d+)", text)[0])
    assert sorted(map(int, numbers)) == list(range(1, total + 1))  # each of them once


def test_a_failure_is_traced_too(box: Box, pyc: Runtime):
    file = box.directory / "trace.json"
    pyc("--trace", file, "state", box.id()).fails("does not exist")
    assert json.loads(file.read_text())["traceEvents"]


def test_a_file_that_cannot_be_written_is_a_warning(box: Box, pyc: Runtime):
    name = box.running()
    done = pyc("--trace", "/nonexistent/trace", "state", name).ok()
    assert "level=warning" in done.err and json.loads(done.out)["status"] == "running"
