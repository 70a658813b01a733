"""User namespaces made by root: shapes of mappings, what cannot be mapped, namespaces in them."""

from __future__ import annotations

from typing import Any

import pytest

from pycontainer.linux import host
from tests.support.box import Box
from tests.support.bundles import Bundle

BASE = 400000
CAP_SYS_RESOURCE = 1 << 24


def lines(*rows: tuple[int, int, int]) -> dict[str, Any]:
    """The same mapping for uids and gids."""
    mapping = [{"containerID": a, "hostID": b, "size": c} for a, b, c in rows]
    return {"uidMappings": mapping, "gidMappings": mapping}


def mapped(box: Box, script: str, *rows: tuple[int, int, int]) -> Bundle:
    """A bundle in a user namespace of its own; its root file system belongs to its root."""
    bundle = box.bundle().script(script)
    bundle.new_namespace("user")
    bundle.linux.update(lines(*rows))
    return bundle


SHAPES = {
    "one id": [(0, BASE, 1)],
    "a range": [(0, BASE, 65536)],
    "all of the host": [(0, 0, 4294967295)],
    "identity": [(0, 0, 1), (1, 1, 65535)],
    "host's root is somebody else inside": [(0, BASE, 10), (10, 0, 1)],
    "a hole": [(0, BASE, 1), (1000, BASE + 1000, 1)],
    "backwards": [(5, BASE, 5), (0, BASE + 5, 5)],
    "many": [(i, BASE + 2 * i, 1) for i in range(200)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(box: Box, shape: str):
    rows = SHAPES[shape]
    done = box.run(mapped(box, "id -u; cat /proc/self/uid_map", *rows)).ok()
    uid, *got = done.out.splitlines()
    assert uid == "0"
    assert sorted(tuple(map(int, line.split())) for line in got) == sorted(rows)


def test_as_many_lines_as_the_kernel_takes(box: Box):
    """340 lines fit as long as they are short: a map is written in less than a page."""
    rows = [(i, 2 * i, 1) for i in range(340)]
    done = box.run(mapped(box, "wc -l < /proc/self/uid_map", *rows)).ok()
    assert done.out.strip() == "340"


def test_too_many_lines(box: Box):
    rows = [(i, 2 * i, 1) for i in range(341)]
    box.run(mapped(box, "true", *rows)).fails("341 entries", "340", "linux.uidMappings")


def test_too_long_a_map(box: Box):
    rows = [(100000 + i, 1000000 + 2 * i, 1) for i in range(300)]
    rows[0] = (0, 5000000, 1)
    box.run(mapped(box, "true", *rows)).fails("bytes long", "linux.uidMappings")


def test_overlapping(box: Box):
    rows = [(0, BASE, 10), (5, BASE + 100, 10)]
    box.run(mapped(box, "true", *rows)).fails("linux.uidMappings[1].containerID: is 5, which is in")
    rows = [(0, BASE, 10), (100, BASE + 5, 10)]
    box.run(mapped(box, "true", *rows)).fails("linux.uidMappings[1].hostID: is ")


@pytest.mark.parametrize("field", ["uid", "gid", "additionalGids"])
def test_a_user_that_is_not_mapped(box: Box, field: str):
    bundle = mapped(box, "true", (0, BASE, 10))
    bundle.process["user"] = {"uid": 0, "gid": 0, field: [20] if field[0] == "a" else 20}
    box.run(bundle).fails(f"process.user.{field}", "does not map")


def test_the_terminals_group_is_dropped_when_it_is_not_mapped(box: Box):
    bundle = mapped(box, "cat /proc/mounts", (0, BASE, 2))
    out = box.run(bundle).ok().out
    (line,) = [line for line in out.splitlines() if " devpts " in line]
    assert "gid=" not in line
    bundle = mapped(box, "cat /proc/mounts", (0, BASE, 10))
    out = box.run(bundle).ok().out
    (line,) = [line for line in out.splitlines() if " devpts " in line]
    assert f"gid={BASE + 5}" in line


def test_a_root_file_system_that_others_may_not_reach(box: Box):
    """The way is searched by us: the container's root never needs it."""
    bundle = mapped(box, "echo in", (0, BASE, 65536))
    bundle.path.chmod(0o700)
    assert box.run(bundle).ok().out == "in\n"


def test_no_pivot(box: Box):
    box.run(mapped(box, "echo in", (0, BASE, 65536)), "--no-pivot").ok()


def test_the_hosts_files_are_nobodys(box: Box):
    bundle = mapped(box, "stat -c %u:%g /etc/passwd; echo x >> /etc/passwd", (0, BASE, 65536))
    done = box.run(bundle)
    assert done.status != 0 and done.out == "65534:65534\n"


def test_oom_score_can_be_lowered_by_root(box: Box):
    bundle = mapped(box, "cat /proc/self/oom_score_adj", (0, BASE, 65536))
    bundle.process["oomScoreAdj"] = -321
    if host.probe().permitted & CAP_SYS_RESOURCE:
        assert box.run(bundle).ok().out == "-321\n"
    else:
        box.run(bundle).fails("lowering it needs CAP_SYS_RESOURCE")
