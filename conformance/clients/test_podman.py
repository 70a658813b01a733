"""What only Podman does: pods, its own namespaces of users, descriptors, notifications."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from conformance.clients.engine import IMAGE
from conformance.clients.podman import Podman
from tests.support.runtimes import SLOWNESS

ENGINES = ("podman",)


@pytest.fixture
def pod(engine: Podman):
    """A pod with an infra container of the image."""
    name = f"{engine.token}-pod"
    engine(
        "pod",
        "create",
        f"--name={name}",
        f"--infra-image={IMAGE}",
        "--infra-command=sleep 1000",
        "--network=none",
        f"--cgroup-parent={engine.parent}",
    ).ok()
    yield name
    engine("pod", "rm", "--force", "--time=0", name).ok()


def test_pod(engine: Podman, pod: str):
    words = ("run", "--detach", f"--pod={pod}", IMAGE)
    first, second = (
        engine(*words, "sleep", str(seconds)).ok().out.split()[-1] for seconds in (111, 222)
    )
    for kind in ("net", "ipc", "uts"):
        places = {os.readlink(f"/proc/{engine.pid(box)}/ns/{kind}") for box in (first, second)}
        assert len(places) == 1, kind
    assert os.readlink(f"/proc/{engine.pid(first)}/ns/pid") != os.readlink(
        f"/proc/{engine.pid(second)}/ns/pid"
    )
    engine("pod", "stop", "--time=0", pod).ok()
    assert engine.status(first) == engine.status(second) == "exited"
    engine("pod", "start", pod).ok()
    assert engine.status(first) == "running"
    engine("pod", "pause", pod).ok()
    assert engine.status(first) == "paused"
    engine("pod", "unpause", pod).ok()
    assert "sleep 222" in engine("top", second).ok().out


def test_user_namespace(engine: Podman):
    engine.home.chmod(0o711)
    first = 1 if engine.rootless else 100000  # of the ids that Podman itself has
    flags = (f"--uidmap=0:{first}:1000", f"--gidmap=0:{first}:1000")
    out = engine.script(*flags, "id -u; cat /proc/self/uid_map; touch /tmp/x; stat -c %u /tmp/x")
    assert out.split() == ["0", "0", str(first), "1000", "0"]


def test_without_cgroups(engine: Podman):
    if engine.runtime == "runc":
        pytest.skip("runc cannot do without")
    words = engine._with_image(("--cgroups=disabled", "sleep", "1000"))
    words = [word for word in words if not word.startswith("--cgroup-parent")]
    box = engine("run", "--detach", *words).ok().out.split()[-1]
    pid = engine.inspect(box)["State"]["Pid"]
    assert box not in Path(f"/proc/{pid}/cgroup").read_text()
    assert engine.sh(box, "echo in it") == "in it\n"
    engine("kill", box).ok()
    engine.wait_for(box, "exited")


def test_preserved_descriptors(engine: Podman):
    ours, theirs = os.pipe()
    words = ["run", "--rm", "--preserve-fds=1", *engine._with_image(("sh", "-c", "echo hi >&3"))]

    def third() -> None:
        os.dup2(theirs, 3)

    process = engine.popen(*words, pass_fds=(3, theirs), preexec_fn=third)
    os.close(theirs)
    assert os.read(ours, 100) == b"hi\n"
    assert process.wait(30 * SLOWNESS) == 0
    os.close(ours)


def test_sdnotify(engine: Podman):
    """conmon is ready as soon as the container runs."""
    path = str(engine.home / "notify")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(path)
    manager.settimeout(20 * SLOWNESS)
    done = engine(
        "run",
        "--detach",
        "--sdnotify=conmon",
        *engine._with_image(("sleep", "1000")),
        env={"NOTIFY_SOCKET": path},
    ).ok()
    assert "READY=1" in manager.recv(4096).decode()
    assert engine.status(done.out.split()[-1]) == "running"
    manager.close()
