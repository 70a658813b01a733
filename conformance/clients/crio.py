"""CRI-O: the same calls as containerd's CRI, with conmon between it and the runtime."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conformance.clients.containerd import IMAGE, image_archive
from conformance.clients.cri import HANDLER, POD, Pods
from conformance.clients.engine import SYSTEMD, root_archive
from tests.support.runtimes import SLOWNESS

CAP_SYS_RESOURCE = 24


def _effective() -> int:
    """The capabilities that we have, as bits."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))


# A pod's own container gets an oom_score_adj of -998: where that cannot be, pods have none.
LOWERS_OOM_SCORE = _effective() >> CAP_SYS_RESOURCE & 1 == 1
NEEDS = "CRI-O's pods need CAP_SYS_RESOURCE for processes of their own"
ANY_IMAGE = {"default": [{"type": "insecureAcceptAnything"}]}


class CriO(Pods):
    """The daemon; Podman puts the image into its storage."""

    name = "crio"
    needs = ("crio", "pinns", "conmon", "podman")

    def start(self) -> None:
        home = self.home
        (home / "policy.json").write_text(json.dumps(ANY_IMAGE))
        storage = [f"--root={home}/root", f"--runroot={home}/run", "--storage-driver=vfs"]
        image = image_archive(root_archive(home), home / "docker.tar", "sleep", "10000")
        load = ["podman", *storage, "load", f"--signature-policy={home}/policy.json", "-i", image]
        subprocess.run(load, check=True, capture_output=True, timeout=120 * SLOWNESS)
        (home / "conf.d").mkdir()
        documented = self.documented("CRI-O").replace("/run/pycontainer", f"{home}/state")
        (home / "conf.d" / "10-documented.conf").write_text(documented)
        (home / "crio.conf").write_text(
            "[crio]\n"
            f'root = "{home}/root"\n'
            f'runroot = "{home}/run"\n'
            'storage_driver = "vfs"\n'
            f'log_dir = "{home}/logs"\n'
            f'version_file = "{home}/version"\n'
            f'version_file_persist = "{home}/version-persist"\n'
            f'clean_shutdown_file = "{home}/clean"\n'
            "internal_wipe = false\n"
            "[crio.api]\n"
            f'listen = "{home}/c.sock"\n'
            'stream_port = "0"\n'
            "[crio.runtime]\n"
            f'cgroup_manager = "{"systemd" if SYSTEMD else "cgroupfs"}"\n'
            'conmon_cgroup = "pod"\n'
            f"drop_infra_ctr = {str(not LOWERS_OOM_SCORE).lower()}\n"
            f'namespaces_dir = "{home}/namespaces"\n'
            f'container_attach_socket_dir = "{home}/attach"\n'
            f'container_exits_dir = "{home}/exits"\n'
            f'hooks_dir = ["{home}/hooks"]\n'
            'irqbalance_config_file = ""\n'
            "[crio.image]\n"
            f'pause_image = "{IMAGE}"\n'
            'pause_command = ""\n'
            f'signature_policy = "{home}/policy.json"\n'
            "[crio.network]\n"
            f'network_dir = "{home}/cni"\n'
            f'plugin_dirs = ["{home}/cni-bin"]\n'
        )
        words = ["--log-level=debug", f"--config={home}/crio.conf", f"--config-dir={home}/conf.d"]
        self.serve("crio", *words)
        self.answers_at(home / "c.sock", "cri-o")

    def argv(self) -> list[str]:
        return ["crio", f"--config={self.home}/crio.conf"]

    def pod(self, handler: str = HANDLER, **linux: Any) -> str:
        spaces = linux.get("security_context", {}).get("namespace_options", {})
        if spaces.get("pid") == POD and not LOWERS_OOM_SCORE:
            pytest.skip(NEEDS)
        return super().pod(handler, **linux)

    def pid(self, container: str) -> int:
        if container in self.pods and not LOWERS_OOM_SCORE:
            pytest.skip(NEEDS)
        return super().pid(container)

    def known(self, *containers: str) -> list[str]:
        return sorted(c for c in containers if LOWERS_OOM_SCORE or c not in self.pods)

    def states(self) -> list[str]:
        state = self.home / "state"
        return [name for name in os.listdir(state) if name[0] != "~"] if state.exists() else []
