"""The session keyring of a container is its own, whoever has made one of that name before.

The kernel joins a keyring by its name if there is one that may be searched, be it another user's.
All runtimes take `_ses.ID`, and ids are known: whoever plants a keyring of that name, and lets
everybody search it, gets what the container puts into its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.executor.lab import Lab, make
from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import eventually

SOURCE = Path(__file__).parent / "keys.c"
STRANGER = 54321  # no user of any host
SECRET = "of the container"

pytestmark = pytest.mark.skipif(not Path("/proc/keys").exists(), reason="needs keyrings")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or shutil.which("setpriv") is None:
        pytest.skip("needs a C compiler and setpriv")
    directory = tmp_path_factory.mktemp("keys")
    for parent in (directory, directory.parent, directory.parent.parent):
        parent.chmod(0o755)
    program = directory / "keys"
    subprocess.run([compiler, "-static", "-O1", "-w", "-o", program, SOURCE], check=True)
    return program


class Planter:
    """Another user's process, with a session keyring of this name, or with all keys it may have."""

    def __init__(self, keys: Path, name: str, uid: int = STRANGER) -> None:
        ids = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        argv = ["setpriv", *ids, keys, *(["plant", name] if name else ["fill"])]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout and self.process.stdout.readline() in ("planted\n", "filled\n")

    def loot(self) -> str:
        """What it has found, or nothing, after ten seconds."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def planted(box: Box, keys: Path) -> Iterator[Planter]:
    planter = Planter(keys, f"_ses.{box.id()}")
    yield planter
    planter.end()


def with_secret(box: Box, keys: Path) -> Bundle:
    bundle = box.bundle("/bin/keys", "add", SECRET)
    shutil.copy(keys, bundle.rootfs / "bin/keys")
    return bundle


def test_a_keyring_of_that_name(box: Box, keys: Path, planted: Planter):
    bundle = with_secret(box, keys)
    box.pycontainer("run", "-d", "-b", bundle, box.id()).ok()
    eventually(lambda: found(box) == f"found {SECRET}\n", "the container has its key")
    assert planted.process.poll() is None
    box.pycontainer("delete", "--force", box.id()).ok()
    assert planted.loot() == "nothing"


def found(box: Box) -> str:
    return box.pycontainer("exec", box.id(), "/bin/keys", "find").out


def test_runc_is_vulnerable_to_that(box: Box, keys: Path, planted: Planter):
    """The control: the attack is a real one."""
    box.runc("run", "-d", "-b", with_secret(box, keys), box.id()).ok()
    assert planted.loot() == f"found {SECRET}"


def test_the_name_cannot_be_guessed(box: Box, keys: Path):
    """It is another one each time, and stands where only the owner reads."""
    names = set()
    bundle = with_secret(box, keys)
    for _ in range(2):
        box.pycontainer("run", "-d", "-b", bundle, box.id()).ok()
        state = box.pycontainer.root / box.id() / "state.json"
        assert state.stat().st_mode & 0o077 == 0
        names.add(json.loads(state.read_text())["extra"]["keyring"])
        box.pycontainer("delete", "--force", box.id()).ok()
    assert len(names) == 2
    for name in names:
        label, _, secret = name.removeprefix(f"_ses.{box.id()}").partition(".")
        assert label == "" and len(secret) == 32 and int(secret, 16)


@pytest.mark.parametrize("uid", [STRANGER, 0], ids=["another user's", "our own"])
def test_one_that_existed_is_refused(lab: Lab, keys: Path, uid: int):
    """Even if its name had been known."""
    name = f"_ses.{lab.directory.name}.{uid}"
    planter = Planter(keys, name, uid)
    try:
        lab.inside(make("keyring", fresh=1, name=name)).fails("keyring", 17, words="made it before")
    finally:
        planter.end()
    assert lab.inside(make("keyring", fresh=1, name=f"{name}.new")).status == 0


def test_without_one_of_its_own(box: Box, keys: Path):
    """--no-new-keyring, and exec beside it: as with runc, no other one is made."""
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.linux["maskedPaths"] = []
    for runtime in box.both():
        name = box.id(runtime.name)
        runtime("run", "-d", "--no-new-keyring", "-b", bundle, name).ok()
        assert f"_ses.{name}" not in runtime("exec", name, "cat", "/proc/keys").ok().out


def test_no_room_for_one(box: Box, keys: Path):
    """A container must not get the keyring of its caller because its user has too many keys."""
    bundle = box.bundle("/bin/keys", "find")
    shutil.copy(keys, bundle.rootfs / "bin/keys")
    bundle.path.parent.chmod(0o755)
    bundle.new_namespace("user")
    for kind in ("uidMappings", "gidMappings"):
        bundle.linux[kind] = [{"containerID": 0, "hostID": STRANGER + 1, "size": 1}]
    bundle.linux["gidMappings"].append({"containerID": 5, "hostID": STRANGER + 2, "size": 1})
    filler = Planter(keys, "", STRANGER + 1)
    argv = [str(keys), "with", SECRET, *box.pycontainer.argv("run", "-b", bundle.write(), box.id())]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    finally:
        filler.end()
    assert done.returncode == 1 and done.stdout == "", done
    assert "keyring" in done.stderr and "sysctl -w kernel.keys.maxkeys=" in done.stderr, done.stderr
