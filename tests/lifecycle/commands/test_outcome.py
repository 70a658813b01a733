"""What became of a container: exit status, signal and time, in `state`, `wait` and `events`."""

from __future__ import annotations

import json
import os
import subprocess
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.runtimes import SLOWNESS, eventually

RELEASE = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
pytestmark = pytest.mark.skipif(RELEASE < (6, 15), reason="needs Linux 6.15 (PIDFD_INFO_EXIT)")
# What is run: the exit status, and the signal.
ENDS = {
    "success": ("exit 0", 0, ""),
    "failure": ("exit 42", 42, ""),
    "highest": ("exit 255", 255, ""),
}


def ended(box: Box, name: str) -> dict[str, Any]:
    """`exit` in the state of a container, once its init has been reaped."""
    eventually(lambda: "status" in box.pycontainer.state(name).get("exit", {}), "an exit status")
    return box.pycontainer.state(name)["exit"]


def detached(box: Box, *flags: str, script: str) -> str:
    bundle = box.bundle("sh", "-c", script)
    name = box.id(f"o{box._bundles}")
    box.pycontainer("run", "-d", *flags, "-b", bundle, name).ok()
    return name


def moment(text: str) -> float:
    """Seconds since 1970."""
    return datetime.strptime(text[:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z").timestamp()


@pytest.mark.parametrize("case", ENDS)
def test_a_detached_container_that_has_ended(box: Box, case: str):
    script, status, _ = ENDS[case]
    before = time.time()
    name = detached(box, "--record-exit", script=script)
    end = ended(box, name)
    assert end["status"] == status and "signal" not in end
    assert before - 1 <= moment(end["time"]) <= time.time()


def test_a_detached_container_that_was_killed(box: Box):
    name = detached(box, "--record-exit", script="sleep 1000")
    assert "exit" not in box.pycontainer.state(name)
    box.pycontainer("kill", name, "KILL").ok()
    end = ended(box, name)
    assert (end["status"], end["signal"]) == (137, "SIGKILL")
    assert box.pycontainer("wait", name).ok().out == "137\n"


def test_the_time_is_that_of_the_end(box: Box):
    name = detached(box, "--record-exit", script="sleep 1000")
    time.sleep(1.2)
    killed = datetime.now(UTC).timestamp()
    box.pycontainer("kill", name, "KILL").ok()
    time.sleep(1.2)
    assert abs(moment(ended(box, name)["time"]) - killed) <= 1


def test_created_then_started(box: Box):
    bundle, name = box.bundle("sh", "-c", "exit 7"), box.id()
    box.pycontainer("create", "--record-exit", "-b", bundle, name).ok()
    box.pycontainer("start", name).ok()
    assert ended(box, name)["status"] == 7


def test_nothing_is_recorded_unless_it_is_asked_for(box: Box):
    name = detached(box, script="exit 3")
    eventually(lambda: box.pycontainer.state(name)["status"] == "stopped", "the end")
    assert "exit" not in box.pycontainer.state(name)
    assert not (box.pycontainer.root / name / "exit").exists()
    assert recorders(box, name) == []


@pytest.mark.parametrize("flags", [[], ["--record-exit"]])
def test_run_in_the_foreground_records_when_it_keeps_the_container(box: Box, flags: list[str]):
    bundle, name = box.bundle("sh", "-c", "exit 9"), box.id()
    box.pycontainer("run", "--keep", *flags, "-b", bundle, name).fails(status=9)
    assert ended(box, name)["status"] == 9


def test_the_recorder_is_small_and_ends_with_the_container(box: Box):
    name = detached(box, "--record-exit", script="sleep 1000")
    found = recorders(box, name)
    assert len(found) == 1
    with open(f"/proc/{found[0]}/smaps_rollup") as file:
        sizes = dict(line.split()[:2] for line in file if line.endswith("kB\n"))
    assert int(sizes["Pss:"]) <= 100
    eventually(lambda: os.readlink(f"/proc/{found[0]}/cwd") == "/", "the recorder to begin")
    assert len(os.listdir(f"/proc/{found[0]}/fd")) == 2
    box.pycontainer("delete", "-f", name).ok()
    eventually(lambda: not os.path.exists(f"/proc/{found[0]}/exe"), "the recorder's end")
    assert not (box.pycontainer.root / name).exists()


def recorders(box: Box, name: str) -> list[str]:
    """The processes that have this container's file open."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/fd/1") == str(box.pycontainer.root / name / "exit"):
                found.append(pid)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("case", ENDS)
def test_wait(box: Box, case: str):
    """Nothing is recorded: who waits while it lives needs no help."""
    script, status, _ = ENDS[case]
    fifo = box.directory / "go"
    os.mkfifo(fifo)
    bundle, name = box.bundle("sh", "-c", f"read x </go; {script}"), box.id()
    mount = {"destination": "/go", "source": str(fifo), "options": ["bind"]}
    bundle.config["mounts"].append(mount)
    box.pycontainer("run", "-d", "-b", bundle, name).ok()
    argv = box.pycontainer.argv("wait", name)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as waiting:
        time.sleep(0.2)
        assert waiting.poll() is None
        fifo.write_text("go\n")
        out, _ = waiting.communicate(timeout=20 * SLOWNESS)
    assert (out, waiting.returncode) == (f"{status}\n", 0)


def test_wait_in_json(box: Box):
    name = detached(box, "--record-exit", script="sleep 1000")
    box.pycontainer("kill", name, "TERM").ok()  # which init ignores
    box.pycontainer("kill", name, "KILL").ok()
    end = json.loads(box.pycontainer("wait", "--json", name).ok().out)
    assert (end["status"], end["signal"]) == (137, "SIGKILL") and end["time"].endswith("Z")


def test_wait_for_one_that_nobody_has_recorded(box: Box):
    name = detached(box, script="exit 3")
    init = box.pycontainer.root / name
    eventually(lambda: box.pycontainer.state(name)["status"] == "stopped", "the end")
    pid = json.loads((init / "state.json").read_text())["pid"]
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), "its parent to reap it")
    box.pycontainer("wait", name).fails("exit status unknown", "--record-exit")


def test_wait_for_none(box: Box):
    box.pycontainer("wait", "nobody").fails("does not exist")


def test_events_end_with_it(box: Box):
    name = box.running()
    argv = box.pycontainer.argv("events", "--interval", "1h", name)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as watching:
        time.sleep(0.3)
        box.pycontainer("kill", name, "KILL").ok()
        out, _ = watching.communicate(timeout=20 * SLOWNESS)
    event = json.loads(out.splitlines()[-1])
    assert (event["type"], event["id"]) == ("exit", name)
    assert (event["data"]["status"], event["data"]["signal"]) == (137, "SIGKILL")
