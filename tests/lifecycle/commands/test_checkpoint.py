"""checkpoint and restore with the real CRIU, where this kernel is one that CRIU can work with."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.runtimes import Runtime, eventually
from tests.support.saved import QUIET, Saved, beat, counting, needs_criu
from tests.support.sockets import Receiver, read_until


@needs_criu
def test_there_and_back(box: Box, pyc: Runtime):
    bundle, name = counting(box)
    images = box.directory / "images"
    pyc("checkpoint", "--image-path", images, name).ok()
    assert pyc.status(name) == "gone"
    before = beat(bundle)
    time.sleep(0.5)
    assert beat(bundle) == before
    pid_file = box.directory / "pid"
    words = ("restore", "-d", "--image-path", images, "-b", bundle, "--pid-file", pid_file)
    pyc(*words, name, **QUIET).ok()
    assert pyc.status(name) == "running"
    assert int(pid_file.read_text()) == pyc.state(name)["pid"]
    eventually(lambda: beat(bundle) > before + 2, "it goes on", 30)
    assert pyc("exec", name, "cat", "/proc/1/cmdline").ok().out.startswith("/bin/sh\0")
    pyc("kill", name, "KILL").ok()
    pyc.wait_for(name, "stopped")
    pyc("delete", name).ok()
    box.empty()


@needs_criu
def test_exec_after_a_restore(box: Box, pyc: Runtime):
    """It is in the time namespace that CRIU has made; what it leaves behind can be saved, too."""
    bundle, name = counting(box)
    first, second = box.directory / "first", box.directory / "second"
    pyc("checkpoint", "--image-path", first, name).ok()
    pyc("restore", "-d", "--image-path", first, "-b", bundle, name, **QUIET).ok()
    init = Path(f"/proc/{pyc.state(name)['pid']}/ns/time").readlink()
    found = pyc("exec", name, "readlink", "/proc/self/ns/time").ok().out.strip()
    assert found == str(init) != str(Path("/proc/self/ns/time").readlink())
    pyc("exec", name, "sh", "-c", "sleep 1000 < /dev/null > /dev/null 2>&1 &").ok()
    pyc("checkpoint", "--image-path", second, name).ok()
    before = beat(bundle)
    pyc("restore", "-d", "--image-path", second, "-b", bundle, name, **QUIET).ok()
    eventually(lambda: beat(bundle) > before + 2, "it goes on", 30)
    # Processes that end meanwhile are an error of cat.
    assert "sleep\0001000" in pyc("exec", name, "sh", "-c", "cat /proc/*/cmdline").out


@needs_criu
def test_in_the_foreground(box: Box, pyc: Runtime):
    bundle = box.bundle().script("while ! test -e /stop; do sleep 0.1; done; exit 7")
    name, images = box.id(), box.directory / "images"
    pyc("run", "-d", "-b", bundle, name, **QUIET).ok()
    pyc("checkpoint", "--image-path", images, name).ok()
    (bundle.rootfs / "stop").touch()
    words = ("restore", "--image-path", images, "-b", bundle)
    assert pyc(*words, name, **QUIET).status == 7
    box.empty()


@needs_criu
def test_leave_running_and_pre_dump(box: Box, pyc: Runtime):
    bundle, name = counting(box)
    images = box.directory / "images"
    pyc("checkpoint", "--pre-dump", "--image-path", images / "pre", name).ok()
    assert pyc.status(name) == "running"
    full = ("--image-path", images / "full", "--work-path", box.directory / "work")
    pyc("checkpoint", "--leave-running", "--parent-path", "../pre", *full, name).ok()
    assert pyc.status(name) == "running"
    assert (images / "full" / "parent").is_symlink()
    assert (box.directory / "work" / "dump.log").exists()
    now = beat(bundle)
    eventually(lambda: beat(bundle) > now, "it goes on", 30)


@needs_criu
def test_what_a_container_is_made_of_comes_back(box: Box, pyc: Runtime):
    saved = Saved(
        box, "open('/dev/shm/kept', 'w').write('kept'); os.fork() or time.sleep(1000); pulse()"
    )
    shared = box.directory / "shared"
    shared.mkdir()
    (shared / "file").write_text("outside")
    saved.mount(shared, "/mnt", "ro")
    saved.bundle.config["hostname"] = "there"
    saved.bundle.linux["maskedPaths"] = ["/proc/keys", "/proc/scsi"]
    saved.start()
    pyc("pause", saved.name).ok()  # a paused one can be saved, too
    saved.checkpoint().ok()
    assert pyc.status(saved.name) == "gone"
    saved.restore().ok()
    saved.goes_on()
    text = "cat /dev/shm/kept /mnt/file; hostname; wc -c < /proc/keys; touch /mnt/no || ls /sys"
    out = pyc("exec", saved.name, "/bin/sh", "-c", text).ok().out
    assert out.split()[:3] == ["keptoutsidethere", "0", "block"], out
    assert len(pyc("ps", saved.name).ok().out.splitlines()) == 3


@needs_criu
@pytest.mark.parametrize("kind", ["network", "pid"])
def test_namespace_of_somebody_else(box: Box, pyc: Runtime, kind: str):
    other = box.running()
    saved = Saved(box)
    short = {"network": "net"}.get(kind, kind)
    path = f"/proc/{pyc.state(other)['pid']}/ns/{short}"
    saved.bundle.join_namespace(kind, path)
    saved.start()
    saved.checkpoint().ok()
    saved.restore().ok()
    saved.goes_on()
    assert os.readlink(f"/proc/{saved.pid}/ns/{short}") == os.readlink(path)


@needs_criu
def test_terminal_of_its_own(box: Box, pyc: Runtime):
    """Images have its terminal; the master end is sent again."""
    bundle = box.bundle().script("while read line; do echo got $line; done")
    bundle.process["terminal"] = True
    name, images = box.id(), box.directory / "images"
    first, second = Receiver(box.directory, "first"), Receiver(box.directory, "second")
    pyc("run", "-d", "-b", bundle, "--console-socket", first.path, name).ok()
    master, _ = first.take()
    os.write(master, b"one\n")
    read_until(master, b"got one")
    pyc("checkpoint", "--image-path", images, name).ok()
    os.close(master)
    words = ("-d", "--image-path", images, "-b", bundle, "--console-socket", second.path)
    pyc("restore", *words, name).ok()
    master, _ = second.take()
    os.write(master, b"two\n")
    read_until(master, b"got two")
    os.close(master)
    first.close()
    second.close()


@needs_criu
def test_hooks_run_when_the_namespaces_are_there(box: Box, pyc: Runtime):
    saved = Saved(box)
    log = box.directory / "hooks"
    append = f"cat >> {log}; echo >> {log}"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", append]}
    saved.start().checkpoint().ok()
    saved.bundle.config["hooks"] = {"prestart": [hook], "poststop": [hook]}
    saved.restore().ok()
    saved.goes_on()
    assert json.loads(log.read_text())["id"] == saved.name
    assert json.loads(log.read_text())["pid"] == saved.pid
    pyc("delete", "--force", saved.name).ok()
    assert len(log.read_text().splitlines()) == 2


@needs_criu
def test_a_failure_says_what_criu_says(box: Box, pyc: Runtime):
    bundle = box.bundle("/bin/sleep", "1000")
    name, images = box.id(), box.directory / "images"
    pyc("run", "-d", "-b", bundle, name).ok()  # stdout is a file of the host
    done = pyc("checkpoint", "--image-path", images, name)
    done.fails("criu dump failed", "Can't lookup mount", f"more is in {images}/dump.log")
    assert pyc.status(name) == "running"
    words = ("restore", "--image-path", box.directory / "none", "-b", bundle)
    pyc(*words, box.id("other")).fails("none: no such file")
    assert pyc.status(box.id("other")) == "gone"


def test_what_is_refused(box: Box, pyc: Runtime):
    name = box.id()
    pyc("create", "-b", box.bundle("/bin/sleep", "1000"), name).ok()
    pyc("checkpoint", name, cwd=box.directory).fails("cannot be checkpointed in created state")
    assert not (box.directory / "checkpoint").exists()
    pyc("start", name).ok()
    images = ("--image-path", box.directory / "images")
    mode = ("--manage-cgroups-mode", "wild")
    pyc("checkpoint", *images, *mode, name).fails("invalid manage-cgroups-mode")
    pyc("checkpoint", *images, "--page-server", "x", name).fails("ADDRESS:PORT")
    pyc("checkpoint", *images, "--parent-path", "/x", name).fails("must be relative")
    pyc("checkpoint", *images, "--parent-path", "none", name).fails("no such file")
    pyc("checkpoint", *images, "--empty-ns", "pid", name).fails("not supported")


def test_without_criu(box: Box, pyc: Runtime):
    name = box.running()
    words = ("--criu", "/no/criu", "checkpoint", "--image-path", box.directory / "i", name)
    pyc(*words).fails("/no/criu", "no such file")
    env = {**os.environ, "PATH": "/none"}
    done = pyc("checkpoint", "--image-path", box.directory / "i", name, env=env)
    done.fails("executable file not found in $PATH")
    bundle = box.bundle()
    words = ("--criu", "/no/criu", "restore", "--image-path", box.directory / "i", "-b", bundle)
    pyc(*words, box.id("x")).fails("no such file")
    assert not Path(pyc.root / box.id("x")).exists()
