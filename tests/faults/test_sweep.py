"""Some points of the sweep (`make sweep` has them all), the same ones each time."""

from __future__ import annotations

import random

import pytest

from tests.faults.points import COMMANDS, FAULTS, Victim, points
from tests.support.box import Box

SAMPLE = 60  # of each command


@pytest.mark.parametrize("command", COMMANDS)
def test_sweep(box: Box, command: str, record_property: pytest.RecordProperty) -> None:
    victim = Victim(box)
    todo = list(points(victim.calls(command)))
    assert len(todo) > 10 * len(FAULTS)
    chosen = random.Random(command).sample(todo, SAMPLE)
    found = [victim.fault(command, call, fault) for call, fault in chosen]
    record_property("points", len(found) - found.count(None))
    assert not any(found), "\n".join(filter(None, found))
