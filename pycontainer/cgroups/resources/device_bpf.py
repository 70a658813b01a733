"""Device rules as a program of type BPF_PROG_TYPE_CGROUP_DEVICE (kernel 4.15), for cgroup v2.

The last rule that matches decides, for each of read, write and mknod by itself. The program
therefore looks at the rules from the last to the first and keeps the accesses that are still
open in a register: an allow rule closes some (none left: granted), a deny rule that meets an open
one refuses. Rules before the last one about everything cannot matter and are left out.

Context (struct bpf_cgroup_dev_ctx): u32 access << 16 | type, u32 major, u32 minor.
"""

from __future__ import annotations

import posix
from sys import byteorder

from pycontainer.base.errors import HostError, OperationError, os_reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pycontainer.cgroups.resources.devices import Rule

# linux/bpf.h: instruction classes, operations, sources.
LOAD_WORD = 0x61  # BPF_LDX | BPF_MEM | BPF_W
MOV32_IMM, MOV32_REG = 0xB4, 0xBC
AND32_IMM, RSH32_IMM = 0x54, 0x74
JEQ_IMM, JNE_IMM = 0x15, 0x55
EXIT = 0x95

R0, R1, TYPE, OPEN, MAJOR, MINOR = range(6)  # R2 .. R5 hold what the context says

FIELD = "linux.resources.devices"

KINDS = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_DEV_CHAR
ACCESSES = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*

Instruction = tuple[int, int, int, int, int]  # code, destination, source, offset, immediate

PROLOGUE: list[Instruction] = [
    (LOAD_WORD, TYPE, R1, 0, 0),
    (MOV32_REG, OPEN, TYPE, 0, 0),
    (AND32_IMM, TYPE, 0, 0, 0xFFFF),
    (RSH32_IMM, OPEN, 0, 0, 16),
    (LOAD_WORD, MAJOR, R1, 4, 0),
    (LOAD_WORD, MINOR, R1, 8, 0),
]


def compile_program(rules: Sequence[Rule]) -> bytes:
    """The rules as instructions, ready for bpf(2)."""
    default = False
    program = list(PROLOGUE)
    for rule in reversed(rules):
        if rule.total:
            default = rule.allow
            break
        program += _rule(rule)
    program += _verdict(default)
    return b"".join(_encode(instruction) for instruction in program)


def _rule(rule: Rule) -> list[Instruction]:
    """The block of one rule; every jump leads behind its end."""
    mask = sum(ACCESSES[letter] for letter in rule.access)
    tests: list[tuple[int, int, int]] = []  # (jump operation, register, immediate)
    if rule.kind != "a":
        tests.append((JNE_IMM, TYPE, KINDS[rule.kind]))
    if rule.major >= 0:
        tests.append((JNE_IMM, MAJOR, rule.major))
    if rule.minor >= 0:
        tests.append((JNE_IMM, MINOR, rule.minor))
    if any(immediate >= 2**31 for _, _, immediate in tests):
        return []  # no device has such a number (a minor is 20 bits), and the field is signed
    if rule.allow:
        middle: list[Instruction] = [(AND32_IMM, OPEN, 0, 0, 7 & ~mask)]
        last = (JNE_IMM, OPEN, 0)
    else:
        middle = [(MOV32_REG, R1, OPEN, 0, 0), (AND32_IMM, R1, 0, 0, mask)]
        last = (JEQ_IMM, R1, 0)
    block = [(code, register, 0, 0, immediate) for code, register, immediate in tests]
    block += middle
    block.append((last[0], last[1], 0, 0, last[2]))
    block += _verdict(rule.allow)
    end = len(block)
    return [
        (code, to, source, end - index - 1, immediate)
        if code in (JEQ_IMM, JNE_IMM)
        else (code, to, source, offset, immediate)
        for index, (code, to, source, offset, immediate) in enumerate(block)
    ]


def _verdict(allow: bool) -> list[Instruction]:
    return [(MOV32_IMM, R0, 0, 0, int(allow)), (EXIT, 0, 0, 0, 0)]


def _encode(instruction: Instruction) -> bytes:
    """struct bpf_insn: u8 code, two 4-bit registers, s16 offset, s32 immediate."""
    code, to, source, offset, immediate = instruction
    registers = source << 4 | to if byteorder == "little" else to << 4 | source
    return (
        bytes((code, registers))
        + offset.to_bytes(2, byteorder, signed=True)
        + immediate.to_bytes(4, byteorder, signed=True)
    )


def attach(directory: str, program: bytes) -> None:
    """Load the program and put it in place of those attached to the cgroup before.

    OperationError when the kernel refuses, HostError when it has no such programs.
    """
    from pycontainer._shim import ffi, lib

    loaded = lib.shim_bpf_device_load(ffi.from_buffer(program), len(program) // 8)
    if loaded < 0:
        from errno import ENOSYS

        if loaded == -ENOSYS:
            raise HostError("load device filter: the kernel has no bpf(2)", "old-kernel", FIELD)
        raise _refused("load device filter", -loaded)
    try:
        _put(directory, ffi.new("int[]", [loaded]), 1)
    finally:
        posix.close(loaded)


def attached(directory: str) -> Callable[[], None]:
    """What attaches the programs again that are attached to the cgroup now."""
    from pycontainer._shim import ffi, lib

    def close(held: Any) -> None:
        for fd in held[0 : max(count, 0)]:
            posix.close(fd)

    cgroup_fd = _open(directory)
    try:
        # Descriptors, because a program ends with the last reference to it.
        fds = ffi.gc(ffi.new("int[]", lib.SHIM_BPF_PROGRAMS), close)
        count = lib.shim_bpf_device_programs(cgroup_fd, fds)
    finally:
        posix.close(cgroup_fd)
    if count < 0:
        return lambda: None  # who may not look at them may not replace them
    return lambda: _put(directory, fds, count)


def _put(directory: str, programs: Any, count: int) -> None:
    from pycontainer._shim import lib

    cgroup_fd = _open(directory)
    try:
        result = lib.shim_bpf_device_attach(cgroup_fd, programs, count)
    finally:
        posix.close(cgroup_fd)
    if result < 0:
        raise _refused(f"attach device filter to {directory}", -result)


def _open(directory: str) -> int:
    return posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)


def _refused(what: str, errno: int) -> OperationError:
    text = f"{what}: {os_reason(errno)}"
    about: dict[str, Any] = {"errno": errno, "operation": "device_filter", "field": FIELD}
    return OperationError(text, "os-error", **about)
