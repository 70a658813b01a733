"""Containers that are to be saved by CRIU: they count, so that it shows whether they go on."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Done, eventually

COUNT = "i=0; while :; do i=$((i+1)); echo $i > /beat.new; mv /beat.new /beat; sleep 0.1; done"


@functools.cache
def criu_works() -> bool:
    """Whether `criu check` is content."""
    if shutil.which("criu") is None or os.geteuid() != 0:
        return False
    return subprocess.run(["criu", "check"], capture_output=True, check=False).returncode == 0


# A file of the host as stdout is one that CRIU finds in no mount of the container.
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
needs_criu = pytest.mark.skipif(not criu_works(), reason="needs root, and a CRIU that works")


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


PULSE = """
import itertools, os, time
def pulse(act=lambda number: None):
    for number in itertools.count():
        act(number)
        with open("/beat.new", "w") as file:
            file.write(str(number))
        os.rename("/beat.new", "/beat")
        time.sleep(0.1)
"""


class Saved:
    """A container that runs a Python program, which counts, and the images that it goes to."""

    def __init__(self, box: Box, program: str = "pulse()") -> None:
        self.box, self.pyc = box, box.pycontainer
        self.bundle = box.bundle("/usr/bin/python3", "-c", PULSE + program)
        for name in ("lib", "lib64"):
            (self.bundle.rootfs / name).symlink_to(f"usr/{name}")
        self.mount("/usr", "/usr", "ro")
        self.name, self.images = box.id("saved"), box.directory / "images"

    def mount(self, source: object, place: object, *options: str) -> None:
        self.bundle.config["mounts"].append(
            {
                "destination": str(place),
                "type": "bind",
                "source": str(source),
                "options": ["rbind", *options],
            }
        )

    def start(self, *words: object, **options: object) -> Saved:
        """Run it, until it counts."""
        self.pyc("run", "-d", *words, "-b", self.bundle, self.name, **QUIET, **options).ok()
        eventually(lambda: beat(self.bundle) > 2, "it counts", 60)
        return self

    def checkpoint(self, *words: object, **options: object) -> Done:
        return self.pyc("checkpoint", "--image-path", self.images, *words, self.name, **options)

    def restore(self, *words: object, **options: object) -> Done:
        paths = ("--image-path", self.images, "-b", self.bundle)
        return self.pyc("restore", "-d", *paths, *words, self.name, **options)

    def goes_on(self) -> None:
        """It runs, from where it was."""
        assert self.pyc.status(self.name) == "running"
        now = beat(self.bundle)
        assert now > 2
        eventually(lambda: beat(self.bundle) > now, "it goes on", 60)

    @property
    def pid(self) -> int:
        return self.pyc.state(self.name)["pid"]


@contextmanager
def criu(*words: object) -> Iterator[subprocess.Popen[bytes]]:
    """A command of CRIU in the background; ended afterwards if it has not ended by itself."""
    process = subprocess.Popen(["criu", *map(str, words)], **QUIET)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port: int) -> bool:
    """Whether somebody does, without connecting: a page server takes one connection."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(ln.split()[1].endswith(f":{port:04X}") and ln.split()[3] == "0A" for ln in lines)
