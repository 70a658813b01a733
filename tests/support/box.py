"""What one test works in: a token, a directory, runtimes, bundles; and it is left empty."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import Bundle, busybox_bundle, debian_bundle
from tests.support.leftovers import leftovers, processes
from tests.support.runtimes import Done, Runtime, has_runc


class Box:
    """Everything that a test makes has `token` in its name."""

    def __init__(self, directory: Path) -> None:
        self.token = f"pyt{uuid.uuid4().hex[:12]}"
        self.directory = directory / self.token
        self.directory.mkdir()
        self.runtimes: dict[str, Runtime] = {}
        self.systemd = False  # whether each container is a unit of the caller's systemd
        self._bundles = 0

    def runtime(self, name: str) -> Runtime:
        """`pycontainer` or `runc`; skips the test when it isn't there."""
        if name not in self.runtimes:
            if name == "runc" and not has_runc():
                pytest.skip("needs runc to compare with")
            self.runtimes[name] = Runtime(name, self.directory)
        return self.runtimes[name]

    @property
    def pycontainer(self) -> Runtime:
        """Ours."""
        return self.runtime("pycontainer")

    @property
    def runc(self) -> Runtime:
        """Debian's runc."""
        return self.runtime("runc")

    def both(self) -> list[Runtime]:
        """Both runtimes, or ours alone on a machine without runc."""
        return [self.pycontainer, *([self.runc] if has_runc() else [])]

    def id(self, name: str = "c") -> str:
        """A container's id."""
        return f"{self.token}-{name}"

    def bundle(self, *args: str, image: str = "busybox") -> Bundle:
        """A new bundle that runs `args`."""
        self._bundles += 1
        make = {"busybox": busybox_bundle, "debian": debian_bundle}[image]
        return make(self.directory / f"bundle{self._bundles}", *args)

    def run(
        self, bundle: Bundle, *flags: Any, runtime: str = "pycontainer", **options: Any
    ) -> Done:
        """`run` in the foreground."""
        name = self.id(f"run{self._bundles}")
        return self.runtime(runtime)("run", *flags, "-b", bundle, name, **options)

    def running(self, *args: str, image: str = "busybox", runtime: str = "pycontainer") -> str:
        """The id of a container that runs `args` (a long sleep) in the background."""
        bundle = self.bundle(*(args or ("/bin/sleep", "1000")), image=image)
        name = self.id(f"{runtime}{self._bundles}")
        self.runtime(runtime)("run", "-d", "-b", bundle, name).ok()
        return name

    def needs_root(self, why: str) -> None:
        """Skips the test where the caller is an ordinary user, to whom this is not given."""

    def needs_a_cgroup(self) -> None:
        """Skips the test where containers have none (unprivileged.py)."""

    def somebody(self) -> dict[str, int]:
        """A user for the config who is not root, where there is another one."""
        return {"uid": 1000, "gid": 1000}

    def needs_ids(self) -> None:
        """Skips the test where containers have one id only."""

    def join(self, bundle: Bundle, kind: str, path: str) -> None:
        """Let a bundle use the namespace at this path of a process in /proc."""
        bundle.join_namespace(kind, path)

    def leftovers(self, seconds: float = 3) -> list[str]:
        """What is there that should not be."""
        roots = [runtime.root for runtime in self.runtimes.values()]
        return leftovers(self.token, roots, seconds)

    def empty(self) -> None:
        """Assert that nothing has been left."""
        assert self.leftovers() == []

    def close(self) -> None:
        """Delete all containers; AssertionError when something stays all the same."""
        for runtime in self.runtimes.values():
            runtime.sweep()
        left = self.leftovers()
        for pid in processes(self.token):
            os.kill(pid, 9)
        assert left == [], f"the test has left something behind: {left}"
        for program in self.directory.glob("bundle*/rootfs/bin/busybox"):
            program.unlink()  # pytest keeps the rest for a while, which is small


def open_box(directory: Path) -> Box:
    """A box for whoever runs the tests; an ordinary user has to ask for it (unprivileged.py)."""
    if os.geteuid() == 0:
        return Box(directory)
    from tests.support.unprivileged import from_mode

    return from_mode(directory)
