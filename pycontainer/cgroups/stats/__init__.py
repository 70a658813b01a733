"""What a container uses, in the shape of runc's `events` (types/events.go of runc).

Times are nanoseconds, sizes bytes; as there, most members that are zero are left out. A file that
the kernel does not have leaves its members out, too: statistics are for looking at.
"""

from __future__ import annotations

from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.cgroups.stats.common import CPUSET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def collect(paths: CgroupPaths) -> dict[str, Any]:
    """The statistics of the cgroup at `paths`, as of now."""
    if paths.mode == "v2":
        from pycontainer.cgroups.stats import v2 as version
    else:
        from pycontainer.cgroups.stats import v1 as version  # type: ignore[no-redef]
    document: dict[str, Any] = {
        "cpu": {},
        "cpuset": dict.fromkeys(CPUSET, 0),
        "memory": {},
        "pids": {},
        "blkio": {},
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": None,
    }
    version.fill(paths, document)
    return document
