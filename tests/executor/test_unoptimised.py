"""The executor as a debugger wants it: no function inlined, every variable on the stack."""

from __future__ import annotations

import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from pycontainer.executor import binary
from pycontainer.executor.engine import NEW_LISTENER
from pycontainer.plan.ops import Op, joined
from tests.executor.lab import Lab, make
from tests.executor.test_hooks_inside import hook
from tests.support.runtimes import CHECKOUT

NOTIFY = 0x7FC00000
MKDIRS = {"x86_64": (83, 258), "aarch64": (34, 34)}[platform.machine()]


@pytest.fixture(params=["-O0", "-O1 -fno-inline", "-O3"])
def built(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the lab run an executor that was built in this way."""
    options = [f"OPTIMIZE={request.param}", f"OUT={tmp_path}", f"BUILD={tmp_path}/native"]
    target = f"{tmp_path}/executor.bin"
    command = ["make", "-s", "-C", CHECKOUT / "csrc", f"PYTHON={sys.executable}", *options, target]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setattr(binary, "__file__", f"{tmp_path}/executor/binary.py")


def load(action: int, flags: int = 0) -> Op:
    """A seccomp filter that says this to every call of mkdir(2) and mkdirat(2)."""
    rows = [(0x20, 0, 0, 0), (0x15, 2, 0, MKDIRS[0]), (0x15, 1, 0, MKDIRS[1]),
            (0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, action)]  # fmt: skip
    return make("seccomp", flags=flags, filter=b"".join(struct.pack("=HBBI", *row) for row in rows))


def test_hooks(lab: Lab, built: None):
    """Of both kinds, one after the other, and one that cannot be executed."""
    first = hook("echo 1 > /tmp/first; cat > /tmp/state")
    early = make("hook", path="/bin/true", args=joined(["true"]), env=b"")
    steps = lab.tree(early, script="cat /tmp/first /tmp/second /tmp/state; ls /tmp")
    second = hook("echo 2 > /tmp/second; mkdir /tmp/made; exit 0")
    done = lab.run([*steps[:-2], first, second, steps[-2], load(0x00050001), steps[-1]])
    assert done.ok().split("\n")[:2] == ["1", "2"]
    assert "made" not in done.out
    nothing = make("hook", as_program=1, path="/bin/nothing", args=joined(["x"]), env=b"")
    assert lab.inside(nothing).fails("hook", 2) == "#0: fork/exec /bin/nothing"


def test_a_listener(lab: Lab, built: None):
    """The thread that hands it over, in a hook and in the program's process."""
    prepare = make("seccomp_prepare")
    done = lab.inside(hook("exit 0"), prepare, load(NOTIFY, NEW_LISTENER), script="exit 3")
    assert done.status == 3 and not done.kind, repr(done)
