"""What a container sees of the cgroup file system."""

from __future__ import annotations

import os
import re

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.cgroups import MODE

ALL_IDS = [{"containerID": 0, "hostID": 0, "size": 2**32 - 1}]


def in_a_user_namespace(bundle: Bundle) -> None:
    bundle.new_namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = ALL_IDS


@pytest.mark.skipif(MODE != "v2", reason="needs cgroup v2 alone")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: maps all ids")
@pytest.mark.parametrize("mapped", [False, True])
def test_without_a_cgroup_namespace_the_hosts_tree_is_seen(box: Box, mapped: bool) -> None:
    """/proc/self/cgroup tells of paths in it, and who asks for the host's wants to see that."""
    looks = []
    for runtime in box.both():
        bundle = box.bundle().script(
            "cd /sys/fs/cgroup$(sed -n s/0:://p /proc/self/cgroup) && head -n 1 cgroup.procs;"
            "grep -o '/ /sys/fs/cgroup r.,.* - cgroup2.*' /proc/self/mountinfo"
        )
        bundle.drop_namespace("cgroup")
        if mapped:
            in_a_user_namespace(bundle)
        out = box.run(bundle, runtime=runtime.name).ok().out
        # With runc the host's later mounts reach the container; a copy of ours is private.
        looks.append(re.sub(r" master:\d+", "", out))
    assert looks[0] == looks[-1]
    assert looks[0].startswith("1\n")
