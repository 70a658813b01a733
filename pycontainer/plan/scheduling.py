"""When and where the program runs: scheduler, I/O priority, CPUs, memory nodes.

Loaded only for a config that has one of these fields; each one is a structure of the kernel's,
packed here and handed over as it is.
"""

from __future__ import annotations

from _struct import Struct

from pycontainer.plan.builder import Sketch
from pycontainer.tables import scheduling as numbers

# struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period, and the two
# utilization clamps of Linux 5.3, for which the specification has no field.
SCHED_ATTR = Struct("<IIQiIQQQII")


def compile_fields(sketch: Sketch, late: bool) -> None:
    """What of process.scheduler, process.ioPriority and linux.memoryPolicy there is; without the
    scheduler if that comes `late`."""
    if sketch.linux.get("memoryPolicy"):
        memory_policy(sketch)
    if sketch.process.get("scheduler") and not late:
        scheduler(sketch)
    if sketch.process.get("ioPriority"):
        io_priority(sketch)


def scheduler(sketch: Sketch) -> None:
    """process.scheduler, sched_setattr(2)."""
    sketch.add("scheduler", attr=attributes(sketch), field="process.scheduler")


def attributes(sketch: Sketch) -> bytes:
    """The same as struct sched_attr."""
    entry = sketch.process["scheduler"]
    flags = 0
    for name in entry.get("flags") or ():
        flags |= numbers.FLAGS[name]
    return SCHED_ATTR.pack(
        SCHED_ATTR.size,
        numbers.POLICIES[entry["policy"]],
        flags,
        entry.get("nice") or 0,
        entry.get("priority") or 0,
        *(entry.get(name) or 0 for name in ("runtime", "deadline", "period")),
        0,
        0,
    )


def io_priority(sketch: Sketch) -> None:
    """process.ioPriority, ioprio_set(2)."""
    entry = sketch.process["ioPriority"]
    value = numbers.IO_CLASSES[entry["class"]] << numbers.IO_CLASS_SHIFT
    sketch.add(
        "io_priority", value=value | (entry.get("priority") or 0), field="process.ioPriority"
    )


def memory_policy(sketch: Sketch) -> None:
    """linux.memoryPolicy, set_mempolicy(2)."""
    entry = sketch.linux["memoryPolicy"]
    mode = numbers.MEMORY_MODES[entry["mode"]]
    for name in entry.get("flags") or ():
        mode |= numbers.MEMORY_FLAGS[name]
    nodes = bit_mask(entry.get("nodes") or "")
    sketch.add("memory_policy", mode=mode, nodes=nodes, field="linux.memoryPolicy")


def affinity(sketch: Sketch, when: str) -> None:
    """process.execCPUAffinity: `initial` before the cgroup is entered, `final` after."""
    cpus = (sketch.process.get("execCPUAffinity") or {}).get(when)
    if cpus:
        field = f"process.execCPUAffinity.{when}"
        sketch.add("cpu_affinity", cpus=bit_mask(cpus), field=field)


def bit_mask(ranges: str) -> bytes:
    """A list like "0-3,7" as the kernel's array of unsigned longs, of 64 bits each."""
    bits = 0
    for part in ranges.split(","):
        first, dash, last = part.strip().partition("-")
        if first:
            bits |= (1 << (int(last if dash else first) + 1)) - (1 << int(first))
    return bits.to_bytes((bits.bit_length() + 63) // 64 * 8, "little")
