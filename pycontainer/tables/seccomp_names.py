"""Seccomp words of config-linux.md#seccomp and the numbers libseccomp and the kernel give them."""

from __future__ import annotations

ACT_KILL_PROCESS = 0x80000000
ACT_KILL_THREAD = 0x00000000
ACT_TRAP = 0x00030000
ACT_ERRNO = 0x00050000
ACT_NOTIFY = 0x7FC00000
ACT_TRACE = 0x7FF00000
ACT_LOG = 0x7FFC0000
ACT_ALLOW = 0x7FFF0000

ACTIONS = {
    "SCMP_ACT_ALLOW": ACT_ALLOW,
    "SCMP_ACT_ERRNO": ACT_ERRNO,
    "SCMP_ACT_KILL": ACT_KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": ACT_KILL_PROCESS,
    "SCMP_ACT_KILL_THREAD": ACT_KILL_THREAD,
    "SCMP_ACT_LOG": ACT_LOG,
    "SCMP_ACT_NOTIFY": ACT_NOTIFY,
    "SCMP_ACT_TRACE": ACT_TRACE,
    "SCMP_ACT_TRAP": ACT_TRAP,
}
# The actions whose low 16 bits are data, and the most that makes sense in them: the kernel cuts
# an errno at 4095, a tracer gets any 16 bits.
DATA_LIMITS = {"SCMP_ACT_ERRNO": 4095, "SCMP_ACT_TRACE": 65535}

OPERATORS = {
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_MASKED_EQ": 7,
    "SCMP_CMP_NE": 1,
}

# linux/audit.h: the ELF machine, and these two. libseccomp's tokens are the same numbers, but for
# x32, which the kernel does not tell from x86-64 there.
_AUDIT_64BIT = 0x80000000
_AUDIT_LE = 0x40000000
_AUDIT_N32 = 0x20000000

ARCH_X86_64 = 62 | _AUDIT_64BIT | _AUDIT_LE
ARCH_X32 = 62 | _AUDIT_LE
ARCH_S390 = 22
ARCH_S390X = 22 | _AUDIT_64BIT
X32_BIT = 0x40000000  # in the syscall number

ARCHS = {
    "SCMP_ARCH_AARCH64": 183 | _AUDIT_64BIT | _AUDIT_LE,
    "SCMP_ARCH_ARM": 40 | _AUDIT_LE,
    "SCMP_ARCH_LOONGARCH64": 258 | _AUDIT_64BIT | _AUDIT_LE,
    "SCMP_ARCH_M68K": 4,
    "SCMP_ARCH_MIPS": 8,
    "SCMP_ARCH_MIPS64": 8 | _AUDIT_64BIT,
    "SCMP_ARCH_MIPS64N32": 8 | _AUDIT_64BIT | _AUDIT_N32,
    "SCMP_ARCH_MIPSEL": 8 | _AUDIT_LE,
    "SCMP_ARCH_MIPSEL64": 8 | _AUDIT_64BIT | _AUDIT_LE,
    "SCMP_ARCH_MIPSEL64N32": 8 | _AUDIT_64BIT | _AUDIT_LE | _AUDIT_N32,
    "SCMP_ARCH_PARISC": 15,
    "SCMP_ARCH_PARISC64": 15 | _AUDIT_64BIT,
    "SCMP_ARCH_PPC": 20,
    "SCMP_ARCH_PPC64": 21 | _AUDIT_64BIT,
    "SCMP_ARCH_PPC64LE": 21 | _AUDIT_64BIT | _AUDIT_LE,
    "SCMP_ARCH_RISCV64": 243 | _AUDIT_64BIT | _AUDIT_LE,
    "SCMP_ARCH_S390": ARCH_S390,
    "SCMP_ARCH_S390X": ARCH_S390X,
    "SCMP_ARCH_SH": 42 | _AUDIT_LE,
    "SCMP_ARCH_SHEB": 42,
    "SCMP_ARCH_X32": ARCH_X32,
    "SCMP_ARCH_X86": 3 | _AUDIT_LE,
    "SCMP_ARCH_X86_64": ARCH_X86_64,
}

# seccomp(2) SECCOMP_SET_MODE_FILTER.
FLAG_LOG = 0x2  # Linux 4.14
FLAG_SPEC_ALLOW = 0x4  # Linux 4.17
FLAG_NEW_LISTENER = 0x8  # Linux 5.0
FLAG_WAIT_KILLABLE_RECV = 0x20  # Linux 5.19, only beside NEW_LISTENER

# TSYNC is 0: the filter is loaded by a process of one thread, which has none to synchronise
# with, and the kernel refuses TSYNC beside NEW_LISTENER.
FLAGS = {
    "SECCOMP_FILTER_FLAG_LOG": FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": FLAG_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_TSYNC": 0,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": FLAG_WAIT_KILLABLE_RECV,
}


def arch_name(token: int) -> str:
    """Return "SCMP_ARCH_X86_64" for its number, "0x..." for an unknown one."""
    for name, number in ARCHS.items():
        if number == token:
            return name
    return hex(token)


UNKNOWN = "unknown seccomp syscalls ignored: "  # of a filter's `debug`; their names follow
