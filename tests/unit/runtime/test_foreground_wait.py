"""The foreground: exit statuses, forwarded signals, orphans; each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pycontainer._shim")

ROOT = str(Path(__file__).resolve().parents[3])

# Blocks, spawns argv with normal signals, waits, exits with its status.
WRAPPER = f"""
import os, posix, sys
sys.path.insert(0, {ROOT!r})
from pycontainer.lifecycle import foreground
signals = foreground.block_signals()
SETUP
pid = posix.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, setsigmask=(),
                        setsigdef=range(1, 32), setsid=True)
status = foreground.wait_foreground(pid, signals)
CHECK
sys.stdout.flush()
os._exit(status)
"""


def wrapped(setup: str = "", check: str = "") -> list[str]:
    return [sys.executable, "-c", WRAPPER.replace("SETUP", setup).replace("CHECK", check)]


def run(script: str, setup: str = "", check: str = "") -> subprocess.CompletedProcess:
    command = [*wrapped(setup, check), "/bin/sh", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_exit_status(code: int) -> None:
    assert run(f"exit {code}").returncode == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, 34])
def test_ended_by_a_signal(number: int) -> None:
    assert run(f"kill -{int(number)} $$").returncode == 128 + number


def test_stdio_is_inherited() -> None:
    done = run("echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


FORWARDED = [n for n in range(1, 65) if n not in (9, 17, 19, 32, 33)]


def test_every_signal_is_forwarded() -> None:
    """All but KILL and STOP, which nobody can forward, and CHLD, which is ours."""
    code = (
        "import signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    n = signal.sigwait(range(1, 65))\n"
        "    print(n, flush=True)\n"
        "    if n == 15: sys.exit(9)\n"
    )
    child = subprocess.Popen(
        [*wrapped(), sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    for number in [n for n in FORWARDED if n != 15] + [15]:
        os.kill(child.pid, number)
        assert int(child.stdout.readline()) == number
    assert child.wait(60) == 9
    child.stdout.close()


def test_signals_before_the_process_exists_are_kept() -> None:
    """One that comes between blocking and waiting reaches the process."""
    done = run("trap 'exit 33' TERM; while :; do sleep 0.01; done", setup=(
        "if os.fork() == 0:\n"
        "    os.kill(os.getppid(), 15); os._exit(0)\n"
        "import time; time.sleep(0.2)"
    ))  # fmt: skip
    # Whether the shell has its trap by then is a race of this test; but it does not survive.
    assert done.returncode in (33, 128 + 15)


def test_our_own_sigpipe_is_not_the_processes() -> None:
    done = run("exec sleep 0.2", setup=(
        "import signal\nr, w = os.pipe(); os.close(r)\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "try: os.write(w, b'x')\nexcept BrokenPipeError: pass"
    ))  # fmt: skip
    assert done.returncode == 0


def test_orphans_are_reaped_by_a_subreaper() -> None:
    done = run(
        "(sleep 0.1 & exec sleep 0.05) & sleep 0.5; exit 5",
        setup="foreground.become_subreaper()",
        check=(
            "try: print(os.waitpid(-1, os.WNOHANG))\nexcept ChildProcessError: print('no children')"
        ),
    )
    assert (done.stdout, done.returncode) == ("no children\n", 5)


def test_without_a_subreaper_only_the_process_is_reaped() -> None:
    done = run(
        "exit 6",
        setup=(
            "other = os.fork()\n"
            "if other == 0: os._exit(3)\n"
            "wait = foreground.wait_foreground\n"
            "foreground.wait_foreground = lambda *a: wait(*a, reap_all=False)"
        ),
        check="print(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]))",
    )
    assert (done.stdout, done.returncode) == ("3\n", 6)


def test_an_early_end_is_noticed() -> None:
    """The process has ended before anybody waits."""
    done = run("exit 4", setup="old = foreground._reap\nimport time\n"
               "foreground._reap = lambda *a: (time.sleep(0.2), old(*a))[1]")  # fmt: skip
    assert done.returncode == 4


def test_release_gives_the_old_mask_back() -> None:
    done = run(
        "exit 0",
        setup="import signal",
        check=(
            "signals.release(); signals.release()\n"
            "print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())))"
        ),
    )
    assert done.stdout == "[]\n"


def test_no_child_of_ours() -> None:
    code = (
        f"import sys; sys.path.insert(0, {ROOT!r})\n"
        "from pycontainer.base import errors\n"
        "from pycontainer.lifecycle import foreground\n"
        "try: foreground.wait_foreground(1, foreground.block_signals())\n"
        "except errors.OperationError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "wait for process 1: not a child of ours\n"


def test_waiting_costs_nothing() -> None:
    """No polling: hardly any CPU time while the process sleeps."""
    child = subprocess.Popen([*wrapped(), "/bin/sleep", "60"])
    try:
        time.sleep(0.5)
        before = cpu_ticks(child.pid)
        time.sleep(0.5)
        assert cpu_ticks(child.pid) - before <= 1
    finally:
        child.terminate()
        assert child.wait(60) == 128 + signal.SIGTERM


def cpu_ticks(pid: int) -> int:
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
