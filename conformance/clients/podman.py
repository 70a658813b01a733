"""Podman and conmon, with configuration, storage and state in a directory of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from conformance.clients.engine import IMAGE, SYSTEMD, Engine, root_archive, unmount_below
from tests.support.leftovers import processes

TINI = "/usr/bin/tini-static"


class Podman(Engine):
    """Rootful; with cgroupfs where no systemd runs."""

    name = "podman"
    needs = ("podman", "conmon")
    at_once = ("--time=0",)

    def start(self) -> None:
        manager = "systemd" if SYSTEMD else "cgroupfs"
        (self.home / "tmp").mkdir()
        # Not --runtime-flag: the clean-up that conmon starts does not know it.
        self.wrapper(self.runtime, f"--root {self.home}/state")
        (self.home / "containers.conf").write_text(
            "[engine]\n"
            f"cgroup_manager = {json.dumps(manager)}\n"
            'events_logger = "file"\n'
            f"runtime_supports_json = [{json.dumps(self.runtime)}]\n"
            f"runtime_supports_nocgroup = [{json.dumps(self.runtime)}]\n"
            "[containers]\n"
            'log_driver = "k8s-file"\n'
            # The image's defaults are above what root may raise on some machines.
            'default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n'
        )
        self("import", root_archive(self.home), IMAGE).ok()

    def argv(self) -> list[str]:
        home = self.home
        return [
            "podman",
            f"--root={home}/root",
            f"--runroot={home}/run",
            f"--tmpdir={home}/tmp",
            "--storage-driver=overlay",
            f"--runtime={home}/bin/{self.runtime}",
        ]

    def environment(self) -> dict[str, str]:
        return {"CONTAINERS_CONF": str(self.home / "containers.conf")}

    def states(self) -> list[str]:
        state = self.home / "state"
        return [name for name in os.listdir(state) if name[0] != "~"] if state.exists() else []

    def stop(self) -> None:
        unmount_below(self.home)

    def init_flags(self) -> list[str]:
        if not Path(TINI).exists():
            pytest.skip(f"needs {TINI} of Debian's tini")
        return ["--init", f"--init-path={TINI}"]

    def healthy(self, container: str) -> bool:
        """Podman leaves the clock to systemd; a check can be asked for."""
        return self("healthcheck", "run", container).status == 0

    def info(self) -> str:
        """Its version."""
        return subprocess.check_output(["podman", "--version"], text=True).split()[-1]


class Rootless(Podman):
    """Podman of an ordinary user, whose systemd gives cgroups to the containers."""

    rootless = True
    needs = ("podman", "conmon", "newuidmap")

    def stop(self) -> None:
        """Podman's own process that keeps the user namespace goes, and files of other ids."""
        subprocess.run(["podman", "unshare", "rm", "-rf", f"{self.home}/root"], check=False)
        for pid in processes(self.token):
            if "pause" in Path(f"/proc/{pid}/comm").read_text():
                os.kill(pid, signal.SIGKILL)
