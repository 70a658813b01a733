"""Statistics and events of a cgroup from files of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pycontainer.base.errors import HostError
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.cgroups.stats import collect
from pycontainer.cgroups.stats.oom import Watch


def test_processes_are_counted_without_the_controller(tmp_path: Path) -> None:
    """As for an ordinary user whose systemd gives no pids controller away."""
    (tmp_path / "cgroup.procs").write_text("12\n13\n")
    paths = CgroupPaths("v2", {"": str(tmp_path)}, True)
    assert collect(paths)["pids"] == {"current": 2}
    (tmp_path / "pids.current").write_text("7\n")
    (tmp_path / "pids.max").write_text("max\n")
    assert collect(paths)["pids"] == {"current": 7}


def test_nothing_to_watch_without_the_controller(tmp_path: Path) -> None:
    for paths in (
        CgroupPaths("v1", {"pids": str(tmp_path)}, True),
        CgroupPaths("v2", {"": str(tmp_path)}, True),
    ):
        with pytest.raises(HostError, match="memory controller missing"):
            Watch(paths)
