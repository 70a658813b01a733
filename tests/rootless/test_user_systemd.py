"""The calling user's own systemd as cgroup driver: limits without privileges."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rootless.person import Person, why_not
from tests.support.cgroups import directories, setting, settings, unit_properties
from tests.support.limits import CONFIGS, UNIT_DIFFERENCES

RUNTIME_DIR = Path(f"/run/user/{os.geteuid()}")
pytestmark = pytest.mark.skipif(
    os.geteuid() == 0 or not (RUNTIME_DIR / "systemd").exists(),
    reason="needs an ordinary user with a systemd of their own",
)


class Managed(Person):
    """The user with the real runtime directory, and so with systemd; states stay in the home."""

    def prefix(self) -> list[str]:
        return ["env", f"HOME={self.home}", f"XDG_RUNTIME_DIR={RUNTIME_DIR}"]

    def argv(self, *arguments: Any) -> list[str]:
        options = ["--root", str(self.root)] if "spec" not in arguments else []
        return [*self.prefix(), self.command, *options, *map(str, arguments)]


@pytest.fixture
def managed() -> Iterator[Managed]:
    if why_not():
        pytest.skip(why_not())
    made = Managed()
    yield made
    made.close()


RESOURCES = {
    "memory": {"limit": 64 << 20},
    "cpu": {"quota": 33000, "period": 100000},
    "pids": {"limit": 33},
}


def units(token: str) -> str:
    argv = ["systemctl", "--user", "list-units", "--all", "--plain", "--no-legend", f"*{token}*"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_a_life(managed: Managed) -> None:
    name = managed.id()
    bundle = managed.bundle("own", "sleep 1000")
    bundle.linux["resources"] = RESOURCES
    managed("--systemd-cgroup", "run", "-d", "-b", bundle, name).ok()
    assert f"user@{os.geteuid()}.service" in str(directories(managed, name)[""])
    assert setting(managed, name, "memory.max") == str(64 << 20)
    assert setting(managed, name, "pids.max") == "33"
    managed("exec", name, "true").ok()
    managed("update", "--pids-limit", "44", name).ok()
    assert setting(managed, name, "pids.max") == "44"
    assert unit_properties(f"pycontainer-{name}.scope", "--user")["TasksMax"] == "44"
    found = json.loads(managed("events", "--stats", name).ok().out)
    assert found["data"]["pids"]["limit"] == 44
    managed("pause", name).ok()
    assert managed.status(name) == "paused"
    managed("delete", "--force", name).ok()
    assert units(managed.token) == ""
    assert managed("gc").ok().out == ""


@pytest.mark.parametrize("name", CONFIGS)
def test_same_as_runc(managed: Managed, name: str) -> None:
    if not shutil.which("runc"):
        pytest.skip("needs runc to compare with")
    found = {}
    ours = managed.command
    for command in ("runc", ours):
        container = managed.id(Path(command).name)
        bundle = managed.bundle("own", "sleep 1000")
        bundle.linux["resources"] = CONFIGS[name]
        bundle.linux["cgroupsPath"] = f"user.slice:test:{container}"
        bundle.write()
        managed.command = command
        done = managed("--systemd-cgroup", "create", "-b", bundle.path, container)
        found[command] = [done.status != 0]
        if done.status == 0:
            found[command].append(settings(managed, container))
            properties = unit_properties(f"test-{container}.scope", "--user")
            found[command].append(properties)
            if command == "runc":
                properties.update(UNIT_DIFFERENCES.get(name, {}))
        managed("delete", "--force", container)
    assert found[ours] == found["runc"]
    assert units(managed.token) == ""
    if found["runc"] == [True]:
        pytest.skip("neither runtime can, with what this user has")
