"""Profiles in, answers out: each compiled program is run by bpf.py for chosen system calls."""

from __future__ import annotations

import itertools
import platform

import pytest

from pycontainer.base.errors import ConfigError
from pycontainer.seccomp import cache
from pycontainer.tables import seccomp_names
from tests.unit.seccomp import bpf
from tests.unit.seccomp.bpf import (
    ALLOW,
    I386,
    KILL_PROCESS,
    KILL_THREAD,
    NUMBERS,
    X32,
    errno_action,
)

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the numbers in these tests are x86-64's"
)

EPERM = errno_action(1)
ENOSYS = errno_action(38)


def compiled(profile: dict) -> cache.Filter:
    result = cache.compile(profile)
    assert result is not None
    bpf.check(result.bpf)
    return result


def answer(profile: dict, name: str, *args: int, arch: int = bpf.X86_64) -> int:
    return bpf.run(compiled(profile).bpf, NUMBERS[name], args, arch)


def rule(action: str, *names: str, args: list | None = None, **more: int) -> dict:
    entry: dict = {"names": list(names), "action": action, **more}
    if args is not None:
        entry["args"] = args
    return entry


def arg(index: int, op: str, value: float, value_two: int | None = None) -> dict:
    entry: dict = {"index": index, "op": op, "value": value}
    if value_two is not None:
        entry["valueTwo"] = value_two
    return entry


def denying(*rules: dict, **more: object) -> dict:
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules), **more}


def allowing(*rules: dict, **more: object) -> dict:
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules), **more}


def test_nothing_to_filter() -> None:
    assert cache.compile({}) is None
    assert cache.compile({"defaultAction": "", "syscalls": []}) is None


def test_default_allow_without_rules() -> None:
    assert answer(allowing(), "mkdir") == ALLOW


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("SCMP_ACT_KILL", KILL_THREAD),
        ("SCMP_ACT_KILL_THREAD", KILL_THREAD),
        ("SCMP_ACT_KILL_PROCESS", KILL_PROCESS),
        ("SCMP_ACT_TRAP", bpf.TRAP),
        ("SCMP_ACT_ERRNO", EPERM),
        ("SCMP_ACT_TRACE", bpf.TRACE | 1),
        ("SCMP_ACT_LOG", bpf.LOG),
        ("SCMP_ACT_NOTIFY", bpf.NOTIFY),
    ],
)
def test_each_action_in_a_rule(word: str, value: int) -> None:
    profile = allowing(rule(word, "mkdir"))
    assert answer(profile, "mkdir") == value
    assert answer(profile, "chmod") == ALLOW
    assert compiled(profile).notify == (word == "SCMP_ACT_NOTIFY")


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("SCMP_ACT_KILL", KILL_THREAD),
        ("SCMP_ACT_KILL_PROCESS", KILL_PROCESS),
        ("SCMP_ACT_TRAP", bpf.TRAP),
        ("SCMP_ACT_ERRNO", EPERM),
        ("SCMP_ACT_TRACE", bpf.TRACE | 1),
        ("SCMP_ACT_LOG", bpf.LOG),
    ],
)
def test_each_default_action(word: str, value: int) -> None:
    profile = {"defaultAction": word, "syscalls": [rule("SCMP_ACT_ALLOW", "mkdir", "openat2")]}
    assert answer(profile, "mkdir") == ALLOW
    assert answer(profile, "chmod") == value


def test_errno_values() -> None:
    profile = denying(
        rule("SCMP_ACT_ERRNO", "mkdir", errnoRet=13),
        rule("SCMP_ACT_ERRNO", "chmod", errnoRet=0),
        rule("SCMP_ACT_TRACE", "kill", errnoRet=65535),
        rule("SCMP_ACT_ALLOW", "openat2"),
        defaultErrnoRet=95,
    )
    assert answer(profile, "mkdir") == errno_action(13)
    assert answer(profile, "chmod") == errno_action(0)
    assert answer(profile, "kill") == bpf.TRACE | 65535
    assert answer(profile, "getpid") == errno_action(95)


def test_unknown_names_are_passed_over() -> None:
    profile = denying(rule("SCMP_ACT_ALLOW", "no_such_call", "mkdir", "wr\0ite"))
    result = compiled(profile)
    assert bpf.run(result.bpf, NUMBERS["mkdir"]) == ALLOW
    assert bpf.run(result.bpf, NUMBERS["write"]) == EPERM
    assert any("no_such_call" in line for line in result.debug)
    assert result.warnings == ()


def test_calls_of_other_architectures_change_nothing_here() -> None:
    # socketcall is i386's, which is not in this filter.
    result = compiled(denying(rule("SCMP_ACT_ALLOW", "socketcall", "mkdir")))
    assert bpf.run(result.bpf, NUMBERS["mkdir"]) == ALLOW
    assert bpf.run(result.bpf, NUMBERS["socket"]) == EPERM


TESTS = {
    "SCMP_CMP_NE": lambda a, v, w: a != v,
    "SCMP_CMP_LT": lambda a, v, w: a < v,
    "SCMP_CMP_LE": lambda a, v, w: a <= v,
    "SCMP_CMP_EQ": lambda a, v, w: a == v,
    "SCMP_CMP_GE": lambda a, v, w: a >= v,
    "SCMP_CMP_GT": lambda a, v, w: a > v,
    "SCMP_CMP_MASKED_EQ": lambda a, v, w: a & v == w,
}
VALUES = [0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x100000000, 0x100000001, 0x8000000000000000, 2**64 - 1]


@pytest.mark.parametrize("op", TESTS)
def test_operators_on_64_bits(op: str) -> None:
    for value, place in zip(VALUES, itertools.cycle(range(6)), strict=False):
        two = value & 0xFFFFFFFF00000001
        program = compiled(
            allowing(rule("SCMP_ACT_ERRNO", "kill", args=[arg(place, op, value, two)]))
        ).bpf
        for given in VALUES:
            args = tuple(given if i == place else 5 for i in range(6))
            expected = EPERM if TESTS[op](given, value, two) else ALLOW
            assert bpf.run(program, NUMBERS["kill"], args) == expected, (value, given)
            assert bpf.run(program, NUMBERS["getpid"], args) == ALLOW


def test_conditions_on_different_arguments_must_all_hold() -> None:
    profile = allowing(
        rule(
            "SCMP_ACT_ERRNO",
            "socket",
            args=[arg(0, "SCMP_CMP_EQ", 16), arg(2, "SCMP_CMP_EQ", 9)],
        )
    )
    assert answer(profile, "socket", 16, 3, 9) == EPERM
    assert answer(profile, "socket", 16, 3, 8) == ALLOW
    assert answer(profile, "socket", 15, 3, 9) == ALLOW


def test_conditions_on_one_argument_are_alternatives() -> None:
    # What runc makes of it: an allow-list of values; all of them together could never hold.
    wanted = [0, 8, 0x20000, 0xFFFFFFFF]
    profile = denying(
        rule("SCMP_ACT_ALLOW", "personality", args=[arg(0, "SCMP_CMP_EQ", v) for v in wanted])
    )
    for value in [*wanted, 1, 9, 0x20008]:
        expected = ALLOW if value in wanted else EPERM
        assert answer(profile, "personality", value) == expected


def test_a_repeated_argument_splits_the_whole_rule() -> None:
    profile = denying(
        rule(
            "SCMP_ACT_ALLOW",
            "socket",
            args=[arg(0, "SCMP_CMP_EQ", 1), arg(0, "SCMP_CMP_EQ", 2), arg(1, "SCMP_CMP_EQ", 7)],
        )
    )
    assert answer(profile, "socket", 1, 0) == ALLOW
    assert answer(profile, "socket", 2, 0) == ALLOW
    assert answer(profile, "socket", 3, 7) == ALLOW
    assert answer(profile, "socket", 3, 6) == EPERM


def test_one_name_in_several_rules() -> None:
    profile = denying(
        rule("SCMP_ACT_ALLOW", "clone", args=[arg(0, "SCMP_CMP_MASKED_EQ", 0x7E020000, 0)]),
        rule("SCMP_ACT_ERRNO", "clone3", errnoRet=38),
        rule("SCMP_ACT_ALLOW", "kill"),
        rule("SCMP_ACT_ALLOW", "kill", args=[arg(1, "SCMP_CMP_EQ", 9)]),
        rule("SCMP_ACT_ALLOW", "kill"),
    )
    assert answer(profile, "clone", 0x11) == ALLOW
    assert answer(profile, "clone", 0x10000011) == EPERM
    assert answer(profile, "clone3") == ENOSYS
    assert answer(profile, "kill", 1, 15) == ALLOW


def test_architectures() -> None:
    profile = denying(
        rule("SCMP_ACT_ALLOW", "getpid", "openat2"),
        architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    )
    program = compiled(profile).bpf
    assert bpf.run(program, 39) == ALLOW
    assert bpf.run(program, 39 | X32) == ALLOW
    assert bpf.run(program, 20, arch=I386) == ALLOW
    assert bpf.run(program, 39, arch=I386) == EPERM  # mkdir there
    assert bpf.run(program, 83 | X32) == EPERM
    # An architecture that the filter does not know is killed.
    assert bpf.run(program, 20, arch=0xC00000B7) == KILL_THREAD


@pytest.mark.parametrize("architectures", [None, [], ["SCMP_ARCH_X86"], ["SCMP_ARCH_X86_64"]])
def test_this_machine_is_always_in(architectures: list | None) -> None:
    profile = denying(rule("SCMP_ACT_ALLOW", "getpid"))
    if architectures is not None:
        profile["architectures"] = architectures
    program = compiled(profile).bpf
    assert bpf.run(program, 39) == ALLOW
    assert bpf.run(program, 39 | X32) == KILL_THREAD
    i386 = ALLOW if architectures == ["SCMP_ARCH_X86"] else KILL_THREAD
    assert bpf.run(program, 20, arch=I386) == i386


def test_long_list_becomes_a_tree() -> None:
    names = sorted(name for name, number in NUMBERS.items() if number < 300)[:200]
    program = compiled(denying(rule("SCMP_ACT_ALLOW", *names))).bpf
    allowed = {NUMBERS[name] for name in names}
    for number in range(300):
        expected = ALLOW if number in allowed else EPERM
        if number <= max(allowed):
            assert bpf.run(program, number) == expected


def test_every_name_of_this_kernel_compiles_to_its_number() -> None:
    for name, number in NUMBERS.items():
        result = compiled(allowing(rule("SCMP_ACT_ERRNO", name)))
        if not result.debug:  # libseccomp may be older than the headers
            assert bpf.run(result.bpf, number) == EPERM, name


def flags_of(**more: object) -> int:
    return compiled(allowing(rule("SCMP_ACT_ERRNO", "mkdir"), **more)).flags


def test_flags() -> None:
    assert flags_of() == seccomp_names.FLAG_SPEC_ALLOW
    assert flags_of(flags=None) == seccomp_names.FLAG_SPEC_ALLOW
    assert flags_of(flags=[]) == 0
    assert flags_of(flags=["SECCOMP_FILTER_FLAG_TSYNC"]) == 0
    assert flags_of(flags=["SECCOMP_FILTER_FLAG_LOG"]) == 2
    assert flags_of(flags=["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]) == 6


def test_waiting_killable_needs_a_listener() -> None:
    flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
    listening = compiled(allowing(rule("SCMP_ACT_NOTIFY", "mkdir"), flags=flags))
    assert listening.flags == 0x28
    assert listening.notify
    alone = compiled(allowing(rule("SCMP_ACT_ERRNO", "mkdir"), flags=flags))
    assert alone.flags == 0
    assert len(alone.warnings) == 1


BAD = [
    ({"defaultAction": "SCMP_ACT_NO"}, "defaultAction", "string SCMP_ACT_NO is not a valid action"),
    ({"syscalls": [rule("SCMP_ACT_ALLOW", "read")]}, "defaultAction", "not a valid action"),
    (allowing(rule("NO", "read")), "syscalls[0].action", "not a valid action"),
    (allowing(rule("SCMP_ACT_LOG", "")), "syscalls[0].names[0]", "empty string"),
    (
        allowing(rule("SCMP_ACT_LOG", "kill", args=[arg(0, "EQ", 1)])),
        "syscalls[0].args[0].op",
        "not a valid operator",
    ),
    (
        allowing(rule("SCMP_ACT_LOG", "kill", args=[arg(6, "SCMP_CMP_EQ", 1)])),
        "syscalls[0].args[0].index",
        "6 is not a number from 0 to 5",
    ),
    (
        allowing(rule("SCMP_ACT_LOG", "kill", args=[arg(0, "SCMP_CMP_EQ", 2**64)])),
        "syscalls[0].args[0].value",
        "18446744073709551616 is not a number",
    ),
    (
        allowing(rule("SCMP_ACT_LOG", "kill", args=[arg(0, "SCMP_CMP_EQ", 1.0)])),
        "syscalls[0].args[0].value",
        "1.0 is not a number",
    ),
    (
        allowing(
            rule("SCMP_ACT_LOG", "kill", args=[arg(0, "SCMP_CMP_EQ", 1)]),
            rule("SCMP_ACT_KILL", "read", "kill", args=[arg(0, "SCMP_CMP_EQ", 1)]),
        ),
        "syscalls[1].names[1]",
        "SCMP_ACT_KILL for kill: a rule before says otherwise",
    ),
    (allowing(rule("SCMP_ACT_KILL", "kill", errnoRet=1)), "syscalls[0].errnoRet", "errno"),
    (allowing(rule("SCMP_ACT_ERRNO", "kill", errnoRet=4096)), "syscalls[0].errnoRet", "4096"),
    (allowing(rule("SCMP_ACT_TRACE", "kill", errnoRet=65536)), "syscalls[0].errnoRet", "65536"),
    (allowing(defaultErrnoRet=1), "defaultErrnoRet", "does not take an errno"),
    (allowing(architectures=["SCMP_ARCH_VAX"]), "architectures[0]", "not a valid arch"),
    (allowing(flags=["SECCOMP_FILTER_FLAG_X"]), "flags[0]", "not known"),
    ({"defaultAction": "SCMP_ACT_NOTIFY"}, "", "cannot be used as default action"),
    (
        allowing(rule("SCMP_ACT_NOTIFY", "read", "write")),
        "syscalls[0].names[1]",
        "SCMP_ACT_NOTIFY cannot be used for the write syscall",
    ),
]


@pytest.mark.parametrize(("profile", "field", "words"), BAD)
def test_what_a_profile_must_not_say(profile: dict, field: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cache.compile(profile)
    assert words in str(caught.value)
    assert caught.value.field.startswith("linux.seccomp")
    assert caught.value.field.endswith(field)
