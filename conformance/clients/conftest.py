"""Which engines and runtimes the checks run with.

`make test` takes the checks marked `quick`, on our runtime only; `make test-engines` sets
PYCONTAINER_ENGINES=all and takes everything, on runc as well.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from conformance.clients.containerd import Containerd
from conformance.clients.cri import Cri
from conformance.clients.crio import CriO
from conformance.clients.docker import Docker
from conformance.clients.engine import SHIM, SYSTEMD, Engine
from conformance.clients.podman import Podman, Rootless
from tests.support.runtimes import COMMAND
from tests.support.runtimes import SHIM as SHIM_PATH

ALL = os.environ.get("PYCONTAINER_ENGINES") == "all"
ROOT = os.geteuid() == 0
ENGINES: dict[str, type[Engine]] = {
    "podman": Podman,
    "rootless": Rootless,
    "containerd": Containerd,
    "docker": Docker,
    "cri": Cri,
    "crio": CriO,
}
RUNTIMES = ("pycontainer", "runc") if ALL else ("pycontainer",)
# The same objects for every check: older pytest asks whether a fixture's parameter *is* the last.
KINDS = [(name, runtime) for name in ENGINES for runtime in RUNTIMES]
KINDS += [("containerd", SHIM), ("cri", SHIM)]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "quick: part of the short list of every test run")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module names its engines in ENGINES; an ordinary user has Podman alone."""
    if "engine" in metafunc.fixturenames:
        names = metafunc.module.ENGINES
        if not ROOT:
            names = ["rootless"] if "podman" in names else []
        kinds = [kind for kind in KINDS if kind[0] in names]
        ids = ["-".join(kind) for kind in kinds]
        metafunc.parametrize("engine", kinds, indirect=True, scope="session", ids=ids)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if ALL:
        return
    here = os.path.dirname(__file__)
    left_out = [
        item
        for item in items
        if str(item.path).startswith(here) and item.get_closest_marker("quick") is None
    ]
    for item in left_out:
        items.remove(item)
    config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """A run that may take hours says at once why something failed."""
    report = (yield).get_result()
    if ALL and report.failed:
        item.config.get_terminal_writer().line(f"\n{report.longreprtext}")


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """One engine on one runtime, for all checks of the session."""
    name, runtime = request.param
    kind = ENGINES[name]
    if not (ROOT or SYSTEMD):
        pytest.skip("an ordinary user needs a systemd of their own")
    missing = [program for program in (*kind.needs, runtime) if not _installed(program)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    made = kind(runtime)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(autouse=True)
def swept(request: pytest.FixtureRequest) -> Iterator[None]:
    """No check finds containers of another one."""
    yield
    if "engine" in request.fixturenames:
        request.getfixturevalue("engine").sweep()


def _installed(program: str) -> bool:
    if program == SHIM:
        return SHIM_PATH.exists()
    return COMMAND.exists() if program == "pycontainer" else shutil.which(program) is not None
