"""Each check runs with every runtime in every setup: one id or a range of ids, with the user's own
systemd or without cgroups. Only an ordinary user can run them, from a cgroup of somebody else's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.rootless.case import Case
from tests.support.unprivileged import SETUPS, UnprivilegedBox

RUNTIMES = ("pycontainer", "runc", "crun")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        kinds = [(runtime, *setup) for runtime in RUNTIMES for setup in SETUPS]
        metafunc.parametrize("case", kinds, indirect=True, ids=["-".join(kind) for kind in kinds])


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    """The check fails, too, when something is left of its containers."""
    runtime, mapping, cgroups = request.param
    if os.geteuid() == 0:
        pytest.skip("needs an ordinary user")
    if cgroups == "systemd" and not Path(f"/run/user/{os.geteuid()}/systemd").exists():
        pytest.skip("needs a systemd of the user's own")
    box = UnprivilegedBox(tmp_path, mapping, cgroups)
    yield Case(box, runtime)
    box.close()
