"""Fixtures for tests that run containers: each one gets a box, and must leave it empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pycontainer.lifecycle import explain_errors
from tests.support.box import Box, open_box
from tests.support.bundles import CACHE
from tests.support.runtimes import COMMAND, Runtime

explain_errors()  # as the command and the API do
IMAGES = ("busybox", "debian")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A place for containers; deletes them all, and fails the test if something is left."""
    assert COMMAND.exists(), f"{COMMAND} is not built: make build"
    made = open_box(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=IMAGES)
def image(request: pytest.FixtureRequest) -> str:
    """Each of the two root file systems in turn."""
    return request.param


@pytest.fixture
def pyc(box: Box) -> Runtime:
    """Our runtime."""
    return box.pycontainer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test with the Debian root has to make it, or to wait for it: minutes."""
    if (CACHE / "debian.stamp").exists():
        return
    for item in items:
        if "image" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(900))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """At how many points commands were disturbed (tests/faults/test_sweep.py)."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.getreports(kind)]
    found = [value for r in reports for name, value in r.user_properties if name == "points"]
    if found:
        terminalreporter.write_line(f"{sum(found)} points of the sweep (make sweep: all of them)")
