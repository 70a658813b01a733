"""Device rules: the v1 lists, and the v2 program run by a small interpreter of its own."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycontainer.base.errors import ConfigError
from pycontainer.cgroups.resources import device_bpf, devices

DENY_ALL = {"allow": False, "access": "rwm"}

DEFAULT_LINES = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:8 rwm",
    "c 1:7 rwm",
    "c 5:0 rwm",
    "c 1:5 rwm",
    "c 1:9 rwm",
    "c 136:* rwm",
    "c 5:2 rwm",
    "c 10:200 rwm",
]


def v1_lines(entries, paths=()):
    return [(w.file, w.value) for w in devices.v1_writes(devices.rules(entries, paths))]


def test_default_devices():
    expected = [("devices.deny", "a *:* rwm")]
    expected += [("devices.allow", line) for line in DEFAULT_LINES]
    assert v1_lines([]) == expected
    assert v1_lines([DENY_ALL]) == expected


def test_a_device_of_the_config_replaces_the_default_one():
    values = [value for _, value in v1_lines([], ["/dev/null", "/dev/fuse"])]
    assert "c 1:3 rwm" not in values
    assert "c 1:5 rwm" in values


def test_order_and_wildcards():
    entries = [
        {"allow": True, "type": "c", "major": 9, "access": "rw"},
        DENY_ALL,
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "wr"},
        {"allow": True, "type": "b", "major": 8, "minor": -1, "access": "r"},
        {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "w"},
    ]
    assert v1_lines(entries)[1:3] == [
        ("devices.allow", "c 10:229 r"),
        ("devices.allow", "b 8:* r"),
    ]


def test_allow_everything():
    entries = [{"allow": True, "access": "rwm"}]
    assert v1_lines(entries) == [("devices.allow", "a *:* rwm")]


def test_allow_everything_but():
    entries = [
        {"allow": True, "type": "a", "access": "rwm"},
        {"allow": False, "type": "b", "major": 8, "access": "rw"},
    ]
    assert v1_lines(entries) == [("devices.allow", "a *:* rwm"), ("devices.deny", "b 8:* rw")]


def test_every_type_with_less_than_everything_is_both_types():
    entries = [{"allow": True, "type": "a", "access": "r"}]
    assert ("devices.allow", "b *:* rm") in v1_lines(entries)
    assert ("devices.allow", "c *:* rm") in v1_lines(entries)


def test_a_wide_denial_takes_back_narrow_permissions():
    entries = [
        {"allow": True, "type": "c", "major": 7, "minor": 1, "access": "rw"},
        {"allow": True, "type": "c", "major": 8, "minor": 1, "access": "rw"},
        {"allow": False, "type": "c", "major": 7, "access": "rwm"},
    ]
    values = [value for _, value in v1_lines(entries)]
    assert "c 8:1 rw" in values
    assert not any(value.startswith("c 7:") for value in values)


def test_v1_refuses_holes():
    entries = [
        {"allow": True, "type": "c", "major": 7, "access": "rw"},
        {"allow": False, "type": "c", "major": 7, "minor": 3, "access": "w"},
    ]
    with pytest.raises(ConfigError, match="hole") as caught:
        v1_lines(entries)
    assert caught.value.field == "linux.resources.devices[1]"


@pytest.mark.parametrize(
    "entry",
    [
        {"allow": True, "access": ""},
        {"allow": True},
        {"allow": True, "type": "x", "access": "r"},
        {"allow": True, "type": "p", "access": "r"},
        {"allow": True, "type": "c", "major": 2**32, "access": "r"},
        {"allow": True, "type": "c", "major": -2, "access": "r"},
    ],
)
def test_malformed_rules(entry):
    with pytest.raises(ConfigError) as caught:
        devices.rules([DENY_ALL, entry])
    assert caught.value.field == "linux.resources.devices[1]"


def test_letters_of_no_access_are_passed_over():
    rule = {"allow": True, "type": "c", "major": 9, "minor": 1, "access": "rx"}
    assert v1_lines([DENY_ALL, rule])[1] == ("devices.allow", "c 9:1 r")


# -- the program ---------------------------------------------------------------------------

MASK = 0xFFFFFFFF


def run(program: bytes, kind: str, major: int, minor: int, access: str) -> bool:
    """Interpret the instructions that the compiler uses, as bpf_cgroup_dev_ctx's program."""
    mask = sum(device_bpf.ACCESSES[letter] for letter in access)
    context = {0: mask << 16 | device_bpf.KINDS[kind], 4: major, 8: minor}
    registers = [0] * 10
    position = 0
    while True:
        instruction = program[position * 8 : position * 8 + 8]
        code, pair = instruction[0], instruction[1]
        to, source = (pair & 15, pair >> 4) if sys.byteorder == "little" else (pair >> 4, pair & 15)
        offset = int.from_bytes(instruction[2:4], sys.byteorder, signed=True)
        immediate = int.from_bytes(instruction[4:], sys.byteorder, signed=True)
        position += 1
        if code == device_bpf.LOAD_WORD:
            assert source == 1
            registers[to] = context[offset]
        elif code == device_bpf.MOV32_IMM:
            registers[to] = immediate & MASK
        elif code == device_bpf.MOV32_REG:
            registers[to] = registers[source]
        elif code == device_bpf.AND32_IMM:
            registers[to] &= immediate & MASK
        elif code == device_bpf.RSH32_IMM:
            registers[to] >>= immediate
        elif code == device_bpf.JEQ_IMM:
            position += offset if registers[to] == immediate else 0
        elif code == device_bpf.JNE_IMM:
            position += offset if registers[to] != immediate else 0
        else:
            assert code == device_bpf.EXIT
            return registers[0] == 1


def verdict(rules, kind: str, major: int, minor: int, access: str) -> bool:
    """What the rules say, in their order: the last one that matches decides each access."""
    for letter in access:
        allowed = False
        for rule in rules:
            if (
                rule.kind in ("a", kind)
                and rule.major in (-1, major)
                and rule.minor in (-1, minor)
                and letter in rule.access
            ):
                allowed = rule.allow
        if not allowed:
            return False
    return True


numbers = st.sampled_from([-1, 0, 1, 2, 3, 2**31, 2**32 - 1])
accesses = st.sampled_from(["r", "w", "m", "rw", "rm", "wm", "rwm"])
random_rules = st.lists(
    st.builds(
        devices.Rule,
        st.booleans(),
        st.sampled_from("abc"),
        numbers,
        numbers,
        accesses,
    ),
    max_size=8,
)


@settings(max_examples=300, deadline=None)
@given(random_rules, st.sampled_from("bc"), st.integers(0, 3), st.integers(0, 3), accesses)
def test_program_says_what_the_rules_say(rules, kind, major, minor, access):
    program = device_bpf.compile_program(rules)
    assert len(program) % 8 == 0
    expected = verdict(rules, kind, major, minor, access)
    assert run(program, kind, major, minor, access) == expected


@settings(max_examples=300, deadline=None)
@given(random_rules, st.sampled_from("bc"), st.integers(0, 3), st.integers(0, 3), accesses)
def test_v1_lists_say_what_the_rules_say_or_refuse(rules, kind, major, minor, access):
    try:
        default, exceptions = devices.reduce(rules)
    except ConfigError:
        return
    for letter in access:
        excepted = any(
            node[0] == kind
            and node[1] in (-1, major)
            and node[2] in (-1, minor)
            and letter in granted
            for node, granted in exceptions.items()
        )
        assert (default != excepted) == verdict(rules, kind, major, minor, letter)


def test_program_of_the_default_rules():
    program = device_bpf.compile_program(devices.rules([DENY_ALL]))
    assert run(program, "c", 1, 3, "rw")
    assert run(program, "c", 136, 77, "rw")
    assert run(program, "b", 8, 0, "m")
    assert not run(program, "b", 8, 0, "r")
    assert not run(program, "c", 1, 1, "r")
    # Rules before one about everything leave no trace.
    longer = devices.rules([{"allow": True, "type": "b", "access": "rw"}, DENY_ALL])
    assert device_bpf.compile_program(longer) == program
