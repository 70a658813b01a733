"""The same script with our runtime and with others, each time in a mount namespace of its own."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import PATIENCE, VERSIONS, is_there

# crun refuses a machine that has cgroup v2 beside v1. With a user namespace it changes the owner of
# its stdio, the host's /dev/null included: it gets a node of its own there.
_FOR_CRUN = (
    "[ -e /sys/fs/cgroup/cgroup.procs ] || umount /sys/fs/cgroup/unified 2>/dev/null; "
    "mount -t tmpfs none /mnt && mknod -m 666 /mnt/null c 1 3 && mount --bind /mnt/null /dev/null"
    " && umount -l /mnt && exec </dev/null 2>/dev/null || exit 99; "
)


def peers(*names: str) -> list[str]:
    """Those of these runtimes that are there; skips the test when none is."""
    found = [name for name in names if is_there(name)]
    if not found:
        wanted = ", ".join(f"{name} {VERSIONS[name]}x" for name in names)
        pytest.skip(f"needs root, and one of {wanted} to compare with")
    return found


def said(box: Box, name: str, bundle: Bundle, script: str) -> str:
    """What the script writes to stdout. It has `$RT`, the command with its state root; `$ID`, a
    container; it is in the bundle's directory, and container and bundle are for it alone."""
    runtime, container = box.runtime(name), box.id(f"{name}{len(box.runtimes)}")
    command = shlex.join(runtime.argv())
    bundle.write()
    setup = f"RT={shlex.quote(command)} ID={container}; cd {shlex.quote(str(bundle.path))}; "
    setup += _FOR_CRUN if name == "crun" else ""
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "bash", "-uc", setup + script],
        stdin=subprocess.DEVNULL,
        stdout=(output := (box.directory / f"said-by-{name}").open("w+")),
        stderr=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=False,
    )
    runtime("delete", "--force", container)
    output.seek(0)
    with output:
        return f"{output.read().replace(container, 'ID')}[{done.returncode}]"
