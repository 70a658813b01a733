"""Random process.json files for exec: valid ones run, invalid ones are refused."""

from __future__ import annotations

import json

import pytest

from tests.fuzz import forked
from tests.fuzz.generate import exit_status, invalid_config, valid_config
from tests.fuzz.seeds import make_rootfs, seeds
from tests.support.box import Box


def _sleeper(box: Box) -> str:
    """A running container with /bin/sh and /bin/busybox, user namespaces and limits aside."""
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id("sleeper")
    box.pycontainer("run", "-d", "-b", bundle, name).ok()
    return name


def test_valid(box: Box) -> None:
    name, file = _sleeper(box), box.directory / "process.json"
    faults = []
    for seed in seeds(0, 50):
        config = valid_config(seed, "/unused")
        file.write_text(json.dumps(config["process"]))
        done = box.pycontainer("exec", "--process", file, name)
        if done.status != exit_status(config) or done.err or done.out:
            faults.append(f"seed {seed}: wanted {exit_status(config)}: {done!r}")
    if faults:
        pytest.fail("\n".join(faults))
    pids = box.pycontainer("ps", "--format", "json", name).ok().out
    assert len(json.loads(pids)) == 1


def test_invalid(box: Box) -> None:
    """The processes of those invalid configurations whose fault is in process."""
    forked.warm()
    name, file = _sleeper(box), box.directory / "process.json"
    root, rootfs = str(box.pycontainer.root), make_rootfs(box.directory)
    faults, tried = [], 0
    for seed in seeds(0, 1200):
        text, what = invalid_config(seed, rootfs)
        try:
            process = json.loads(text)["process"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if process == valid_config(seed, rootfs)["process"]:
            continue
        tried += 1
        file.write_text(json.dumps(process))
        done = forked.command(["--root", root, "exec", "--process", str(file), name])
        clean = done.err.count("\n") == 1 and "internal error" not in done.err
        if done.status != 255 or not clean or "Traceback" in done.err:
            faults.append(f"seed {seed} ({what[:200]}): {done!r}")
    if faults:
        pytest.fail("\n".join(faults))
    assert tried > 100


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'{"args": ["/bin/true"]', b"\xff"])
def test_no_process(box: Box, text: bytes) -> None:
    name, file = _sleeper(box), box.directory / "process.json"
    file.write_bytes(text)
    box.pycontainer("exec", "--process", file, name).fails(status=255)
