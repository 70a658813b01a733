"""Hooks of the runtime namespace: what they get, and what becomes of their failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pycontainer.base.errors import OperationError
from pycontainer.lifecycle import hooks
from pycontainer.lifecycle.hooks import run_hooks, run_hooks_tolerant

FIX = "; fix: see what the hook complains of, or remove it"
STATE = b'{"ociVersion":"1.3.0","id":"c1","status":"creating"}'


def shell(script: str, **members: object) -> dict:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **members}


def failure(*hook: dict, state: bytes = STATE, **options: str) -> str:
    with pytest.raises(OperationError) as caught:
        run_hooks("createRuntime", hook, state, **options)
    return str(caught.value)


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


@pytest.fixture(autouse=True)
def nothing_is_left():
    before, others = len(open_descriptors()), has_children()  # of tests before this one
    yield
    assert len(open_descriptors()) == before
    assert has_children() == others


@pytest.fixture(params=["pidfd", "no pidfd"], autouse=True)
def kernel(request, monkeypatch) -> None:
    if request.param == "no pidfd":
        monkeypatch.setattr(hooks, "_pidfd", lambda _: -1)


def test_the_state_comes_on_stdin() -> None:
    [result] = run_hooks("prestart", [shell("cat; echo warned >&2")], STATE)
    assert (result.stdout, result.stderr, result.problem) == (STATE, b"warned\n", "")
    assert 0 < result.seconds < 60


def test_in_order_until_the_first_failure(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = [shell(f"echo {n} >> {log}; exit {n // 3}") for n in range(1, 6)]
    text = failure(*script)
    assert log.read_text() == "1\n2\n3\n"
    assert text.startswith("error running createRuntime hook #2: exit status 1, stdout: , stderr: ")
    assert text.endswith(f"(from hooks.createRuntime[2]){FIX}")


def test_output_is_in_the_message() -> None:
    text = failure(shell("echo to stdout; echo to stderr >&2; exit 7"))
    assert text == (
        "error running createRuntime hook #0: exit status 7, stdout: to stdout, "
        f"stderr: to stderr (from hooks.createRuntime[0]){FIX}"
    )


def test_only_the_end_of_much_output_is_kept() -> None:
    [result] = run_hooks("poststart", [shell("seq 100000; seq 1000 >&2")], STATE)
    assert result.stdout == "".join(f"{n}\n" for n in range(100001)).encode()[-4096:]
    assert len(result.stderr) == min(4096, len("".join(f"{n}\n" for n in range(1, 1001))))


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        (shell("kill -KILL $$"), "signal: killed"),
        (shell("kill -TERM $$"), "signal: terminated"),
        ({"path": "/no/such/hook"}, "fork/exec /no/such/hook: no such file or directory"),
        ({"path": "/etc/passwd"}, "fork/exec /etc/passwd: permission denied"),
        ({"path": "/bin/tr\0ue"}, "embedded null byte"),
    ],
)
def test_other_ends(hook: dict, reason: str) -> None:
    assert reason in failure(hook)


def test_environment_is_exactly_the_hooks(monkeypatch) -> None:
    monkeypatch.setenv("OURS", "yes")
    env = {"path": "/usr/bin/env"}
    assert run_hooks("x", [env | {"env": ["A=1", "B=c=d"]}], STATE)[0].stdout == b"A=1\nB=c=d\n"
    assert run_hooks("x", [env | {"env": []}], STATE)[0].stdout == b""
    # Like runc: a hook without env gets the runtime's. (posix.environ is the one at start.)
    assert b"PATH=" in run_hooks("x", [env], STATE)[0].stdout


def test_arguments_and_directory(tmp_path: Path) -> None:
    here = os.getcwd()
    name = {"path": "/bin/sh", "args": ["zero", "-c", "echo $0; pwd; exit 0"]}
    [result] = run_hooks("x", [name], STATE, cwd=str(tmp_path))
    assert result.stdout.decode() == f"zero\n{tmp_path}\n"
    assert os.getcwd() == here
    assert run_hooks("x", [{"path": "/bin/true"}], STATE)[0].problem == ""
    gone = str(tmp_path / "gone")
    assert f"chdir {gone}: no such file or directory" in failure(name, cwd=gone)
    assert os.getcwd() == here


def test_a_hook_need_not_read() -> None:
    old = signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as below an embedded interpreter
    try:
        run_hooks("x", [{"path": "/bin/true"}, shell("exec <&-; sleep 0.05")], b"x" * 1_000_000)
    finally:
        signal.signal(signal.SIGPIPE, old)


def test_a_large_state_arrives() -> None:
    [result] = run_hooks("x", [shell("sleep 0.05; wc -c")], b"x" * 1_000_000)
    assert result.stdout == b"1000000\n"


def test_a_timeout_ends_the_hook_and_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    began = time.monotonic()
    text = failure(shell(f"echo said; sleep 60 & echo $! $$ > {pids}; sleep 60", timeout=1))
    assert 0.9 < time.monotonic() - began < 10
    assert "hook ran past specified timeout of 1.0s, stdout: said, stderr: " in text
    deadline = time.monotonic() + 10
    while any(running(pid) for pid in pids.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def running(pid: str) -> bool:
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_in_time() -> None:
    [result] = run_hooks("x", [shell("cat > /dev/null", timeout=60)], STATE)
    assert result.seconds < 30


def test_over_when_its_process_has_ended(tmp_path: Path) -> None:
    """A daemon that it leaves behind, with its output open, does not hold us up."""
    pid = tmp_path / "pid"
    began = time.monotonic()
    [result] = run_hooks("x", [shell(f"sleep 60 & echo $! > {pid}; echo done")], STATE)
    assert time.monotonic() - began < 30
    assert result.stdout == b"done\n"
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_all_of_the_tolerant_ones_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    problems = run_hooks_tolerant(
        "poststop", [shell("exit 1"), {"path": "/no"}, shell(f"cat > {mark}")], STATE
    )
    assert problems == [
        "error running poststop hook #0: exit status 1, stdout: , stderr: ",
        "error running poststop hook #1: fork/exec /no: no such file or directory",
    ]
    assert mark.read_bytes() == STATE


def test_signals_are_normal_inside() -> None:
    """Even when the runtime has them all blocked, and Python ignores SIGPIPE."""
    code = (
        "import sys, signal; sys.path.insert(0, '.')\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
        "from pycontainer.lifecycle.hooks import run_hooks\n"
        "[r] = run_hooks('x', [{'path': '/bin/grep', 'args':"
        " ['grep', '-E', '^Sig(Blk|Ign)', '/proc/self/status']}], b'')\n"
        "print(r.stdout.decode())"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert int(out[1], 16) == 0
    assert int(out[3], 16) & (1 << signal.SIGPIPE - 1) == 0
