"""How a shim is started, found again, and cleaned up after."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.containerd.shim import (
    MESSAGES,
    RUNNING,
    Listener,
    Shim,
    alive,
    message,
    wrap,
)
from tests.support.protobuf import decode
from tests.support.runtimes import COMMAND, SHIM, eventually


@pytest.mark.parametrize(
    "newest, version", [("", 0), ("2", 2), ("3", 3), ("9", 3)], ids=["1.6", "1.7", "2.x", "later"]
)
def test_legacy_start(shim: Shim, newest: str, version: int):
    """Until containerd 2.2 options, if anything, come on stdin; the address is printed."""
    bundle = shim.box.bundle("/bin/true")
    container = shim.box.id("c")
    env = {"MAX_SHIM_VERSION": newest} if newest else {}
    options = message("any", **shim.options())
    out = shim.command(bundle.write().path, container, "start", env=env, input=options).decode()
    address = out.strip()
    if version:
        found = json.loads(out)
        assert (found["version"], found["protocol"]) == (version, "ttrpc")
        address = found["address"]
    assert address.startswith("unix:///run/containerd/s/")
    assert (bundle.path / "address").read_text() == address
    shim.connect(address)
    assert stat.S_IMODE(os.stat(shim.path).st_mode) == 0o600
    shim.create(bundle)


@pytest.mark.parametrize("key", ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"])
def test_group_has_one_shim(shim: Shim, key: str):
    bundles = [shim.box.bundle() for _ in range(3)]
    for bundle in bundles[:2]:
        bundle.config["annotations"] = {"a": "b", key: "pod \\ 1"}
    addresses = [shim.start(bundle, shim.box.id(f"c{n}")) for n, bundle in enumerate(bundles)]
    assert addresses[0] == addresses[1] != addresses[2]
    shim.client("Shutdown", id="")
    shim.connect(addresses[0])
    eventually(lambda: not Path(addresses[2].removeprefix("unix://")).exists(), "its end")


def test_the_daemon(shim: Shim):
    container = shim.running()
    pid = shim.pid
    argv = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    assert argv[:5] == [str(SHIM), "-namespace", "test", "-id", container]
    assert os.getpgid(pid) == pid
    own = int(Path("/proc/self/oom_score_adj").read_text())
    assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == min(own + 1, 1000)
    for fd in (0, 1, 2):
        assert os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null"


def test_little_memory(shim: Shim):
    """With a container and an exec; the Go shim has 5,000 KiB for itself, and more."""
    container = shim.running()
    shim.exec(container, "/bin/sleep", "1000")
    text = Path(f"/proc/{shim.pid}/smaps_rollup").read_text()
    numbers = dict(line.split()[:2] for line in text.splitlines()[1:])
    assert int(numbers["Private_Dirty:"]) < 200
    assert int(numbers["Rss:"]) < 2000


def test_killed_shim_is_cleaned_up_after(shim: Shim):
    lower = shim.box.bundle()
    mount = {"type": "bind", "source": str(lower.rootfs), "options": ["rbind", "ro"]}
    bundle = shim.box.bundle("/bin/sleep", "1000")
    container = shim.create(bundle, rootfs=[mount])
    init = shim.client("Start", id=container)["pid"]
    pid = shim.pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid), "the shim has ended")
    out = shim.command(bundle.path, container, "-bundle", str(bundle), "delete")
    found = decode(MESSAGES, "DeleteResponse", out)
    assert (found["pid"], found["exit_status"]) == (init, 137)
    eventually(lambda: not alive(init), "its end")
    assert str(bundle.rootfs) not in Path("/proc/mounts").read_text()
    assert not Path(shim.path).exists()
    shim.known.clear()


def test_socket_of_a_killed_shim_is_replaced(shim: Shim):
    bundle = shim.box.bundle()
    address = shim.start(bundle, shim.box.id("c"))
    os.kill(shim.pid, signal.SIGKILL)
    eventually(lambda: not _listens(shim.path), "its end")
    assert shim.start(bundle, shim.box.id("c")) == address


def _listens(path: str) -> bool:
    return f" {path}\n" in Path("/proc/net/unix").read_text()


def test_delete_after_the_usual_end_runs_nothing(shim: Shim):
    bundle = shim.box.bundle("/bin/true")
    container = shim.create(bundle)
    shim.client("Start", id=container)
    shim.wait(container)
    shim.delete(container)
    before = (bundle.path / "log.json").exists()
    shim.command(bundle.path, container, "-bundle", str(bundle), "delete")
    assert (bundle.path / "log.json").exists() == before


def test_terminated_shim_leaves(shim: Shim):
    shim.start(shim.box.bundle(), shim.box.id("c"))
    shim.terminate()


def test_containerd_is_away(shim: Shim):
    """Events wait for it, in their order."""
    container = shim.running()
    assert shim.listener
    shim.heard(container, "create", "start")
    shim.listener.close()
    time.sleep(0.3)  # nothing is to be sent when the shim sees it
    shim.client("Pause", id=container)
    shim.client("Resume", id=container)
    shim.client("Kill", id=container, signal=9)
    shim.wait(container)
    shim.listener = Listener(shim.ttrpc)
    shim.heard(container, "paused", "resumed", "exit")


def test_last_events_are_sent_before_the_end(shim: Shim):
    container = shim.running()
    assert shim.listener
    listener, pid = shim.listener, shim.pid
    shim.heard(container, "create", "start")
    listener.close()
    shim.client("Kill", id=container, signal=9)
    shim.wait(container)
    shim.delete(container)
    shim.client("Shutdown", id="")
    shim.listener = Listener(shim.ttrpc)
    shim.heard(container, "exit", "delete")
    eventually(lambda: not alive(pid), "its end")


def test_out_of_memory(shim: Shim):
    bundle = shim.box.bundle("/bin/sh", "-c", "sleep 0.2; tail /dev/zero")
    bundle.linux["resources"]["memory"] = {"limit": 16 << 20}
    container = shim.create(bundle)
    shim.client("Start", id=container)
    assert shim.wait(container) == 137
    shim.heard(container, "create", "start", "oom", "exit")


def test_info():
    asked = message("any", **wrap("containerd.runc.v1.Options", message("options", root="/x")))
    done = subprocess.run([SHIM, "-info"], input=asked, capture_output=True, check=True)
    table = {
        **MESSAGES,
        "info": {
            "name": (1, str),
            "version": (2, "version"),
            "options": (3, "any"),
            "features": (4, "any"),
        },
        "version": {"version": (1, str)},
    }
    found = decode(table, "info", done.stdout)
    assert found["name"] == "io.containerd.pycontainer.v2"
    assert found["options"]["type_url"] == "containerd.runc.v1.Options"
    features = json.loads(found["features"]["value"])
    ours = subprocess.run([COMMAND, "features"], capture_output=True, check=True)
    assert features == json.loads(ours.stdout)


@pytest.mark.parametrize(
    "words, error",
    [
        (["-bogus"], "flag provided but not defined: -bogus"),
        (["-id"], "flag needs an argument: -id"),
        (["-id", "x", "start"], "shim namespace cannot be empty"),
        (["-namespace", "x", "start"], "-id is missing"),
        (["-namespace", "x", "-id", "x", "juggle"], "unknown action juggle"),
        (["-namespace", "x", "-id", "x"], "started by `start`"),
    ],
)
def test_wrong_command_lines(words: list[str], error: str):
    done = subprocess.run([SHIM, *words], capture_output=True, check=False, text=True)
    assert done.returncode == 1 and error in done.stderr


def test_version():
    done = subprocess.run([SHIM, "-v"], capture_output=True, check=True, text=True)
    assert done.stdout.startswith("containerd-shim-pycontainer-v2:\n  Version:")


def test_running_containers_are_found_again(shim: Shim):
    """A new containerd connects to the address that it finds in the bundle."""
    container = shim.running()
    shim.client.close()
    shim.connect((shim.home / "bundle1/address").read_text())
    assert shim.status(container) == RUNNING


def test_systemd_talks_to_containerd_alone(shim: Shim, monkeypatch: pytest.MonkeyPatch):
    for name in ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        monkeypatch.setenv(name, "1")
    container = shim.running()
    for pid in (shim.pid, shim.client("State", id=container)["pid"]):
        names = [
            entry.split("=")[0] for entry in Path(f"/proc/{pid}/environ").read_text().split("\0")
        ]
        assert not [name for name in names if name.startswith(("NOTIFY", "LISTEN"))]


def test_debug(shim: Shim):
    """As containerd asks for it when its own log has everything."""
    bundle = shim.box.bundle("/bin/sleep", "1000")
    container = shim.box.id("c")
    os.mkfifo(bundle.path / "log")
    reader = os.open(bundle.path / "log", os.O_RDONLY | os.O_NONBLOCK)
    address = shim.command(bundle.write().path, container, "-debug", "start")
    shim.connect(address.decode().strip())
    shim.create(bundle)
    shim.client("State", id=container)
    lines = os.read(reader, 65536).decode().splitlines()
    assert f'msg="Create {container}: done" runtime=pycontainer' in lines[0]
    assert [line for line in lines if f"State {container}: done" in line]
    os.close(reader)
    shim.client("State", id=container)  # nobody reads: nothing waits
