"""The packed plan: a reader of our own gets back what was packed; limits hold; C sees the same."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycontainer.base.errors import ConfigError
from pycontainer.plan import generate_header, serialize
from pycontainer.plan.ops import CONTAINER, MAX_INTS, MAX_TEXTS, NUMBERS, TABLE, Op, joined, op

KINDS = list(TABLE)
CSRC = Path(__file__).resolve().parents[3] / "csrc"


def read(packed: bytes) -> list[tuple[str, int, tuple[int, ...], tuple[bytes, ...]]]:
    """The plan as executor.h's structs have it, with every check that the executor makes."""
    magic, version, count, arena, total = struct.unpack_from("<IIIIQ", packed)
    assert (magic, version, total) == (0x70796331, serialize.checksum(), len(packed))
    size = 8 + 8 * MAX_INTS + 8 * MAX_TEXTS
    assert arena == 24 + size * count and packed[-1:] == b"\0"
    shape = f"<II{MAX_INTS}q{2 * MAX_TEXTS}I"
    result = []
    for number in range(count):
        kind, index, *rest = struct.unpack_from(shape, packed, 24 + size * number)
        texts = []
        for offset, length in zip(rest[MAX_INTS::2], rest[MAX_INTS + 1 :: 2], strict=True):
            assert offset + length < total - arena
            assert not length or packed[arena + offset + length] == 0
            texts.append(packed[arena + offset : arena + offset + length])
        _, ints, names = TABLE[KINDS[kind]]
        assert not any(rest[len(ints) : MAX_INTS]) and not any(texts[len(names) :])
        result.append((KINDS[kind], index, tuple(rest[: len(ints)]), tuple(texts[: len(names)])))
    return result


@st.composite
def operations(draw: st.DrawFn) -> Op:
    kind = draw(st.sampled_from(KINDS))
    _, ints, texts = TABLE[kind]
    numbers = [draw(st.integers(-(2**63), 2**63 - 1)) for _ in ints]
    return op(kind, *numbers, *[draw(st.binary(max_size=40)) for _ in texts])


@settings(max_examples=100)
@given(st.lists(operations(), min_size=1, max_size=12))
def test_what_is_packed_is_read_again(ops: list[Op]):
    ops = [*ops, op("exec", 0, b"a\0", b"")]
    expected = [
        (item.kind, index, item.ints, item.texts)
        for index, item in enumerate(ops)
        if item.side == CONTAINER
    ]
    assert read(serialize.pack(ops)) == expected


def test_runtime_operations_stay_here_but_count():
    packed = serialize.pack(
        [op("record", "creating"), op("setsid"), op("umask", 18), op("chdir", "/")]
    )
    assert [(kind, index) for kind, index, _, _ in read(packed)] == [
        ("setsid", 1),
        ("umask", 2),
        ("chdir", 3),
    ]


def test_long_texts_keep_their_length():
    """CVE-2021-43784: no length is cut to 16 bits."""
    for size in (65535, 65536, 70000, 1 << 20):
        packed = serialize.pack([op("setns", 0, 0, b"x" * size), op("chdir", b"y")])
        assert [len(texts[0]) for _, _, _, texts in read(packed)] == [size, 1]


def test_a_plan_has_a_limit():
    half = b"x" * (serialize.LIMIT // 2)
    serialize.pack([op("chdir", half)])
    with pytest.raises(ConfigError, match="plan too large: over 64 MiB") as caught:
        serialize.pack([op("chdir", half), op("chdir", half, field="process.cwd")])
    assert caught.value.field == "process.cwd"


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_numbers_have_64_bits(number: int):
    with pytest.raises(struct.error):
        serialize.pack([op("umask", number)])


def test_every_operation_fits_into_a_record():
    for kind, (side, ints, texts) in TABLE.items():
        assert len(ints) <= MAX_INTS and len(texts) <= MAX_TEXTS, kind
        assert side in ("runtime", "container")
        assert len(set(ints)) == len(ints) and len(set(texts)) == len(texts)


def test_the_header_says_the_same():
    """Each constant of the C header is the position that the packer uses."""
    defined = dict(re.findall(r"#define (\w+) (\w+)$", generate_header.header(), re.MULTILINE))
    assert int(defined["PLAN_VERSION"].rstrip("u"), 16) == serialize.checksum()
    assert (int(defined["PLAN_INTS"]), int(defined["PLAN_TEXTS"])) == (MAX_INTS, MAX_TEXTS)
    for kind, (side, ints, texts) in TABLE.items():
        if side == CONTAINER:
            assert int(defined[f"OP_{kind.upper()}"]) == NUMBERS[kind]
            for names in (ints, texts):
                for place, name in enumerate(names):
                    assert int(defined[f"{kind.upper()}_{name}"]) == place


def test_a_name_stands_for_one_argument():
    """`INT(BIND, x)` and `TEXT(BIND, x)` share their constants: no kind has both of one name."""
    for kind, (_, ints, texts) in TABLE.items():
        assert not set(ints) & set(texts), kind


def test_the_checksum_changes_with_the_table(monkeypatch: pytest.MonkeyPatch):
    before = serialize.checksum()
    monkeypatch.setitem(TABLE, "umask", (CONTAINER, ("mask", "more"), ()))
    assert serialize.checksum() != before


def test_every_handler_is_there():
    """A kind without its C function would be found by the linker; one without a kind, here."""
    source = "".join(file.read_text() for file in (CSRC / "executor").glob("*.c"))
    handlers = set(re.findall(r"^int do_(\w+)\(void\)", source, re.MULTILINE))
    assert handlers == {kind for kind, row in TABLE.items() if row[0] == CONTAINER}


def test_lists_of_strings():
    assert joined([]) == b"" and joined(["a", "", "ü"]) == b"a\0\0\xc3\xbc\0"
    assert joined(["\udcff"]) == b"\xff\0"  # what an environment may hold


def test_operations_are_values():
    one, same = op("chdir", "/a", field="x"), op("chdir", b"/a", field="x")
    assert one == same and hash(one) == hash(same) and one != op("chdir", "/a")
    assert one["path"] == b"/a" and op("umask", 7)["mask"] == 7
    assert repr(one) == "Op(chdir, path=b'/a', 'x')"
    with pytest.raises(TypeError, match="chdir takes 0 integers and 1 texts"):
        op("chdir", 1, "/a")
