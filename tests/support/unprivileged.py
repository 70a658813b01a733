"""A box for an ordinary user: bundles as `spec --rootless` makes them, one id or a range of them,
the user's own systemd as cgroup driver or no cgroup at all.

tests/conftest.py gives it to the lifecycle tests when PYCONTAINER_ROOTLESS=MAPPING,CGROUPS says so;
conformance/rootless runs its own list in each of the SETUPS.
"""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path
from typing import Any

import pytest

from pycontainer.spec import default_config
from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Runtime

MODE = os.environ.get("PYCONTAINER_ROOTLESS", "")
SETUPS = [(mapping, cgroups) for mapping in ("own", "ranges") for cgroups in ("systemd", "none")]


def ranges(name: str = "subuid") -> tuple[int, int]:
    """First and count of the caller's range; skips the test without one."""
    user = pwd.getpwuid(os.getuid()).pw_name
    for line in Path("/etc", name).read_text().splitlines():
        who, first, count = line.split(":")
        if who in (user, str(os.getuid())):
            return int(first), int(count)
    pytest.skip(f"this user has no range in /etc/{name}")


def mappings(shape: str) -> dict[str, list[dict[str, int]]]:
    """uidMappings and gidMappings: "own" is one id, "ranges" that and those of /etc/subuid."""
    found = {}
    for kind, own in (("uid", os.getuid()), ("gid", os.getgid())):
        rows = [{"containerID": 0, "hostID": own, "size": 1}]
        if shape == "ranges":
            first, count = ranges(f"sub{kind}")
            rows.append({"containerID": 1, "hostID": first, "size": count})
        found[f"{kind}Mappings"] = rows
    return found


class Unprivileged(Runtime):
    """A runtime with the options that choose how it does cgroups."""

    def __init__(self, name: str, directory: Path, cgroups: str) -> None:
        super().__init__(name, directory)
        self.options = ["--systemd-cgroup"] if cgroups == "systemd" else []
        if cgroups == "none" and name == "crun":
            self.options = ["--cgroup-manager=disabled"]

    def argv(self, *arguments: Any) -> list[str]:
        command, *rest = super().argv(*arguments)
        return [command, *self.options, *rest]


class UnprivilegedBox(Box):
    """Each bundle is changed as `spec --rootless` changes it."""

    def __init__(self, directory: Path, mapping: str, cgroups: str) -> None:
        super().__init__(directory)
        self.mapping, self.cgroups = mapping, cgroups
        self.systemd = cgroups == "systemd"

    def runtime(self, name: str) -> Runtime:
        if name not in self.runtimes:
            if name != "pycontainer" and not shutil.which(name):
                pytest.skip(f"needs {name} to compare with")
            self.runtimes[name] = Unprivileged(name, self.directory, self.cgroups)
        return self.runtimes[name]

    def both(self) -> list[Runtime]:
        """Ours alone: of what these tests try, runc 1.1 can do little for an ordinary user, and
        warns about each command without cgroups. conformance/rootless has what it can."""
        return [self.pycontainer]

    def needs_root(self, why: str) -> None:
        pytest.skip(f"needs root: {why}")

    def needs_a_cgroup(self) -> None:
        if self.cgroups == "none":
            pytest.skip("containers have no cgroup in this setup")

    def somebody(self) -> dict[str, int]:
        return {"uid": 0, "gid": 0} if self.mapping == "own" else super().somebody()

    def needs_ids(self) -> None:
        if self.mapping == "own":
            pytest.skip("containers have one id in this setup")

    def bundle(self, *args: str, image: str = "busybox") -> Bundle:
        bundle = super().bundle(*args, image=image)
        bundle.config = default_config.rootless(bundle.config)
        bundle.linux.update(mappings(self.mapping))
        bundle.linux["resources"] = {}
        return bundle

    def join(self, bundle: Bundle, kind: str, path: str) -> None:
        """The user namespace that it belongs to has to be joined first."""
        for name in ("uidMappings", "gidMappings"):
            bundle.linux.pop(name, None)
        bundle.join_namespace("user", str(Path(path).with_name("user")))
        super().join(bundle, kind, path)


def from_mode(directory: Path) -> UnprivilegedBox:
    """The box that PYCONTAINER_ROOTLESS asks for; skips the test when nobody asks."""
    if not MODE:
        pytest.skip("needs root")
    mapping, _, cgroups = MODE.partition(",")
    return UnprivilegedBox(directory, mapping, cgroups)
