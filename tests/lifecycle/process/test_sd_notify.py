"""NOTIFY_SOCKET: a container's READY=1 reaches the manager outside, and nothing else does."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Runtime

SEND = """
import os, socket, sys, time
client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
client.connect(os.environ["NOTIFY_SOCKET"])
for word in sys.argv[1:]:
    client.send(word.replace(";", "\\n").encode()) if word != "-" else time.sleep(1000)
"""


class Manager:
    """What systemd is for a service: it hears, and closes the descriptors that it is sent."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(10)
        self.env = {**os.environ, "NOTIFY_SOCKET": path.replace("\0", "@")}

    def hear(self) -> str:
        message, fds, _, _ = socket.recv_fds(self.socket, 4096, 4)
        for fd in fds:
            os.close(fd)
        return message.decode()


@pytest.fixture
def manager(box: Box) -> Iterator[Manager]:
    made = Manager(f"\0{box.token}")  # an abstract address
    yield made
    made.socket.close()


def notifier(box: Box, *words: str) -> Bundle:
    """A bundle that notifies with these words; "-" sleeps."""
    bundle = box.bundle("/usr/bin/python3", "-I", "-S", "-c", SEND, *words)
    for place in ("/usr", "/lib", "/lib64"):
        if os.path.isdir(place):
            bundle.config["mounts"].append(
                {"destination": place, "source": place, "type": "bind", "options": ["bind", "ro"]}
            )
    return bundle


def test_start_returns_when_ready(box: Box, pyc: Runtime, manager: Manager):
    name = box.id()
    bundle = notifier(box, "STATUS=not yet", "A=1;READY=1;B=2", "-")
    pyc("create", "-b", bundle, name, env=manager.env).ok()
    started = pyc.start_process("start", name, env=manager.env)
    assert manager.hear() == "READY=1\n"
    assert manager.hear() == f"MAINPID={pyc.state(name)['pid']}\n"
    assert started.poll() is None  # it waits for the manager
    assert manager.hear() == "BARRIER=1"
    assert started.wait(10) == 0


def test_run_detached(box: Box, pyc: Runtime, manager: Manager):
    name = box.id()
    started = pyc.start_process(
        "run", "-d", "-b", notifier(box, "READY=1", "-"), name, env=manager.env
    )
    assert [manager.hear() for _ in range(3)][::2] == ["READY=1\n", "BARRIER=1"]
    assert started.wait(10) == 0
    assert pyc.status(name) == "running"


def test_run_in_the_foreground(box: Box, pyc: Runtime, manager: Manager):
    words = ("run", "-b", notifier(box, "READY=1"), box.id())
    process = pyc.start_process(*words, env=manager.env)
    assert manager.hear() == "READY=1\n"
    # The command is what the manager watches, as long as it stays.
    assert manager.hear() == f"MAINPID={process.pid}\n"
    assert process.wait(10) == 0


def test_an_end_without_ready(box: Box, pyc: Runtime, manager: Manager):
    name = box.id()
    pyc("run", "-d", "-b", box.bundle("/bin/true"), name, env=manager.env).ok()
    pyc.wait_for(name, "stopped")
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.hear()


def test_a_manager_that_is_gone(box: Box, pyc: Runtime):
    name = box.id()
    env = {**os.environ, "NOTIFY_SOCKET": str(box.directory / "nobody")}
    done = pyc("run", "-d", "-b", notifier(box, "READY=1", "-"), name, env=env).ok()
    assert "notify" in done.err and "no such file" in done.err
    assert pyc.status(name) == "running"


def test_not_asked_for_at_start(box: Box, pyc: Runtime, manager: Manager):
    name = box.id()
    pyc("create", "-b", box.bundle("/bin/sleep", "1000"), name, env=manager.env).ok()
    before = time.monotonic()
    pyc("start", name).ok()
    assert time.monotonic() - before < 5


def test_the_mount_is_read_only(box: Box, manager: Manager):
    bundle = box.bundle().script("echo $NOTIFY_SOCKET; ls -ld /run/notify; touch /run/notify/x")
    done = box.run(bundle, env=manager.env)
    assert done.status == 1
    assert done.out.startswith("/run/notify/notify.sock\ndrwxr-xr-x")
    assert "Read-only" in done.err
    assert "NOTIFY" not in box.run(box.bundle("/bin/env")).out


def test_an_ordinary_user(box: Box, pyc: Runtime, manager: Manager):
    box.needs_ids()
    bundle = notifier(box, "READY=1", "-")
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    started = pyc.start_process("run", "-d", "-b", bundle, box.id(), env=manager.env)
    assert manager.hear() == "READY=1\n"
    manager.hear(), manager.hear()
    assert started.wait(10) == 0
