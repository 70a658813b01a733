"""What the shim inherits from its caller: signals, descriptors. None of it reaches the daemon, nor
containers, and no answer depends on it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.containerd.shim import Shim, alive, message
from tests.support.runtimes import SHIM, eventually

CALLERS = {  # env(1)
    "SIGCHLD ignored": ["--ignore-signal=CHLD"],
    "SIGCHLD blocked": ["--block-signal=CHLD"],
    "all ignored": ["--ignore-signal"],
    "all blocked": ["--block-signal"],
}
SIGNALS = "grep -E 'Sig(Blk|Ign)' /proc/self/status"
NONE = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"


@pytest.fixture(params=CALLERS)
def caller(request: pytest.FixtureRequest, shim: Shim) -> Shim:
    """A shim whose caller has done this to its signals."""
    shim.prefix = ["env", *CALLERS[request.param]]
    return shim


def test_exits_are_seen(caller: Shim):
    out = caller.home / "out"
    bundle = caller.box.bundle().script(f"{SIGNALS}; exit 7")
    container = caller.create(bundle, stdout=f"file://{out}")
    caller.client("Start", id=container)
    assert caller.wait(container) == 7
    assert out.read_text() == NONE


def test_an_exec(caller: Shim):
    container, out = caller.running(), caller.home / "out"
    script = f"{SIGNALS}; exit 5"
    caller.exec(container, "/bin/sh", "-c", script, stdout=f"file://{out}")
    assert caller.wait(container, "e") == 5
    assert out.read_text() == NONE


def test_the_end(caller: Shim):
    """SIGTERM ends the shim, and its socket, however it was started."""
    caller.start(caller.box.bundle(), caller.box.id("c"))
    caller.terminate()


def test_delete(caller: Shim):
    """The status of `pycontainer delete` is known, and a failure told."""
    bundle = caller.box.bundle("/bin/sleep", "1000")
    container = caller.create(bundle)
    init, pid = caller.client("Start", id=container)["pid"], caller.pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid), "the shim has ended")
    argv = [*caller.prefix, SHIM, "-namespace", "test", "-id", container, "-bundle", str(bundle)]
    done = subprocess.run([*argv, "delete"], cwd=bundle.path, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    eventually(lambda: not alive(init), "its end")
    caller.known.clear()


def test_info(caller: Shim):
    """It has the features, which come from a command."""
    done = subprocess.run([*caller.prefix, SHIM, "-info"], stdin=subprocess.DEVNULL,
                          capture_output=True, check=True)  # fmt: skip
    assert b"runtime-spec/1/features" in done.stdout


def test_a_small_limit_for_files(shim: Shim):
    """A write that the limit refuses is an error; SIGXFSZ would end the shim."""
    shim.prefix = ["prlimit", "--fsize=0"]
    bundle = shim.box.bundle()
    with pytest.raises(AssertionError, match="write address: File too large"):
        shim.start(bundle, shim.box.id("c"))
    assert not list(shim.sockets.glob("s/*"))


@pytest.mark.parametrize("low", [3, 4])
def test_descriptors(shim: Shim, low: int):
    """Neither the shim nor the program gets what the caller has open: a pipe would never end."""
    ours, theirs = os.pipe()
    keep = " ".join(f"{fd}>&{theirs}" for fd in (*range(low, 10), *range(100, 110)))
    shim.prefix = ["bash", "-c", f'exec {keep} {theirs}>&-; exec "$@"', "bash"]
    name = os.readlink(f"/proc/self/fd/{theirs}")
    os.set_inheritable(theirs, True)
    command = shim.command

    def inheriting(*words: Any, **options: Any) -> bytes:
        return command(*words, close_fds=False, **options)

    shim.command = inheriting  # type: ignore[method-assign]
    try:
        container = shim.running()
        for pid in (shim.pid, shim.client("State", id=container)["pid"]):
            fds = Path(f"/proc/{pid}/fd")
            assert name not in [os.readlink(fd) for fd in fds.iterdir()]
    finally:
        os.close(theirs)
    assert os.read(ours, 1) == b""  # nobody has it any more
    os.close(ours)


@pytest.mark.parametrize("closed", ["0<&-", "2>&-", "0<&- 2>&-"])
def test_closed_standard_descriptors(shim: Shim, closed: str):
    """What the shim opens must not take their numbers."""
    bundle, container = shim.box.bundle("/bin/sh", "-c", "exit 3"), shim.box.id("c")
    shim.prefix = ["bash", "-c", f'exec {closed}; exec "$@"', "bash"]
    shim.connect(shim.command(bundle.write().path, container, "start").decode().strip())
    for fd in (0, 1, 2):
        assert os.readlink(f"/proc/{shim.pid}/fd/{fd}") == "/dev/null"
    shim.prefix = []
    shim.client("Start", id=shim.create(bundle))
    assert shim.wait(container) == 3


@pytest.mark.parametrize("stdout", [">&-", ">/dev/full", "</dev/null >&0"])
@pytest.mark.parametrize("how", ["1.6", "1.7", "2.3"])
def test_an_address_that_nobody_reads(shim: Shim, stdout: str, how: str):
    """`start` fails, and leaves no shim that nobody can call."""
    bundle, container = shim.box.bundle().write(), shim.box.id("c")
    params = message("BootstrapParams", instance_id=container, namespace="test",
                     socket_dir=f"{shim.sockets}/s")  # fmt: skip
    env = {**os.environ, "MAX_SHIM_VERSION": {"1.6": "", "1.7": "2", "2.3": "3"}[how]}
    argv = [SHIM, "-namespace", "test", "-id", container, "-address", f"{shim.home}/c", "start"]
    done = subprocess.run(
        ["bash", "-c", f'exec "$@" {stdout}', "bash", *argv],
        input=params if how == "2.3" else b"", cwd=bundle.path, env=env,
        stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and b"write the answer: " in done.stderr
    address = (bundle.path / "address").read_text().removeprefix("unix://")
    assert not Path(address).exists()
    eventually(lambda: not _shims_of(container), "its end")


def _shims_of(container: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if container.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except (OSError, ValueError):
            pass  # no process, or one that has ended
    return found
