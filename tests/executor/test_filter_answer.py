"""The executor's own answer to "what will the filter say", against the kernel's.

Random programs of every instruction that seccomp(2) takes are loaded by a child, which makes one
system call; csrc/executor/filter.c, as a library, is asked about the same call.
"""

from __future__ import annotations

import ctypes
import os
import platform
import random
import shutil
import struct
import subprocess
from collections.abc import Callable

import pytest

from pycontainer.seccomp import cache
from tests.executor.test_seccomp_filter import call, load
from tests.support.runtimes import CHECKOUT
from tests.unit.seccomp import bpf

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the numbers in these tests are x86-64's"
)

GETPPID = 110
# Random constants of each shift, mask and comparison; the offsets of all but the pointer.
WORDS = (0, 4, *range(16, 64, 4))
ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, XOR = (n << 4 for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 10))
JUMPS = (0x15, 0x25, 0x35, 0x45)
Answer = Callable[[bytes, int, tuple[int, ...]], int]


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("filter") / "filter.so"
    source = CHECKOUT / "csrc/executor/filter.c"
    options = ["-shared", "-fPIC", "-O1", "-ffreestanding", "-w", "-fsanitize=undefined",
               "-fsanitize-undefined-trap-on-error"]  # fmt: skip
    subprocess.run([compiler, *options, "-o", library, source], check=True)
    function = ctypes.CDLL(str(library)).filter_answer
    function.restype = ctypes.c_uint32

    def ask(program: bytes, number: int, args: tuple[int, ...]) -> int:
        values = (ctypes.c_uint64 * 6)(*args)
        return function(program, ctypes.c_size_t(len(program)), ctypes.c_long(number), values)

    return ask


def instruction(rng: random.Random, left: int) -> tuple[int, int, int, int]:
    """One that computes, or a jump to one of the next `left`."""
    k = rng.choice([0, 1, 31, 0xFFFF, 0xFFFFFFFF, rng.getrandbits(32)])
    kind = rng.randrange(10)
    if kind == 0:
        return (0x20, 0, 0, rng.choice(WORDS))
    if kind == 1:
        return (rng.choice([0x00, 0x01]), 0, 0, k)  # ld, ldx of a constant
    if kind == 2:
        return (rng.choice([0x02, 0x03, 0x60, 0x61]), 0, 0, rng.randrange(16))  # st, stx, ld, ldx
    if kind == 3:
        return (rng.choice([0x07, 0x87, 0x80, 0x81]), 0, 0, 0)  # tax, txa, lengths
    if kind == 4 and left > 1:
        return (0x05, 0, 0, rng.randrange(left))
    if kind <= 6 and left > 1:
        code = rng.choice(JUMPS) | rng.choice([0, 8])
        return (code, rng.randrange(left), rng.randrange(left), k)
    operation = rng.choice([ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, XOR])
    if operation in (LSH, RSH):
        return (0x04 | operation, 0, 0, k % 32)
    if operation == DIV:
        return (0x04 | operation, 0, 0, k or 1)
    source = 0 if operation == NEG else rng.choice([0, 8])
    return (0x04 | operation | source, 0, 0, k)


def random_program(rng: random.Random) -> bytes:
    """Answers getppid(2) with an errno that it computes; lets everything else through."""
    length = rng.randrange(1, 40)
    rows = [(0x20, 0, 0, 0), (0x15, 1, 0, GETPPID), (0x06, 0, 0, bpf.ALLOW)]
    rows += [(0x02, 0, 0, n) for n in range(16)]  # the kernel wants memory to be set before use
    rows += [instruction(rng, length - at) for at in range(length)]
    rows += [(0x54, 0, 0, 0xFFF), (0x44, 0, 0, 0x00050000), (0x16, 0, 0, 0)]
    return b"".join(struct.pack("=HBBI", *row) for row in rows)


def kernels_answer(program: bytes, args: tuple[int, ...]) -> int:
    """The errno that getppid(2) gets in a child with this filter."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        loaded = load(cache.Filter(program, 0, False, (), ()))
        result = call(GETPPID, *args) if loaded == 0 else 10000 - loaded
        os.write(writer, struct.pack("=q", result))
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    data = os.read(reader, 8)
    os.close(reader)
    return -struct.unpack("=q", data)[0]


@pytest.mark.parametrize("seed", range(8))
def test_as_the_kernel(answer: Answer, seed: int):
    rng = random.Random(seed)
    seen = set()
    for _ in range(40):
        program = random_program(rng)
        args = tuple(rng.choice([0, 1, rng.getrandbits(32), rng.getrandbits(64)]) for _ in range(6))
        ours = answer(program, GETPPID, args)
        assert ours & 0xFFFF0000 == 0x00050000
        # errno 0 is no error: the call returns 0
        assert kernels_answer(program, args) == ours & 0xFFF, (seed, program.hex(), args)
        seen.add(ours)
        assert answer(program, GETPPID + 1, args) == bpf.ALLOW
    assert len(seen) > 5


def test_profiles(answer: Answer):
    """What libseccomp makes, with all its comparisons."""
    ops = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]
    rules = [
        {"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": 40 + n,
         "args": [{"index": n % 6, "value": 0x1_0000_0007, "valueTwo": 5, "op": f"SCMP_CMP_{op}"}]}
        for n, (name, op) in enumerate(zip(
            ["getppid", "getuid", "getgid", "getpid", "dup", "close", "read"], ops, strict=True))
    ]  # fmt: skip
    profile = {"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [
        *rules, {"names": ["write", "execve"], "action": "SCMP_ACT_ALLOW"}]}  # fmt: skip
    program = cache.compile(profile).bpf
    numbers = [110, 102, 104, 39, 32, 3, 0, 1, 59, 231, 257, 0x40000001]
    seen = set()
    for number in numbers:
        for value in (0, 5, 7, 0x1_0000_0006, 0x1_0000_0007, 0x1_0000_0008, 2**64 - 1):
            args = (value,) * 6
            seen.add(answer(program, number, args))
            assert answer(program, number, args) == bpf.run(program, number, args)
    assert {bpf.KILL_PROCESS, bpf.ALLOW, *(bpf.errno_action(40 + n) for n in range(7))} <= seen
