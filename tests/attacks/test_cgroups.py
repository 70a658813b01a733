"""Cgroups and sockets of the host are out of reach."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.attacks.test_host_files import CAPABILITIES, mapped
from tests.support.box import Box
from tests.support.cgroups import V1
from tests.support.runtimes import SHIM

# Root of the host, in a user namespace: permissions let it write wherever the mount does.
WRITE = """
for d in $(busybox find /sys/fs/cgroup -type d); do
    busybox mkdir $d/attack && echo $d && busybox rmdir $d/attack
done
busybox mount -o remount,bind,rw /sys/fs/cgroup; busybox mount -o remount,rw /sys/fs/cgroup
busybox umount -l /sys/fs/cgroup
for d in /sys/fs/cgroup /sys/fs/cgroup/*; do
    busybox mkdir $d/attack && echo $d again && busybox rmdir $d/attack
done
"""


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_a_container_without_a_cgroup_namespace(box: Box, mode: str) -> None:
    """CVE-2023-25809; "rw", which config.json asks for then, shows that the attack can succeed."""
    box.needs_root("maps root to itself")
    bundle = box.bundle().script(f"({WRITE}) 2>/dev/null; true")
    mapped(0)(bundle)
    bundle.drop_namespace("cgroup")
    for kind in bundle.process["capabilities"]:
        bundle.process["capabilities"][kind] = CAPABILITIES
    place = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}
    place["options"] = ["nosuid", "noexec", "nodev", "relatime", mode]  # type: ignore[assignment]
    mounts = [m for m in bundle.config["mounts"] if m["destination"] != "/sys/fs/cgroup"]
    bundle.config["mounts"] = [*mounts, place]
    written = box.run(bundle).ok().out.split()
    assert bool(written) == (mode == "rw")


@pytest.mark.parametrize("way", ["..", "prefix", "absolute"])
def test_exec_into_another_cgroup(box: Box, way: str) -> None:
    """runc#5351: the parent, and a sibling whose name begins with the container's own."""
    box.needs_root("makes cgroups")
    pyc, name = box.pycontainer, box.running()
    pid = pyc.state(name)["pid"]
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    wanted = "pids" if V1 else ""
    (path,) = (path for _, controllers, path in lines if wanted == controllers)
    own = Path("/sys/fs/cgroup", wanted + path)
    sibling = own.with_name(f"{own.name}2")
    sibling.mkdir()
    try:
        place = {"..": "..", "prefix": f"../{sibling.name}", "absolute": f"/../{sibling.name}"}[way]
        word = f"pids:{place}" if V1 else place
        done = pyc("exec", "--cgroup", word, name, "/bin/true")
        done.fails(status=255)
        assert (sibling / "cgroup.procs").read_text() == ""
    finally:
        sibling.rmdir()


def test_no_socket_has_an_abstract_name(box: Box) -> None:
    """CVE-2020-15257: whoever shares the host's network could connect to one."""
    box.needs_root("containerd's shim is root's")
    from tests.containerd.shim import Shim

    assert SHIM.exists(), f"{SHIM} is not built: make build"
    shim = Shim(box)
    try:
        container = shim.create(box.bundle("/bin/sleep", "1000"))
        listening = shim.pid, shim.client("State", id=container)["pid"]  # init waits for start
        sockets = {}
        for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
            fields = line.split()
            sockets[fields[6]] = fields[7] if len(fields) > 7 else ""
        names = []
        for pid in listening:
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(fd))
                if found and found[1] in sockets:
                    names.append(sockets[found[1]])
        assert any(name.startswith("/") for name in names)
        assert not [name for name in names if name.startswith("@")]
    finally:
        shim.close()
