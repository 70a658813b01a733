"""What the user is told of a value that the kernel refuses."""

from __future__ import annotations

from errno import EINVAL, ERANGE

import pytest

from pycontainer.cgroups.errors import write_failed
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.cgroups.resources.writes import Write
from pycontainer.diagnose.hints import hint_of


@pytest.mark.parametrize(
    ("controller", "file", "value", "errno", "expected"),
    [
        ("memory", "memory.max", "lots", EINVAL, "give bytes"),
        ("memory", "memory.oom.group", "yes", EINVAL, "give 0 or 1"),
        ("memory", "memory.limit_in_bytes", "9", EINVAL, "memory.swap includes memory.limit"),
        ("hugetlb", "hugetlb.2MB.max", "lots", EINVAL, "give bytes"),
        ("pids", "pids.max", "99999999999", EINVAL, "give 0 to 4194304"),
        ("cpu", "cpu.weight", "20000", ERANGE, "give 1 to 10000"),
        ("cpu", "cpu.weight.nice", "99", ERANGE, "give -20 to 19"),
        ("cpu", "cpu.max", "9", EINVAL, "out of range"),
        ("net_prio", "net_prio.ifpriomap", "nope 5", EINVAL, "no such network interface"),
        ("memory", "memory.max", "5", ERANGE, ""),
    ],
)
def test_hint(controller: str, file: str, value: str, errno: int, expected: str) -> None:
    paths = CgroupPaths("v2", {"": "/sys/fs/cgroup/none"}, False)
    error = write_failed(Write(controller, file, value, "field"), paths, OSError(errno, "refused"))
    assert expected in hint_of(error) and bool(expected) == bool(hint_of(error))
