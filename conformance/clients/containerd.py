"""containerd with its own socket, root and state, and `ctr`, its command line for tests."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

from conformance.clients.engine import (
    SHIM,
    SYSTEMD,
    Engine,
    root_archive,
    terminate,
    unmount_below,
)
from tests.support.leftovers import CGROUPS
from tests.support.runtimes import SHIM as SHIM_PATH
from tests.support.runtimes import Done, eventually

IMAGE = "localhost/box:latest"


class Containerd(Engine):
    """The daemon without CRI; containers' names count up."""

    name = "containerd"
    needs = ("containerd", "ctr")

    def start(self) -> None:
        home = self.home
        (home / "config.toml").write_text(
            "version = 2\n"
            f'root = "{home}/root"\n'
            f'state = "{home}/run"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
            f'[grpc]\naddress = "{home}/c.sock"\n'
            f'[ttrpc]\naddress = "{home}/c.sock.ttrpc"\n'
        )
        # ctr forgets --runc-binary when it remaps users: let the first runc in PATH be ours, too.
        wrapper = self.wrapper("runc")
        if self.runtime == SHIM:  # likewise: ctr has runc's options for runc's shim alone
            (wrapper.parent / "containerd-shim-runc-v2").symlink_to(SHIM_PATH)
        self.path = f"{wrapper.parent}:{os.environ['PATH']}"
        self.serve()
        self.boxes = 0
        image = image_archive(root_archive(home), home / "docker.tar")
        self("images", "import", image).ok()

    def serve(self) -> None:
        """Start the daemon, anew after `terminate`."""
        with (self.home / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                ["containerd", f"--config={self.home}/config.toml"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PATH": self.path},
            )
        eventually(lambda: self("version").status == 0, "containerd answers", 60)

    def argv(self) -> list[str]:
        return ["ctr", f"--address={self.home}/c.sock", f"--namespace={self.token}"]

    def flags(self) -> list[str]:
        """The cgroup's name is part of it: one list for one container."""
        self.boxes += 1
        self.box = f"{self.token}-{self.boxes}"
        cgroup = (f"--cgroup=/{self.token}/{self.box}",)
        if SYSTEMD:
            cgroup = ("--runc-systemd-cgroup", f"--cgroup={self.parent}:ctr:{self.box}")
        return [
            f"--runc-binary={self.runtime_path}",
            f"--runc-root={self.home}/state",
            *cgroup,
            f"--fifo-dir={self.home}/fifo",
        ]

    def place(self, controller: str) -> Path:
        """The cgroup of the last container on the host; `controller` counts on v1 only."""
        if SYSTEMD:
            return CGROUPS / self.parent / f"ctr-{self.box}.scope"
        unified = (CGROUPS / "cgroup.controllers").exists()
        return CGROUPS / ("" if unified else controller) / self.token / self.box

    def run(self, *words: Any, **options: Any) -> Done:
        """`run --rm` in the foreground."""
        return self("run", "--rm", *self._with_image(words), **options)

    def running(self, *words: Any) -> str:
        self("run", "--detach", *self._with_image(words, ("sleep", "1000"))).ok()
        return self.box

    def exec(self, container: str, *words: Any, **options: Any) -> Done:
        """`tasks exec`: flags up to the first word without a dash."""
        at = _flags_end(words)
        self.boxes += 1
        own = (f"--exec-id=e{self.boxes}", f"--fifo-dir={self.home}/fifo")
        return self("tasks", "exec", *own, *words[:at], container, *words[at:], **options)

    def sh(self, container: str, text: str) -> str:
        return self.exec(container, "sh", "-c", text).ok().out

    def status(self, container: str) -> str:
        """running, paused, stopped; "gone" without a task."""
        return self._task(container)[1].lower()

    def pid(self, container: str) -> int:
        return int(self._task(container)[0])

    def _task(self, container: str) -> tuple[str, str]:
        for line in self("tasks", "ls").ok().out.splitlines()[1:]:
            name, pid, status = line.split()
            if name == container:
                return pid, status
        return "0", "gone"

    def states(self) -> list[str]:
        state = self.home / "state" / self.token
        return [name for name in os.listdir(state) if name[0] != "~"] if state.exists() else []

    def sweep(self) -> None:
        for name in self("containers", "ls", "--quiet").ok().out.split():
            if self.status(name) == "paused":
                self("tasks", "resume", name).ok()
            if self.status(name) != "gone":
                self("tasks", "rm", "--force", name)
            self("containers", "rm", name).ok()
        eventually(lambda: not self.states(), f"{self.states()} removed")

    def stop(self) -> None:
        terminate(self.daemon)
        unmount_below(self.home)
        shutil.rmtree(f"/run/containerd/runc/{self.token}", ignore_errors=True)

    def info(self) -> str:
        """Its version."""
        return subprocess.check_output(["containerd", "--version"], text=True).split()[2]

    def _with_image(self, words: tuple[Any, ...], default: tuple[str, ...] = ()) -> list[Any]:
        at = _flags_end(words)
        return [*self.flags(), *words[:at], IMAGE, self.box, *(words[at:] or default)]


def _flags_end(words: tuple[Any, ...]) -> int:
    at = 0
    while at < len(words) and str(words[at]).startswith("-"):
        at += 1
    return at


def image_archive(root: Path, archive: Path, *command: str) -> Path:
    """The archive that `docker save` would write, of one layer; `command` is what it runs."""
    layer = root.read_bytes()
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "config": {"Cmd": command or ["sh"], "Env": ["PATH=/bin:/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    members = {"layer.tar": layer, "config.json": config, "manifest.json": manifest}
    with tarfile.open(archive, "w") as tar:
        for name, content in members.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, BytesIO(data))
    return archive
