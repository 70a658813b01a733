"""An ordinary user who runs containers, and a host with obstacles made for that user alone.

Run by root, the user is made up: files of /etc that name it are bound over in a private mount
namespace that each command gets, and obstacles are made in there too, so that nobody else on the
machine sees any of it. Run by an ordinary user, that user is the one, with the host as it is.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import Bundle, busybox_bundle
from tests.support.leftovers import leftovers, processes
from tests.support.runtimes import COMMAND, Done, Runtime

FIRST, COUNT = 300000, 65536  # the made-up user's range
NAME = "pytuser"


class Person(Runtime):
    """Calling it runs `pycontainer` as the user; root runs the shell lines `obstacles` before."""

    def __init__(self, name: str = "pycontainer") -> None:
        self.token = f"pyt{uuid.uuid4().hex[:12]}"
        self.is_root = os.geteuid() == 0
        self.uid = 20000 + os.getpid() % 30000 if self.is_root else os.geteuid()
        self.home = Path(tempfile.mkdtemp(prefix=self.token, dir="/tmp"))
        self.etc = self.home / "etc"
        self.runtime_dir = self.home / "run"
        self.obstacles: list[str] = []
        for directory in (self.etc, self.runtime_dir):
            directory.mkdir(mode=0o755)
        super().__init__(name, self.home)
        self.root.rmdir()
        self.root = self.runtime_dir / "pycontainer"
        self._write_etc()
        self.own()

    def _write_etc(self) -> None:
        passwd = Path("/etc/passwd").read_text()
        group = Path("/etc/group").read_text()
        home = f"{self.home}:/bin/sh"
        (self.etc / "passwd").write_text(f"{passwd}{NAME}:x:{self.uid}:{self.uid}::{home}\n")
        (self.etc / "group").write_text(f"{group}{NAME}:x:{self.uid}:\n")
        for name in ("subuid", "subgid"):
            (self.etc / name).write_text(f"{NAME}:{FIRST}:{COUNT}\n")

    def own(self) -> None:
        """Everything in the home is the user's."""
        if self.is_root:
            for path in [self.home, *self.home.rglob("*")]:
                os.lchown(path, self.uid, self.uid)

    def argv(self, *arguments: Any) -> list[str]:
        return [*self.prefix(), self.command, *map(str, arguments)]

    def prefix(self) -> list[str]:
        """What makes a command line the user's."""
        environ = ["env", f"HOME={self.home}", f"XDG_RUNTIME_DIR={self.runtime_dir}"]
        if not self.is_root:
            return environ
        environ.append(f"USER={NAME}")  # it tells a user's own namespace from root's
        lines = ["set -e"]
        for name in ("passwd", "group", "subuid", "subgid"):
            lines.append(f"mount --bind {self.etc / name} /etc/{name}")
        user = f"setpriv --reuid {self.uid} --regid {self.uid} --clear-groups"
        script = "\n".join([*lines, *self.obstacles, f'exec {user} "$@"'])
        return ["unshare", "-m", "sh", "-c", script, "sh", *environ]

    def execute(self, *argv: str) -> Done:
        """Run another program as the user."""
        before, self.command = self.command, argv[0]
        try:
            return self(*argv[1:])
        finally:
            self.command = before

    def bundle(self, mapping: str = "own", script: str = "true") -> Bundle:
        """A new bundle as `spec --rootless` makes it, with these mappings."""
        path = self.home / f"bundle{uuid.uuid4().hex[:6]}"
        bundle = busybox_bundle(path)
        (path / "config.json").unlink(missing_ok=True)
        self.own()
        self("spec", "--rootless", "-b", path).ok()
        import json

        bundle.config = json.loads((path / "config.json").read_text())
        bundle.process["terminal"] = False
        bundle.config["root"]["readonly"] = False
        bundle.linux.update(self.mappings(mapping))
        return bundle.script(script)

    def mappings(self, name: str) -> dict[str, Any]:
        """own: one id; ranges: own id and a range; shifted: a range alone."""
        first, count = self.range()
        own = {"containerID": 0, "hostID": self.uid, "size": 1}
        shapes = {
            "own": [own],
            "ranges": [own, {"containerID": 1, "hostID": first, "size": count}],
            "shifted": [{"containerID": 0, "hostID": first, "size": count}],
        }
        return {"uidMappings": shapes[name], "gidMappings": shapes[name]}

    def range(self) -> tuple[int, int]:
        """The user's ids; skips the test when there are none."""
        if self.is_root:
            return FIRST, COUNT
        name = pwd.getpwuid(self.uid).pw_name
        for line in Path("/etc/subuid").read_text().splitlines():
            who, first, count = line.split(":")
            if who in (name, str(self.uid)):
                return int(first), int(count)
        pytest.skip("this user has no range in /etc/subuid")

    def id(self, name: str = "c") -> str:
        """A container's id."""
        return f"{self.token}-{name}"

    def close(self) -> None:
        """Delete what is there; AssertionError when something stays all the same."""
        self.obstacles = []
        names = sorted(os.listdir(self.root)) if self.root.exists() else []
        for name in names:
            if not name.startswith("~"):
                self("delete", "--force", name)
        left = leftovers(self.token, [self.root])
        for pid in processes(self.token):
            os.kill(pid, 9)
        shutil.rmtree(self.home, ignore_errors=True)
        assert left == [], "the test has left something behind"


def why_not() -> str:
    """Why this machine cannot run containers of an ordinary user at all, or ""."""
    if not COMMAND.exists():
        return "not built"
    if Path("/proc/sys/user/max_user_namespaces").read_text().strip() == "0":
        return "user namespaces are disabled here"
    for path in [COMMAND, *COMMAND.parents]:
        if not path.stat().st_mode & 0o005 and os.geteuid() == 0:
            return f"an ordinary user cannot reach the checkout: {path}"
    missing = [name for name in ("setpriv", "newuidmap") if not shutil.which(name)]
    return f"needs {', '.join(missing)}" if missing else ""


def quoted(text: str) -> str:
    """For an obstacle's shell line."""
    return shlex.quote(text)
