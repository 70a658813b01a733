"""A startContainer hook is a program of the image: it gets no more than the container's program.

An image that brings its own hook (engines take hooks from the image's annotations, or from a file
that names a program in it) would otherwise run outside of the seccomp filter. runc holds, too.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.agents import Agent
from tests.support.box import Box
from tests.support.bundles import Bundle

RUNTIMES = ["pycontainer", "runc"]
REFUSED = ("mkdir", "mkdirat")
# What the kernel keeps of a process that an execve does not reset, but for what it counts.
FACTS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs",
         "Seccomp", "Seccomp_filters")  # fmt: skip
LOOK = "cat /proc/self/status /proc/self/limits > /tmp/{0}; mkdir /tmp/{0}-made; true"


def seen(bundle: Bundle, name: str) -> dict[str, list[str]]:
    """What one process has noted of itself."""
    facts: dict[str, list[str]] = {}
    for line in (bundle.rootfs / "tmp" / name).read_text().splitlines():
        key, *values = re.split(r":?\s{2,}|:\t", line.strip())
        if key in FACTS or key.startswith("Max "):
            facts[key] = values
    return facts


def restricted(box: Box, no_new_privs: bool, action: str = "SCMP_ACT_ERRNO") -> Bundle:
    """A bundle whose hook and program note what they are, and try what the filter refuses."""
    bundle = box.bundle().script(LOOK.format("program"))
    bundle.process["noNewPrivileges"] = no_new_privs
    bundle.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5]}
    bundle.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_FSIZE", "soft": 1 << 20, "hard": 1 << 20},
        {"type": "RLIMIT_AS", "soft": 1 << 30, "hard": 1 << 30},
        {"type": "RLIMIT_NPROC", "soft": 1000, "hard": 1000},
    ]
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": [*REFUSED], "action": action}],
    }
    hook = {"path": "/bin/sh", "args": ["sh", "-c", LOOK.format("hook")], "env": ["PATH=/bin"]}
    bundle.config["hooks"] = {"startContainer": [hook]}
    (bundle.rootfs / "tmp").chmod(0o1777)
    return bundle


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("no_new_privs", [True, False], ids=["no new privileges", "new ones"])
@pytest.mark.parametrize("way", ["run", "start"])
def test_a_start_container_hook_is_restricted(box: Box, runtime: str, no_new_privs: bool, way: str):
    bundle, runs = restricted(box, no_new_privs), box.runtime(runtime)
    if way == "run":
        box.run(bundle, runtime=runtime).ok()
    else:
        runs("create", "-b", bundle, box.id()).ok()
        runs("start", box.id()).ok()
        runs.wait_for(box.id(), "stopped")
    assert not (bundle.rootfs / "tmp/hook-made").exists(), "the hook did what is forbidden"
    hook, program = seen(bundle, "hook"), seen(bundle, "program")
    assert hook == program
    assert hook["Seccomp"] == ["2"] and hook["NoNewPrivs"] == [str(int(no_new_privs))]
    assert hook["Max open files"][:2] == ["100", "200"]


def test_a_hook_that_the_filter_kills(box: Box):
    """It fails, and so does the start."""
    bundle = restricted(box, True, "SCMP_ACT_KILL_PROCESS")
    bundle.config["hooks"]["startContainer"][0]["args"] = ["mkdir", "/tmp/hook-made"]
    bundle.config["hooks"]["startContainer"][0]["path"] = "/bin/mkdir"
    box.run(bundle).fails("startContainer hook #0: signal: bad system call")
    assert not (bundle.rootfs / "tmp/hook-made").exists()


def test_a_hook_of_the_host_is_not_restricted(box: Box):
    """createContainer hooks are the host's programs, in the container's namespaces: as with runc
    they have all rights, and no filter."""
    bundle = restricted(box, True)
    look = {"path": "/bin/sh", "args": ["sh", "-c", "grep Seccomp: /proc/self/status; exit 1"]}
    bundle.config["hooks"] = {"createContainer": [look]}
    box.run(bundle).fails("createContainer hook #0", "stdout: Seccomp:\\t0")


@pytest.mark.parametrize("way", ["run", "start"])
def test_an_agent_is_asked_for_a_hook_too(box: Box, way: str):
    """A filter that notifies: the agent gets a listener for each hook, then for the program."""
    agent = Agent(box.directory / "agent.sock")
    bundle = restricted(box, True, "SCMP_ACT_NOTIFY")
    bundle.config["hooks"]["startContainer"] *= 2
    bundle.linux["seccomp"]["listenerPath"] = str(agent.path)
    try:
        if way == "run":
            box.run(bundle).ok()
        else:
            box.pycontainer("create", "-b", bundle, box.id()).ok()
            assert agent.documents == []
            box.pycontainer("start", box.id()).ok()
            box.pycontainer.wait_for(box.id(), "stopped")
    finally:
        agent.close()
    assert agent.connections == [1, 1, 1] and len(agent.calls) == 3
    documents: list[dict[str, Any]] = agent.documents
    assert documents[0] == documents[1] and documents[0]["state"]["id"].startswith(box.token)
    assert not (bundle.rootfs / "tmp/hook-made").exists()
