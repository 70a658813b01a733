"""What happens at the same time, or sooner than one would think."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.containerd.shim import (
    MESSAGES,
    NOT_FOUND,
    PAUSING,
    RUNNING,
    Refused,
    Shim,
    alive,
    message,
    wrap,
)
from tests.support.protobuf import decode
from tests.support.runtimes import COMMAND, eventually


def slow(shim: Shim, command: str, before: str = "", after: str = "") -> dict[str, Any]:
    """Options with a runtime that does something before or after one of its commands."""
    script = shim.home / f"slow-{command}"
    script.write_text(
        f"""#!/bin/sh
case " $* " in
*" {command} "*) {before or ":"}; {COMMAND} "$@"; status=$?; {after or ":"}; exit $status ;;
esac
exec {COMMAND} "$@"
"""
    )
    script.chmod(0o755)
    value = message("options", binary_name=str(script), root=str(shim.state))
    return wrap("containerd.runc.v1.Options", value)


def until(gate: Path) -> str:
    """Shell: wait for a file."""
    return f"until [ -e {gate} ]; do sleep 0.05; done"


def test_exec_ends_before_its_pid_is_known(shim: Shim):
    container = shim.running(options=slow(shim, "exec", after="sleep 0.4"))
    shim.exec(container, "/bin/sh", "-c", "exit 3")
    assert shim.wait(container, "e") == 3
    shim.heard(container, "create", "start", "exec-added", "exec-started", "exit")


def test_container_ends_before_start_does(shim: Shim):
    bundle = shim.box.bundle("/bin/sh", "-c", "exit 4")
    container = shim.create(bundle, options=slow(shim, "start", after="sleep 0.4"))
    shim.client("Start", id=container)
    assert shim.wait(container) == 4
    shim.heard(container, "create", "start", "exit")


def test_container_is_killed_before_create_ends(shim: Shim):
    bundle = shim.box.bundle("/bin/sleep", "1000")
    shim.start(bundle, shim.box.id("c"))
    options = slow(shim, "create", after="sleep 0.6")
    bundle.config["linux"]["cgroupsPath"] = f"/{shim.box.id('c')}"
    stream = shim.client.send("Create", id=shim.box.id("c"), bundle=str(bundle), options=options)
    shim.known.append(shim.box.id("c"))
    pid_file = bundle.path / "init.pid"
    eventually(pid_file.exists, "the process")
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    shim.client.answer(stream)
    assert shim.wait(shim.box.id("c")) == 137
    shim.heard(shim.box.id("c"), "create", "exit")


def test_slow_create_stops_nobody(shim: Shim):
    first, gate = shim.running(name="first"), shim.home / "gate"
    bundle = shim.box.bundle("/bin/true")
    second = shim.box.id("second")
    options = slow(shim, "create", before=until(gate))
    stream = shim.client.send("Create", id=second, bundle=str(bundle), options=options)
    assert shim.status(first) == RUNNING
    with pytest.raises(Refused) as refused:
        shim.client("State", id=second)
    assert refused.value.code == NOT_FOUND
    shim.exec(first, "/bin/true")
    assert shim.wait(first, "e") == 0
    gate.touch()
    shim.client.answer(stream)
    shim.known.append(second)


def test_calls_take_turns(shim: Shim):
    """What comes while a container pauses waits for that, and for nothing else."""
    gate = shim.home / "gate"
    container = shim.running(options=slow(shim, "pause", before=until(gate)))
    client = shim.client
    pause, resume = client.send("Pause", id=container), client.send("Resume", id=container)
    kill, wait = client.send("Kill", id=container, signal=9), client.send("Wait", id=container)
    assert client("State", id=container)["status"] == PAUSING
    gate.touch()
    for stream in (pause, resume, kill):
        client.answer(stream)
    assert decode(MESSAGES, "WaitResponse", client.answer(wait))["exit_status"] == 137
    shim.heard(container, "create", "start", "paused", "resumed", "exit")


def test_shim_is_killed_while_it_creates(shim: Shim):
    bundle = shim.box.bundle("/bin/sleep", "1000")
    container = shim.box.id("c")
    bundle.config["linux"]["cgroupsPath"] = f"/{container}"
    shim.start(bundle, container)
    options = slow(shim, "create", after="sleep 2")
    shim.client.send("Create", id=container, bundle=str(bundle), options=options)
    pid_file = bundle.path / "init.pid"
    eventually(pid_file.exists, "the process")
    pid = shim.pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid), "the shim has ended")
    shim.command(bundle.path, container, "-bundle", str(bundle), "delete")
    eventually(lambda: not alive(int(pid_file.read_text())), "its end")


def test_many_execs_at_once(shim: Shim):
    container = shim.running()
    spec = json.dumps({"args": ["/bin/sh", "-c", "exit 5"], "cwd": "/", "user": {}}).encode()
    names = [f"e{number}" for number in range(40)]
    client = shim.client
    for name in names:
        client.send("Exec", id=container, exec_id=name, spec=wrap("x", spec))
    starts = [client.send("Start", id=container, exec_id=name) for name in names]
    for stream in starts:
        client.answer(stream)
    assert [shim.wait(container, name) for name in names] == [5] * len(names)
    for name in names:
        client("Delete", id=container, exec_id=name)
    listener = shim.listener
    assert listener
    eventually(lambda: listener.topics(container).count("/tasks/exit") == len(names), "the ends")
    started: set[str] = set()
    for topic, event in listener.events:  # each starts before it ends
        if topic == "/tasks/exec-started":
            started.add(event["exec_id"])
        elif topic == "/tasks/exit":
            assert event["id"] in started


def test_many_containers_in_one_pod(shim: Shim):
    """Twenty start and end together."""
    bundles = [shim.box.bundle("/bin/sh", "-c", f"exit {number}") for number in range(20)]
    names = [shim.box.id(f"c{number}") for number in range(20)]
    shim.start(bundles[0], names[0])
    client = shim.client
    calls = []
    for name, bundle in zip(names, bundles, strict=True):
        bundle.config["linux"]["cgroupsPath"] = f"/{name}"
        calls.append(client.send("Create", id=name, bundle=str(bundle), options=shim.options()))
        shim.known.append(name)
    for stream in calls:
        client.answer(stream)
    for stream in [client.send("Start", id=name) for name in names]:
        client.answer(stream)
    assert [shim.wait(name) for name in names] == list(range(20))
    for name in names:
        shim.delete(name)
        shim.heard(name, "create", "start", "exit", "delete")
    assert Path(f"/proc/{shim.pid}/fd").exists()
    assert len(os.listdir(f"/proc/{shim.pid}/fd")) < 12
