"""A classic BPF machine as seccomp(2) runs it: the tests' own idea of what a filter answers.

Knows the instructions that the kernel's seccomp_check_filter() lets through and that filters use;
anything else, a jump out of the program or a missing return is an error of the program.
"""

from __future__ import annotations

import struct
import sys

X86_64 = 0xC000003E
I386 = 0x40000003
X32 = 0x40000000  # in the number

ALLOW = 0x7FFF0000
LOG = 0x7FFC0000
TRACE = 0x7FF00000
NOTIFY = 0x7FC00000
TRAP = 0x00030000
KILL_THREAD = 0
KILL_PROCESS = 0x80000000


def errno_action(number: int) -> int:
    return 0x00050000 | number


def disassemble(program: bytes) -> list[tuple[int, int, int, int]]:
    assert program and len(program) % 8 == 0
    return list(struct.iter_unpack("=HBBI", program))


def seccomp_data(number: int, arch: int, args: tuple[int, ...]) -> bytes:
    padded = [*args, *[0] * (6 - len(args))]
    return struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *padded)


def run(program: bytes, number: int, args: tuple[int, ...] = (), arch: int = X86_64) -> int:
    """What the filter returns for a system call."""
    code = disassemble(program)
    data = seccomp_data(number, arch, args)
    accumulator = 0
    at = 0
    while True:
        op, if_true, if_false, k = code[at]
        at += 1
        if op == 0x20:  # ld [k]
            assert k % 4 == 0 and k <= 60
            accumulator = struct.unpack_from("=I", data, k)[0]
        elif op == 0x06:  # ret k
            return k
        elif op == 0x54:  # and k
            accumulator &= k
        elif op == 0x05:  # ja
            at += k
        else:
            taken = {
                0x15: accumulator == k,
                0x25: accumulator > k,
                0x35: accumulator >= k,
                0x45: bool(accumulator & k),
            }[op]
            at += if_true if taken else if_false


def check(program: bytes) -> None:
    """What the kernel demands before it takes a program: jumps that stay in it, a last return."""
    code = disassemble(program)
    assert len(code) <= 4096
    assert code[-1][0] == 0x06
    for at, (op, if_true, if_false, k) in enumerate(code):
        if op == 0x05:
            assert at + 1 + k < len(code)
        elif op & 7 == 5:
            assert at + 1 + max(if_true, if_false) < len(code)


def native_number(name: str) -> int:
    """A system call's number from the C library's header, not from libseccomp."""
    return NUMBERS[name]


def _header_numbers() -> dict[str, int]:
    numbers = {}
    path = f"/usr/include/{sys.implementation._multiarch}/asm/unistd_64.h"
    try:
        with open(path) as header:
            for line in header:
                words = line.split()
                if len(words) == 3 and words[1].startswith("__NR_") and words[2].isdigit():
                    numbers[words[1][5:]] = int(words[2])
    except OSError:
        pass  # no C library headers: the few that tests name
    return numbers


NUMBERS = {
    "read": 0,
    "write": 1,
    "lseek": 8,
    "getpid": 39,
    "socket": 41,
    "clone": 56,
    "execve": 59,
    "kill": 62,
    "getcwd": 79,
    "mkdir": 83,
    "chmod": 90,
    "personality": 135,
    "clone3": 435,
    "openat2": 437,
    "faccessat2": 439,
    **_header_numbers(),
}
