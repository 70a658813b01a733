"""Kernel structures back in words, for the descriptions of operations that few plans have."""

from __future__ import annotations

from pycontainer.plan.scheduling import SCHED_ATTR
from pycontainer.tables import scheduling


def scheduler(attr: bytes) -> str:
    """struct sched_attr."""
    if len(attr) != SCHED_ATTR.size:
        return f"schedule by {len(attr)} bytes"
    _, policy, flags, nice, priority, *times, _, _ = SCHED_ATTR.unpack(attr)
    words = [_name(scheduling.POLICIES, policy), *_names(scheduling.FLAGS, flags)]
    pairs = [("nice", nice), ("priority", priority)]
    pairs += zip(("runtime", "deadline", "period"), times, strict=True)
    words += [f"{name} {value}" for name, value in pairs if value]
    return f"schedule as {', '.join(words)}"


def io_priority(value: int) -> str:
    """The number of ioprio_set(2)."""
    name = _name(scheduling.IO_CLASSES, value >> scheduling.IO_CLASS_SHIFT)
    return f"set I/O priority {name} {value & 0xFF}"


def memory_policy(mode: int, nodes: bytes) -> str:
    """The mode with its flags, and the mask of nodes."""
    flags = _names(scheduling.MEMORY_FLAGS, mode)
    plain = mode & ~sum(scheduling.MEMORY_FLAGS.values())
    words = [_name(scheduling.MEMORY_MODES, plain), *flags]
    return f"set memory policy {', '.join(words)}" + (f" on nodes {ranges(nodes)}" if nodes else "")


def ranges(mask: bytes) -> str:
    """A mask as a list like 0-3,7."""
    digits = f"{int.from_bytes(mask, 'little'):b}"[::-1] + "0"
    parts = []
    first = digits.find("1")
    while first >= 0:
        end = digits.find("0", first)
        parts.append(str(first) if end == first + 1 else f"{first}-{end - 1}")
        first = digits.find("1", end)
    return ",".join(parts)


def _name(table: dict[str, int], number: int) -> str:
    return next((name for name, value in table.items() if value == number), str(number))


def _names(table: dict[str, int], bits: int) -> list[str]:
    return [name for name, bit in table.items() if bits & bit]
