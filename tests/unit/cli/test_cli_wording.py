"""runc's words before ours where a limit is refused: the errors are made by who makes them."""

from __future__ import annotations

from typing import Any

import pytest

from pycontainer import spec
from pycontainer.base.errors import ContainerError, UsageError
from pycontainer.cgroups.cgroup import Cgroup
from pycontainer.cgroups.create import _settle_type, go_without
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.cgroups.resources import compile_resources
from pycontainer.cgroups.resources.writes import Write
from pycontainer.cli import runc_errors


def words(make: Any) -> str:
    with pytest.raises(ContainerError) as caught:
        make()
    return runc_errors.line(caught.value)


@pytest.mark.parametrize(
    ("resources", "mode", "said"),
    [
        (
            {"memory": {"limit": 20, "swap": 10}},
            "v2",
            "memory+swap limit should be >= memory limit",
        ),
        (
            {"unified": {"memory.max": "1"}},
            "v1",
            "invalid configuration: cannot use unified on cgroup v1",
        ),
        (
            {"unified": {"../memory.max": "1"}},
            "v2",
            'unified resource "../memory.max" must be a file name (no slashes)',
        ),
        (
            {"unified": {"memory max": "1"}},
            "v2",
            'unified resource "memory max" must be a file name (no slashes)',
        ),
        (
            {"unified": {"memory": "1"}},
            "v2",
            'unified resource "memory" must be in the form CONTROLLER.PARAMETER',
        ),
    ],
)
def test_of_a_limit_that_cannot_be(resources: dict, mode: str, said: str) -> None:
    def make() -> None:
        spec.validate_resources(resources)
        compile_resources(resources, mode)

    assert words(make).startswith(f"{said}: ")


@pytest.mark.parametrize(("name", "kind"), [("limit", "memory"), ("swap", "memory+swap")])
def test_of_a_limit_below_the_usage(tmp_path: Any, name: str, kind: str) -> None:
    (tmp_path / "memory.current").write_text("5000\n")
    memory = {"limit": 4096, "swap": 4096, "checkBeforeUpdate": True}
    plan = compile_resources({"memory": memory}, "v2")
    cgroup = Cgroup(CgroupPaths("v2", {"": str(tmp_path)}, True))
    checks = [write for write in plan.writes if write.limit_check and write.field.endswith(name)]
    said = words(lambda: cgroup.apply(checks))
    assert said.startswith(f"rejecting {kind} limit 4096 <= usage 5000: ")


def test_of_a_controller_that_is_not_given(tmp_path: Any) -> None:
    (tmp_path / "cgroup.controllers").write_text("pids\n")
    cgroup = Cgroup(CgroupPaths("v2", {"": str(tmp_path)}, True))
    write = Write("hugetlb", "hugetlb.1GB.max", "0", "linux.resources.unified['hugetlb.1GB.max']")
    said = words(lambda: cgroup.apply([write]))
    start = 'unified resource "hugetlb.1GB.max" can\'t be set: controller "hugetlb" not available'
    assert said.startswith(start)


def test_of_a_hierarchy_that_is_not_there() -> None:
    cgroup = Cgroup(CgroupPaths("v1", {"pids": "/sys/fs/cgroup/pids/x"}, True))
    write = Write("net_cls", "net_cls.classid", "1", "linux.resources.network.classID")
    said = words(lambda: cgroup.apply([write]))
    assert said.startswith("cannot set net_cls limit: container could not join or create cgroup")


@pytest.mark.parametrize(
    ("kind", "state"), [("domain invalid", "an invalid state"), ("threaded", "threaded mode")]
)
def test_of_a_threaded_cgroup(tmp_path: Any, kind: str, state: str) -> None:
    (tmp_path / "cgroup.type").write_text(f"{kind}\n")
    plan = compile_resources({"memory": {"limit": 4096}}, "v2")
    said = words(lambda: _settle_type([str(tmp_path)], plan))
    path = f'cannot enter cgroupv2 "{tmp_path}" with domain controllers'
    assert said.startswith(f"{path} -- it is in {state}: ")


@pytest.mark.parametrize(
    ("mode", "directory", "said"),
    [
        (
            "v1",
            "/sys/fs/cgroup/pids/user/c1",
            "cannot set pids limit: container could not join or create cgroup",
        ),
        (
            "v2",
            "/sys/fs/cgroup/user.slice/c1",
            "rootless needs no limits + no cgrouppath when no permission is granted for cgroups",
        ),
    ],
)
def test_without_privilege(mode: str, directory: str, said: str) -> None:
    paths = CgroupPaths(mode, {"pids" if mode == "v1" else "": directory}, False)
    plan = compile_resources({"pids": {"limit": 5}}, mode)
    make = lambda: go_without(paths, plan, True, {directory: 13})  # noqa: E731
    assert words(make).startswith(f"{said}: ")


def test_the_name_that_we_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    error = UsageError("cannot allocate tty if pycontainer will detach without a socket")
    assert runc_errors.line(error) == error.message
    monkeypatch.setattr(runc_errors, "called", lambda: "/usr/bin/runc")
    assert runc_errors.line(error) == "cannot allocate tty if runc will detach without a socket"
