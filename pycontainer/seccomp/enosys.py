"""The part of a seccomp filter that says ENOSYS for system calls newer than the profile.

A profile denies what it does not list, and it cannot list what did not exist when it was written.
A C library that tries a new system call falls back to an old one on ENOSYS only, never on EPERM,
so denying the future as EPERM breaks programs. Whatever is numbered above the highest call that
the profile names is answered with ENOSYS before the profile's own rules are asked. Numbers are an
architecture's own, hence one section for each:

    load architecture
    not x86-64?                 -> next section
      load number
      above the highest?        -> return ENOSYS
      to the profile's rules
    not i386?                   -> the profile's rules
      ...
"""

from __future__ import annotations

from _struct import pack

from pycontainer.tables.seccomp_names import (
    ACT_ALLOW,
    ACT_ERRNO,
    ACT_LOG,
    ACT_TRACE,
    ARCH_S390,
    ARCH_S390X,
    ARCH_X32,
    ARCH_X86_64,
    X32_BIT,
)

ENOSYS = 38

# struct sock_filter: code, jump if true, jump if false, operand.
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP = 0x05  # BPF_JMP | BPF_JA
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_ABOVE = 0x25  # BPF_JMP | BPF_JGT | BPF_K, unsigned
_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

# struct seccomp_data: where the number and the architecture are.
_NUMBER = 0
_ARCH = 4

_LOAD_NUMBER = (_LOAD, 0, 0, _NUMBER)
_RETURN_ENOSYS = (_RETURN, 0, 0, ACT_ERRNO | ENOSYS)

# What is allowed by default needs no answer; a tracer is expected to know how to answer itself.
_PERMISSIVE = (ACT_ALLOW, ACT_LOG, ACT_TRACE)


def wanted(default_action: int) -> bool:
    """Whether a filter with this default action (with its errno) denies what it does not know."""
    return default_action & 0xFFFF0000 not in _PERMISSIVE and default_action != ACT_ERRNO | ENOSYS


def program(highest: dict[int, int]) -> bytes:
    """Return struct sock_filter[] to stand before a filter, b"" when it would do nothing.

    `highest` is the highest system call number by SCMP_ARCH_*; those of x32 have X32_BIT.
    """
    sections = []
    for arch, number in highest.items():
        if arch == ARCH_X86_64 or (arch == ARCH_X32 and ARCH_X86_64 not in highest):
            body = _x86_64(highest.get(ARCH_X86_64), highest.get(ARCH_X32))
            sections.append([(_EQUAL, 0, len(body) + 1, ARCH_X86_64), *body])
        elif arch != ARCH_X32:
            body = _plain(arch, number)
            sections.append([(_EQUAL, 0, len(body) + 1, arch), *body])
    if not sections:
        return b""
    ahead = sum(len(section) + 1 for section in sections)
    packed = [pack("=HBBI", _LOAD, 0, 0, _ARCH)]
    for section in sections:
        ahead -= len(section) + 1
        for code, if_true, if_false, operand in [*section, (_JUMP, 0, 0, ahead)]:
            packed.append(pack("=HBBI", code, if_true, if_false, operand))
    return b"".join(packed)


def _plain(arch: int, highest: int) -> list[tuple[int, int, int, int]]:
    """Answer ENOSYS above `highest`; everything else runs off the end."""
    if arch in (ARCH_S390, ARCH_S390X):
        # The kernel shows a number that it does not know as 0, there long-dead setup(2).
        return [
            _LOAD_NUMBER,
            (_EQUAL, 1, 0, 0),
            (_ABOVE, 0, 1, highest),
            _RETURN_ENOSYS,
        ]
    return [_LOAD_NUMBER, (_ABOVE, 0, 1, highest), _RETURN_ENOSYS]


def _x86_64(native: int | None, x32: int | None) -> list[tuple[int, int, int, int]]:
    """The same for the one architecture with two tables; a table without a highest is left be."""
    if native is None:
        assert x32 is not None
        return [_LOAD_NUMBER, (_ANY_BIT, 0, 2, X32_BIT), (_ABOVE, 0, 1, x32), _RETURN_ENOSYS]
    if x32 is None:
        return [_LOAD_NUMBER, (_ANY_BIT, 2, 0, X32_BIT), (_ABOVE, 0, 1, native), _RETURN_ENOSYS]
    return [
        _LOAD_NUMBER,
        (_ANY_BIT, 1, 0, X32_BIT),
        (_ABOVE, 1, 2, native),
        (_ABOVE, 0, 1, x32),
        _RETURN_ENOSYS,
    ]
