"""What the machine may lack: room, descriptors, memory, files. One line says so, nothing stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.runtimes import CHECKOUT, Done, Runtime, eventually

SLEEP = ("/bin/sleep", "1000")


def _run(box: Box, argv: list[str], **options: object) -> Done:
    helper = Runtime("pycontainer", box.directory)
    helper.argv = lambda *_: argv  # type: ignore[method-assign]
    return helper(timeout=30, **options)


def _private(box: Box, prepare: str, *arguments: object) -> Done:
    """A command in a mount namespace of its own, after some lines of shell."""
    command = box.pycontainer.argv(*arguments)
    script = f'set -e; ROOT={box.pycontainer.root}; {prepare}; exec "$@"'
    return _run(
        box, ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *command]
    )


def _refused(box: Box, done: Done, *words: str) -> None:
    done.fails(*words)
    assert done.err.count("\n") == 1, repr(done)
    assert "internal error" not in done.err, repr(done)
    box.empty()


@pytest.mark.parametrize("options", ["size=4k", "size=8k", "nr_inodes=2", "nr_inodes=4"])
def test_full_state_root(box: Box, options: str) -> None:
    bundle = box.bundle(*SLEEP)
    bundle.config["annotations"] = {"a": "x" * 9000}
    mount = f"mount -t tmpfs -o {options} tmpfs $ROOT"
    done = _private(box, mount, "create", "-b", bundle, box.id())
    _refused(box, done, "no space left on device")


def test_read_only_state_root(box: Box) -> None:
    mount = "mount -t tmpfs -o ro tmpfs $ROOT"
    done = _private(box, mount, "create", "-b", box.bundle(*SLEEP), box.id())
    _refused(box, done, "read-only file system")


def test_no_controller(box: Box) -> None:
    if not Path("/sys/fs/cgroup/memory").is_dir():
        pytest.skip("needs cgroup v1")
    bundle = box.bundle(*SLEEP)
    bundle.linux["resources"] = {"memory": {"limit": 1 << 26}}
    done = _private(box, "umount /sys/fs/cgroup/memory", "create", "-b", bundle, box.id())
    _refused(box, done, "memory")


def test_no_proc(box: Box) -> None:
    done = _private(box, "mount -t tmpfs none /proc", "create", "-b", box.bundle(*SLEEP), box.id())
    _refused(box, done)


def test_no_libseccomp(box: Box) -> None:
    bundle = box.bundle(*SLEEP)
    rule = {"names": ["acct"], "action": "SCMP_ACT_ERRNO"}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    # The snapshot has the library in its memory: the file is missed by an ordinary start.
    snapshot = Path(box.pycontainer.command).parent / "snapshot/pycontainer"
    files = f"/usr/lib/*/libseccomp.so.2* {snapshot if snapshot.exists() else ''}"
    hide = f'for f in {files}; do mount --bind /dev/null "$f"; done'
    _refused(box, _private(box, hide, "create", "-b", bundle, box.id()), "seccomp")


@pytest.mark.parametrize("limit", [8, 10, 12, 14, 16, 20, 24])
def test_few_descriptors(box: Box, limit: int) -> None:
    bundle, name = box.bundle(*SLEEP), box.id()
    bundle.process.pop("rlimits", None)
    command = box.pycontainer.argv("create", "-b", bundle, name)
    done = _run(box, ["prlimit", f"--nofile={limit}:{limit}", *command])
    if done.status:
        _refused(box, done)
    else:
        box.pycontainer("delete", "--force", name).ok()
        box.empty()


def test_no_process_more(box: Box) -> None:
    """The runtime's own pids cgroup is full."""
    place = Path("/sys/fs/cgroup/pids") / f"{box.token}-full"
    if not place.parent.is_dir():
        pytest.skip("needs cgroup v1")
    bundle = box.bundle(*SLEEP)
    command = box.pycontainer.argv("create", "-b", bundle, box.id())
    place.mkdir()
    try:
        (place / "pids.max").write_text("1")
        script = f'echo $$ > {place}/cgroup.procs; exec "$@"'
        done = _run(box, ["sh", "-c", script, "sh", *command])
    finally:
        place.rmdir()
    _refused(box, done, "resource temporarily unavailable")


@pytest.mark.parametrize("limit", [4096, 65536])
def test_little_memory(box: Box, limit: int) -> None:
    """The container's own limit is too small for its start."""
    bundle, name = box.bundle("/bin/true"), box.id()
    bundle.linux["resources"] = {"memory": {"limit": limit}}
    done = box.pycontainer("run", "-b", bundle, name)
    if done.status == 1:
        _refused(box, done, "memory")
    else:
        assert done.status in (0, 137), repr(done)


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"\x7fELF" + bytes(60)])
def test_broken_executor(box: Box, content: bytes | None) -> None:
    copy = box.directory / "copy"
    shutil.copytree(CHECKOUT / "pycontainer", copy / "pycontainer")
    executor = copy / "pycontainer" / "executor.bin"
    executor.unlink()
    if content is not None:
        executor.write_bytes(content)
    path = [str(copy), sysconfig.get_path("platlib")]
    code = f"import sys; sys.path[:0] = {path}; from pycontainer.cli import main; main()"
    command = box.pycontainer.argv("create", "-b", box.bundle(*SLEEP), box.id())[1:]
    done = _run(box, ["/usr/bin/python3", "-IS", "-c", code, *command])
    _refused(box, done)


def test_init_killed_before_start(box: Box) -> None:
    pyc, name = box.pycontainer, box.id()
    pyc("create", "-b", box.bundle(*SLEEP), name).ok()
    os.kill(pyc.state(name)["pid"], signal.SIGKILL)
    pyc.wait_for(name, "stopped")
    pyc("start", name).fails()
    pyc("exec", name, "/bin/true").fails(status=255)
    pyc("delete", name).ok()
    box.empty()


def test_init_killed_while_it_starts(box: Box) -> None:
    """Between the word to start and the exec: a startContainer hook keeps it there."""
    pyc, name, bundle = box.pycontainer, box.id(), box.bundle(*SLEEP)
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "touch /tmp/here; sleep 1000"]}
    bundle.config["hooks"] = {"startContainer": [hook]}
    pyc("create", "-b", bundle, name).ok()
    pid = pyc.state(name)["pid"]
    with subprocess.Popen(pyc.argv("start", name), stderr=subprocess.PIPE) as start:
        eventually((bundle.rootfs / "tmp/here").exists, "the hook runs")
        os.kill(pid, signal.SIGKILL)
        _, error = start.communicate(timeout=20)
    # Seen from outside this is a program that ended at once: `start` need not call it a failure.
    assert error.count(b"\n") == start.returncode, error
    pyc.wait_for(name, "stopped")
    pyc("delete", "--force", name).ok()
    box.empty()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signal_while_a_hook_hangs(box: Box, sent: signal.Signals) -> None:
    pyc, name, bundle = box.pycontainer, box.id(), box.bundle(*SLEEP)
    here = box.directory / "here"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"touch {here}; exec sleep 3"]}
    bundle.config["hooks"] = {"createRuntime": [hook]}
    # A suite in the background of a script ignores SIGINT, and so would what it starts.
    argv = ["env", "--default-signal=INT", *pyc.argv("create", "-b", bundle, name)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE) as create:
        eventually(here.exists, "the hook runs")
        create.send_signal(sent)
        _, error = create.communicate(timeout=20)
    assert create.returncode != 0
    assert b"Traceback" not in error
    pyc("delete", "--force", name).ok()
    pyc("create", "-b", box.bundle(*SLEEP), name).ok()
    pyc("delete", "--force", name).ok()
    assert box.leftovers(5) == []
    assert json.loads(pyc("list", "--format", "json").ok().out or "[]") in ([], None)
