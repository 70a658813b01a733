"""Seccomp profiles that allow next to nothing: what the program needs is enough, and what keeps it
from being executed is said.

After a filter is loaded the executor makes one call, execve. The programs here have no libc, which
would need more than they do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.agents import Agent
from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import eventually

SOURCE = """
#include <asm/unistd.h>
static long call(long n, long a, long b, long c)
{
#if defined(__x86_64__)
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return r;
#else
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
#endif
}
__attribute__((used)) static void run(long *stack)
{
    char **env = (char **)(stack + stack[0] + 2);
    for (; *env; env++) {
        long n = 0;
        while ((*env)[n])
            n++;
        call(__NR_write, 1, (long)*env, n);
        call(__NR_write, 1, (long)"\\n", 1);
    }
    long forever[2] = { 1000, 0 };
    if (stack[0] > 1)
        call(__NR_nanosleep, (long)forever, 0, 0);
    call(__NR_exit_group, 7, 0, 0);
    __builtin_trap();
}
#if defined(__x86_64__)
__asm__(".globl _start\\n_start: mov %rsp,%rdi\\n and $-16,%rsp\\n call run\\n");
#else
__asm__(".globl _start\\n_start: mov x0,sp\\n bl run\\n");
#endif
"""
NEEDED = ("execve", "write", "exit_group", "nanosleep")
REFUSALS = ("SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS",
            "SCMP_ACT_TRAP", "SCMP_ACT_TRACE")  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes its environment and exits with 7; with an argument it sleeps in between."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    directory = tmp_path_factory.mktemp("program")
    (directory / "p.c").write_text(SOURCE)
    options = ["-O1", "-w", "-nostdlib", "-static", "-fno-stack-protector", "-fno-pie", "-no-pie"]
    subprocess.run([compiler, *options, "-o", directory / "p", directory / "p.c"], check=True)
    return directory / "p"


def confined(box: Box, program: Path, refusal: str, allowed: tuple[str, ...], *args: str) -> Bundle:
    bundle = box.bundle("/bin/prog", *args)
    shutil.copy(program, bundle.rootfs / "bin/prog")
    bundle.process["env"] = ["A=1", "HOME=/"]
    rules = [{"names": [*allowed], "action": "SCMP_ACT_ALLOW"}] if allowed else []
    bundle.linux["seccomp"] = {"defaultAction": refusal, "syscalls": rules}
    return bundle


@pytest.mark.parametrize("no_new_privs", [True, False])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_the_program_needs_is_enough(
    box: Box, program: Path, refusal: str, no_new_privs: bool
):
    bundle = confined(box, program, refusal, NEEDED)
    bundle.process["noNewPrivileges"] = no_new_privs
    done = box.run(bundle)
    assert (done.status, done.out, done.err) == (7, "A=1\nHOME=/\n", "")


def user_and_limits(bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.process["rlimits"] = [
        {"type": f"RLIMIT_{name}", "soft": value, "hard": value}
        for name, value in (("NPROC", 1), ("NOFILE", 5), ("AS", 1 << 20), ("STACK", 1 << 17))
    ]


def namespaces(bundle: Bundle) -> None:
    bundle.new_namespace("user")
    for name in ("uidMappings", "gidMappings"):
        bundle.linux[name] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.rootfs.chmod(0o755)


def hooks(bundle: Bundle) -> None:
    hook = {"path": "/bin/prog", "args": ["prog"], "env": ["B=2"]}
    failing = {"path": "/bin/true"}
    bundle.config["hooks"] = {"createContainer": [failing], "startContainer": [hook]}


@pytest.mark.parametrize("change", [user_and_limits, namespaces])
def test_whatever_else_it_is(box: Box, program: Path, change: Any):
    bundle = confined(box, program, "SCMP_ACT_KILL_PROCESS", NEEDED)
    change(bundle)
    done = box.run(bundle)
    assert (done.status, done.out) == (7, "A=1\nHOME=/\n"), repr(done)


def test_home_and_listen_pid_are_known_before(box: Box, program: Path):
    bundle = confined(box, program, "SCMP_ACT_KILL_PROCESS", NEEDED)
    bundle.process["env"] = ["A=1"]
    reading, writing = os.pipe()
    argv = " ".join(box.pycontainer.argv("run", "-b", bundle.write(), box.id()))
    shell = f"LISTEN_FDS=1 LISTEN_PID=$$ exec {argv} 3</etc/passwd"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    os.close(reading)
    os.close(writing)
    assert done.returncode == 7
    assert set(done.stdout.split()) == {"A=1", "HOME=/root", "LISTEN_FDS=1", "LISTEN_PID=1"}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("pid", ["own", "host"])
def test_exec_beside_it(box: Box, program: Path, refusal: str, pid: str):
    bundle = confined(box, program, refusal, NEEDED, "stay")
    if pid == "host":
        bundle.drop_namespace("pid")
    pyc, name = box.pycontainer, box.id()
    pyc("run", "-d", "-b", bundle, name).ok()
    for options in ([], ["--preserve-fds", "0"], ["--user", "1000"], ["--no-new-privs"]):
        done = pyc("exec", *options, name, "/bin/prog")
        assert (done.status, done.out) == (7, "A=1\nHOME=/\n"), (options, repr(done))
    (bundle.rootfs / "bin/script").write_text("#!/bin/nothing\n")
    (bundle.rootfs / "bin/script").chmod(0o755)
    pyc("exec", name, "/bin/script").fails("exec /bin/script: no such file", status=255)


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("no_new_privs", [True, False])
def test_everything_is_refused(box: Box, program: Path, refusal: str, no_new_privs: bool):
    """run and start fail, and say so, whatever the filter does to whom it refuses."""
    bundle = confined(box, program, refusal, ())
    bundle.process["noNewPrivileges"] = no_new_privs
    words = "exec /bin/prog: "
    done = box.run(bundle).fails(words)
    if refusal != "SCMP_ACT_TRACE":
        done.fails("the seccomp profile refuses execve (by linux.seccomp.defaultAction)")
    box.pycontainer("create", "-b", bundle, box.id()).ok()
    box.pycontainer("start", box.id()).fails(words)
    box.pycontainer("delete", "--force", box.id())
    box.empty()


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_program_that_cannot_be_executed(box: Box, program: Path, refusal: str):
    """The kernel's reason arrives although the filter lets nobody speak."""
    for pid in ("own", "host"):
        bundle = confined(box, program, refusal, NEEDED)
        if pid == "host":
            bundle.drop_namespace("pid")
        (bundle.rootfs / "bin/prog").write_text("#!/bin/nothing\n")
        box.run(bundle).fails("exec /bin/prog: no such file or directory")
        name = box.id(pid)
        box.pycontainer("create", "-b", bundle, name).ok()
        box.pycontainer("start", name).fails("exec /bin/prog: no such file or directory")


@pytest.mark.parametrize("refusal", REFUSALS)
def test_hooks(box: Box, program: Path, refusal: str):
    bundle = confined(box, program, refusal, NEEDED)
    hooks(bundle)
    bundle.config["hooks"]["startContainer"][0]["path"] = "/bin/prog"
    box.run(bundle).fails("startContainer hook #0: exit status 7, stdout: b=2")
    (bundle.rootfs / "bin/hook").write_text("#!/bin/nothing\n")
    (bundle.rootfs / "bin/hook").chmod(0o755)
    bundle.config["hooks"]["startContainer"][0]["path"] = "/bin/hook"
    box.run(bundle).fails("startContainer hook #0: fork/exec /bin/hook: no such file")
    bundle.linux["seccomp"]["syscalls"] = []
    box.run(bundle).fails("startContainer hook #0: fork/exec /bin/hook: ")


def test_a_rule_that_looks_at_arguments(box: Box, program: Path):
    """The executor asks the filter about the very call that it is going to make."""
    bundle = confined(box, program, "SCMP_ACT_ERRNO", ("write", "exit_group"))
    met = {"index": 0, "value": 0, "op": "SCMP_CMP_NE"}
    for action in ("SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP"):
        rule = {"names": ["execve"], "action": action, "args": [met]}
        bundle.linux["seccomp"]["syscalls"][1:] = [rule]
        box.run(bundle).fails("exec /bin/prog: operation not permitted")
    bundle.linux["seccomp"]["syscalls"][1:] = [{**rule, "action": "SCMP_ACT_ALLOW"}]
    assert box.run(bundle).status == 7


def test_an_agent_that_refuses_the_execve(box: Box, program: Path):
    agent = Agent(box.directory / "agent.sock")
    bundle = confined(box, program, "SCMP_ACT_KILL_PROCESS", ("write", "exit_group"))
    rule = {"names": ["execve"], "action": "SCMP_ACT_NOTIFY"}
    bundle.linux["seccomp"]["syscalls"].append(rule)
    bundle.linux["seccomp"]["listenerPath"] = str(agent.path)
    try:
        box.run(bundle).fails("exec /bin/prog: invalid cross-device link")
        box.pycontainer("create", "-b", bundle, box.id()).ok()
        box.pycontainer("start", box.id()).fails("exec /bin/prog: invalid cross-device link")
    finally:
        agent.close()
    eventually(lambda: len(agent.calls) == 2, "the agent was asked twice")
