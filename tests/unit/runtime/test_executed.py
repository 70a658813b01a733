"""Whether an init that is dead had become the program: real zombies of both kinds."""

from __future__ import annotations

import ctypes
import os
import time

from pycontainer.executor.handlers import EXECUTOR, executed

PR_SET_NAME = 15


def child(program: str = "", name: str = "", seconds: float = 0) -> int:
    """A child that takes a name, or executes a program, and ends; it is not reaped yet."""
    pid = os.fork()
    if pid == 0:
        try:
            ctypes.CDLL(None).prctl(PR_SET_NAME, (name or EXECUTOR).encode(), 0, 0, 0)
            if program:
                os.execv(program, [program])
            time.sleep(seconds)
        finally:
            os._exit(0)
    return pid


def ended(pid: int) -> int:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_a_zombie_with_our_name_never_was_the_program() -> None:
    pid = ended(child())
    assert not executed(pid)
    os.waitpid(pid, 0)
    assert not executed(pid)  # nobody is there at all


def test_one_that_dies_only_now_is_waited_for() -> None:
    pid = child(seconds=0.02)
    while EXECUTOR not in open(f"/proc/{pid}/comm").read():
        pass
    assert not executed(pid)
    os.waitpid(pid, 0)


def test_a_zombie_with_another_name_was() -> None:
    for pid in (ended(child("/bin/true")), ended(child(name="a (b) Z"))):
        assert executed(pid)
        os.waitpid(pid, 0)


def test_so_is_whoever_lives_on() -> None:
    pid = child(seconds=1000)
    while EXECUTOR not in open(f"/proc/{pid}/comm").read():
        pass
    assert executed(pid)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
