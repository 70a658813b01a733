"""Below a threaded domain of cgroup v2, where a cgroup can do less: it cannot even be killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pycontainer.cgroups.layout import probe
from tests.support.box import Box
from tests.support.runtimes import Runtime


@pytest.fixture
def domain(box: Box) -> Iterator[Path]:
    """A cgroup with a threaded one below, which makes it a threaded domain."""
    box.needs_root("makes cgroups")
    layout = probe()
    hierarchy = layout.find("")
    if layout.mode != "v2" or hierarchy is None:
        pytest.skip("needs cgroup v2")
    top = Path(hierarchy.mountpoint) / box.token
    inner = top / "inner"
    inner.mkdir(parents=True)
    (inner / "cgroup.type").write_text("threaded")
    yield top
    inner.rmdir()
    top.rmdir()


@pytest.mark.parametrize("place", ["", "inner/"])
@pytest.mark.parametrize("pid_namespace", [True, False])
def test_a_life(box: Box, pyc: Runtime, domain: Path, place: str, pid_namespace: bool):
    bundle, name = box.bundle().script("sleep 1000 & exec sleep 1000"), box.id()
    bundle.linux["cgroupsPath"] = f"/{box.token}/{place}{name}"
    if not pid_namespace:
        bundle.drop_namespace("pid")
    pyc("run", "-d", "-b", bundle, name).ok()
    assert (domain / place / name / "cgroup.type").read_text() == "threaded\n"
    assert len(pyc("ps", "-f", "json", name).ok().out.split(",")) == 2
    pyc("exec", name, "true").ok()
    pyc("delete", "--force", name).ok()
    assert not (domain / place / name).exists()
