"""Damaged plans: the executor says no, or fails in an operation; it never crashes, never hangs."""

from __future__ import annotations

import os
import random
import struct

import pytest

from pycontainer.plan import serialize
from pycontainer.plan.ops import CONTAINER, MAX_INTS, MAX_TEXTS, NUMBERS, TABLE, Op, op
from tests.executor.lab import SPACES, Lab, bind, converse, make, mount, shell

EPROTO = 71
HEADER = 24
RECORD = 8 + 8 * MAX_INTS + 8 * MAX_TEXTS
WILD = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0, 4096, 65536)


def refused(packed: bytes) -> None:
    """The plan is refused before any operation runs."""
    facts = converse(packed, SPACES)
    assert (facts.get("errno"), facts["status"]) == (EPROTO, 1), facts


def survives(packed: bytes) -> None:
    """However it ends, it is not by a signal."""
    facts = converse(packed, SPACES)
    assert facts["status"] >= 0, facts


@pytest.fixture
def good(lab: Lab) -> bytes:
    """A plan with every shape of arguments, which would run."""
    steps = [
        mount("tmpfs", "/tmp", "size=64k", "mode=700"),
        bind("/usr", "/tmp/usr"),
        make("mask", path="/etc"),
        make("user", uid=0, gid=0, groups=struct.pack("<2I", 1, 2)),
        make("sync", what="x"),
    ]
    packed = serialize.pack(lab.tree(*steps))
    assert converse(packed, SPACES)["status"] == 0
    return packed


def test_a_wrong_head_is_refused(good: bytes):
    for at, size in ((0, 4), (4, 4), (8, 4), (12, 4), (16, 8)):
        for delta in (1, -1, 1 << (8 * size - 1), 1000):
            number = int.from_bytes(good[at : at + size], "little") + delta
            number &= (1 << 8 * size) - 1
            damaged = good[:at] + number.to_bytes(size, "little") + good[at + size :]
            assert damaged != good
            refused(damaged)


def test_a_truncated_or_longer_plan_is_refused(good: bytes):
    for size in (1, 4, 23, 24, 100, HEADER + RECORD, len(good) // 2, len(good) - 1):
        refused(good[:size])
    refused(good + b"\0")
    refused(good + b"x" * 5000)


def test_an_empty_plan_is_an_error():
    if os.geteuid():
        pytest.skip("needs root")
    assert converse(b"", SPACES)["status"] == 1


def test_unknown_kinds_are_refused(good: bytes):
    runtime_side = NUMBERS["clone"]
    for kind in (len(NUMBERS), 0xFFFFFFFF, 0x80000000):
        refused(good[:HEADER] + struct.pack("<I", kind) + good[HEADER + 4 :])
    damaged = good[:HEADER] + struct.pack("<I", runtime_side) + good[HEADER + 4 :]
    assert converse(damaged, SPACES)["errno"] == EPROTO


def test_wild_texts_are_refused(good: bytes):
    """Every offset and length of the first records, pointing everywhere."""
    texts = HEADER + 8 + 8 * MAX_INTS
    for record in range(4):
        for number in range(2 * MAX_TEXTS):
            at = texts + record * RECORD + 4 * number
            for value in WILD[2:]:
                survives(good[:at] + struct.pack("<I", value) + good[at + 4 :])
    at = texts  # the path of the first operation
    for value in WILD[2:]:
        refused(good[:at] + struct.pack("<I", value) + good[at + 4 :])
        refused(good[: at + 4] + struct.pack("<I", value) + good[at + 8 :])


def test_a_text_must_end_where_it_says(good: bytes):
    """No string may run into its neighbour."""
    at = HEADER + 2 * RECORD + 8 + 8 * MAX_INTS + 4  # the path of `rootfs`
    (length,) = struct.unpack_from("<I", good, at)
    refused(
        good[:at] + struct.pack("<I", length - 1 if length > 1 else length + 1) + good[at + 4 :]
    )
    refused(good[:-1] + b"x")


def test_lists_without_their_last_end(lab: Lab):
    """`a\\0b` instead of `a\\0b\\0`: a list still ends where its text ends."""
    for length in (1, 4095, 4096, 4097, 8191):
        env = b"A=1\0" + b"x" * length
        end = [make("find_program", name="/bin/true"), make("exec", args=b"true", env=env)]
        assert lab.run([*lab.tree()[:-2], *end]).status == 0
    many = b"\0".join([b"a"] * 511)
    for args in (many, many + b"\0", b"\0" * 511, b""):
        end = [make("find_program", name="/bin/true"), make("exec", args=args, env=args)]
        assert lab.run([*lab.tree()[:-2], *end]).status >= 0
    assert (
        lab.below(make("mount", fstype="tmpfs", target="/tmp", options=b"size=1k\0mode=700")).ok()
        == ""
    )


NUMBERS_OF_ALL = [
    kind for kind in NUMBERS if kind not in ("await_start", "sync", "respawn", "hook")
]


# What could reach the machine: the host's own files and mounts, other processes.
RISKY = {
    "propagation", "rootfs", "move_root", "chroot", "pivot_root", "exec", "sysctl", "self_write",
    "remount", "mount_propagation", "reopen_null", "keyring", "cgroup_join", "setns", "bind",
    "bind_link", "unmount", "finish",
    "readonly", "mask", "open_source", "open_fs", "await_start", "sync", "respawn", "hook",
}  # fmt: skip
NONSENSE = (-1, 0, 1, 2, 63, 64, 2**31, -(2**31), 2**63 - 1, -(2**63))
WORDS = (b"", b"/", b"tmpfs", b"x\0y", b"\0" * 9, b"a" * 5000, b"..", b"proc")


def wild(chance: random.Random) -> Op:
    """An operation with arguments that no compiler makes, harmless in a throw-away namespace."""
    kinds = [kind for kind, row in TABLE.items() if row[0] == CONTAINER and kind not in RISKY]
    kind = chance.choice(kinds)
    _, ints, texts = TABLE[kind]
    values = [*[chance.choice(NONSENSE) for _ in ints], *[chance.choice(WORDS) for _ in texts]]
    return op(kind, *values)


def test_random_operations_fail_properly(lab: Lab):
    """The numbers and texts are nonsense; each plan ends in an error or in its program."""
    for seed in range(120):
        chance = random.Random(seed)
        steps = [wild(chance) for _ in range(3)]
        ended = lab.run(lab.tree(script="exit 0")[:3] + steps + shell("exit 0"))
        assert ended.status >= 0, (seed, steps, ended)


def test_random_bytes_after_a_valid_head(good: bytes):
    """Arguments damaged at random places: no crash."""
    chance = random.Random(7)
    start, end = HEADER + 8 + RECORD, len(good)
    for _ in range(60):
        damaged = bytearray(good)
        for _ in range(3):
            at = chance.randrange(start, end)
            damaged[at] = chance.randrange(256)
        # The first operation stays as it is: our mounts are our own.
        survives(bytes(damaged))


def test_more_slots_than_there_are(lab: Lab):
    for slot in (0, 5, 251, 252, 2**31, -1, -(2**63)):
        ended = lab.run([make("setns", slot=slot, nstype=0), *shell("exit 0")])
        assert (ended.kind, ended.errno) == ("setns", 9)


def test_a_plan_without_an_end(lab: Lab):
    """A plan that runs out of operations is an error too."""
    assert lab.run(lab.tree()[:4]).errno == EPROTO
