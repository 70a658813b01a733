"""A user's systemd that was given too few controllers: the error's own command fixes it.

Changes the machine's systemd: only where the whole machine is thrown away afterwards.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rootless.test_user_systemd import Managed
from tests.support.cgroups import setting

UNITS = Path("/etc/systemd/system/user@.service.d")
USERS = [path.name for path in Path("/run/user").glob("[1-9]*") if (path / "systemd").exists()]
pytestmark = pytest.mark.skipif(
    "PYCONTAINER_THROW_AWAY" not in os.environ or os.geteuid() != 0 or not USERS,
    reason="changes the settings of systemd: needs PYCONTAINER_THROW_AWAY, root, and a user",
)


class LoggedIn(Managed):
    """The user of the machine who has a systemd, called from root."""

    def __init__(self) -> None:
        entry = pwd.getpwuid(int(USERS[0]))
        super().__init__()
        self.uid = entry.pw_uid
        self.own()

    def prefix(self) -> list[str]:
        runtime_dir = f"/run/user/{self.uid}"
        user = ["setpriv", "--reuid", str(self.uid), "--regid", str(self.uid), "--init-groups"]
        return [*user, "env", f"HOME={self.home}", f"XDG_RUNTIME_DIR={runtime_dir}"]

    def log_in_again(self) -> None:
        """As after the last session has ended, and a new one begins."""
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        subprocess.run(["systemctl", "restart", f"user@{self.uid}.service"], check=True)

    def take(self, controller: str) -> None:
        """systemd may leave a controller where it was once needed: from the leaves up, away."""
        top = Path(f"/sys/fs/cgroup/user.slice/user-{self.uid}.slice")
        levels = sorted((path.parent for path in top.rglob("cgroup.subtree_control")), reverse=True)
        for directory in levels:
            if controller in (directory / "cgroup.subtree_control").read_text().split():
                (directory / "cgroup.subtree_control").write_text(f"-{controller}")


@pytest.fixture
def user() -> Iterator[LoggedIn]:
    """With controllers as systemd gives them without anybody's settings."""
    saved = {path: path.read_text() for path in UNITS.glob("*.conf")}
    made = LoggedIn()
    try:
        for path in saved:
            path.unlink()
        (UNITS / "a-few.conf").write_text("[Service]\nDelegate=pids memory\n")
        made.log_in_again()
        made.take("cpu")
        yield made
        made.close()
    finally:
        for path in UNITS.glob("*.conf"):
            path.unlink()
        for path, text in saved.items():
            path.write_text(text)
        made.log_in_again()


def run(user: LoggedIn, **resources: Any):
    bundle = user.bundle("own", "sleep 1000")
    bundle.linux["resources"] = resources
    return user("--systemd-cgroup", "run", "-d", "-b", bundle, user.id())


def test_a_controller_that_is_not_delegated(user: LoggedIn) -> None:
    limits = {"cpu": {"quota": 20000, "period": 100000}}
    done = run(user, **limits).fails("controller 'cpu' is not available", "linux.resources.cpu")
    command = done.err.partition("fix: ")[2].partition(" (then log in again)")[0]
    assert command.startswith("sudo "), done.err
    delegated = user("info", "--json").ok().out
    assert "no limit of cpu" in delegated or "no cgroup is yours" in delegated
    run(user, memory={"limit": 64 << 20}).ok()  # what is there can be had
    user("delete", "--force", user.id()).ok()
    subprocess.run(["sh", "-c", command.replace('\\"', '"').replace("\\\\", "\\")], check=True)
    user.log_in_again()
    run(user, **limits).ok()
    assert setting(user, user.id(), "cpu.max") == "20000 100000"
