"""SCMP_ACT_NOTIFY: the agent gets the listener, and its answers are the program's results.

config-linux.md#seccomp, #containerprocessstate.
"""

from __future__ import annotations

import os

import pytest

from tests.support.agents import Agent
from tests.support.runtimes import eventually


@pytest.fixture
def agent(box):
    made = Agent(box.directory / "agent.sock")
    yield made
    made.close()


def profile(bundle, agent, *names: str, **extra) -> None:
    """Ask the agent for these calls."""
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": str(agent.path),
        "syscalls": [{"names": list(names), "action": "SCMP_ACT_NOTIFY"}],
        **extra,
    }


MKDIR = ("mkdir", "mkdirat")


def test_a_program_with_a_deadline(box, agent):
    """It can make no thread that would hand the listener over, so it gets its policy after."""
    box.needs_root("asks for a deadline")
    bundle = box.bundle("/bin/cat", "/proc/self/stat")
    bundle.process["scheduler"] = {
        "policy": "SCHED_DEADLINE", "runtime": 10**6, "deadline": 10**8, "period": 10**9
    }  # fmt: skip
    bundle.process["noNewPrivileges"] = False
    profile(bundle, agent, *MKDIR)
    assert box.run(bundle).ok().out.split()[40] == "6"
    assert agent.connections == [1]
    bundle.process["scheduler"]["runtime"] = 1  # nobody gets less than a microsecond
    box.run(bundle).fails("setting scheduler", "invalid argument")


@pytest.mark.parametrize("no_new_privs", [True, False])
def test_run_hands_the_listener_over(box, agent, no_new_privs):
    bundle = box.bundle().script("mkdir /tmp/x && echo made; echo end")
    bundle.process["noNewPrivileges"] = no_new_privs
    bundle.config["annotations"] = {"org.example.word": "value"}
    profile(bundle, agent, *MKDIR, listenerMetadata="MKDIR=no")
    done = box.run(bundle).ok()
    assert done.out == "end\n"
    assert "cross-device" in done.err.lower()
    (document,) = agent.documents
    assert agent.connections == [1]
    assert document["fds"] == ["seccompFd"]
    assert document["metadata"] == "MKDIR=no"
    assert document["ociVersion"] == document["state"]["ociVersion"]
    assert document["pid"] == document["state"]["pid"] > 1
    assert document["state"]["id"].startswith(box.token)
    assert document["state"]["bundle"] == str(bundle.path)
    assert document["state"]["annotations"] == {"org.example.word": "value"}
    assert document["state"]["status"] == "created"
    assert len(agent.calls) == 1


def test_create_and_start(box, agent):
    """The agent hears of it when the filter is on: at `start`, before the program runs."""
    bundle = box.bundle().script("mkdir /tmp/x || sleep 1000")
    profile(bundle, agent, *MKDIR)
    pyc, name = box.pycontainer, box.id()
    pyc("create", "-b", bundle, name).ok()
    assert agent.documents == []
    pyc("start", name).ok()
    pid = pyc.state(name)["pid"]
    assert agent.documents[0]["pid"] == pid
    assert "metadata" not in agent.documents[0]
    eventually(lambda: agent.calls, "a call for the agent")
    assert pyc.status(name) == "running"


def test_the_agent_may_allow(box, agent):
    agent.error = 0
    bundle = box.bundle().script("mkdir /tmp/x && echo made")
    profile(bundle, agent, *MKDIR)
    assert box.run(bundle).ok().out == "made\n"


def test_calls_of_our_own_may_be_notified(box, agent):
    """Nothing but execve stands between the filter and the program: not even what sends the
    descriptor is the process's own call."""
    agent.error = 0
    bundle = box.bundle("/bin/echo", "through")
    names = ("execve", "sendmsg", "recvmsg", "close", "futex", "nanosleep", "exit")
    profile(bundle, agent, *names)
    assert box.run(bundle).ok().out == "through\n"
    assert len(agent.calls) >= 1


def test_calls_of_our_own_may_be_fatal(box, agent):
    bundle = box.bundle("/bin/echo", "through")
    profile(bundle, agent, *MKDIR)
    forbidden = ["sendmsg", "recvmsg", "nanosleep", "exit"]
    rule = {"names": forbidden, "action": "SCMP_ACT_KILL_PROCESS"}
    bundle.linux["seccomp"]["syscalls"].append(rule)
    assert box.run(bundle).ok().out == "through\n"


def test_exec(box, agent):
    """The process that joins gets a filter and a listener of its own."""
    bundle = box.bundle("/bin/sleep", "1000")
    profile(bundle, agent, *MKDIR)
    pyc, name = box.pycontainer, box.id()
    pyc("run", "-d", "-b", bundle, name).ok()
    init = pyc.state(name)["pid"]
    done = pyc("exec", name, "/bin/sh", "-c", "mkdir /tmp/y || echo refused").ok()
    assert done.out == "refused\n"
    first, second = agent.documents
    assert first["pid"] == init
    assert second["pid"] != init and second["state"]["pid"] == init
    assert second["state"]["status"] == "running"
    assert agent.calls[-1][0] != init


def test_the_program_has_one_thread(box, agent):
    """What sent the descriptor is gone when the program runs."""
    bundle = box.bundle("/bin/grep", "Threads", "/proc/self/status")
    profile(bundle, agent, *MKDIR)
    assert box.run(bundle).ok().out.split() == ["Threads:", "1"]


def test_large_metadata(box, agent):
    """More than a socket takes at once: the descriptor comes with the first part only."""
    bundle = box.bundle("/bin/true")
    profile(bundle, agent, *MKDIR, listenerMetadata="m" * 600_000)
    box.run(bundle).ok()
    assert len(agent.documents[0]["metadata"]) == 600_000
    assert agent.connections == [1]


@pytest.mark.parametrize("command", ["run", "start", "exec"])
def test_no_agent_is_an_error(box, command):
    """Nothing runs unsupervised, and nothing stays."""
    bundle = box.bundle("/bin/touch", "/tmp/ran")
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": str(box.directory / "nobody"),
        "syscalls": [{"names": list(MKDIR), "action": "SCMP_ACT_NOTIFY"}],
    }
    pyc, name = box.pycontainer, box.id()
    words = ("connect to seccomp agent", "no such file", "linux.seccomp.listenerPath")
    if command == "run":
        pyc("run", "-b", bundle, name).fails(*words)
    elif command == "start":
        pyc("create", "-b", bundle, name).ok()
        pyc("start", name).fails(*words)
    else:
        agent = Agent(box.directory / "nobody")
        bundle.process["args"] = ["/bin/sleep", "1000"]
        pyc("run", "-d", "-b", bundle, name).ok()
        agent.close()
        os.unlink(agent.path)
        pyc("exec", name, "/bin/touch", "/tmp/ran").fails(*words, status=255)
        pyc("delete", "-f", name).ok()
    assert not (bundle.rootfs / "tmp" / "ran").exists()
    assert pyc.status(name) == "gone"
    box.empty()


def test_listener_without_notify_is_ignored(box):
    """config-linux.md#seccomp: without the action, the path is of no account."""
    bundle = box.bundle("/bin/true")
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": str(box.directory / "nobody"),
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}],
    }
    box.run(bundle).ok()
