"""What the caller lacks: an open stdout, an environment; and what outlives init."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pycontainer.linux.process import alive, start_time
from tests.support.box import Box
from tests.support.runtimes import CHECKOUT, Runtime

FAST = CHECKOUT / "build" / "fast" / "pycontainer"
SCRIPT = CHECKOUT / "build" / "pycontainer"


PRINTING = (
    "state ID",
    "list",
    "list -q",
    "list --format json",
    "list --long",
    "ps ID",
    "events --stats ID",
    "stats",
    "metrics",
    "features",
    "info",
    "plan BUNDLE",
    "plan --json BUNDLE",
    "check BUNDLE",
    "help run",
    "--version",
    "--help",
    "spec --help",
)


@pytest.mark.parametrize("where", [">&-", ">/dev/full"])
@pytest.mark.parametrize("command", [FAST, SCRIPT], ids=["fast", "script"])
@pytest.mark.parametrize("words", PRINTING)
def test_output_that_cannot_be_written(box: Box, command: Path, words: str, where: str):
    name = box.running()
    words = words.replace("BUNDLE", str(box.bundle()))
    argv = [str(command), "--root", str(box.pycontainer.root), *words.replace("ID", name).split()]
    done = subprocess.run(
        ["sh", "-c", f'"$@" {where}', "sh", *argv], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "write to stdout: " in done.stderr, done


def test_an_ordinary_user_without_a_runtime_directory(box: Box):
    """After su or in cron: the error says what to set."""
    box.needs_root("become another user")
    bundle = box.bundle()
    for part in [*bundle.rootfs.parents, bundle.rootfs]:
        if str(part).startswith("/tmp/"):
            part.chmod(0o755)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-i", str(FAST),
         "run", "-b", str(bundle), box.id()],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1 and "XDG_RUNTIME_DIR" in done.stderr and "--root" in done.stderr


def test_kill_reaches_what_has_outlived_init(box: Box, pyc: Runtime):
    """In the host's pid namespace nothing ends the others with init."""
    box.needs_a_cgroup()
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.drop_namespace("pid")
    name, file = box.id(), box.directory / "pid"
    pyc("run", "-d", "-b", bundle, name).ok()
    pyc("exec", "-d", "--pid-file", file, name, "/bin/sleep", "1001").ok()
    other = int(file.read_text())
    started = start_time(other) or 0
    assert alive(other, started)
    os.kill(pyc.state(name)["pid"], 9)
    pyc.wait_for(name, "stopped")
    pyc("kill", name, "TERM").fails("container not running")
    pyc("kill", name, "KILL").ok()
    pyc("delete", name).ok()
    assert not alive(other, started)


@pytest.mark.parametrize(
    "field, value",
    [
        ("linux.memoryPolicy.nodes", {"mode": "MPOL_PREFERRED", "nodes": "1000000"}),
        ("linux.memoryPolicy.nodes", {"mode": "MPOL_BIND", "nodes": "0,3-999999999"}),
        ("process.execCPUAffinity.initial", {"initial": "0-999999999"}),
    ],
)
def test_numbers_beyond_any_machine(box: Box, field: str, value: dict[str, str]):
    """Nothing is computed on them."""
    bundle = box.bundle()
    owner, name, _ = field.split(".")
    bundle.config[owner][name] = value
    box.run(bundle, timeout=10).fails(f"{field}: is", "must be below")
