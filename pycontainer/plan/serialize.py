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
from pycontainer.plan.ops import CONSTANTS, CONTAINER, MAX_INTS, MAX_TEXTS, NUMBERS, TABLE, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC = 0x70796331  # "pyc1"
HEADER = Struct("<IIIIQ")
RECORD = Struct(f"<II{MAX_INTS}q{2 * MAX_TEXTS}I")
LIMIT = 64 << 20  # bytes; far over any real plan, and no 32-bit length can overflow below it


def checksum() -> int:
    """A number that changes with the tables: an executor of another build refuses the plan."""
    from pycontainer.plan.details import CODES

    value = 0
    rows = [
        f"{kind}:{row[0]}:{','.join(row[1])}:{','.join(row[2])};" for kind, row in TABLE.items()
    ]
    for char in "".join(rows) + str(CONSTANTS) + str(CODES):
        value = (value * 31 + ord(char)) & 0xFFFFFFFF
    return value


def pack(ops: list[Op]) -> bytes:
    """The buffer for the container's side of `ops`; ConfigError when it exceeds LIMIT."""
    from pycontainer.plan._checksum import CHECKSUM  # made by the build, saves hashing the table

    records: list[bytes] = []
    arena: list[bytes] = []
    offset = 0
    for index, item in enumerate(ops):
        kind = item.kind
        if TABLE[kind][0] != CONTAINER:
            continue
        spans: list[int] = []
        for text in item.texts:
            length = len(text)
            spans += (offset, length)
            arena.append(text)
            offset += length + 1
        if offset > LIMIT:
            raise ConfigError(f"plan too large: over {LIMIT >> 20} MiB", "too-large", item.field)
        record = _record(len(item.ints), len(item.texts))
        records.append(record(NUMBERS[kind], index, *item.ints, *spans))
    start = HEADER.size + RECORD.size * len(records)
    header = HEADER.pack(MAGIC, CHECKSUM, len(records), start, start + offset)
    arena.append(b"")
    return b"".join([header, *records, b"\0".join(arena)])


_packers: dict[tuple[int, int], Callable[..., bytes]] = {}


def _record(ints: int, texts: int) -> Callable[..., bytes]:
    """What packs a record with so many integers and texts; zeros stand for the others."""
    key = (ints, texts)
    if key not in _packers:
        unused = 8 * (MAX_INTS - ints)
        form = f"<II{ints}q{unused}x{2 * texts}I{8 * (MAX_TEXTS - texts)}x"
        _packers[key] = Struct(form).pack
    return _packers[key]
