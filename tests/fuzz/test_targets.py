"""Some inputs of each fuzz target, the same ones each time; `make fuzz` has others."""

from __future__ import annotations

import pytest

from tests.fuzz.run import fuzz
from tests.fuzz.seeds import BASE
from tests.fuzz.targets import TARGETS, available
from tests.support.box import Box

COUNTS = {"config": 300, "state": 60, "plan": 150, "dbus": 3000, "channel": 1000, "memory": 500}


@pytest.mark.parametrize("name", TARGETS)
def test_target(box: Box, name: str) -> None:
    if name not in available():
        pytest.skip("needs root, busybox and the built command")
    target = TARGETS[name](box)
    _, wrong = fuzz(target, name, BASE, COUNTS[name], 60)
    assert not wrong, "\n".join(wrong[:5])
