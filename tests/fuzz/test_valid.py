"""Random valid configurations really run: the exit status is theirs, and nothing stays behind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fuzz.generate import exit_status, valid_config
from tests.fuzz.seeds import make_rootfs, seeds
from tests.support.box import Box

AT_ONCE = 2
BATCH = 50


@pytest.mark.parametrize("first", range(0, 200, BATCH))
def test_run(first: int, box: Box) -> None:
    rootfs = make_rootfs(box.directory)
    before = _entries(rootfs)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        verdicts = pool.map(lambda seed: _run(box, seed, rootfs), seeds(first, BATCH))
    _all_well(verdicts)
    assert [path for path in _entries(rootfs) - before if not _mount_point(rootfs, path)] == []
    box.empty()


def test_create_and_start(box: Box) -> None:
    """The same in two steps, with what runc does not know yet; a sample."""
    rootfs = make_rootfs(box.directory)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        verdicts = pool.map(lambda seed: _create(box, seed, rootfs), seeds(1000, 30))
    _all_well(verdicts)
    box.empty()


def _all_well(verdicts: Iterable[str]) -> None:
    faults = [line for line in verdicts if line]
    if faults:
        pytest.fail("\n".join(faults))


def _bundle(box: Box, seed: int, config: object) -> Path:
    bundle = box.directory / f"seed{seed}"
    bundle.mkdir()
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def _run(box: Box, seed: int, rootfs: str) -> str:
    """ "" or what is wrong."""
    config = valid_config(seed, rootfs)
    bundle = _bundle(box, seed, config)
    done = box.runtime("pycontainer")("run", "-b", bundle, box.id(f"seed{seed}"))
    wanted = exit_status(config)
    if done.status != wanted or _unexpected(done.err) or done.out:
        return f"seed {seed}: wanted status {wanted}, got {done!r}"
    if os.listdir(bundle) != ["config.json"]:
        return f"seed {seed}: left in the bundle: {os.listdir(bundle)}"
    return ""


def _create(box: Box, seed: int, rootfs: str) -> str:
    pyc, name = box.runtime("pycontainer"), box.id(f"seed{seed}")
    bundle = _bundle(box, seed, valid_config(seed, rootfs, later=True))
    steps = (("create", "-b", bundle, name), ("start", name), ("delete", "--force", name))
    for step in steps:
        done = pyc(*step)
        if done.status or _unexpected(done.err) or done.out:
            return f"seed {seed}: {done!r}"
    return ""


def _unexpected(err: str) -> list[str]:
    """Lines but the warning of the one member that no specification has."""
    return [line for line in err.splitlines() if "x-unknown" not in line]


def _entries(rootfs: str) -> set[str]:
    return {
        os.path.relpath(os.path.join(where, name), rootfs)
        for where, directories, files in os.walk(rootfs)
        for name in (*directories, *files)
    }


def _mount_point(rootfs: str, path: str) -> bool:
    """An empty file or directory: something was mounted there, as each runtime leaves it; or what
    a config without a /dev of its own gets in the image's."""
    full = os.path.join(rootfs, path)
    if path.startswith("dev/"):
        return True
    return os.path.isdir(full) or (not os.path.islink(full) and os.path.getsize(full) == 0)
