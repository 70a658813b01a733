"""Where the hierarchies are found: on fake trees of the kinds of host there are."""

from __future__ import annotations

from pathlib import Path

from pycontainer.cgroups.layout import mounts, parse_membership, probe

V1_LINES = """\
9:name=systemd:/
8:pids:/
4:memory:/process_api/abc
2:cpu,cpuacct:/
0::/
"""


def tree(root: Path, membership: str, *files: str, mountinfo: str = "") -> str:
    """A host with the given files; returns the prefix for `probe`."""
    for name in files:
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    proc = root / "proc/self"
    proc.mkdir(parents=True, exist_ok=True)
    (proc / "cgroup").write_text(membership)
    (proc / "mountinfo").write_text(mountinfo)
    return str(root)


def test_membership_keeps_colons_of_the_path():
    entries = parse_membership("3:cpu,cpuacct:/a:b\n0::/x\nrubbish\n")
    assert entries == [(("cpu", "cpuacct"), "/a:b"), ((), "/x")]


def test_hybrid(tmp_path):
    prefix = tree(
        tmp_path,
        V1_LINES,
        "/sys/fs/cgroup/systemd/tasks",
        "/sys/fs/cgroup/pids/tasks",
        "/sys/fs/cgroup/memory/tasks",
        "/sys/fs/cgroup/cpu,cpuacct/tasks",
        "/sys/fs/cgroup/unified/cgroup.controllers",
    )
    layout = probe(prefix)
    assert layout.mode == "hybrid"
    found = {",".join(h.controllers): h.mountpoint for h in layout.hierarchies}
    base = prefix + "/sys/fs/cgroup"
    assert found == {
        "name=systemd": base + "/systemd",
        "pids": base + "/pids",
        "memory": base + "/memory",
        "cpu,cpuacct": base + "/cpu,cpuacct",
        "": base + "/unified",
    }
    assert layout.find("cpuacct") is layout.find("cpu")
    assert layout.find("memory").own == "/process_api/abc"
    assert layout.find("hugetlb") is None


def test_v1_without_v2(tmp_path):
    prefix = tree(tmp_path, "1:memory:/\n0::/\n", "/sys/fs/cgroup/memory/tasks")
    assert probe(prefix).mode == "v1"


def test_v2_wins_over_a_named_v1_hierarchy(tmp_path):
    prefix = tree(
        tmp_path,
        "1:name=systemd:/\n0::/user.slice/s.scope\n",
        "/sys/fs/cgroup/cgroup.controllers",
        "/sys/fs/cgroup/systemd/tasks",
    )
    layout = probe(prefix)
    assert layout.mode == "v2"
    assert [h.controllers for h in layout.hierarchies] == [()]
    assert layout.find("").own == "/user.slice/s.scope"


def test_unknown_named_hierarchies_are_left_alone(tmp_path):
    prefix = tree(
        tmp_path,
        "2:name=openrc:/\n1:pids:/\n",
        "/sys/fs/cgroup/pids/tasks",
        "/sys/fs/cgroup/openrc/tasks",
    )
    assert [h.controllers for h in probe(prefix).hierarchies] == [("pids",)]


def test_unusual_mounts_come_from_mountinfo(tmp_path):
    table = (
        "25 1 0:20 / / rw - ext4 /dev/vda rw\n"
        "31 25 0:28 / /cg\\040roups/cpu rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct\n"
        "32 25 0:29 / /cg/two rw - cgroup2 cgroup2 rw,nsdelegate\n"
    )
    prefix = tree(tmp_path, "2:cpuacct,cpu:/x\n0::/y\n", mountinfo=table)
    layout = probe(prefix)
    assert layout.mode == "hybrid"
    assert layout.find("cpu").mountpoint == prefix + "/cg roups/cpu"
    assert layout.find("").mountpoint == prefix + "/cg/two"


def test_nothing_mounted(tmp_path):
    assert probe(tree(tmp_path, "0::/\n")).mode == "none"
    assert probe(str(tmp_path / "missing")).mode == "none"


def test_own_directory_in_a_container_without_cgroup_namespace(tmp_path):
    # Only /docker/abc of the hierarchy is mounted; the membership has the host's path.
    mountpoint = "/sys/fs/cgroup/pids"
    table = f"31 25 0:28 /docker/abc {mountpoint} rw - cgroup cgroup rw,pids\n"
    prefix = tree(tmp_path, "2:pids:/docker/abc/below\n", mountpoint + "/tasks", mountinfo=table)
    hierarchy = probe(prefix).find("pids")
    assert hierarchy.own_directory() == prefix + mountpoint + "/below"


def test_own_directory_outside_of_the_mount_is_its_top(tmp_path):
    mountpoint = "/sys/fs/cgroup/pids"
    table = f"31 25 0:28 /docker/abc {mountpoint} rw - cgroup cgroup rw,pids\n"
    prefix = tree(tmp_path, "2:pids:/docker/abcdef\n", mountpoint + "/tasks", mountinfo=table)
    assert probe(prefix).find("pids").own_directory() == prefix + mountpoint


def test_damaged_mountinfo_lines_are_skipped(tmp_path):
    prefix = tree(tmp_path, "0::/\n", mountinfo="nonsense\n1 2 - cgroup\n\n")
    assert mounts(prefix) == []


def test_this_machine():
    layout = probe()
    for hierarchy in layout.hierarchies:
        assert (Path(hierarchy.own_directory()) / "cgroup.procs").exists()
