"""Annotations that crun has made known (run.oci.*), on real containers."""

from __future__ import annotations

import base64
import errno
import json
import os
import shlex
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

import pycontainer
from tests.support.agents import Agent
from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import PATIENCE, Done, Runtime, eventually
from tests.support.sockets import Receiver

STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
STDOUT, STDERR = "run.oci.hooks.stdout", "run.oci.hooks.stderr"
# In a mount namespace of its own, the machine's v2 hierarchy where a machine with v2 alone has it.
ONLY_V2 = "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && "


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that reach beyond the container act; test_untrusted_annotations.py has the rest."""
    monkeypatch.setenv("PYCONTAINER_TRUST_ANNOTATIONS", "1")


def saying_hooks(bundle: Bundle) -> None:
    script = "echo out of {0}; echo err of {0} >&2"
    bundle.config["hooks"] = {
        stage: [{"path": "/bin/sh", "args": ["sh", "-c", script.format(stage)]}] for stage in STAGES
    }


# -- hooks -----------------------------------------------------------------------------------


def test_hooks_write_to_files(box: Box, pyc: Runtime):
    out, err = box.directory / "out", box.directory / "err"
    bundle, name = box.bundle(), box.id()
    saying_hooks(bundle)
    out.write_text("before\n")
    bundle.config["annotations"] = {STDOUT: str(out), STDERR: str(err)}
    pyc("create", "-b", bundle, name).ok()
    assert out.read_text().splitlines()[-1] == "out of createContainer"
    pyc("start", name).ok()
    pyc.wait_for(name, "stopped")
    pyc("delete", name).ok()
    assert out.read_text() == "before\n" + "".join(f"out of {stage}\n" for stage in STAGES)
    assert err.read_text() == "".join(f"err of {stage}\n" for stage in STAGES)
    assert err.stat().st_mode & 0o077 == 0


def test_one_stream_in_a_file_the_other_in_the_message(box: Box, pyc: Runtime):
    out = box.directory / "out"
    for stage in ("createRuntime", "createContainer", "startContainer"):
        bundle = box.bundle()
        script = "echo to the file; echo to the message >&2; exit 3"
        bundle.config["hooks"] = {stage: [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
        bundle.config["annotations"] = {STDOUT: str(out)}
        done = pyc("run", "-b", bundle, box.id())
        done.fails(
            f"error running {stage} hook #0: exit status 3, stdout: , stderr: to the message"
        )
    assert out.read_text() == "to the file\n" * 3


@pytest.mark.parametrize("stage", ["createRuntime", "startContainer"])
def test_a_file_of_hooks_that_cannot_be(box: Box, pyc: Runtime, stage: str):
    path = box.directory / "none" / "out"
    bundle = box.bundle()
    bundle.config["hooks"] = {stage: [{"path": "/bin/true"}]}
    bundle.config["annotations"] = {STDERR: str(path)}
    pyc("run", "-b", bundle, box.id()).fails(f"open {path}", "no such file or directory")
    bundle.config["annotations"] = {STDERR: "hooks.log"}
    done = pyc("run", "-b", bundle, box.id())
    done.fails("must be an absolute path", "run.oci.hooks.stderr")


def test_the_program_does_not_get_the_files_of_hooks(box: Box, pyc: Runtime):
    bundle = box.bundle().script("ls -l /proc/self/fd")
    saying_hooks(bundle)
    bundle.config["annotations"] = {STDOUT: str(box.directory / "secret")}
    out = pyc("run", "-b", bundle, box.id()).ok().out
    assert "secret" not in out


# -- seccomp ---------------------------------------------------------------------------------


def notifying(bundle: Bundle) -> Bundle:
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
    }
    return bundle


@pytest.fixture
def agent(box: Box):
    made = Agent(box.directory / "agent.sock")
    yield made
    made.close()


@pytest.mark.parametrize("by", ["annotation", "environment"])
def test_a_receiver_of_the_listener(box: Box, pyc: Runtime, agent: Agent, by: str):
    bundle, name = notifying(box.bundle().script("mkdir /x; sleep 1000")), box.id()
    env = dict(os.environ)
    if by == "annotation":
        bundle.config["annotations"] = {"run.oci.seccomp.receiver": str(agent.path)}
    else:
        env["RUN_OCI_SECCOMP_RECEIVER"] = str(agent.path)
    pyc("create", "-b", bundle, name, env=env).ok()
    pyc("start", name).ok()  # without the variable
    eventually(lambda: len(agent.calls) == 1, "a call")
    assert agent.documents[0]["fds"] == ["seccompFd"]
    assert agent.documents[0]["state"]["id"] == name
    # exec has the same filter, and the same agent.
    done = pyc("exec", name, "mkdir", "/y")
    assert done.status == 1 and "cross-device" in done.err.lower()
    assert len(agent.documents) == 2


def test_a_receiver_in_a_program(box: Box, agent: Agent):
    bundle = notifying(box.bundle().script("mkdir /x; sleep 1000"))
    bundle.config["annotations"] = {"run.oci.seccomp.receiver": str(agent.path)}
    runtime = pycontainer.Runtime(box.pycontainer.root, trust_annotations=True)
    with runtime.create(box.id(), bundle.write().path) as container:
        container.start()
        eventually(lambda: len(agent.calls) == 1, "a call")


def test_a_receiver_does_not_replace_the_listenerpath(box: Box, pyc: Runtime, agent: Agent):
    bundle = notifying(box.bundle().script("mkdir /x"))
    bundle.linux["seccomp"]["listenerPath"] = str(agent.path)
    bundle.config["annotations"] = {"run.oci.seccomp.receiver": "/nowhere"}
    pyc("run", "-b", bundle, box.id()).fails("cross-device")
    assert len(agent.documents) == 1


def test_a_receiver_that_is_none(box: Box, pyc: Runtime):
    bundle = notifying(box.bundle())
    bundle.config["annotations"] = {"run.oci.seccomp.receiver": "agent.sock"}
    done = pyc("run", "-b", bundle, box.id())
    done.fails("must be an absolute path", "run.oci.seccomp.receiver")
    bundle.config["annotations"] = {}
    env = {**os.environ, "RUN_OCI_SECCOMP_RECEIVER": "agent.sock"}
    done = pyc("run", "-b", bundle, box.id(), env=env)
    done.fails("must be an absolute path", "$RUN_OCI_SECCOMP_RECEIVER")
    bundle.config["annotations"] = {"run.oci.seccomp.receiver": "/nowhere/agent.sock"}
    pyc("run", "-b", bundle, box.id()).fails("seccomp agent /nowhere/agent.sock: no such file")
    bundle.config["annotations"] = {}
    pyc("run", "-b", bundle, box.id()).fails("listenerPath")


def test_no_unknown_system_calls(box: Box, pyc: Runtime):
    bundle = box.bundle("/bin/echo", "up")
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["unheardof", "swapon"], "action": "SCMP_ACT_ERRNO"}],
    }
    name = "run.oci.seccomp_fail_unknown_syscall"
    for names in {}, {name: "0"}:
        bundle.config["annotations"] = names
        assert pyc("run", "-b", bundle, box.id()).ok().out == "up\n"
    for value in "1", "":
        bundle.config["annotations"] = {name: value}
        done = pyc("run", "-b", bundle, box.id())
        done.fails("names unknown system calls: unheardof", "linux.seccomp.syscalls", name)


def program(*instructions: tuple[int, int, int, int]) -> str:
    """A filter as the annotation has it: struct sock_filter[] in base64."""
    return base64.b64encode(b"".join(struct.pack("=HBBI", *one) for one in instructions)).decode()


ALLOW = (0x06, 0, 0, 0x7FFF0000)
# mkdir is 83 and mkdirat 258 on x86_64, mkdirat 34 on aarch64; whichever it is gives EDOM.
NO_MKDIR = (
    (0x20, 0, 0, 0),
    *((0x15, 3 - at, 0, number) for at, number in enumerate((83, 258, 34))),
    ALLOW,
    (0x06, 0, 0, 0x00050000 | errno.EDOM),
)


def test_a_filter_as_it_is(box: Box, pyc: Runtime):
    bundle, name = box.bundle().script("mkdir /x; sleep 1000"), box.id()
    bundle.config["annotations"] = {"run.oci.seccomp_bpf_data": program(*NO_MKDIR)}
    # The profile is passed over, as crun does.
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_KILL_PROCESS"}
    pyc("run", "-d", "-b", bundle, name).ok()
    pid = pyc.state(name)["pid"]
    assert "Seccomp:\t2\n" in Path(f"/proc/{pid}/status").read_text()
    done = pyc("exec", name, "mkdir", "/y")
    assert done.status == 1 and "out of domain" in done.err.lower()
    bundle.process["noNewPrivileges"] = False
    pyc("delete", "-f", name).ok()
    assert pyc("run", "-b", bundle.script("mkdir /x || echo no"), box.id()).ok().out == "no\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("%%%", "is no base64"),
        ("", "0 bytes, must be 1 to 4096 instructions"),
        ("AAAA", "3 bytes, must be 1 to 4096 instructions"),
        (program(*([ALLOW] * 4097)), "must be 1 to 4096 instructions"),
    ],
)
def test_a_filter_that_is_none(box: Box, pyc: Runtime, data: str, words: str):
    bundle = box.bundle()
    bundle.config["annotations"] = {"run.oci.seccomp_bpf_data": data}
    pyc("run", "-b", bundle, box.id()).fails(words, "run.oci.seccomp_bpf_data")


def test_a_filter_that_the_kernel_refuses(box: Box, pyc: Runtime):
    bundle = box.bundle()
    bundle.config["annotations"] = {"run.oci.seccomp_bpf_data": program((0xFF, 0, 0, 0))}
    done = pyc("run", "-b", bundle, box.id())
    done.fails("load seccomp filter of 1 instructions", "invalid argument")


def test_a_filter_that_asks_an_agent(box: Box, pyc: Runtime, agent: Agent):
    bundle = box.bundle().script("mkdir /x; true")
    ask = (*NO_MKDIR[:-1], (0x06, 0, 0, 0x7FC00000))
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    bundle.config["annotations"] = {
        "run.oci.seccomp_bpf_data": program(*ask),
        "run.oci.seccomp.receiver": str(agent.path),
    }
    done = pyc("run", "-b", bundle, box.id()).ok()
    assert "cross-device" in done.err.lower() and len(agent.calls) == 1


# -- init ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("create",), ("run", "-d")])
def test_a_pidfd_for_a_socket(box: Box, pyc: Runtime, command: tuple[str, ...]):
    receiver = Receiver(box.directory)
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    bundle.config["annotations"] = {"run.oci.pidfd_receiver": str(receiver.path)}
    pyc(*command, "-b", bundle, name).ok()
    fd, _ = receiver.take()
    info = Path(f"/proc/self/fdinfo/{fd}").read_text()
    assert f"Pid:\t{pyc.state(name)['pid']}\n" in info
    os.close(fd)
    receiver.close()


def test_a_pidfd_for_nobody(box: Box, pyc: Runtime):
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.config["annotations"] = {"run.oci.pidfd_receiver": "/nowhere/s"}
    pyc("run", "-d", "-b", bundle, box.id()).fails("pidfd receiver /nowhere/s: no such file")
    assert pyc.status(box.id()) == "gone"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("run.oci.handler", "krun", "it has no handler of that name"),
        ("run.oci.handler", "wasm", "handler of that name"),
        ("run.oci.seccomp.plugins", "/lib/plugin.so", "loads no plugins"),
        ("run.oci.systemd.force_cgroup_v1", "sys", "must be an absolute path"),
        ("run.oci.delegate-cgroup", "../up", "must be a path below the container's cgroup"),
    ],
)
def test_what_is_refused(box: Box, pyc: Runtime, name: str, value: str, words: str):
    bundle = box.bundle()
    bundle.config["annotations"] = {name: value}
    for command in ("run", "-b", bundle, box.id()), ("plan", bundle):
        pyc(*command).fails(words, name)


def test_others_are_nobodys_business(box: Box, pyc: Runtime):
    bundle = box.bundle("/bin/echo", "up")
    bundle.config["annotations"] = {"run.oci.unheard-of": "x", "run.oci.systemd.subgroup": "y"}
    assert pyc("run", "-b", bundle, box.id()).ok().out == "up\n"


def test_features_has_their_prefix(pyc: Runtime):
    features = json.loads(pyc("features").ok().out)
    assert {"run.oci.", "org.criu.config"} <= set(features["potentiallyUnsafeConfigAnnotations"])
    assert features["annotations"]["org.opencontainers.runc.checkpoint.enabled"] == "true"


# -- cgroups ---------------------------------------------------------------------------------


def on_v2(pyc: Runtime, script: str, *words: Any) -> Done:
    """A shell script where cgroup v2 is all there is; $pyc is the command."""
    command = " ".join(shlex.quote(word) for word in pyc.argv())
    text = f'{ONLY_V2} pyc() {{ {command} "$@"; }} && {script}'
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", text, "sh"]
    argv += [str(word) for word in words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE)
    return Done(argv, done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("user_namespace", [False, True])
def test_a_cgroup_for_the_program(box: Box, pyc: Runtime, user_namespace: bool):
    box.needs_root("mounts a cgroup v2")
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    bundle.new_namespace("cgroup")
    bundle.config["annotations"] = {"run.oci.delegate-cgroup": "own/init"}
    bundle.config["mounts"].append(
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]}
    )
    if user_namespace:
        os.chown(bundle.rootfs, 5000, 5000)
        for path in bundle.rootfs.rglob("*"):
            os.lchown(path, 5000, 5000)
        bundle.new_namespace("user")
        for kind in ("uidMappings", "gidMappings"):
            bundle.linux[kind] = [{"containerID": 0, "hostID": 5000, "size": 1000}]
    script = f"""
        pyc run -d -b {bundle} {name} </dev/null >/dev/null
        pyc exec {name} grep -h 0:: /proc/1/cgroup /proc/self/cgroup
        pyc exec {name} sh -c 'mkdir /sys/fs/cgroup/own/init/x && echo made'
        pyc exec {name} stat -c %u /sys/fs/cgroup/own/init
        pid=$(pyc state {name} | sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p')
        grep 0:: /proc/$pid/cgroup
        pyc ps -f json {name}
        pyc delete -f {name}
        find /sys/fs/cgroup -name '*{name}*'
    """
    lines = on_v2(pyc, script).ok().out.splitlines()
    assert lines[:2] == ["0::/own/init"] * 2
    assert "made" in lines and "0" in lines
    assert any(line.endswith(f"{name}/own/init") for line in lines)
    assert not lines[-1].startswith("/sys")


def test_delegation_takes_v2(box: Box, pyc: Runtime):
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        bundle = box.bundle()
        bundle.config["annotations"] = {"run.oci.delegate-cgroup": "own"}
        done = pyc("run", "-b", bundle, box.id())
        done.fails("delegate a cgroup: it takes cgroup v2", "run.oci.delegate-cgroup")


def test_a_cgroup_v1_for_an_old_systemd(box: Box, pyc: Runtime):
    box.needs_root("mounts a cgroup v2")
    if "name=systemd" not in Path("/proc/self/cgroup").read_text():
        pytest.skip("needs a hierarchy of cgroup v1 called systemd")
    bundle = box.bundle().script("grep cgroup /proc/mounts; ls -d /sys/fs/cgroup/systemd/tasks")
    bundle.config["annotations"] = {"run.oci.systemd.force_cgroup_v1": "/sys/fs/cgroup"}
    out = on_v2(pyc, f"pyc run -b {bundle} {box.id()} </dev/null").ok().out
    assert "/sys/fs/cgroup tmpfs" in out and "/sys/fs/cgroup/systemd cgroup" in out
    assert "name=systemd" in out and out.endswith("/sys/fs/cgroup/systemd/tasks\n")
