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
from itertools import accumulate

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
    for item in ops:
        if TABLE[item.kind][0] == CONTAINER:
            arena += item.texts
    lengths = list(map(len, arena))
    spans = [0] * (2 * len(arena))  # offset and length of each text
    *spans[::2], total = accumulate(map((1).__add__, lengths), initial=0)
    spans[1::2] = lengths
    if total > LIMIT:
        raise _too_large(ops)
    at = 0
    for index, item in enumerate(ops):
        record, number, width = _packers.get(item.kind) or _packer(item.kind)
        if record:
            records.append(record(number, index, *item.ints, *spans[at : at + width]))
            at += width
    start = HEADER.size + RECORD.size * len(records)
    header = HEADER.pack(MAGIC, CHECKSUM, len(records), start, start + total)
    arena.append(b"")
    return b"".join([header, *records, b"\0".join(arena)])


def _too_large(ops: list[Op]) -> ConfigError:
    """It names the field of the operation that the limit lies in."""
    total, field = 0, ""
    for item in ops:
        if total <= LIMIT and item.side == CONTAINER:
            total += sum(map(len, item.texts)) + len(item.texts)
            field = item.field
    return ConfigError(f"plan too large: over {LIMIT >> 20} MiB", "too-large", field)


_packers: dict[str, tuple[Callable[..., bytes] | None, int, int]] = {}


def _packer(kind: str) -> tuple[Callable[..., bytes] | None, int, int]:
    """What packs a record of this kind, None for the runtime's own; its number, and how many
    numbers its texts take. Zeros stand for the arguments that other kinds have more."""
    side, ints, texts = TABLE[kind]
    unused = 8 * (MAX_INTS - len(ints))
    form = f"<II{len(ints)}q{unused}x{2 * len(texts)}I{8 * (MAX_TEXTS - len(texts))}x"
    pack = Struct(form).pack if side == CONTAINER else None
    _packers[kind] = pack, NUMBERS[kind], 2 * len(texts)
    return _packers[kind]
