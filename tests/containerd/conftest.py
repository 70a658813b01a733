"""A shim for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.containerd.shim import Shim
from tests.support.box import Box
from tests.support.runtimes import SHIM


@pytest.fixture
def shim(box: Box) -> Iterator[Shim]:
    """Not started before the first container; all is removed afterwards."""
    box.needs_root("containerd's shim is root's")
    assert SHIM.exists(), f"{SHIM} is not built: make build"
    made = Shim(box)
    yield made
    made.close()
