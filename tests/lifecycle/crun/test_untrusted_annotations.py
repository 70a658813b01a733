"""Annotations that reach beyond the container do nothing, as with runc, unless they are trusted."""

from __future__ import annotations

import base64
import json
import logging
import os
import struct

import pytest

import pycontainer
from tests.support.box import Box
from tests.support.runtimes import Runtime

STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
ALLOW_ALL = base64.b64encode(struct.pack("<HBBI", 6, 0, 0, 0x7FFF0000)).decode()


@pytest.fixture(autouse=True)
def untrusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYCONTAINER_TRUST_ANNOTATIONS", raising=False)


def test_each_is_ignored_with_a_warning(box: Box, pyc: Runtime):
    victim = box.directory / "victim"
    victim.write_text("untouched\n")
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    script = "echo attack; echo attack >&2"
    bundle.config["hooks"] = {
        stage: [{"path": "/bin/sh", "args": ["sh", "-c", script]}] for stage in STAGES
    }
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18}],
    }
    bundle.config["annotations"] = given = {
        "run.oci.hooks.stdout": str(victim),
        "run.oci.hooks.stderr": "relative/path",
        "run.oci.seccomp_bpf_data": ALLOW_ALL,
        "run.oci.seccomp.receiver": str(victim),
        "run.oci.pidfd_receiver": str(victim),
        "run.oci.systemd.force_cgroup_v1": "/mnt",
        "org.criu.config": str(victim),
        "other": "stays",
    }
    created = pyc("create", "-b", bundle, name).ok()
    assert created.err.count("--trust-annotations allows it") == 7
    assert pyc.state(name)["annotations"] == given
    kept = json.loads((pyc.root / name / "config.json").read_text())["annotations"]
    assert kept == {"other": "stays"}
    pyc("start", name).ok()
    # The config's filter holds, for exec as well, and nothing is mounted.
    script = "mkdir /x; grep -c ' /mnt ' /proc/self/mountinfo"
    done = pyc("exec", name, "/bin/sh", "-c", script)
    assert "cross-device" in done.err.lower() and done.out == "0\n"
    pyc("delete", "--force", name).ok()
    assert victim.read_text() == "untouched\n"


def test_a_receiver_does_not_stand_for_a_listener(box: Box, pyc: Runtime):
    bundle = box.bundle()
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
    }
    bundle.config["annotations"] = {"run.oci.seccomp.receiver": "/run/agent.sock"}
    pyc("run", "-b", bundle, box.id()).fails("linux.seccomp.listenerPath")


@pytest.mark.parametrize("name", ["run.oci.seccomp_fail_unknown_syscall", "run.oci.handler"])
def test_what_concerns_the_container_alone_still_acts(box: Box, pyc: Runtime, name: str):
    bundle = box.bundle()
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}],
    }
    bundle.config["annotations"] = {name: "1"}
    pyc("run", "-b", bundle, box.id()).fails(name)


def test_a_program_is_warned(box: Box, caplog: pytest.LogCaptureFixture):
    bundle = box.bundle("/bin/true")
    bundle.config["annotations"] = {"run.oci.hooks.stdout": "/x"}
    with caplog.at_level(logging.WARNING, logger="pycontainer"):
        runtime = pycontainer.Runtime(box.pycontainer.root)
        with runtime.create(box.id(), bundle.write().path) as container:
            container.delete(force=True)
    assert "--trust-annotations" in caplog.text
    assert not os.path.exists("/x")
