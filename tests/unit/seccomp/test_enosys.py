"""System calls newer than the profile get ENOSYS, everything else gets the profile's answer."""

from __future__ import annotations

import itertools
import platform
import sys

import pytest

from pycontainer.seccomp import cache, enosys
from pycontainer.tables import seccomp_names
from pycontainer.tables.seccomp_names import ARCH_S390X, ARCH_X32, ARCH_X86_64, X32_BIT
from tests.unit.seccomp import bpf
from tests.unit.seccomp.bpf import ALLOW, I386, NUMBERS, errno_action

ENOSYS = errno_action(38)
EPERM = errno_action(1)
AARCH64 = seccomp_names.ARCHS["SCMP_ARCH_AARCH64"]
REST = bytes.fromhex("0600000000000080")  # return KILL_PROCESS: "the profile was asked"
ASKED = bpf.KILL_PROCESS


def stub_answer(highest: dict[int, int], number: int, arch: int) -> int:
    program = enosys.program(highest) + REST
    bpf.check(program)
    return bpf.run(program, number, arch=arch)


@pytest.mark.skipif(sys.byteorder != "little", reason="REST is little-endian")
@pytest.mark.parametrize("size", range(1, 5))
def test_every_mixture_of_architectures(size: int) -> None:
    tables = {ARCH_X86_64: 300, ARCH_X32: 310 | X32_BIT, I386: 290, AARCH64: 280, ARCH_S390X: 270}
    for archs in itertools.permutations(tables, size):
        highest = {arch: tables[arch] for arch in archs}
        for arch in tables:
            audit = ARCH_X86_64 if arch == ARCH_X32 else arch
            for number, newer in ((tables[arch], False), (tables[arch] + 1, True)):
                expected = ENOSYS if newer and arch in highest else ASKED
                assert stub_answer(highest, number, audit) == expected
        assert stub_answer(highest, 9999, seccomp_names.ARCHS["SCMP_ARCH_PPC"]) == ASKED


def test_setup_of_s390_stands_for_what_the_kernel_does_not_know() -> None:
    assert stub_answer({ARCH_S390X: 270}, 0, ARCH_S390X) == ENOSYS
    assert stub_answer({ARCH_S390X: 270}, 1, ARCH_S390X) == ASKED


def test_no_section_no_program() -> None:
    assert enosys.program({}) == b""


def test_minus_one_is_above_everything() -> None:
    # A tracer skips a system call by making its number -1.
    assert stub_answer({I386: 290}, -1, I386) == ENOSYS


pytest_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="x86-64's numbers")


def profile(default: str, **more: object) -> dict:
    names = ["getpid", "openat2"]
    return {
        "defaultAction": default,
        "syscalls": [{"names": names, "action": "SCMP_ACT_TRAP"}],
        **more,
    }


def run(given: dict, number: int, arch: int = bpf.X86_64) -> int:
    result = cache.compile(given)
    assert result is not None
    bpf.check(result.bpf)
    return bpf.run(result.bpf, number, arch=arch)


@pytest_x86
@pytest.mark.parametrize("default", ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_TRAP"])
def test_denying_profiles_have_it(default: str) -> None:
    given = profile(default, architectures=["SCMP_ARCH_X86", "SCMP_ARCH_X32"])
    above = NUMBERS["openat2"] + 1
    assert run(given, above) == ENOSYS
    assert run(given, above | X32_BIT) == ENOSYS
    assert run(given, above, I386) == ENOSYS
    assert run(given, NUMBERS["openat2"]) == bpf.TRAP
    assert run(given, NUMBERS["mkdir"]) != ENOSYS


@pytest_x86
@pytest.mark.parametrize(
    ("default", "value"),
    [
        ("SCMP_ACT_ALLOW", ALLOW),
        ("SCMP_ACT_LOG", bpf.LOG),
        ("SCMP_ACT_TRACE", bpf.TRACE | 1),
    ],
)
def test_permissive_profiles_do_not(default: str, value: int) -> None:
    assert run(profile(default), NUMBERS["openat2"] + 1) == value


@pytest_x86
def test_calls_that_keep_the_default_count_as_known() -> None:
    given = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {"names": ["getpid"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["openat2", "not_a_call"], "action": "SCMP_ACT_ERRNO"},
        ],
    }
    assert run(given, NUMBERS["openat2"]) == EPERM
    assert run(given, NUMBERS["openat2"] - 1) == EPERM
    assert run(given, NUMBERS["openat2"] + 1) == ENOSYS


@pytest_x86
def test_without_rules_the_default_answers_everything() -> None:
    assert run({"defaultAction": "SCMP_ACT_ERRNO"}, 9999) == EPERM


@pytest_x86
def test_not_needed_when_the_default_is_enosys() -> None:
    assert not enosys.wanted(ENOSYS)
    given = profile("SCMP_ACT_ERRNO", defaultErrnoRet=38)
    assert run(given, 9999) == ENOSYS
    result = cache.compile(given)
    other = cache.compile(profile("SCMP_ACT_ERRNO", defaultErrnoRet=1))
    assert result is not None and other is not None
    assert result.instructions < other.instructions
