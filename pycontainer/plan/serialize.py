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
        record, number = _packers.get(item.kind) or _packer(item.kind)
        if record is None:
            continue
        spans: list[int] = []
        for text in item.texts:
            length = len(text)
            spans += (offset, length)
            arena.append(text)
            offset += length + 1
        if offset > LIMIT:
            raise ConfigError(f"plan too large: over {LIMIT >> 20} MiB", "too-large", item.field)
        records.append(record(number, index, *item.ints, *spans))
    start = HEADER.size + RECORD.size * len(records)
    header = HEADER.pack(MAGIC, CHECKSUM, len(records), start, start + offset)
    arena.append(b"")
    return b"".join([header, *records, b"\0".join(arena)])


_packers: dict[str, tuple[Callable[..., bytes] | None, int]] = {}


def _packer(kind: str) -> tuple[Callable[..., bytes] | None, int]:
    """What packs a record of this kind, and its number; None for the runtime's own. Zeros stand for
    the arguments that other kinds have more."""
    side, ints, texts = TABLE[kind]
    unused = 8 * (MAX_INTS - len(ints))
    form = f"<II{len(ints)}q{unused}x{2 * len(texts)}I{8 * (MAX_TEXTS - len(texts))}x"
    pack = Struct(form).pack if side == CONTAINER else None
    _packers[kind] = pack, NUMBERS[kind]
    return _packers[kind]
