"""Podman of an ordinary user, told to use pycontainer: limits hold."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.rootless.person import Person
from tests.support.bundles import busybox_bundle
from tests.support.runtimes import COMMAND

RUNTIME_DIR = f"/run/user/{os.geteuid()}"
pytestmark = pytest.mark.skipif(
    os.geteuid() == 0 or not Path(RUNTIME_DIR, "systemd").exists() or not shutil.which("podman"),
    reason="needs podman, and an ordinary user with a systemd of their own",
)
LOOK = """
cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max; id -u
ulimit -v 400000; tail /dev/zero; echo $?
"""


def test_limits(person: Person) -> None:
    place = person.home / "podman"
    rootfs = busybox_bundle(place / "bundle").rootfs
    storage = [f"--root={place}/root", f"--runroot={place}/run", "--storage-driver=vfs"]
    limits = ["--memory=32m", "--memory-swap=32m", "--pids-limit=33", "--cpus=0.25"]
    argv = ["podman", *storage, f"--tmpdir={place}/tmp", f"--runtime={COMMAND}", "run", "--rm"]
    argv += ["--network=none", *limits]
    argv += ["--rootfs", str(rootfs), "sh", "-c", LOOK]
    (place / "tmp").mkdir()
    environ = {**os.environ, "XDG_RUNTIME_DIR": RUNTIME_DIR}
    try:
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=300)
    finally:
        unshare = ["podman", *storage, "unshare", "rm", "-rf", str(place / "root")]
        subprocess.run(unshare, env=environ, check=False, capture_output=True)
    assert done.stdout, (done.returncode, done.stderr)
    memory, pids, cpu, uid, *status = done.stdout.splitlines()
    assert (memory, pids, cpu, uid) == (str(32 << 20), "33", "25000 100000", "0"), done.stderr
    assert status == ["137"] or done.returncode == 137, done
