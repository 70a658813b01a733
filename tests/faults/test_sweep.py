"""Some points of the sweep (`make sweep` has them all), the same ones each time."""

from __future__ import annotations

import random

import pytest

from tests.faults.points import COMMANDS, FAULTS, Victim, points
from tests.support.box import Box
from tests.support.cgroups import SYSTEMD
from tests.support.runtimes import SLOWNESS

SAMPLE = int(60 / SLOWNESS**2)  # of each command


@pytest.mark.parametrize("driver", ["cgroupfs", "systemd"])
@pytest.mark.parametrize("command", COMMANDS)
def test_sweep(box: Box, command: str, driver: str, record_property: pytest.RecordProperty) -> None:
    if driver == "systemd" and not SYSTEMD:
        pytest.skip("needs systemd")
    if SYSTEMD and SLOWNESS > 1 and (driver == "systemd") == COMMANDS.index(command) % 2:
        pytest.skip("on a slow machine each command has one driver, in turn")
    victim = Victim(box, systemd=driver == "systemd")
    todo = list(points(victim.calls(command)))
    assert len(todo) > 10 * len(FAULTS)
    chosen = random.Random(command + driver).sample(todo, SAMPLE)
    found = [victim.fault(command, call, fault) for call, fault in chosen]
    record_property("points", len(found) - found.count(None))
    assert not any(found), "\n".join(filter(None, found))


@pytest.mark.parametrize("command", ["create", "run", "exec"])
@pytest.mark.parametrize("name", ["close", "rt_sigprocmask"])
def test_what_says_nothing(box: Box, command: str, name: str) -> None:
    """A close(2) or a signal mask that fails is no reason to leave a container behind, or to wait
    for ever."""
    victim = Victim(box)
    calls = [call for call in victim.calls(command) if call.name == name and not call.who]
    found = [victim.fault(command, call, "EIO") for call in calls[-12:]]
    assert found and not any(found), "\n".join(filter(None, found))
