"""`make install`: for everybody, whatever the umask; and again, while commands run."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifecycle.launcher.test_snapshot import SNAPSHOT, start
from tests.support.runtimes import CHECKOUT, SLOWNESS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: an installation is for other users"),
]
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}


def install(prefix: Path, umask: int = 0o022) -> Path:
    """The installed command."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    argv = ["make", "-s", "install", f"PREFIX={prefix}"]
    subprocess.run(argv, cwd=CHECKOUT, env=environ, umask=umask, check=True, timeout=300 * SLOWNESS)
    return prefix / "bin" / "pycontainer"


@pytest.fixture
def prefix() -> Iterator[Path]:
    """A directory that every user can reach."""
    made = Path(tempfile.mkdtemp(prefix="pycontainer-install-"))
    made.chmod(0o755)
    yield made / "usr"
    shutil.rmtree(made)


@pytest.mark.parametrize("umask", [0o027, 0o077])
def test_every_user_may_use_it(prefix: Path, umask: int):
    command = install(prefix, umask)
    how = start(command, cwd="/", **NOBODY)["value"]
    assert how == ("snapshot" if SNAPSHOT.exists() else "ordinary")
    writable = [
        path for path in prefix.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022
    ]
    assert writable == []


def test_commands_go_on_while_it_is_replaced(prefix: Path):
    command = install(prefix)
    root, done, seen = str(prefix / "state"), threading.Event(), []
    os.mkdir(root, 0o700)

    def ask() -> None:
        while not done.is_set():
            argv = [command, "--root", root, "list", "--quiet"]
            seen.append(subprocess.run(argv, capture_output=True, text=True, check=False))

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    try:
        install(prefix)
    finally:
        done.set()
        for thread in asking:
            thread.join()
    assert len(seen) > 20
    assert {(ended.returncode, ended.stdout, ended.stderr) for ended in seen} == {(0, "", "")}
    assert not list(prefix.rglob("*.new"))


def test_commands_go_on_while_files_are_copied_over_it(prefix: Path):
    """The kernel refuses to write what is being executed, and to execute what is being written."""
    command = install(prefix)
    new, root = prefix.parent / "new", str(prefix / "state")
    shutil.copytree(prefix, new, symlinks=True)
    os.mkdir(root, 0o700)
    done, seen = threading.Event(), set()

    def ask() -> None:
        while not done.is_set():
            argv = [command, "--root", root, "list", "--quiet"]
            try:
                ended = subprocess.run(argv, capture_output=True, text=True, check=False)
                seen.add((ended.returncode, ended.stdout, ended.stderr))
            except OSError as error:
                seen.add(error.errno)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    try:
        for _ in range(15):
            subprocess.run(["cp", "-r", f"{new}/.", prefix], capture_output=True, check=False)
    finally:
        done.set()
        for thread in asking:
            thread.join()
    assert seen - {errno.ETXTBSY} == {(0, "", "")}
