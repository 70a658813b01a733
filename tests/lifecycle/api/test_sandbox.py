"""Sandboxes and containers of images, from Python."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pycontainer
from tests.support.box import Box
from tests.support.images import busybox, entry, image, layer


@pytest.fixture
def runtime(box: Box) -> Iterator[pycontainer.Runtime]:
    made = pycontainer.Runtime(box.pycontainer.root)
    yield made
    assert made.list() == []


@pytest.fixture
def sandbox(runtime: pycontainer.Runtime) -> Iterator[pycontainer.Sandbox]:
    with pycontainer.sandbox(runtime=runtime, memory="64M", pids=16, timeout=30) as made:
        yield made


def test_a_program(sandbox: pycontainer.Sandbox):
    result = sandbox.run(["cat"], input=b"in and out")
    assert result.ok and result.text == "in and out" and result.time > 0
    result = sandbox.run(["sh", "-c", "echo $A >&2; exit 3"], env={"A": "x"})
    assert (result.exit_status, result.stderr, result.ok) == (3, b"x\n", False)


def test_what_it_uses(box: Box, sandbox: pycontainer.Sandbox):
    box.needs_a_cgroup()
    result = sandbox.run(["python3", "-c", "x = bytearray(20 << 20); sum(range(10**6))"])
    assert result.peak_memory is not None and 20 << 20 < result.peak_memory < 64 << 20
    assert result.cpu_time is not None and 0 < result.cpu_time <= 2 * result.time


def test_it_is_stopped(sandbox: pycontainer.Sandbox):
    assert sandbox.run(["sleep", "100"], timeout=0.2).stopped == "timeout"
    result = sandbox.run(["sh", "-c", "exec yes"])
    assert result.stopped == "output" and len(result.stdout) == 1 << 20
    assert sandbox.run(["sh", "-c", "sleep 100 & exit 0"]).ok  # the end of init is the end of all


def test_memory_and_processes_have_limits(box: Box, sandbox: pycontainer.Sandbox):
    box.needs_a_cgroup()
    result = sandbox.run(["tail", "/dev/zero"])
    assert not result.ok and result.oom is not None and result.oom.kills == 1
    bomb = (
        "for i in range(40):\n try: os.fork() or time.sleep(9)\n except OSError: print('no'); break"
    )
    result = sandbox.run(["python3", "-c", f"import os, time\n{bomb}"])
    assert "no" in result.text


def test_nothing_leads_out(sandbox: pycontainer.Sandbox):
    script = """
    ls /sys/class/net; id -u; ls -A /tmp; ls -A /home /run 2>/dev/null | grep -v :
    touch /x /usr/x /etc/x /var/x 2>/dev/null && echo written
    touch /tmp/mine && echo tmp
    unshare -U true 2>/dev/null && echo namespace
    grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | cut -f2
    """
    lines = sandbox.run(["sh", "-c", script]).text.split()
    uid = "65534" if os.geteuid() == 0 else "0"
    assert lines == ["lo", uid, "tmp", "0000000000000000", "1", "2"]
    assert sandbox.run(["ls", "-A", "/tmp"]).text == ""  # each has its own


def test_a_function(sandbox: pycontainer.Sandbox):
    def answer(a: int, b: int = 1) -> dict[str, int]:
        import os

        print("this is not the answer")
        return {"product": a * b, "pid": os.getpid()}

    assert sandbox.call(answer, 6, b=7) == {"product": 42, "pid": 1}


def test_a_function_that_fails(sandbox: pycontainer.Sandbox):
    def raises() -> None:
        raise ValueError("wrong")

    def leaves() -> None:
        import os

        os._exit(3)

    def no_json() -> object:
        return object()

    def deep() -> None:
        import os

        os.write(1, b"[" * 50000)
        os._exit(0)

    for function, words in ((raises, "ValueError: wrong"), (leaves, "no answer")):
        with pytest.raises(pycontainer.SandboxError, match=words):
            sandbox.call(function)
    for function in (no_json, deep):
        with pytest.raises(pycontainer.SandboxError):
            sandbox.call(function)
    variable = 1
    with pytest.raises(pycontainer.UsageError, match="variables from around"):
        sandbox.call(lambda: variable)


def test_threads_and_event_loops(sandbox: pycontainer.Sandbox):
    def one(number: int) -> str:
        return sandbox.run(["echo", str(number)]).text

    expected = [f"{number}\n" for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(12))) == expected

    async def several() -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(one, number) for number in range(12)))

    assert asyncio.run(several()) == expected


def test_of_an_image(box: Box, runtime: pycontainer.Runtime, tmp_path: Path):
    """Any number of containers at once; its layers are shared, and nobody writes to them."""
    source = image(tmp_path / "image", busybox(), layer(entry("data", "x")))
    with pycontainer.sandbox(source, runtime=runtime, layers=str(tmp_path / "store")) as made:
        script = ["sh", "-c", "cat /data; touch /y 2>/dev/null || echo -n refused; touch /tmp/z"]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: made.run(script).text, range(8)))
    assert found == ["xrefused"] * 8


def test_run_an_image(runtime: pycontainer.Runtime, tmp_path: Path):
    source = image(tmp_path / "image", busybox(), config={"Env": ["A=1"]})
    result = pycontainer.run_image(
        source,
        ["sh", "-c", "echo $A $B; touch /x; hostname"],
        runtime,
        env={"B": "2"},
        hostname="box",
        layers=str(tmp_path / "store"),
        capture_output=True,
    )
    assert (result.text, result.exit_status) == ("1 2\nbox\n", 0)
    assert os.listdir(tmp_path / "store/containers") == []
    with pytest.raises(pycontainer.ContainerError):
        pycontainer.run_image(source, ["/nothing"], runtime, layers=str(tmp_path / "store"))
    assert os.listdir(tmp_path / "store/containers") == []
