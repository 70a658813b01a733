"""What waits in the foreground is a tiny program (lifecycle/attendant.py), and nobody sees that.

Each test runs the fast command, which executes it, and the script, in which Python waits.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import CHECKOUT, SLOWNESS, Runtime

FAST = CHECKOUT / "build" / "fast"
WAYS = {"fast": FAST / "pycontainer", "script": CHECKOUT / "build" / "pycontainer"}
PATIENCE = 20 * SLOWNESS  # seconds
SMALL = 100  # KiB of its own
# Ends with 7 at SIGUSR1, once it has said that it can.
PROGRAM = "trap 'exit 7' USR1; echo ready; while :; do sleep 0.05; done"


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, box: Box) -> Runtime:
    if not (FAST / "snapshot" / "pycontainer").exists():
        pytest.skip("no snapshot here: make build says why")
    runtime = Runtime("way", box.directory)
    runtime.command = str(WAYS[request.param])
    box.runtimes["way"] = runtime
    return runtime


def begun(way: Runtime, *words: object) -> subprocess.Popen[str]:
    """A command that stays, when its program is ready and its attendant, if it has one, waits."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = subprocess.Popen(list(map(str, way.argv(*words))), **pipes)
    assert command.stdout and command.stdout.readline() == "ready\n"
    end = time.monotonic() + PATIENCE
    while way.command == str(WAYS["fast"]) and not attended(command.pid):
        assert time.monotonic() < end and command.poll() is None
        time.sleep(0.01)
    return command


def attended(pid: int) -> bool:
    """Whether it is small, and has its name again."""
    return own_memory(pid) <= SMALL and Path(f"/proc/{pid}/comm").read_text() == "pycontainer\n"


def own_memory(pid: int) -> int:
    """KiB; much while it executes another program."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except ProcessLookupError:
        return SMALL + 1
    return sum(map(int, re.findall(r"^Private_Dirty: +(\d+) kB", text, re.M))) or SMALL + 1


def waiting(box: Box) -> Bundle:
    return box.bundle().script(PROGRAM)


def ended(command: subprocess.Popen[str]) -> tuple[int, str]:
    _, error = command.communicate(timeout=PATIENCE)
    return command.returncode, error


def test_run(box: Box, way: Runtime):
    command = begun(way, "run", "-b", waiting(box), box.id())
    words = Path(f"/proc/{command.pid}/cmdline").read_bytes().split(b"\0")
    assert box.id().encode() in words and b"--ended" not in words
    command.send_signal(signal.SIGUSR1)
    assert ended(command) == (7, "")
    assert way("state", box.id()).status == 1
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{box.id()}"))


def test_a_killed_one(box: Box, way: Runtime):
    command = begun(way, "run", "-b", waiting(box), box.id())
    way("kill", box.id(), "KILL").ok()
    assert ended(command) == (137, "")
    assert way("state", box.id()).status == 1


def test_what_is_left_to_do(box: Box, way: Runtime):
    bundle, told = waiting(box), box.directory / "told"
    bundle.config["hooks"] = {
        "poststop": [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > {told}"]}]
    }
    command = begun(way, "run", "-b", bundle, box.id())
    command.send_signal(signal.SIGUSR1)
    assert ended(command) == (7, "")
    assert box.id() in told.read_text() and way("state", box.id()).status == 1


def test_processes_that_stay(box: Box, way: Runtime):
    """Without a pid namespace they outlive init, and are killed."""
    bundle = box.bundle().script("sleep 1000 & trap 'exit 7' USR1; echo ready; wait; wait")
    spaces = bundle.config["linux"]["namespaces"]
    bundle.config["linux"]["namespaces"] = [s for s in spaces if s["type"] != "pid"]
    command = begun(way, "run", "-b", bundle, box.id())
    os.kill(way.state(box.id())["pid"], signal.SIGUSR1)
    assert ended(command)[0] == 7
    assert way("state", box.id()).status == 1
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{box.id()}"))


def test_deleted_meanwhile(box: Box, way: Runtime):
    command = begun(way, "run", "-b", waiting(box), box.id())
    way("delete", "--force", box.id()).ok()
    status, error = ended(command)
    assert status == 1 and "container does not exist" in error


def test_exec(box: Box, way: Runtime):
    way("create", "-b", box.bundle("/bin/sleep", "1000"), box.id()).ok()
    way("start", box.id()).ok()
    command = begun(way, "exec", box.id(), "sh", "-c", PROGRAM)
    command.send_signal(signal.SIGUSR1)
    assert ended(command) == (7, "")


def test_exec_in_a_container_that_is_killed_and_deleted(box: Box, way: Runtime):
    way("create", "-b", box.bundle("/bin/sleep", "1000"), box.id()).ok()
    way("start", box.id()).ok()
    command = begun(way, "exec", box.id(), "sh", "-c", PROGRAM)
    way("delete", "--force", box.id()).ok()
    assert ended(command) == (137, "")
