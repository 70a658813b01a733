"""The lines of docs/engines.md, as they stand there, but for where the command is."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from conformance.clients.cri import Pods
from conformance.clients.docker import Docker
from conformance.clients.engine import Engine, runtime_path
from conformance.clients.grpc import Refused
from conformance.clients.podman import Podman
from tests.support.runtimes import CHECKOUT, eventually

DOCUMENT = CHECKOUT / "docs" / "engines.md"
ENGINES = ("podman", "docker", "containerd", "cri", "crio")


def lines(title: str) -> str:
    """The first block of code in the section of this title."""
    section = DOCUMENT.read_text().split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    block = re.search(r"```\w+\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return block[1].replace("/usr/local/bin/pycontainer", runtime_path("pycontainer"))


def test_documented(engine: Engine):
    if engine.runtime != "pycontainer":
        pytest.skip("ours")
    checks = {"podman": podman, "docker": docker, "containerd": containerd, "cri": cri, "crio": cri}
    checks[engine.name](engine)


def podman(engine: Podman) -> None:
    given = (engine.home / "containers.conf").read_text()
    own = given.replace("[engine]\n", "")
    settings, _, rest = own.partition("[containers]\n")
    settings = re.sub(r"^runtime_supports_json.*\n", "", settings, flags=re.MULTILINE)
    documented = lines("Podman").replace("[engine]\n", f"[engine]\n{settings}")
    file = engine.home / "documented.conf"
    file.write_text(f"{documented}\n[containers]\n{rest}")
    argv = [word for word in engine.argv() if not word.startswith("--runtime")]
    words = ["run", "--rm", *engine.flags(), "localhost/box", "echo", "hello"]
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CONTAINERS_CONF": str(file)}
    done = subprocess.run([*argv, *words], capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    info = [*argv, "info", "--format={{.Host.OCIRuntime.Name}}"]
    assert subprocess.check_output(info, text=True, env=env).strip() == "pycontainer"


def docker(engine: Docker) -> None:
    documented = json.loads(lines("Docker"))
    file = engine.home / "daemon.json"
    config = json.loads(file.read_text())
    (name,) = documented["runtimes"]
    config["runtimes"] = {**config["runtimes"], **documented["runtimes"]}

    def read_again(default: str) -> None:
        file.write_text(json.dumps({**config, "default-runtime": default}))
        engine.daemon.send_signal(signal.SIGHUP)
        told = ("info", "--format={{.DefaultRuntime}}")
        eventually(lambda: engine(*told).ok().out.strip() == default, default)

    try:
        read_again("under-test")
        assert engine.run(f"--runtime={name}", "echo", "hello").ok().out == "hello\n"
        read_again(documented["default-runtime"])
        box = engine.running()
        assert engine.inspect(box)["HostConfig"]["Runtime"] == name
        assert engine.sh(box, "echo hello") == "hello\n"
        engine("rm", "--force", box).ok()
    finally:
        read_again("under-test")


def containerd(engine: Engine) -> None:
    file = Path(engine.home) / "documented.toml"
    file.write_text(lines("containerd"))
    dump = ["containerd", f"--config={file}", "config", "dump"]
    out = subprocess.check_output(dump, text=True)
    out = out.replace("'", '"')  # containerd 2 quotes otherwise
    assert 'default_runtime_name = "pycontainer"' in out
    assert f'BinaryName = "{runtime_path("pycontainer")}"' in out


def cri(engine: Pods) -> None:
    """What a kubelet asks for with the RuntimeClass and the pod; the daemon has the lines above."""
    documented = lines("Kubernetes")
    (handler,) = re.findall(r"^handler: (\S+)$", documented, re.MULTILINE)
    (command,) = re.findall(r"^ +command: (\[.*\])$", documented, re.MULTILINE)
    for name in (handler, ""):  # without a RuntimeClass it is the default
        pod = engine.pod(name)
        box = engine.box(pod, *json.loads(command))
        assert engine.says(box, "tr '\\0' ' ' < /proc/1/cmdline")[1] == "sleep 1000 "
        assert sorted(engine.states()) == engine.known(pod, box)
        engine.sweep()
    with pytest.raises(Refused, match="no runtime|runtime handler"):
        engine.pod("other")
