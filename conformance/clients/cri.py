"""What Kubernetes uses: the Container Runtime Interface, spoken to as the kubelet does.

Pods are in the host's network namespace: no CNI is needed then. The image for both the pause
container and the box is imported, and nothing is pulled.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from conformance.clients.containerd import IMAGE, image_archive
from conformance.clients.engine import (
    SHIM,
    SYSTEMD,
    Engine,
    root_archive,
    terminate,
    unmount_below,
)
from conformance.clients.grpc import Client, Refused
from tests.support.protobuf import Table
from tests.support.runtimes import CHECKOUT, SLOWNESS, eventually
from tests.support.runtimes import SHIM as SHIM_PATH

SERVICE = "runtime.v1.RuntimeService"
HANDLER = "pycontainer"  # what docs/engines.md calls it, with runc, too
POD, CONTAINER, NODE = 0, 1, 2  # whose namespace
RUNNING, EXITED = 1, 2
# Numbers of Kubernetes' cri-api, pkg/apis/runtime/v1/api.proto; as far as they are used here.
_ID = {"container_id": (1, str)}
_POD_ID = {"pod_sandbox_id": (1, str)}
_NONE: dict[str, tuple[int, Any]] = {}
MESSAGES: Table = {
    "VersionRequest": {"version": (1, str)},
    "VersionResponse": {"runtime_name": (2, str), "runtime_version": (3, str)},
    "RunPodSandboxRequest": {"config": (1, "pod"), "runtime_handler": (2, str)},
    "RunPodSandboxResponse": _POD_ID,
    "StopPodSandboxRequest": _POD_ID,
    "StopPodSandboxResponse": _NONE,
    "RemovePodSandboxRequest": _POD_ID,
    "RemovePodSandboxResponse": _NONE,
    "CreateContainerRequest": {**_POD_ID, "config": (2, "container"), "sandbox_config": (3, "pod")},
    "CreateContainerResponse": _ID,
    "StartContainerRequest": _ID,
    "StartContainerResponse": _NONE,
    "StopContainerRequest": {**_ID, "timeout": (2, int)},
    "StopContainerResponse": _NONE,
    "RemoveContainerRequest": _ID,
    "RemoveContainerResponse": _NONE,
    "ContainerStatusRequest": {**_ID, "verbose": (2, bool)},
    "ContainerStatusResponse": {"status": (1, "status"), "info": (2, "entry")},
    "PodSandboxStatusRequest": {**_POD_ID, "verbose": (2, bool)},
    "PodSandboxStatusResponse": {"info": (2, "entry")},
    "UpdateContainerResourcesRequest": {**_ID, "linux": (2, "resources")},
    "UpdateContainerResourcesResponse": _NONE,
    "ContainerStatsRequest": _ID,
    "ContainerStatsResponse": {"stats": (1, "stats")},
    "ExecSyncRequest": {**_ID, "cmd": (2, str), "timeout": (3, int)},
    "ExecSyncResponse": {"stdout": (1, bytes), "stderr": (2, bytes), "exit_code": (3, int)},
    "entry": {"key": (1, str), "value": (2, str)},
    "pod": {
        "metadata": (1, "pod_name"),
        "hostname": (2, str),
        "log_directory": (3, str),
        "linux": (8, "pod_linux"),
    },
    "pod_name": {"name": (1, str), "uid": (2, str), "namespace": (3, str)},
    "pod_linux": {
        "cgroup_parent": (1, str),
        "security_context": (2, "pod_security"),
        "sysctls": (3, "map"),
    },
    "pod_security": {"namespace_options": (1, "spaces")},
    "spaces": {"network": (1, int), "pid": (2, int), "ipc": (3, int)},
    "container": {
        "metadata": (1, "name"),
        "image": (2, "image"),
        "command": (3, str),
        "working_dir": (5, str),
        "envs": (6, "env"),
        "mounts": (7, "mount"),
        "log_path": (11, str),
        "linux": (15, "linux"),
    },
    "name": {"name": (1, str)},
    "image": {"image": (1, str), "user_specified_image": (18, str)},
    "env": {"key": (1, str), "value": (2, str)},
    "mount": {"container_path": (1, str), "host_path": (2, str), "readonly": (3, bool)},
    "linux": {"resources": (1, "resources"), "security_context": (2, "security")},
    "resources": {
        "cpu_period": (1, int),
        "cpu_quota": (2, int),
        "memory_limit_in_bytes": (4, int),
        "oom_score_adj": (5, int),
    },
    "security": {
        "capabilities": (1, "capabilities"),
        "namespace_options": (3, "spaces"),
        "run_as_user": (5, "number"),
        "readonly_rootfs": (7, bool),
        "masked_paths": (13, str),
        "seccomp": (15, "profile"),
    },
    "capabilities": {"add_capabilities": (1, str), "drop_capabilities": (2, str)},
    "number": {"value": (1, int)},
    "profile": {"profile_type": (1, int)},
    "status": {"id": (1, str), "state": (3, int), "exit_code": (7, int), "reason": (10, str)},
    "stats": {"cpu": (2, "cpu"), "memory": (3, "memory")},
    "cpu": {"usage_core_nano_seconds": (2, "number")},
    "memory": {"working_set_bytes": (2, "number")},
}


class Pods(Engine):
    """A daemon that speaks CRI; the runtime is a handler, as a RuntimeClass names it."""

    def answers_at(self, socket: Path, name: str) -> None:
        """Wait for the daemon, which calls itself `name`."""
        self.client = Client(socket, SERVICE, MESSAGES)
        self.boxes = 0
        self.pods: list[str] = []
        eventually(lambda: self._calls_itself(name), f"{name} answers", 60)

    def _calls_itself(self, name: str) -> bool:
        try:
            return self.call("Version").get("runtime_name") == name
        except (OSError, Refused):
            return False

    def serve(self, *words: Any) -> None:
        """Start the daemon."""
        with (self.home / "daemon.log").open("wb") as log:
            self.daemon = subprocess.Popen(
                list(map(str, words)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PATH": f"{os.environ['PATH']}:{SHIM_PATH.parent}"},
            )

    def documented(self, heading: str, number: int = 1) -> str:
        """A configuration file of docs/engines.md, for the runtime and the machine here."""
        text = (CHECKOUT / "docs" / "engines.md").read_text()
        section = text.split(f"\n## {heading}\n", 1)[1]
        block = section.split("```toml\n")[number].split("```", 1)[0]
        block = block.replace("/usr/local/bin/pycontainer", self.runtime_path)
        return block.replace("SystemdCgroup = true", f"SystemdCgroup = {str(SYSTEMD).lower()}")

    def call(self, method: str, /, **members: Any) -> dict[str, Any]:
        """A call of CRI; Refused with what the daemon's log says about it."""
        log = self.home / "daemon.log"
        before = log.stat().st_size
        try:
            return self.client(method, **members)
        except Refused as refused:
            lines = log.read_bytes()[before:].decode().splitlines()
            said = [ln for ln in lines if "level=error" in ln or "Response error" in ln]
            raise Refused(f"{refused}: {' '.join(said)}") from None

    def pod(self, handler: str = HANDLER, **linux: Any) -> str:
        """The id of a new pod; `linux` are members of pod_linux."""
        request = {**self._pod(**linux), "runtime_handler": handler}
        self.pods.append(self.call("RunPodSandbox", **request)["pod_sandbox_id"])
        return self.pods[-1]

    def _pod(self, **linux: Any) -> dict[str, Any]:
        spaces = {"namespace_options": {"network": NODE, "pid": CONTAINER}}
        return {
            "config": {
                "metadata": {"name": f"pod{len(self.pods)}", "uid": self.token, "namespace": "x"},
                "log_directory": str(self.home / "logs"),
                "linux": {"cgroup_parent": self.parent, "security_context": spaces, **linux},
            },
        }

    def box(self, pod: str, *command: str, security: dict | None = None, **members: Any) -> str:
        """The id of a new container in a pod, started; `members` are those of container."""
        self.boxes += 1
        spaces = {"namespace_options": {"network": NODE, "pid": CONTAINER}}
        linux = {"security_context": {**spaces, **(security or {})}}
        if "resources" in members:
            linux["resources"] = members.pop("resources")
        config = {
            "metadata": {"name": f"box{self.boxes}"},
            "image": {"image": IMAGE, "user_specified_image": IMAGE},
            "command": list(command or ("sleep", "1000")),
            "log_path": f"{self.boxes}.log",
            "linux": linux,
            **members,
        }
        pod_config = self._pod()["config"]
        made = self.call(
            "CreateContainer", pod_sandbox_id=pod, config=config, sandbox_config=pod_config
        )
        self.call("StartContainer", **made)
        return made["container_id"]

    def log(self) -> str:
        """What the last container has printed, in the kubelet's format."""
        return (self.home / "logs" / f"{self.boxes}.log").read_text()

    def says(self, container: str, text: str) -> tuple[int, str, str]:
        """Status, stdout and stderr of a shell script in a running container."""
        command = ["sh", "-c", text]
        done = self.call(
            "ExecSync", container_id=container, cmd=command, timeout=int(30 * SLOWNESS)
        )
        out, err = (done.get(name, b"").decode() for name in ("stdout", "stderr"))
        return done.get("exit_code", 0), out, err

    def look(self, container: str) -> dict[str, Any]:
        """What CRI knows about it."""
        return self.call("ContainerStatus", container_id=container)["status"]

    def pid(self, container: str) -> int:
        """Of a container's init, or of a pod's."""
        kind = "PodSandbox" if container in self.pods else "Container"
        name = "pod_sandbox_id" if container in self.pods else "container_id"
        found = self.call(f"{kind}Status", **{name: container}, verbose=True)
        return json.loads(found["info"]["value"])["pid"]

    def known(self, *containers: str) -> list[str]:
        """What of these the runtime has to know: pods too, which are containers that just stay."""
        return sorted(containers)

    def sweep(self) -> None:
        """Pods take their containers along."""
        while self.pods:
            pod = self.pods.pop()
            self.call("StopPodSandbox", pod_sandbox_id=pod)
            self.call("RemovePodSandbox", pod_sandbox_id=pod)
        eventually(lambda: not self.states(), f"{self.states()} removed")

    def stop(self) -> None:
        terminate(self.daemon)
        unmount_below(self.home)


class Cri(Pods):
    """containerd with its plugin."""

    name = "cri"
    needs = ("containerd", "ctr")

    def start(self) -> None:
        home = self.home
        root = f'Root = "{home}/state"\n'
        if self.runtime == SHIM:
            heading, file = "containerd with pycontainer's shim", home / "pycontainer.toml"
            documented = self.documented(heading)
            documented = documented.replace("/etc/containerd/pycontainer.toml", str(file))
            file.write_text(self.documented(heading, 2) + root)
        else:
            documented = self.documented("containerd") + root
        version, _, rest = documented.partition("\n")
        (home / "config.toml").write_text(
            f"{version}\n"
            f'root = "{home}/root"\n'
            f'state = "{home}/run"\n'
            'disabled_plugins = ["io.containerd.internal.v1.opt"]\n'
            f'[grpc]\naddress = "{home}/c.sock"\n'
            f'[ttrpc]\naddress = "{home}/c.sock.ttrpc"\n'
            '[plugins."io.containerd.grpc.v1.cri"]\n'
            f'sandbox_image = "{IMAGE}"\n'
            "restrict_oom_score_adj = true\n"
            f'[plugins."io.containerd.grpc.v1.cri".cni]\nconf_dir = "{home}/cni"\n'
            f"{rest}"
        )
        self.serve("containerd", f"--config={home}/config.toml")
        self.answers_at(home / "c.sock", "containerd")
        # The same image is the pod's own, which only has to stay.
        image = image_archive(root_archive(home), home / "docker.tar", "sleep", "10000")
        self("images", "import", image).ok()

    def argv(self) -> list[str]:
        return ["ctr", f"--address={self.home}/c.sock", "--namespace=k8s.io"]

    def states(self) -> list[str]:
        state = self.home / "state" / "k8s.io"
        return [name for name in os.listdir(state) if name[0] != "~"] if state.exists() else []
