"""`run --seccomp-report`: the program sees what its profile says, and the report has it all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.runtimes import Done

# What busybox needs, and nothing that the scripts below are refused.
ALLOWED = (
    "capset prctl clone clone3 vfork fork sendmsg recvmsg exit exit_group setsid ioctl getpid write"
    " close prlimit64 execve brk mmap munmap mprotect arch_prctl poll set_tid_address rseq"
    " set_robust_list getrandom openat open read stat lstat fstat newfstatat statx getuid geteuid"
    " getgid getegid setgid setuid getppid fcntl dup2 access readlink rt_sigaction rt_sigprocmask"
    " rt_sigreturn wait4 uname lseek writev readv kill getcwd chdir"
).split()
A_LIST = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "syscalls": [{"names": ALLOWED, "action": "SCMP_ACT_ALLOW"}],
}
FORBIDDEN = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {"names": ["sync"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {
            "names": ["chmod", "fchmodat"],
            "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 1, "value": 0o4755, "op": "SCMP_CMP_EQ"}],
        },
    ],
}


def report(box: Box, profile: dict[str, Any], script: str) -> tuple[Done, dict[str, Any]]:
    """How a script ends, and what is reported of it."""
    file = box.directory / "report.json"
    bundle = box.bundle().script(script)
    bundle.linux["seccomp"] = profile
    done = box.run(bundle, "--seccomp-report", file)
    return done, json.loads(file.read_text())


def calls(document: dict[str, Any]) -> list[tuple[str, int, str, str, list[str]]]:
    members = ("syscall", "times", "answer", "field", "programs")
    return [tuple(row[name] for name in members) for row in document["refused"]]  # type: ignore


def test_rules_of_calls_that_are_forbidden(box: Box) -> None:
    script = "mkdir /tmp/a; mkdir /tmp/b; chmod 755 /tmp; chmod 4755 /tmp; exit 7"
    done, document = report(box, FORBIDDEN, script)
    assert done.status == 7
    assert done.err.count("No space left on device") == 2
    assert "Operation not permitted" in done.err
    assert calls(document) == [
        ("mkdir", 2, "ENOSPC", "linux.seccomp.syscalls[1]", ["mkdir"]),
        ("chmod", 1, "EPERM", "linux.seccomp.syscalls[2]", ["chmod"]),
    ]
    assert document["refused"][1]["arguments"][1] == hex(0o4755)
    assert "toAllow" not in document  # another rule would change nothing


def test_a_list_of_what_is_allowed(box: Box) -> None:
    """With what the report wants added, nothing is refused any more."""
    script = "for i in 1 2 3; do mkdir /tmp/$i; done; sync; ls /tmp"
    done, document = report(box, A_LIST, script)
    assert "Operation not permitted" in done.err
    times = {row["syscall"]: row["times"] for row in document["refused"]}
    assert times["mkdir"] == 3
    assert {row["field"] for row in document["refused"]} == {"linux.seccomp.defaultAction"}
    assert set(document["toAllow"]["names"]) == set(times)
    profile = {**A_LIST, "syscalls": [*A_LIST["syscalls"], document["toAllow"]]}
    again, nothing = report(box, profile, script)
    assert again.ok().out == "1\n2\n3\n"
    assert nothing == {"refused": []}


def test_many_at_once(box: Box) -> None:
    """Not one is lost, nobody waits for an answer that doesn't come."""
    script = "p() { for i in $(seq 50); do mkdir /x; done; }; p & p & p & p & wait; exit 3"
    done, document = report(box, FORBIDDEN, script)
    assert done.status == 3
    assert calls(document) == [("mkdir", 200, "ENOSPC", "linux.seccomp.syscalls[1]", ["mkdir"])]


@pytest.mark.parametrize("action", ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL", "SCMP_ACT_TRAP"])
def test_what_the_profile_kills(box: Box, action: str) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["sync"], "action": action}],
    }
    done, document = report(box, profile, "sync; echo $?; true")
    signal = "SIGSYS" if action == "SCMP_ACT_TRAP" else "killed"
    assert done.ok().out == {"SIGSYS": "159\n", "killed": "137\n"}[signal]
    assert calls(document) == [("sync", 1, signal, "linux.seccomp.syscalls[0]", ["sync"])]


def test_in_words(box: Box) -> None:
    bundle = box.bundle().script("mkdir /a; mkdir /b; sync")
    bundle.linux["seccomp"] = {**A_LIST, "syscalls": [{**A_LIST["syscalls"][0]}]}
    err = box.run(bundle, "--seccomp-report", "-").err
    assert "seccomp has refused:\n" in err
    assert " 2 times, to mkdir: EPERM, from linux.seccomp.defaultAction\n" in err
    assert '"mkdir"' in err.rpartition("add to linux.seccomp.syscalls: ")[2]
    bundle.linux["seccomp"] = FORBIDDEN
    bundle.script("exit 4")
    quiet = box.run(bundle, "--seccomp-report", "-")
    assert (quiet.status, quiet.err) == (4, "seccomp has refused nothing\n")


def test_orphans(box: Box) -> None:
    """What outlives init is ended with the container, and then the report is there."""
    done, document = report(box, FORBIDDEN, "(sleep 0.2; mkdir /a; sleep 1000) & sleep 1; exit 5")
    assert done.status == 5
    assert [row["times"] for row in document["refused"]] == [1]
    box.empty()


def test_what_is_refused(box: Box) -> None:
    pyc, name, bundle = box.pycontainer, box.id(), box.bundle("/bin/true")
    bundle.linux.pop("seccomp", None)
    words = ("--seccomp-report", box.directory / "r", "-b", bundle, name)
    pyc("run", *words).fails("no profile to report about", "linux.seccomp")
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": "/nowhere",
        "syscalls": [{"names": ["sync"], "action": "SCMP_ACT_NOTIFY"}],
    }
    pyc("run", *words).fails("has an agent already")
    bundle.linux["seccomp"] = FORBIDDEN
    pyc("run", "-d", *words).fails("in the foreground")
    pyc("run", "--seccomp-report", "/no/dir/r", "-b", bundle, name).fails("/no/dir/r", "no such")
    bundle.process["args"] = ["/no/such/program"]
    pyc("run", *words).fails("no such file")
    box.empty()


def test_what_a_hook_of_the_image_is_refused(box: Box) -> None:
    """It has the program's filter, with a listener of its own."""
    file = box.directory / "report.json"
    bundle = box.bundle().script("mkdir /tmp/b")
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "mkdir /tmp/a; true"], "env": ["PATH=/bin"]}
    bundle.config["hooks"] = {"startContainer": [hook, hook]}
    bundle.linux["seccomp"] = FORBIDDEN
    assert box.run(bundle, "--seccomp-report", file).status == 1
    answer = ("mkdir", 3, "ENOSPC", "linux.seccomp.syscalls[1]", ["mkdir"])
    assert calls(json.loads(file.read_text())) == [answer]


def test_strings_behind_pointers(box: Box) -> None:
    script = "mkdir /tmp/one; mkdir /tmp/two; mkdir /tmp/two; chmod 4755 /tmp"
    _, document = report(box, FORBIDDEN, script)
    strings = {row["syscall"]: row["strings"] for row in document["refused"]}
    assert strings == {"mkdir": {"0": ["/tmp/one", "/tmp/two"]}, "chmod": {"0": ["/tmp"]}}


def test_strings_are_bounded(box: Box) -> None:
    script = f"mkdir /{'x' * 3000}; for i in 1 2 3 4 5 6; do mkdir /tmp/$i; done"
    _, document = report(box, FORBIDDEN, script)
    (row,) = document["refused"]
    assert row["times"] == 7
    assert row["strings"]["0"] == ["/" + "x" * 255 + "...", "/tmp/1", "/tmp/2", "/tmp/3"]


def test_a_string_that_would_move_the_cursor(box: Box) -> None:
    bundle = box.bundle().script("mkdir $(printf '/\\033[2J')")
    bundle.linux["seccomp"] = FORBIDDEN
    err = box.run(bundle, "--seccomp-report", "-").err.partition("seccomp has refused")[2]
    assert "mkdir(" in err and "\x1b" not in err


def test_a_patch_of_the_config(box: Box) -> None:
    """With the patch carried out, nothing is refused any more."""
    file = box.directory / "patch.json"
    bundle = box.bundle().script("mkdir /tmp/a; sync; ls /tmp")
    bundle.linux["seccomp"] = {**A_LIST, "syscalls": [*A_LIST["syscalls"]]}
    box.run(bundle, "--seccomp-patch", file)
    (operation,) = json.loads(file.read_text())
    assert (operation["op"], operation["path"]) == ("add", "/linux/seccomp/syscalls/-")
    bundle.linux["seccomp"]["syscalls"].append(operation["value"])
    done = box.run(bundle, "--seccomp-report", "-", "--seccomp-patch", file)
    assert (done.status, done.out) == (0, "a\n")
    assert "seccomp has refused nothing" in done.err
    assert json.loads(file.read_text()) == []


def test_exec(box: Box) -> None:
    """The process of exec alone; the container goes on with its own filter."""
    bundle, name, file = box.bundle("/bin/sleep", "1000"), box.id(), box.directory / "report"
    bundle.linux["seccomp"] = FORBIDDEN
    box.pycontainer("run", "-d", "-b", bundle, name).ok()
    script = "mkdir /tmp/a; mkdir /tmp/b; exit 7"
    done = box.pycontainer("exec", "--seccomp-report", file, name, "sh", "-c", script)
    assert done.status == 7 and done.err.count("No space left on device") == 2
    document = json.loads(file.read_text())
    assert calls(document) == [("mkdir", 2, "ENOSPC", "linux.seccomp.syscalls[1]", ["mkdir"])]
    assert document["refused"][0]["strings"] == {"0": ["/tmp/a", "/tmp/b"]}
    quiet = box.pycontainer("exec", "--seccomp-report", "-", name, "true").ok()
    assert quiet.err == "seccomp has refused nothing\n"


@pytest.mark.parametrize("option", ["--seccomp-report", "--seccomp-patch"])
@pytest.mark.parametrize("command", ["run", "exec"])
def test_it_needs_the_foreground(box: Box, command: str, option: str) -> None:
    file = box.directory / "file"
    if command == "run":
        argv = ["run", "-d", option, file, "-b", box.bundle("true"), box.id()]
    else:
        argv = ["exec", "-d", option, file, box.running(), "true"]
    status = 255 if command == "exec" else 1
    box.pycontainer(*argv).fails(option, "foreground", status=status)
