"""The same image, here and with Podman: the same tree, the same process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.image.test_unpack import CASES, LOWER
from tests.support.box import Box
from tests.support.images import busybox, entry, hard_link, image, layer, symlink

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, see tests/rootless/test_images.py"),
    pytest.mark.skipif(shutil.which("podman") is None, reason="needs podman to compare with"),
]

LOOK = """
cd /; find . -xdev ! -path './proc/*' ! -path './sys/*' ! -path './dev/*' ! -path './run/*' \
  ! -path './etc/*' ! -path ./proc ! -path ./sys ! -path ./dev ! -path ./run ! -path ./etc \
  ! -path . -exec stat -c '%n %f %u %g %N' {} + | sort
"""
PROCESS = """
id -u; id -g; id -G; pwd; umask; echo $HOME; echo $NAME; echo "$@"
grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status
"""


class Podman:
    """Podman with a storage of its own, in which each layer is a whole tree (vfs)."""

    def __init__(self, directory: Path) -> None:
        self.base = ["podman", "--root", str(directory / "storage"), "--runroot",
                     str(directory / "runroot"), "--cgroup-manager", "cgroupfs",
                     "--storage-driver", "vfs", "--runtime", "runc"]  # fmt: skip

    def __call__(self, *words: str) -> str:
        argv = [*self.base, *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=100)
        if done.returncode:
            pytest.fail(f"{argv}: {done.stderr[-1000:]}")
        return done.stdout

    def load(self, layout: Path) -> str:
        """Its name for an image."""
        return self("pull", "-q", f"oci:{layout}").strip()

    def run(self, name: str, *words: str) -> str:
        """What a container of it says."""
        # Limits that need no privilege which the tests' machine may not have.
        limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
        options = ("--rm", "--network", "none", *limits)
        return self("run", *options, name, *words)


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    place = Path(tempfile.mkdtemp(prefix="pyt", dir="/tmp"))  # Podman wants a short path
    yield Podman(place)
    shutil.rmtree(place)


def ours(box: Box, source: Path, *words: str) -> str:
    options = ("--layers", box.directory / "store", "--image", source)
    return box.pycontainer("run", *options, box.id(), *words).ok().out


NASTY = {
    "kinds": [
        entry("a/", mode=0o2770, uid=7, gid=8),
        entry("a/file", "x", mode=0o4755, uid=1000, gid=50),
        hard_link("a/hard", "a/file", mode=0o4755, uid=1000, gid=50),
        symlink("a/soft", "/etc/passwd", uid=9),
        entry("implicit/below/file", "x"),
        entry("/absolute", "x"),
        entry("./dotted/../moved", "x"),
    ],
}
LAYERED = (
    "whiteout", "whiteout of a directory", "whiteout of nothing", "whiteout before the new file",
    "opaque", "a file for a directory", "a directory for a file", "a link for a directory",
    "through a link of a lower layer", "hard link to a lower layer",
)  # fmt: skip


@pytest.mark.parametrize("name", NASTY)
def test_one_layer(box: Box, podman: Podman, name: str):
    source = image(box.directory / "image", busybox(), layer(*NASTY[name]))
    script = ("sh", "-c", LOOK)
    assert ours(box, source, *script).splitlines() == (
        podman.run(podman.load(source), *script).splitlines()
    )


@pytest.mark.parametrize("name", LAYERED)
def test_two_layers(box: Box, podman: Podman, name: str):
    layers = [busybox(), layer(*LOWER), layer(*CASES[name][0])]
    source = image(box.directory / "image", *layers)
    script = ("sh", "-c", LOOK)
    assert ours(box, source, *script).splitlines() == (
        podman.run(podman.load(source), *script).splitlines()
    )


CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "alice": {"User": "alice", "WorkingDir": "/tmp", "Env": ["NAME=x y"]},
    "number": {"User": "1234", "Env": ["NAME=1"]},
    "groups": {"User": "1000:staff"},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_process(box: Box, podman: Podman, name: str):
    config = {"Entrypoint": ["sh", "-c", PROCESS, "sh"], "Cmd": ["a", "b c"], **CONFIGS[name]}
    source = image(box.directory / "image", busybox(), config=config)
    theirs = podman.run(podman.load(source)).splitlines()
    assert ours(box, source).splitlines() == theirs


@pytest.mark.skipif(shutil.which("buildah") is None, reason="needs buildah to build an image")
def test_what_buildah_makes(box: Box, podman: Podman):
    source = box.directory / "built"
    base = image(box.directory / "base", busybox())
    buildah = ["buildah", *podman.base[1:5], "--storage-driver", "vfs"]
    call = lambda *words: subprocess.run(  # noqa: E731
        [*buildah, *words], check=True, capture_output=True, text=True
    ).stdout.strip()
    container = call("from", "--pull-never", podman.load(base))
    call("copy", container, __file__, "/data/file")
    call("config", "--user", "alice", "--env", "NAME=built", "--label", "a.b=c", container)
    call("config", "--cmd", f"sh -c '{PROCESS.strip().splitlines()[0]}'", container)
    call("commit", "-q", "--format", "oci", container, f"oci:{source}")
    call("rm", container)
    assert ours(box, source, "sh", "-c", LOOK) == podman.run(podman.load(source), "sh", "-c", LOOK)
    assert ours(box, source, "sh", "-c", PROCESS) == podman.run(
        podman.load(source), "sh", "-c", PROCESS
    )


def test_what_podman_saves(box: Box, podman: Podman):
    source = image(
        box.directory / "image", busybox(), config={"Cmd": ["id", "-u"], "User": "alice"}
    )
    name = podman.load(source)
    for form in ("docker-archive", "oci-archive", "docker-dir", "oci-dir"):
        saved = box.directory / form
        podman("save", "-q", "--format", form, "-o", str(saved), name)
        assert ours(box, saved) == "1000\n", form


def test_what_umoci_unpacks(box: Box):
    """umoci's bundle has the same tree."""
    if shutil.which("umoci") is None:
        pytest.skip("needs umoci to compare with")
    from tests.image.test_unpack import listing

    layers = [busybox(), layer(*LOWER), layer(*CASES["opaque"][0])]
    source = image(box.directory / "image", *layers)
    theirs = box.directory / "theirs"
    command = ["umoci", "unpack", "--image", f"{source}:app", str(theirs)]
    subprocess.run(command, check=True, capture_output=True)
    box.pycontainer("bundle", source, box.directory / "ours").ok()
    # umoci keeps no time of the directories that it made itself, and reads a root's as of now.
    rows = [
        [(row[0], *row[1:5], *row[6:9]) for row in listing(root / "rootfs")]
        for root in (box.directory / "ours", theirs)
    ]
    assert rows[0] == rows[1]
    config = json.loads((theirs / "config.json").read_text())
    assert config["process"]["args"]
