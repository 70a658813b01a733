"""Random configurations in both runtimes: whatever the program can see is the same.

A seed that fails can be run alone: PYCONTAINER_SEEDS=17:18; more of them: 0:1000.
"""

from __future__ import annotations

import os

import pytest

from tests.fuzz.beside import Author, normal
from tests.support.box import Box
from tests.support.runtimes import Runtime

SEEDS = range(*map(int, os.environ.get("PYCONTAINER_SEEDS", "0:40").split(":")))
PARTS = 4


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: devices and sysctls")
@pytest.mark.parametrize("part", range(PARTS))
def test_the_same_inside(box: Box, part: int) -> None:
    runc = box.runc
    compared, differing = 0, []
    for seed in SEEDS[part::PARTS]:
        ours, theirs = (look(box, runtime, seed) for runtime in (box.pycontainer, runc))
        if not theirs:
            continue  # what an old runc does not know, or is no use
        compared += 1
        if ours != theirs:
            differing.append((seed, sorted(set(ours) ^ set(theirs))))
    assert not differing
    assert compared > len(SEEDS) / PARTS / 2


def look(box: Box, runtime: Runtime, seed: int) -> list[str]:
    """What the container of this seed sees; nothing when it cannot be made."""
    bundle, name = box.bundle(), box.id(f"{runtime.name}{seed}")
    source = bundle.path / "source"
    source.mkdir()
    (source / "f").write_text("f\n")
    bundle.config = Author(seed, str(source)).change(bundle.config)
    bundle.linux.pop("cgroupsPath", None)
    done = runtime("run", "-b", bundle, name)
    return normal(done.out, name, str(bundle.path)) if done.status == 7 else []
