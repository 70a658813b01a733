"""Options and commands of crun's that runc does not have, against real containers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.runtimes import PATIENCE, Done, Runtime

OWN_CGROUP = Path("/proc/self/cgroup")
LOGGERS = {"syslog": "/dev/log", "journald": "/run/systemd/journal/socket"}


def test_no_cgroup_at_all(box: Box, pyc: Runtime):
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    bundle.linux["resources"] = {"pids": {"limit": 100}}
    done = pyc("--cgroup-manager=disabled", "run", "-d", "-b", bundle, name).ok()
    assert "linux.resources.pids.limit: not applied, cgroups are disabled" in done.err
    pid = pyc.state(name)["pid"]
    assert Path(f"/proc/{pid}/cgroup").read_text() == OWN_CGROUP.read_text()
    assert pyc("exec", name, "echo", "in").ok().out == "in\n"
    assert pid in json.loads(pyc("ps", "-f", "json", name).ok().out)
    pyc("pause", name).fails("cgroup")
    pyc("update", "--pids-limit", "5", name).fails("cgroup")
    pyc("kill", "--all", name, "KILL").ok()
    pyc.wait_for(name, "stopped")
    pyc("delete", name).ok()


def test_the_limits_of_no_cgroup_are_not_checked_either(box: Box, pyc: Runtime):
    bundle = box.bundle().script("echo up")
    bundle.linux["resources"] = {
        "memory": {"limit": 1 << 26},
        "devices": [{"allow": False, "access": "rwm"}],
    }
    done = pyc("--cgroup-manager", "disabled", "run", "-b", bundle, box.id()).ok()
    assert done.out == "up\n"
    assert "linux.resources.memory.limit" in done.err


def test_where_no_cgroup_is_mounted(box: Box, pyc: Runtime):
    """Nobody has said that there shall be none: a limit that cannot hold is an error."""
    box.needs_root("hides the machine's cgroups")
    hide = 'umount -R /sys/fs/cgroup; exec "$@"'
    prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", hide, "sh"]
    bundle = box.bundle("/bin/echo", "up")
    bundle.linux.pop("resources", None)
    done = _call(pyc, prefix, "run", "-b", str(bundle), box.id()).ok()
    assert done.out == "up\n" and "without a cgroup of its own" in done.err
    bundle.linux["resources"] = {"pids": {"limit": 5}}
    done = _call(pyc, prefix, "run", "-b", str(bundle), box.id())
    done.fails("set linux.resources.pids.limit: no cgroup is mounted")
    words = ("--cgroup-manager=disabled", "run", "-b", str(bundle), box.id())
    assert _call(pyc, prefix, *words).ok().out == "up\n"
    del bundle.linux["resources"]
    bundle.linux["cgroupsPath"] = f"/{box.token}"
    _call(pyc, prefix, "run", "-b", str(bundle), box.id()).fails("no cgroup is mounted")


def test_the_manager_by_its_name(box: Box, pyc: Runtime):
    box.needs_a_cgroup()
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    manager = "systemd" if box.systemd else "cgroupfs"  # the one that may make a cgroup for us
    pyc("--cgroup-manager", manager, "run", "-d", "-b", bundle, name).ok()
    pid = pyc.state(name)["pid"]
    assert Path(f"/proc/{pid}/cgroup").read_text() != OWN_CGROUP.read_text()
    wrong = pyc("--cgroup-manager", "openrc", "state", name)
    wrong.fails("openrc", "cgroupfs, systemd, disabled")


@pytest.mark.parametrize("command", ["kill", "delete"])
def test_all_that_match(box: Box, pyc: Runtime, command: str):
    names = [box.id(name) for name in ("web1", "web2", "db")]
    for name in names:
        pyc("run", "-d", "-b", box.bundle("/bin/sleep", "1000"), name).ok()
    if command == "kill":
        pyc("kill", "-r", "web[[:digit:]]+$", "KILL").ok()
        pyc.wait_for(names[0], "stopped")
        pyc.wait_for(names[1], "stopped")
        assert pyc.status(names[2]) == "running"
        # The stopped ones are told of, and the others get it all the same.
        done = pyc("kill", "--regex", "web|db", "KILL").ok()
        assert done.err.count("container not running") == 2
        pyc.wait_for(names[2], "stopped")
    else:
        done = pyc("delete", "--regex", f"^{box.token}-web").ok()
        assert done.err.count("that is not stopped") == 2
        pyc("delete", "--force", "--regex", f"^{box.token}-web").ok()
        assert [pyc.status(name) for name in names] == ["gone", "gone", "running"]
    pyc(command, "--regex", "nothing-like-it").ok()
    pyc(command, "--regex", "web[").fails("invalid regular expression web[")
    pyc(command, "--regex", "web[[:blank:]]").fails("invalid regular expression web[[:blank:]]")


def test_a_spec_of_another_name(box: Box, pyc: Runtime):
    other = box.directory / "spec.json"
    pyc("spec", "--file", other).ok()
    first = other.read_text()
    assert json.loads(first)["process"]["args"] == ["sh"]
    other.write_text("old")
    pyc("spec", "-f", other).ok()
    assert other.read_text() == first
    pyc("spec", "-b", box.directory, "-f", "below.json").ok()
    assert (box.directory / "below.json").read_text() == first
    pyc("spec", "-f", box.directory / "none" / "spec.json").fails("no such file or directory")


def test_a_subreaper_that_create_never_is(box: Box, pyc: Runtime):
    name = box.id()
    pyc("create", "--no-subreaper", "-b", box.bundle(), name).ok()
    assert pyc.status(name) == "created"


@pytest.mark.parametrize("words", [("checkpoint",), ("restore", "-b", ".")])
def test_a_network_lock_that_is_none(box: Box, pyc: Runtime, words: tuple[str, ...]):
    name = box.running() if words[0] == "checkpoint" else box.id()
    done = pyc(*words, "--image-path", box.directory / "i", "--network-lock", "ufw", name)
    done.fails("invalid network-lock value", "ufw", "nftables or skip")


def test_how_much_is_logged(box: Box, pyc: Runtime):
    bundle = box.bundle()
    bundle.config["mounts"].append({"destination": "tmp", "type": "tmpfs", "source": "tmpfs"})
    assert "level=warning" in pyc("run", "-b", bundle, box.id()).ok().err
    assert pyc("--log-level=error", "run", "-b", bundle, box.id()).ok().err == ""
    assert "level=debug" in pyc("--log-level=debug", "run", "-b", bundle, box.id()).ok().err
    pyc("--log-level", "loud", "list").fails("loud", "error, warning, debug")


def test_the_version_in_capitals(box: Box, pyc: Runtime):
    assert pyc("-V").ok().out == pyc("--version").ok().out


def test_a_log_file_with_its_backend(box: Box, pyc: Runtime):
    log = box.directory / "log"
    pyc(f"--log=file:{log}", "state", box.id("none")).fails("does not exist")
    assert "does not exist" in log.read_text()


@pytest.mark.parametrize("logger", LOGGERS)
def test_the_loggers_of_the_machine(box: Box, pyc: Runtime, logger: str):
    box.needs_root("binds over the machine's loggers")
    place = box.directory / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(place))
        listener.settimeout(10)
        argv = _with_logger(LOGGERS[logger], place)
        done = _call(pyc, argv, f"--log={logger}:mine", "state", box.id("none"))
        done.fails("does not exist")
        record = listener.recv(4096)
    if logger == "syslog":
        assert record.startswith(b"<11>mine: ") and b"does not exist" in record
    else:
        assert b"PRIORITY=3\nSYSLOG_IDENTIFIER=mine\n" in record
        assert b"container does not exist" in record


@pytest.mark.parametrize("logger", LOGGERS)
def test_a_logger_that_is_not_there(box: Box, pyc: Runtime, logger: str):
    box.needs_root("hides the machine's loggers")
    argv = _with_logger(LOGGERS[logger], None)
    done = _call(pyc, argv, f"--log={logger}:mine", "list")
    done.fails(f"log to {logger}:mine: connect {LOGGERS[logger]}:")


def _call(pyc: Runtime, prefix: list[str], *arguments: str) -> Done:
    argv = [*prefix, *pyc.argv(*arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE)
    return Done(argv, done.returncode, done.stdout, done.stderr)


def _with_logger(path: str, socket_path: Path | None) -> list[str]:
    """A command that runs another one where `path` is this socket, or nothing that listens."""
    directory = os.path.dirname(path)
    keep = f"mkdir /mnt/x && mount --rbind {directory} /mnt/x && " if directory == "/dev" else ""
    lines = [
        "set -e",
        "mount -t tmpfs none /mnt",
        f"{keep}mkdir -p {directory}",
        f"mount -t tmpfs none {directory}",
    ]
    if keep:
        for name in ("null", "urandom", "zero", "tty"):
            lines.append(f"touch /dev/{name} && mount --bind /mnt/x/{name} /dev/{name}")
    if socket_path is not None:
        lines.append(f"ln -s {socket_path} {path}")
    script = "\n".join([*lines, 'exec "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
