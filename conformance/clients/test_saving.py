"""Checkpoint and restore, as each engine asks for it, where CRIU works."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.clients.containerd import Containerd
from conformance.clients.engine import Engine
from tests.support.runtimes import SLOWNESS, eventually
from tests.support.saved import criu_works

ENGINES = ("podman", "docker", "containerd")
COUNT = (
    "sh",
    "-c",
    "i=0; while :; do i=$((i+1)); echo $i > /tmp/new; mv /tmp/new /tmp/beat; sleep 0.3; done",
)


def counting(engine: Engine, *flags: str) -> str:
    """A container that counts."""
    if not criu_works():
        pytest.skip("CRIU does not work on this machine")
    box = engine.running(*flags, *COUNT)
    eventually(lambda: beat(engine, box) > 2, "it counts", 20)
    return box


def beat(engine: Engine, box: str) -> int:
    try:
        return int(Path(f"/proc/{engine.pid(box)}/root/tmp/beat").read_text())
    except FileNotFoundError:
        return 0


def goes_on(engine: Engine, box: str, since: int) -> None:
    """It has not begun again."""
    assert engine.status(box) == "running"
    now = beat(engine, box)
    assert now >= since
    eventually(lambda: beat(engine, box) > now, "it goes on", 20)
    assert engine.sh(box, "echo there").strip() == "there"


def save(engine: Engine, box: str, *flags: str) -> None:
    """Let the engine write a checkpoint; the container is stopped unless a flag says otherwise."""
    if engine.name == "podman":
        engine("container", "checkpoint", *flags, box).ok()
    elif engine.name == "docker":
        engine("checkpoint", "create", *flags, box, "saved").ok()
    elif isinstance(engine, Containerd):
        images = engine.home / f"{box}-images"
        engine("tasks", "checkpoint", f"--image-path={images}", *flags, box).ok()


def test_checkpoint_and_restore(engine: Engine):
    box = counting(engine, *(() if engine.name == "containerd" else ("--memory=64m",)))
    since = beat(engine, box)
    if isinstance(engine, Containerd):
        reference = f"localhost/saved/{box}:1"
        engine("containers", "checkpoint", "--task", "--rw", "--image", box, reference).ok()
        engine("tasks", "rm", "--force", box)
        engine("containers", "rm", box).ok()
        engine(
            "containers", "restore", "--live", "--rw", box, reference, timeout=120 * SLOWNESS
        ).ok()
    else:
        save(engine, box)
        eventually(lambda: engine.status(box) == "exited", "its end", 20)
        assert engine.states() == []
        if engine.name == "podman":
            engine("container", "restore", box).ok()
        else:
            engine("start", "--checkpoint=saved", box).ok()
    goes_on(engine, box, since)


def test_checkpoint_leaves_it_running(engine: Engine):
    box = counting(engine)
    pid, since = engine.pid(box), beat(engine, box)
    # For ctr that is what happens without --exit.
    save(engine, box, *(() if engine.name == "containerd" else ("--leave-running",)))
    assert engine.pid(box) == pid
    goes_on(engine, box, since)


def test_checkpoint_is_exported_and_imported(engine: Engine):
    if engine.name != "podman":
        pytest.skip("Podman's")
    box = counting(engine)
    since, archive = beat(engine, box), engine.home / f"{box}.tar"
    save(engine, box, f"--export={archive}", "--compress=none")
    engine("rm", box).ok()
    words = ("container", "restore", f"--import={archive}", f"--name={engine.token}-again")
    goes_on(engine, engine(*words).ok().out.split()[-1], since)


def test_checkpoint_in_two_steps(engine: Engine):
    if engine.name != "podman":
        pytest.skip("Podman's")
    box = counting(engine)
    since = beat(engine, box)
    archive = engine.home / f"{box}-pre.tar"
    save(engine, box, "--pre-checkpoint", f"--export={archive}", "--compress=none")
    assert engine.status(box) == "running"
    save(engine, box, "--with-previous")
    engine("container", "restore", box).ok()
    goes_on(engine, box, since)
