"""Random invalid configurations: one line says what is wrong and where; nothing is made."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz import forked
from tests.fuzz.generate import invalid_config
from tests.fuzz.seeds import make_rootfs, seeds
from tests.support.box import Box
from tests.support.runtimes import Done

BATCH = 500
# A field of config.json, or a position in its text.
_FIELD = r"[a-zA-Z]\w*(?:\.\w[^ :]*|\[[^]]*\])*"
_POSITION = (
    r"read [^ ]*config\.json: .*(?:line \d+ column \d+|at the start|nested too deeply|"
    r"holds .*, must be an object)"
)
_WHERE = re.compile(f"invalid config: (?:{_FIELD}: |{_POSITION})")


@pytest.mark.parametrize("first", range(0, 2000, BATCH))
def test_create(first: int, box: Box) -> None:
    forked.warm()
    root = box.runtime("pycontainer").root
    _refuse_all(
        box, seeds(first, BATCH), lambda *argv: forked.command(["--root", str(root), *argv])
    )


def test_real_command(box: Box) -> None:
    _refuse_all(box, seeds(0, 100), box.runtime("pycontainer"))


def _refuse_all(box: Box, chosen: range, run: Callable[..., Done]) -> None:
    rootfs = make_rootfs(box.directory)
    bundle = box.directory / "bundle"
    bundle.mkdir()
    faults = [_refuse(box, seed, bundle, rootfs, run) for seed in chosen]
    if any(faults):
        pytest.fail("\n".join(filter(None, faults)))
    assert sorted(os.listdir(rootfs)) == ["bin"]
    box.empty()


def _refuse(box: Box, seed: int, bundle: Path, rootfs: str, run: Callable[..., Done]) -> str:
    """ "" or what is wrong."""
    text, what = invalid_config(seed, rootfs)
    (bundle / "config.json").write_bytes(text)
    done = run("create", "--bundle", str(bundle), box.id(f"seed{seed}"))
    lines = done.err.splitlines()
    complaints = []
    if done.status != 1:
        complaints.append(f"status {done.status}")
    if done.out or len(lines) != 1 or "Traceback" in done.err or "internal error" in done.err:
        complaints.append("not one clean line")
    elif not _WHERE.search(done.err):
        complaints.append("does not say where")
    if os.listdir(bundle) != ["config.json"]:
        complaints.append(f"the bundle has {os.listdir(bundle)}")
    if not complaints:
        return ""
    return f"seed {seed} ({what[:200]}): {'; '.join(complaints)}: {(done.out + done.err)[:400]}"
