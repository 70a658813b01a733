"""Bundles to run: one around Debian's static busybox, one that debootstrap has made.

The busybox root is new for each test and may be written to. The Debian root is made once per
machine, kept in the user's cache directory, and shared by all tests: they use it read-only.
"""

from __future__ import annotations

import copy
import fcntl
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from pycontainer.spec import default_config

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pycontainer-tests"
BUSYBOX = Path("/bin/busybox")
RETRY = 1800  # seconds until another attempt is made at what has failed
DIRECTORIES = ("bin", "dev", "etc", "home", "mnt", "opt", "proc", "root", "sys", "tmp", "usr/bin")
APPLETS = (
    "sh ash cat cp chmod chown cut date dd df dirname echo env expr false find free getopt grep"
    " head hostname id ip kill ln ls mkdir mknod mount mv nc nice nproc od ping printenv ps"
    " pwd readlink rm rmdir sed seq setsid sleep sort stat stty sync sysctl tail tee test touch tr"
    " true tty umount uname uniq usleep wc which whoami xargs yes"
).split()
PASSWD = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/home/alice:/bin/sh\n"
GROUP = "root:x:0:\nalice:x:1000:\nstaff:x:50:alice\n"


class Bundle:
    """A bundle directory; `config` is written by `write`, which every use calls."""

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path
        self.config = config
        path.mkdir(parents=True, exist_ok=True)

    def __str__(self) -> str:
        self.write()
        return str(self.path)

    @property
    def rootfs(self) -> Path:
        """The root file system, seen from the host."""
        return self.path / self.config["root"]["path"]

    @property
    def process(self) -> dict[str, Any]:
        """`process` of the config."""
        return self.config["process"]

    @property
    def linux(self) -> dict[str, Any]:
        """`linux` of the config."""
        return self.config["linux"]

    def write(self) -> Bundle:
        """Bring config.json up to date."""
        (self.path / "config.json").write_text(json.dumps(self.config, indent=1))
        return self

    def script(self, text: str) -> Bundle:
        """Let the program be this shell script."""
        self.process["args"] = ["/bin/sh", "-c", text]
        return self

    def drop_namespace(self, kind: str) -> None:
        """Stay in the host's namespace of this type."""
        spaces = self.linux["namespaces"]
        self.linux["namespaces"] = [space for space in spaces if space["type"] != kind]

    def new_namespace(self, kind: str) -> None:
        """Have a namespace of its own of this type."""
        self.drop_namespace(kind)
        self.linux["namespaces"].append({"type": kind})

    def join_namespace(self, kind: str, path: str) -> None:
        """Use the namespace at `path`."""
        self.new_namespace(kind)
        self.linux["namespaces"][-1]["path"] = path


def example_config(*args: str) -> dict[str, Any]:
    """The default config without a terminal, with a writable root, running `args`."""
    config = copy.deepcopy(default_config.example())
    config["process"]["terminal"] = False
    config["process"]["args"] = list(args) or ["/bin/true"]
    config["root"] = {"path": "rootfs", "readonly": False}
    return config


def busybox_bundle(path: Path, *args: str) -> Bundle:
    """A new bundle with a root of busybox."""
    if not BUSYBOX.exists():
        pytest.skip("needs /bin/busybox of Debian's busybox-static")
    root = path / "rootfs"
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    # A copy: the container's root may write to it, and tests give it to other users.
    shutil.copy(BUSYBOX, root / "bin" / "busybox")
    for name in APPLETS:
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc" / "passwd").write_text(PASSWD)
    (root / "etc" / "group").write_text(GROUP)
    return Bundle(path, example_config(*args))


def debian_bundle(path: Path, *args: str) -> Bundle:
    """A new bundle around the machine's Debian root, read-only."""
    config = example_config(*args)
    config["root"] = {"path": str(debian_root()), "readonly": True}
    return Bundle(path, config)


def debian_root() -> Path:
    """The root that `debootstrap --variant=minbase` makes; skips when it cannot be made."""
    root, stamp = CACHE / "debian", CACHE / "debian.stamp"
    if stamp.exists():
        return root
    if shutil.which("debootstrap") is None:
        pytest.skip("needs debootstrap")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "debian.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time; the others find it finished
        if not stamp.exists():
            _debootstrap(root)
            stamp.touch()
    return root


def _debootstrap(root: Path) -> None:
    failed = CACHE / "debian.failed"
    if failed.exists() and time.time() - failed.stat().st_mtime < RETRY:
        pytest.skip(f"debootstrap failed before, see {failed}")
    shutil.rmtree(root, ignore_errors=True)
    mirror, suite = _mirror()
    argv = ["debootstrap", "--variant=minbase", suite, str(root), mirror]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        shutil.rmtree(root, ignore_errors=True)
        failed.write_text(f"{' '.join(argv)}\n{done.stdout}\n{done.stderr}")
        pytest.skip(f"debootstrap failed, see {failed}")
    for name in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
        shutil.rmtree(root / name, ignore_errors=True)


def _mirror() -> tuple[str, str]:
    """The first archive that this machine's apt uses, and its suite."""
    sources = Path("/etc/apt")
    files = [sources / "sources.list", *sorted((sources / "sources.list.d").glob("*.sources"))]
    for file in files:
        text = file.read_text() if file.exists() else ""
        uri = re.search(r"^URIs:\s*(\S*debian\S*)", text, re.MULTILINE)
        suite = re.search(r"^Suites:\s*(\w+)", text, re.MULTILINE)
        line = re.search(r"^deb\s+(?:\[.*?\]\s+)?(\S*debian\S*)\s+(\w+)", text, re.MULTILINE)
        if line:
            return line[1], line[2]
        if uri and suite:
            return uri[1], suite[1]
    return "http://deb.debian.org/debian", "bookworm"
