"""dockerd with a containerd of its own; neither bridge nor firewall rules."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from conformance.clients.engine import IMAGE, Engine, root_archive, terminate, unmount_below
from tests.support.runtimes import eventually

APPARMOR = Path("/sys/module/apparmor")


class Docker(Engine):
    """The daemon, and Debian's command line for it."""

    name = "docker"
    needs = ("dockerd", "containerd", "/usr/bin/docker")

    def start(self) -> None:
        home = self.home
        config = {
            "runtimes": {"under-test": {"path": self.runtime_path}},
            "default-runtime": "under-test",
            "data-root": f"{home}/data",
            "exec-root": f"{home}/exec",
            "pidfile": f"{home}/pid",
            "hosts": [f"unix://{home}/docker.sock"],
            "bridge": "none",
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
            "ip-masq": False,
            "storage-driver": "overlay2",
            "experimental": True,  # checkpoint
        }
        (home / "daemon.json").write_text(json.dumps(config))
        self.start_daemon()
        self("import", root_archive(home), IMAGE).ok()

    def start_daemon(self) -> None:
        """And wait until it answers."""
        home = self.home
        with (home / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                ["dockerd", f"--config-file={home}/daemon.json"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(lambda: self("version").status == 0, "dockerd answers", 60)

    def restart(self) -> None:
        """Another daemon takes over."""
        terminate(self.daemon)
        self.start_daemon()

    def argv(self) -> list[str]:
        return ["/usr/bin/docker", f"--host=unix://{self.home}/docker.sock"]

    def environment(self) -> dict[str, str]:
        return {"DOCKER_CONFIG": str(self.home / "client")}

    def flags(self) -> list[str]:
        """dockerd refuses to run anything where it cannot load its AppArmor profile."""
        cannot = APPARMOR.is_dir() and shutil.which("apparmor_parser") is None
        return super().flags() + (["--security-opt=apparmor=unconfined"] if cannot else [])

    def states(self) -> list[str]:
        state = self.home / "exec" / "runtime-under-test" / "moby"
        other = self.home / "exec" / "runtime-runc" / "moby"
        return [
            name
            for path in (state, other)
            if path.exists()
            for name in os.listdir(path)
            if name[0] != "~"
        ]

    def stop(self) -> None:
        terminate(self.daemon)
        unmount_below(self.home)

    def healthy(self, container: str) -> bool:
        """What the last check has found, or the next one if there was none."""
        eventually(lambda: self._health(container) != "starting", "the first check")
        return self._health(container) == "healthy"

    def _health(self, container: str) -> str:
        return self.inspect(container)["State"]["Health"]["Status"]

    def info(self) -> str:
        """Its version."""
        return self("version", "--format", "{{.Server.Version}}").ok().out.strip()
