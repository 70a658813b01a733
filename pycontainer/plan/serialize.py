"""The plan as one buffer for the executor: a header, fixed records, and an arena of bytes.

    header   magic, version (checksum of the table), records, arena offset, total length
    record   kind, index in the whole plan, MAX_INTS signed 64-bit integers,
             MAX_TEXTS pairs of (offset in the arena, length), 32 bits each
    arena    the texts, each followed by a NUL that its length does not count

Only container operations are packed; `index` keeps their number in the whole plan, so that a
failure names the operation that the user sees in `pycontainer plan`.
"""

from __future__ import annotations

from _struct import Struct

from pycontainer.base.errors import ConfigError
from pycontainer.plan.ops import CONTAINER, MAX_INTS, MAX_TEXTS, NUMBERS, TABLE, Op

MAGIC = 0x70796331  # "pyc1"
HEADER = Struct("<IIIIQ")
RECORD = Struct(f"<II{MAX_INTS}q{2 * MAX_TEXTS}I")
LIMIT = 64 << 20  # bytes; far over any real plan, and no 32-bit length can overflow below it


def checksum() -> int:
    """A number that changes with TABLE, so that an executor of another build refuses the plan."""
    value = 0
    for kind, (side, ints, texts) in TABLE.items():
        for char in f"{kind}:{side}:{','.join(ints)}:{','.join(texts)};":
            value = (value * 31 + ord(char)) & 0xFFFFFFFF
    return value


def pack(ops: list[Op]) -> bytes:
    """The buffer for the container's side of `ops`; ConfigError when it exceeds LIMIT."""
    from pycontainer.plan._checksum import CHECKSUM  # made by the build, saves hashing the table

    records: list[bytes] = []
    arena: list[bytes] = []
    offset = 0
    for index, item in enumerate(ops):
        if TABLE[item.kind][0] != CONTAINER:
            continue
        spans: list[int] = []
        for text in item.texts:
            spans += (offset, len(text))
            arena += (text, b"\0")
            offset += len(text) + 1
        if offset > LIMIT:
            raise ConfigError(f"plan too large: over {LIMIT >> 20} MiB", field=item.field)
        spans += (0,) * (2 * MAX_TEXTS - len(spans))
        ints = item.ints + (0,) * (MAX_INTS - len(item.ints))
        records.append(RECORD.pack(NUMBERS[item.kind], index, *ints, *spans))
    start = HEADER.size + RECORD.size * len(records)
    header = HEADER.pack(MAGIC, CHECKSUM, len(records), start, start + offset)
    return b"".join([header, *records, *arena])
