"""linux.cgroupsPath to directories, as runc's cgroupfs driver has it."""

from __future__ import annotations

import json

import pytest

from pycontainer.base.errors import ConfigError, HostError
from pycontainer.cgroups import Driver
from pycontainer.cgroups.layout import Hierarchy, Layout
from pycontainer.cgroups.mounts import mount_entries
from pycontainer.cgroups.paths import CgroupPaths, clean, resolve

TOP = "/sys/fs/cgroup"


@pytest.fixture
def hybrid(tmp_path):
    for name in ("memory/own", "cpu,cpuacct", "unified/own"):
        (tmp_path / name).mkdir(parents=True)
    top = str(tmp_path)
    return Layout(
        "hybrid",
        (
            Hierarchy(("memory",), top + "/memory", "/own"),
            Hierarchy(("cpu", "cpuacct"), top + "/cpu,cpuacct", "/"),
            Hierarchy((), top + "/unified", "/own"),
        ),
    )


@pytest.fixture
def v2(tmp_path):
    (tmp_path / "user.slice/s.scope").mkdir(parents=True)
    return Layout("v2", (Hierarchy((), str(tmp_path), "/user.slice/s.scope"),))


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        ("a/b", "a/b"),
        ("//a//b/", "a/b"),
        ("../../a", "a"),
        ("a/../../b", "b"),
        ("/../../..", ""),
        (".", ""),
        ("a/./b/..", "a"),
        ("...", "..."),
    ],
)
def test_clean(path, cleaned):
    assert clean(path) == cleaned


def test_absolute_starts_at_the_mount_point(hybrid, tmp_path):
    paths = resolve("/k8s/pod1/c", "id", hybrid)
    assert paths.explicit
    assert paths.directories == {
        "memory": f"{tmp_path}/memory/k8s/pod1/c",
        "cpu": f"{tmp_path}/cpu,cpuacct/k8s/pod1/c",
        "cpuacct": f"{tmp_path}/cpu,cpuacct/k8s/pod1/c",
        "": f"{tmp_path}/unified/k8s/pod1/c",
    }
    assert paths.all_directories() == [
        f"{tmp_path}/memory/k8s/pod1/c",
        f"{tmp_path}/cpu,cpuacct/k8s/pod1/c",
        f"{tmp_path}/unified/k8s/pod1/c",
    ]


def test_relative_starts_at_our_own_cgroup(hybrid, tmp_path):
    paths = resolve("rel/c", "id", hybrid)
    assert paths.directory("memory") == f"{tmp_path}/memory/own/rel/c"
    assert paths.directory("cpu") == f"{tmp_path}/cpu,cpuacct/rel/c"
    assert paths.unified == f"{tmp_path}/unified/rel/c"


def test_without_a_path_the_id_is_relative(hybrid, tmp_path):
    paths = resolve("", "web1", hybrid)
    assert not paths.explicit
    assert paths.directory("memory") == f"{tmp_path}/memory/own/web1"


def test_v2_relative_is_beside_our_own_cgroup(v2, tmp_path):
    assert resolve("", "web1", v2).unified == f"{tmp_path}/user.slice/web1"
    assert resolve("/x/y", "web1", v2).unified == f"{tmp_path}/x/y"
    assert resolve("/x", "w", v2).directory("memory") == f"{tmp_path}/x"


def test_v2_in_the_root_cgroup(tmp_path):
    layout = Layout("v2", (Hierarchy((), str(tmp_path), "/"),))
    assert resolve("", "web1", layout).unified == f"{tmp_path}/web1"


def test_dot_dot_never_leaves(hybrid, v2, tmp_path):
    for layout in (hybrid, v2):
        for text in ("../../../etc/x", "/../../etc/x", "a/../../../etc/x"):
            for directory in resolve(text, "id", layout).all_directories():
                assert directory.endswith("/etc/x")
                assert directory.startswith(str(tmp_path))
                assert ".." not in directory


@pytest.mark.parametrize("text", ["/", ".", "..", "/..", "a/..", "//"])
def test_the_top_itself_is_refused(hybrid, text):
    with pytest.raises(ConfigError) as caught:
        resolve(text, "id", hybrid)
    assert caught.value.field == "linux.cgroupsPath"


@pytest.mark.parametrize("text", ["a\0b", "/\ud800"])
def test_impossible_names_are_refused(hybrid, text):
    with pytest.raises(ConfigError):
        resolve(text, "id", hybrid)


def test_without_hierarchies():
    paths = resolve("/x", "id", Layout("none", ()))
    assert paths.mode == "none"
    assert paths.all_directories() == []
    assert paths.directory("memory") == ""


def test_state_file_round_trip(hybrid):
    paths = resolve("/a", "id", hybrid)
    again = CgroupPaths.from_dict(json.loads(json.dumps(paths.to_dict())))
    assert again.to_dict() == paths.to_dict()
    with pytest.raises(HostError):
        CgroupPaths.from_dict({"mode": "v2"})


def test_without_lost_directories(hybrid, tmp_path):
    paths = resolve("", "id", hybrid)
    rest = paths.without({f"{tmp_path}/memory/own/id"})
    assert rest.directory("memory") == ""
    assert rest.mode == "hybrid"
    assert paths.without(set(paths.all_directories())).mode == "none"


def test_driver_reads_the_config(hybrid, tmp_path):
    driver = Driver(hybrid)
    assert driver.plan_path({}, "c1").unified == f"{tmp_path}/unified/c1"
    assert driver.plan_path({"linux": {"cgroupsPath": "/p"}}, "c1").unified.endswith("/unified/p")


def test_mount_entries_v1(hybrid, tmp_path):
    entries = mount_entries(hybrid, resolve("/c", "id", hybrid))
    assert entries == [
        ("memory", "memory", f"{tmp_path}/memory/c", ()),
        ("cpu,cpuacct", "cpu,cpuacct", f"{tmp_path}/cpu,cpuacct/c", ("cpu", "cpuacct")),
    ]


def test_mount_entries_name_systemd():
    layout = Layout("v1", (Hierarchy(("name=systemd",), TOP + "/systemd", "/"),))
    entries = mount_entries(layout, resolve("/c", "id", layout))
    assert entries == [("systemd", "name=systemd", TOP + "/systemd/c", ())]


def test_mount_entries_v2(v2, tmp_path):
    assert mount_entries(v2, resolve("/c", "id", v2)) == [("", "", f"{tmp_path}/c", ())]
