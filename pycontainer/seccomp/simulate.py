"""Would a seccomp filter let a process through that is on its way into a container?

Input: a compiled filter, struct sock_filter[] of this machine. Output: yes, or no, which also
stands for "that depends". `exec` may load a filter before its child appears in the container only
if what is left to be done passes it (plan/exec.py): so a filter is tried, as the kernel would run
it, on each of those calls. Part of the compiler: the answer is kept with the filter.
"""

from __future__ import annotations

from _struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_INSTRUCTION = Struct("=HBBI")
_WORD = (1 << 32) - 1
_ACTION = 0xFFFF0000  # SECCOMP_RET_ACTION_FULL
_PASSES = (0x7FFF0000, 0x7FFC0000)  # SECCOMP_RET_ALLOW, SECCOMP_RET_LOG
_CLONE_PARENT, _CLONE_PIDFD, _CLONE_VM, _CLONE_VFORK = 0x8000, 0x1000, 0x100, 0x4000
_SIGCHLD = 17

# linux/bpf_common.h: what libseccomp makes use of.
_LOAD, _AND, _RETURN, _JUMP = 0x20, 0x54, 0x06, 0x05
_TESTS: dict[int, Callable[[int, int], bool]] = {
    0x15: lambda value, k: value == k,
    0x25: lambda value, k: value > k,
    0x35: lambda value, k: value >= k,
    0x45: lambda value, k: bool(value & k),
}

# The system calls of the operations behind `seccomp` in the plan of exec, and of a failure's
# report, with the arguments that are known: number -> value.
Calls = dict[str, dict[int, int]]
CALLS: Calls = {
    "capset": {},
    "prctl": {},
    "clone": {0: _CLONE_PARENT | _CLONE_PIDFD, 1: 0},
    "sendmsg": {},
    "exit_group": {0: 0},
    "recvmsg": {},
    "openat": {},
    "read": {},
    "setsid": {},
    "ioctl": {},
    "getpid": {},
    "close": {},
    "prlimit64": {0: 0},
    "execve": {},
}
# Those of a container that waits for its start then, and runs startContainer hooks.
WAITING: Calls = {
    "accept4": {},
    "rt_sigaction": {},
    "mmap": {},
    "pipe2": {},
    "fcntl": {},
    "clone": {0: _CLONE_VM | _CLONE_VFORK | _CLONE_PIDFD | _SIGCHLD},
    "dup3": {},
    "close_range": {0: 3},
    "ppoll": {},
    "write": {},
    "wait4": {},
    "kill": {},
    "clock_gettime": {},
}


def passes(bpf: bytes, arch: int, resolve: Callable[[str], int], calls: Calls = CALLS) -> bool:
    """True when all of `calls` are allowed, whatever their other arguments are."""
    return all(
        is_let_through(verdict(bpf, data_of(resolve(name), arch, known)))
        for name, known in calls.items()
    )


def is_let_through(verdict: int) -> bool:
    """Whether it is SECCOMP_RET_ALLOW or SECCOMP_RET_LOG."""
    return verdict >= 0 and verdict & _ACTION in _PASSES


def data_of(number: int, arch: int, known: Mapping[int, int]) -> dict[int, int]:
    """struct seccomp_data by offset, on a little-endian machine; only what is known."""
    data = {0: number & _WORD, 4: arch}
    for index, value in known.items():
        data[16 + 8 * index] = value & _WORD
        data[20 + 8 * index] = value >> 32
    return data


def verdict(bpf: bytes, data: Mapping[int, int]) -> int:
    """The filter's answer, SECCOMP_RET_* with its data; -1 when it depends on what isn't known."""
    program = list(_INSTRUCTION.iter_unpack(bpf))
    value, at = -1, 0
    while at < len(program):
        code, yes, no, k = program[at]
        at += 1
        if code == _RETURN:
            return k
        if code == _LOAD:
            value = data.get(k, -1)
        elif code == _JUMP:
            at += k
        elif value < 0:
            return -1
        elif code == _AND:
            value &= k
        elif code in _TESTS:
            at += yes if _TESTS[code](value, k) else no
        else:
            return -1
    return -1
