"""Fifty containers at once through each engine: none is lost, none is stuck, nothing is left."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from conformance.clients.containerd import Containerd
from conformance.clients.engine import Engine
from tests.support.leftovers import CGROUPS
from tests.support.runtimes import SLOWNESS

ENGINES = ("podman", "docker", "containerd")
COUNT = int(os.environ.get("PYCONTAINER_MASSES", "50"))
PATIENCE = 300 * SLOWNESS  # seconds for a command that has 49 others beside it


def start(engine: Engine, number: int) -> list:
    """The command that starts one that answers with its number."""
    words = ("sh", "-c", f"echo {number} > /tmp/number; sleep 1000")
    if not isinstance(engine, Containerd):
        return ["run", "--detach", f"--name={engine.token}-m{number}", *engine._with_image(words)]
    return ["run", "--detach", *engine._with_image(words)]


@pytest.mark.timeout(1200 * SLOWNESS)
@pytest.mark.alone
def test_masses(engine: Engine):
    commands = [start(engine, number) for number in range(COUNT)]
    ctr = isinstance(engine, Containerd)
    first = engine.boxes - COUNT + 1 if ctr else 0
    prefix = engine.token + ("-" if ctr else "-m")
    names = [f"{prefix}{first + number}" for number in range(COUNT)]

    def all_of(calls: list) -> list:
        with ThreadPoolExecutor(COUNT) as pool:
            return list(pool.map(lambda call: engine(*call, timeout=PATIENCE), calls))

    for done in all_of(commands):
        done.ok()
    exec_words = ("tasks", "exec", "--exec-id=x") if ctr else ("exec",)
    show = ("sh", "-c", "until test -s /tmp/number; do sleep 0.01; done; cat /tmp/number")
    seen = all_of([(*exec_words, name, *show) for name in names])
    assert [done.ok().out for done in seen] == [f"{number}\n" for number in range(COUNT)]
    assert len(engine.states()) == COUNT
    if ctr:
        all_of([("tasks", "rm", "--force", name) for name in names])
        all_of([("containers", "rm", name) for name in names])
    else:
        for done in all_of([("stop", "--time=0", name) for name in names]):
            done.ok()
        for done in all_of([("rm", name) for name in names]):
            done.ok()
    assert engine.states() == []
    assert left_in_cgroups(engine) == []


def left_in_cgroups(engine: Engine) -> list[str]:
    """Cgroups of containers below the engine's own."""
    parent = engine.parent.strip("/")
    places = [*CGROUPS.glob(f"*/{parent}"), *CGROUPS.glob(parent)]
    places += CGROUPS.glob(f"user.slice/*/*/{parent}")
    return [
        f"{parent}/{name}"
        for parent in places
        for name in os.listdir(parent)
        if os.path.isdir(f"{parent}/{name}") and name != "conmon"  # of conmon's, for all of them
    ]
