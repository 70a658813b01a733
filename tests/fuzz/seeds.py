"""Which seeds a fuzz test takes: always the same ones, or others by an environment variable.

    PYCONTAINER_FUZZ_SEED=7000 pytest tests/fuzz     # the ones from 7000 on
    PYCONTAINER_FUZZ_SEED=random pytest tests/fuzz   # from a number that a failure tells

What fails is told with its seed: `python -m tests.fuzz.generate SEED ROOTFS` prints the config.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from tests.support.bundles import BUSYBOX

VARIABLE = "PYCONTAINER_FUZZ_SEED"


def _base() -> int:
    word = os.environ.get(VARIABLE) or "0"
    return random.SystemRandom().randrange(10**6, 10**9) if word == "random" else int(word)


BASE = _base()


def seeds(first: int, count: int) -> range:
    """So many seeds, from `first` on, counted from the chosen one."""
    return range(BASE + first, BASE + first + count)


def make_rootfs(directory: Path) -> str:
    """The root file system that `generate` asks for."""
    root = directory / "rootfs"
    (root / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin" / "busybox")
    for applet in ("sh", "cat", "true"):
        (root / "bin" / applet).symlink_to("busybox")
    # Users other than root get in, too.
    for path in (root, *root.parents):
        if path.stat().st_uid == os.geteuid() and str(path).startswith(str(directory)):
            path.chmod(0o755)
    return str(root)
