"""A pid is told from its successor; zombies are not alive; signals reach only the right one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from pycontainer.linux import process


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen]:
    child = subprocess.Popen(["sleep", "60"])
    yield child
    child.kill()
    child.wait()


def test_start_time_is_the_kernels(sleeper: subprocess.Popen) -> None:
    started = process.start_time(sleeper.pid)
    assert started is not None
    uptime = float(open("/proc/uptime").read().split()[0])
    assert abs(started / os.sysconf("SC_CLK_TCK") - uptime) < 60
    assert process.start_time(sleeper.pid) == started
    assert process.alive(sleeper.pid, started)


def test_names_with_parentheses(tmp_path) -> None:
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(program), "60"])
    try:
        while b"a) R 1 (b" not in open(f"/proc/{child.pid}/stat", "rb").read():
            time.sleep(0.001)
        started = process.start_time(child.pid)
        assert started is not None
        assert started > 1000
        assert process.alive(child.pid, started)
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1, 2**40])
def test_no_such_process(pid: int) -> None:
    assert process.start_time(pid) is None
    assert not process.alive(pid, 1)
    assert not process.signal_process(min(pid, 2**30), 1, 0)


def test_another_start_time_is_another_process(sleeper: subprocess.Popen) -> None:
    started = process.start_time(sleeper.pid)
    assert started is not None
    assert not process.alive(sleeper.pid, started + 1)
    assert process.open_pidfd(sleeper.pid, started + 1) == -1
    assert not process.signal_process(sleeper.pid, started - 1, signal.SIGKILL)
    assert process.wait_gone(sleeper.pid, started + 1, 60_000)
    time.sleep(0.02)
    assert sleeper.poll() is None


def test_zombies_are_not_alive(sleeper: subprocess.Popen) -> None:
    started = process.start_time(sleeper.pid)
    assert started is not None
    assert process.signal_process(sleeper.pid, started, signal.SIGKILL)
    assert process.wait_gone(sleeper.pid, started, 10_000)
    assert not process.alive(sleeper.pid, started)
    assert process.start_time(sleeper.pid) == started
    assert process.open_pidfd(sleeper.pid, started) == -1


def test_waiting_has_a_deadline(sleeper: subprocess.Popen) -> None:
    started = process.start_time(sleeper.pid)
    assert started is not None
    pidfd = process.open_pidfd(sleeper.pid, started)
    try:
        assert not process.wait_exit(pidfd, 20)
        assert not process.wait_gone(sleeper.pid, started, 20)
        assert process.send_signal(pidfd, signal.SIGTERM)
        assert process.wait_exit(pidfd, 10_000)
        sleeper.wait()
        assert not process.send_signal(pidfd, signal.SIGTERM)
    finally:
        os.close(pidfd)


def test_without_pidfds(sleeper: subprocess.Popen, monkeypatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(38, "no such system call")

    monkeypatch.setattr(process.posix, "pidfd_open", refuse)
    started = process.start_time(sleeper.pid)
    assert started is not None
    assert not process.wait_gone(sleeper.pid, started, 20)
    assert not process.signal_process(sleeper.pid, started + 1, signal.SIGKILL)
    assert process.signal_process(sleeper.pid, started, signal.SIGKILL)
    assert process.wait_gone(sleeper.pid, started, 10_000)
