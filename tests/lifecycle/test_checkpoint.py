"""checkpoint and restore with the real CRIU, where this kernel is one that CRIU can work with."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Runtime, eventually

COUNT = "i=0; while :; do i=$((i+1)); echo $i > /beat.new; mv /beat.new /beat; sleep 0.1; done"


@functools.cache
def criu_works() -> bool:
    """Whether `criu check` is content."""
    if shutil.which("criu") is None or os.geteuid() != 0:
        return False
    return subprocess.run(["criu", "check"], capture_output=True, check=False).returncode == 0


# A file of the host as stdout is one that CRIU finds in no mount of the container.
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
needs_criu = pytest.mark.skipif("not criu_works()", reason="CRIU does not work on this machine")


def counting(box: Box) -> tuple[Bundle, str]:
    """A container that counts."""
    bundle = box.bundle().script(COUNT)
    name = box.id("counter")
    box.pycontainer("run", "-d", "-b", bundle, name, **QUIET).ok()
    eventually(lambda: beat(bundle) > 2, "it counts", 30)
    return bundle, name


def beat(bundle: Bundle) -> int:
    try:
        return int((bundle.rootfs / "beat").read_text())
    except FileNotFoundError:
        return 0


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
def test_a_failure_says_what_criu_says(box: Box, pyc: Runtime):
    bundle = box.bundle("/bin/sleep", "1000")
    name, images = box.id(), box.directory / "images"
    pyc("run", "-d", "-b", bundle, name).ok()  # stdout is a file of the host
    done = pyc("checkpoint", "--image-path", images, name)
    done.fails("criu dump failed", "Can't lookup mount", f"more is in {images}/dump.log")
    assert pyc.status(name) == "running"
    words = ("restore", "--image-path", box.directory / "none", "-b", bundle)
    pyc(*words, box.id("other")).fails("descriptors.json", "no such file")
    assert pyc.status(box.id("other")) == "gone"


def test_what_is_refused(box: Box, pyc: Runtime):
    name = box.id()
    pyc("create", "-b", box.bundle("/bin/true"), name).ok()
    pyc("checkpoint", name, cwd=box.directory).fails("cannot be checkpointed in created state")
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
