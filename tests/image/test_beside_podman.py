"""The same image, here and with Podman: the same tree, the same process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.image.nasty import CAPABILITY, IMAGES
from tests.image.podman import Podman, in_a_place_of_its_own
from tests.image.test_unpack import CASES, LOWER
from tests.support.box import Box
from tests.support.bundles import GROUP, PASSWD
from tests.support.images import busybox, entry, image, layer, symlink
from tests.support.trees import differences, listing

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, see tests/rootless/test_images.py"),
    pytest.mark.skipif(shutil.which("podman") is None, reason="needs podman to compare with"),
]

LOOK = """
cd /; find . -xdev ! -path './proc/*' ! -path './sys/*' ! -path './dev/*' ! -path './run/*' \
  ! -path './etc/*' ! -path ./proc ! -path ./sys ! -path ./dev ! -path ./run ! -path ./etc \
  ! -path . -exec stat -c '%n %f %u %g %N' {} + | sort
"""
# TERM and these two are Podman's own. SigIgn is left out: the C library's posix_spawn, which make
# uses, leaves signals 32 and 33 ignored, and runc passes that on.
PROCESS = """
for word in "$@"; do echo "word: $word"; done
env | grep -v -e ^container= -e ^HOSTNAME= -e ^TERM= | sort
pwd; stat -c '%a %u %g' .; umask; ulimit -a | grep -v -e -n -e -u
grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:|Sig(Blk|Cgt))' /proc/self/status
grep -E ' /(proc|dev|sys|dev/(shm|pts|mqueue)) ' /proc/self/mountinfo | cut -d ' ' -f 5,6 | sort
ls -ln /dev | cut -c 1-26
"""


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    yield from in_a_place_of_its_own()


def ours(box: Box, source: Path, *words: str) -> str:
    options = ("--layers", box.directory / "store", "--image", source)
    return box.pycontainer("run", *options, box.id(), *words).ok().out


@pytest.fixture(scope="module", params=IMAGES)
def nasty(
    request: pytest.FixtureRequest, podman: Podman, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Path]]:
    """An image of tests/image/nasty.py, and its tree as Podman has it."""
    layers = IMAGES[request.param]()
    source = image(tmp_path_factory.mktemp("nasty") / "image", *layers, config={"Cmd": ["x"]})
    name = podman.load(source)
    yield source, podman.tree(name)
    podman.release(name)


@pytest.mark.parametrize("form", ["bundle", "overlay"])
def test_trees(box: Box, nasty: tuple[Path, Path], form: str):
    """Every path, with mode, owner, time, attributes, device, contents, and who shares a file."""
    source, theirs = nasty
    made, links = box.directory / "made", form == "bundle"
    options = () if links else ("--overlay", "--layers", box.directory / "store")
    box.pycontainer("bundle", *options, source, made).ok()
    root = made / "rootfs"
    if not links:
        mount = json.loads((made / "config.json").read_text())["mounts"][0]
        words = ["mount", "-t", "overlay", "-o", ",".join(mount["options"]), "overlay", str(root)]
        subprocess.run(words, check=True)
    try:
        found = differences(listing(root, links=links), listing(theirs, links=links))
    finally:
        if not links:
            subprocess.run(["umount", str(root)], check=True)
    assert not found


def test_it_is_nasty(nasty: tuple[Path, Path]):
    """The comparison would not hold for a tree that lacks what it is about."""
    found = listing(nasty[1])
    if b"absolute" in found:
        assert found[b"attributes/ping"]["attributes"] == {"security.capability": CAPABILITY}
        assert found[b"hard links/ping2"]["same file as"] == b"hard links/ping"
        assert found[b"kinds/disk"]["device"] == os.makedev(7, 300)
        assert found[b"times/nano"]["time"] == 1_999_999_999
    else:
        assert b"opaque/d/f" not in found and b"opaque/d/new" in found
        assert found[b"below what it does not mention/sticky"]["mode"] == "0o41777"
    assert len(found) > 60


CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "alice": {"User": "alice", "WorkingDir": "/tmp", "Env": ["NAME=x y"]},
    "number": {"User": "1234", "Env": ["NAME=1"]},
    "groups": {"User": "1000:staff"},
    "group": {"User": ":staff", "Env": ["A=1", "A=2", "B=", "C=x=y", "HOME=/x"]},
    "path": {"Env": ["PATH=/bin:/usr/bin"]},
    "missing directories": {
        "User": "alice", "WorkingDir": "/new/work", "Volumes": {"/new/data": {}, "/tmp/v/": {}}
    },
    "directories that are there": {
        "User": "1234", "WorkingDir": "/home/alice", "Volumes": {"/home": {}, "/link/v": {}}
    },
    "no use for a runtime": {
        "Healthcheck": {"Test": ["CMD", "false"]}, "OnBuild": ["RUN x"], "Shell": ["/bin/x"],
        "StopSignal": "SIGINT", "StopTimeout": 3, "ExposedPorts": {"1/tcp": {}},
    },
}  # fmt: skip
USERS = (
    "root", "0", "0:0", "alice", "1000", "alice:", "1000:", ":1000", ":", "alice:staff", "alice:50",
    "1234", "1234:", "1234:staff", "1234:999", "1002", "root:wheel",
)  # fmt: skip
PASSWD_OF_ALL_KINDS = PASSWD + "1002:x:2000:2000::/:/bin/sh\n"
GROUP_OF_ALL_KINDS = GROUP + "wheel:x:10:root,alice\nspace:x:61: alice\nagain:x:50:alice\n"


@pytest.mark.parametrize("name", CONFIGS)
def test_the_process(box: Box, podman: Podman, name: str):
    script = PROCESS + "stat -c '%n %a %u %g' /new /new/* /tmp/v /link /home /real/* 2>&1; true"
    config = {"Entrypoint": ["sh", "-c", script, "sh"], "Cmd": ["a", "b c"], **CONFIGS[name]}
    real = entry("real/", uid=3, mode=0o750)
    links = layer(entry("./", mode=0o755), real, symlink("link", "/real"))
    source = image(box.directory / "image", busybox(), links, config=config)
    theirs = podman.run(podman.load(source)).splitlines()
    assert len(theirs) > 30
    assert ours(box, source).splitlines() == theirs


def test_users(box: Box, podman: Podman):
    """In each form that an image or a caller can name them."""
    etc = layer(entry("etc/passwd", PASSWD_OF_ALL_KINDS), entry("etc/group", GROUP_OF_ALL_KINDS))
    source = image(box.directory / "image", busybox(), etc)
    name, script = podman.load(source), ("sh", "-c", "id -u; id -g; id -G; echo $HOME")
    options = ("--layers", box.directory / "store", "--image", source)
    for user in USERS:
        done = box.pycontainer("run", *options, "-u", user, box.id(), *script).ok()
        assert done.out == podman.run("--user", user, name, *script), user


@pytest.mark.skipif(shutil.which("buildah") is None, reason="needs buildah to build an image")
def test_what_buildah_makes(box: Box, podman: Podman):
    source = box.directory / "built"
    base = image(box.directory / "base", busybox(), layer(entry("./", mode=0o755)))
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
