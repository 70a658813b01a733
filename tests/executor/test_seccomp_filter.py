"""Compiled filters in the real kernel: load one in a child, make system calls, see what comes back.

The filter is loaded as the executor does it, with seccomp(2) and nothing else. Needs no root:
the child gives up new privileges instead.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import select
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pycontainer.seccomp import cache
from tests.unit.seccomp import bpf

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the numbers in these tests are x86-64's"
)

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS = 38
SYS_SECCOMP = 317
SET_MODE_FILTER = 1
X32 = 0x40000000

# What a forked interpreter needs to tell its result and go.
ALIVE = ["write", "exit_group", "exit", "futex", "brk", "mmap", "munmap", "mprotect", "madvise"]
ALIVE += ["rt_sigreturn", "rt_sigprocmask", "close"]

NR = {"mkdir": 83, "getpid": 39, "gettid": 186, "personality": 135, "socket": 41, "getppid": 110}


def call(number: int, *args: int) -> int:
    """A raw system call: its result, or the negative errno."""
    ctypes.set_errno(0)
    result = LIBC.syscall(ctypes.c_long(number), *[ctypes.c_long(arg) for arg in args])
    return -ctypes.get_errno() if result == -1 else result


def load(compiled: cache.Filter) -> int:
    """Load a filter into this process for good; returns the listener, or 0."""
    program = ctypes.create_string_buffer(compiled.bpf, len(compiled.bpf))
    prog = struct.pack("@HP", compiled.instructions, ctypes.addressof(program))
    pointer = ctypes.create_string_buffer(prog, len(prog))
    assert LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    return call(SYS_SECCOMP, SET_MODE_FILTER, compiled.flags, ctypes.addressof(pointer))


class Outcome:
    def __init__(self, status: int, results: list[int]) -> None:
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self.results = results


def under(profile: dict, probe: Callable[[], list[int]]) -> Outcome:
    """Fork, load the profile's filter, run the probe, return what it saw or what killed it."""
    compiled = cache.compile(profile)
    assert compiled is not None
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            loaded = load(compiled)
            results = [loaded, *probe()] if loaded >= 0 else [loaded]
            os.write(writer, struct.pack(f"{len(results)}q", *results))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    status = os.waitpid(pid, 0)[1]
    results = list(struct.unpack(f"{len(data) // 8}q", data))
    assert not results or results[0] >= 0, f"seccomp(2): {os.strerror(-results[0])}"
    return Outcome(status, results[1:])


def allow_but(action: str, *names: str, **more: object) -> dict:
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": list(names), "action": action, **more}],
    }


def deny_but(*names: str, **more: object) -> dict:
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{"names": [*ALIVE, *names], "action": "SCMP_ACT_ALLOW"}],
        **more,
    }


def test_errno_of_a_rule() -> None:
    outcome = under(
        allow_but("SCMP_ACT_ERRNO", "getppid", errnoRet=errno.EXDEV),
        lambda: [call(NR["getppid"]), call(NR["getpid"])],
    )
    assert outcome.results[0] == -errno.EXDEV
    assert outcome.results[1] > 0


def test_default_errno_is_eperm() -> None:
    outcome = under(deny_but("getpid"), lambda: [call(NR["getpid"]) > 0, call(NR["getppid"])])
    assert outcome.results == [1, -errno.EPERM]


def test_newer_than_the_profile_is_enosys() -> None:
    profile = deny_but("getpid", "openat2")
    outcome = under(profile, lambda: [call(436), call(438), call(459), call(5000)])
    assert outcome.results == [-errno.EPERM] + [-errno.ENOSYS] * 3


@pytest.mark.parametrize("action", ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])
def test_killed(action: str) -> None:
    outcome = under(allow_but(action, "getppid"), lambda: [call(NR["getppid"])])
    assert outcome.signal == signal.SIGSYS
    assert outcome.results == []


def test_trace_without_a_tracer_is_enosys() -> None:
    outcome = under(allow_but("SCMP_ACT_TRACE", "getppid"), lambda: [call(NR["getppid"])])
    assert outcome.results == [-errno.ENOSYS]


def test_log_lets_pass() -> None:
    profile = allow_but("SCMP_ACT_LOG", "getppid")
    outcome = under({**profile, "flags": []}, lambda: [call(NR["getppid"])])
    assert outcome.results == [os.getpid()]


def test_arguments() -> None:
    query = 0xFFFFFFFF
    profile = deny_but()
    condition = {"index": 0, "value": query, "op": "SCMP_CMP_EQ"}
    profile["syscalls"].append(
        {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [condition]}
    )
    outcome = under(profile, lambda: [call(NR["personality"], query), call(NR["personality"], 8)])
    assert outcome.results == [0, -errno.EPERM]


@pytest.mark.parametrize(
    "flags",
    [
        None,
        [],
        ["SECCOMP_FILTER_FLAG_TSYNC"],
        ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
    ],
)
def test_kernel_takes_every_combination_of_flags(flags: list | None) -> None:
    profile = {**allow_but("SCMP_ACT_ERRNO", "getppid"), "flags": flags}
    assert under(profile, lambda: [call(NR["getppid"])]).results == [-errno.EPERM]


def _spec_store_bypass() -> str:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Speculation_Store_Bypass:"):
            return line.split(":", 1)[1].strip()
    return ""


def test_default_flag_leaves_the_speculation_mitigation_alone() -> None:
    before = _spec_store_bypass()
    profile = allow_but("SCMP_ACT_ERRNO", "getppid")
    outcome = under(profile, lambda: [_spec_store_bypass() == before])
    assert outcome.results == [1]


def int80(number: int) -> int:
    """A system call by i386's table, which a 64-bit process makes with int 0x80."""
    code = b"\x53\x89\xf8\xcd\x80\x5b\xc3"  # push rbx; mov eax, edi; int 0x80; pop rbx; ret
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(address)(number)


def _has_i386() -> bool:
    pid = os.fork()
    if pid == 0:
        os._exit(int80(20) != os.getpid())
    return os.waitpid(pid, 0)[1] == 0


@pytest.fixture
def i386() -> None:
    if not _has_i386():
        pytest.skip("this kernel runs no i386 system calls")


def test_other_architecture_is_killed(i386: None) -> None:
    outcome = under(allow_but("SCMP_ACT_ERRNO", "getppid"), lambda: [int80(20)])
    assert outcome.signal == signal.SIGSYS


def test_other_architecture_in_the_profile(i386: None) -> None:
    profile = deny_but("getpid", "openat2", architectures=["SCMP_ARCH_X86", "SCMP_ARCH_X32"])
    outcome = under(profile, lambda: [int80(20) > 0, int80(64), int80(438), call(110 | X32)])
    assert outcome.results == [1, -errno.EPERM, -errno.ENOSYS, -errno.EPERM]


def test_listener() -> None:
    """The child asks, the parent answers through the descriptor that seccomp(2) returned."""
    compiled = cache.compile(allow_but("SCMP_ACT_NOTIFY", "mkdir"))
    assert compiled is not None and compiled.notify
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            listener = load(compiled)
            os.write(writer, struct.pack("q", listener))
            os.write(writer, struct.pack("q", call(NR["mkdir"], 0, 0)))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        (number,) = struct.unpack("q", pipe.read(8))
        assert number >= 0
        pidfd = os.pidfd_open(pid)
        listener = call(438, pidfd, number, 0)  # pidfd_getfd
        assert listener >= 0
        assert select.select([listener], [], [], 10)[0]
        notice = bytearray(80)
        fcntl.ioctl(listener, 0xC0502100, notice)  # SECCOMP_IOCTL_NOTIF_RECV
        cookie, asker, _, nr, arch = struct.unpack_from("=QIIiI", notice)
        assert (asker, nr, arch) == (pid, NR["mkdir"], bpf.X86_64)
        answer = struct.pack("=QqiI", cookie, 0, -errno.ENOMEDIUM, 0)
        fcntl.ioctl(listener, 0xC0182101, bytearray(answer))  # SECCOMP_IOCTL_NOTIF_SEND
        assert struct.unpack("q", pipe.read(8)) == (-errno.ENOMEDIUM,)
    os.waitpid(pid, 0)
    os.close(listener)
    os.close(pidfd)


def test_cached_filter_is_what_the_kernel_gets(tmp_path: Path) -> None:
    profile = deny_but("getpid")
    first = cache.compile(profile, str(tmp_path / "cache"))
    second = cache.compile(profile, str(tmp_path / "cache"))
    assert first is not None and second is not None
    assert first.bpf == second.bpf and first.flags == second.flags


# --- the same profile in runc, byte by byte where it can be had, else answer by answer ---

PTRACE_ATTACH = 16
PTRACE_DETACH = 17
PTRACE_SECCOMP_GET_FILTER = 0x420C


def filter_of(pid: int) -> bytes:
    """Read a process's own filter back from the kernel (CONFIG_CHECKPOINT_RESTORE, root)."""

    def ptrace(request: int, first: int, second: int) -> int:
        LIBC.ptrace.restype = ctypes.c_long
        pointer = ctypes.c_void_p(second) if second else None
        result = LIBC.ptrace(ctypes.c_long(request), pid, ctypes.c_void_p(first), pointer)
        return -ctypes.get_errno() if result == -1 else result

    if ptrace(PTRACE_ATTACH, 0, 0) < 0:
        return b""
    os.waitpid(pid, 0x40000000)  # __WALL
    try:
        count = ptrace(PTRACE_SECCOMP_GET_FILTER, 0, 0)
        if count <= 0:
            return b""
        room = ctypes.create_string_buffer(8 * count)
        ptrace(PTRACE_SECCOMP_GET_FILTER, 0, ctypes.addressof(room))
        return room.raw
    finally:
        ptrace(PTRACE_DETACH, 0, 0)


def answers(program: bytes) -> list[int]:
    """What a filter says to everything that our comparison profile could tell apart."""
    values = [0, 1, 2, 8, 9, 0x20000, 0x7E020000, 0x10000000, 0xFFFFFFFF, 2**63]
    tables = [(bpf.X86_64, 0), (bpf.X86_64, bpf.X32), (bpf.I386, 0), (0xC00000B7, 0)]
    found = []
    for arch, bit in tables:
        for number in [*range(480), 1000, 0x3FFFFFFF]:
            chosen = values if number in (56, 120, 135, 136, 41, 102) else values[:1]
            for value in chosen:
                found.append(bpf.run(program, number | bit, (value, value ^ 1, 7), arch))
    return found


COMPARED = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "syscalls": [
        {
            "names": [name for name, number in bpf.NUMBERS.items() if number not in (56, 135, 41)]
            + ["not_a_call", "socketcall", "_llseek", "mmap2"],
            "action": "SCMP_ACT_ALLOW",
        },
        {
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
        },
        {
            "names": ["personality"],
            "action": "SCMP_ACT_ALLOW",
            "args": [
                {"index": 0, "value": value, "op": "SCMP_CMP_EQ"} for value in (0, 8, 0xFFFFFFFF)
            ],
        },
        {
            "names": ["socket"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 22,
            "args": [
                {"index": 0, "value": 2, "op": "SCMP_CMP_GE"},
                {"index": 1, "value": 9, "op": "SCMP_CMP_LT"},
            ],
        },
    ],
}


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("runc") or not Path("/bin/busybox").exists(),
    reason="compares with runc: root, runc, busybox-static",
)
def test_answers_are_those_of_runc(tmp_path: Path) -> None:
    root = tmp_path / "bundle" / "rootfs"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin" / "sleep")
    subprocess.run(["runc", "spec"], cwd=root.parent, check=True)
    config = json.loads((root.parent / "config.json").read_text())
    config["process"].update(terminal=False, args=["/bin/sleep", "60"])
    config["linux"]["seccomp"] = COMPARED
    config["linux"].pop("resources", None)
    (root.parent / "config.json").write_text(json.dumps(config))
    name = f"seccomp-{os.getpid()}-{time.monotonic_ns()}"
    runc = ["runc", "--root", str(tmp_path / "state")]
    log = tmp_path / "log"
    try:
        with log.open("w") as output:
            subprocess.run(
                [*runc, "run", "-d", "-b", str(root.parent), name],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=True,
            )
        state = json.loads(subprocess.run([*runc, "state", name], capture_output=True).stdout)
        theirs = filter_of(state["pid"])
    finally:
        subprocess.run([*runc, "delete", "-f", name], capture_output=True)
    if not theirs:
        pytest.skip("this kernel does not give filters back")
    ours = cache.compile(COMPARED)
    assert ours is not None
    assert answers(ours.bpf) == answers(theirs)
