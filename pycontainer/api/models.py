"""What is known about a container, as plain typed values; sizes are bytes, times nanoseconds.

Each is made from the document that the command prints, which stays at hand as `document` where it
holds more than the value.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs

_UNLIMITED = 1 << 62  # v1 writes "no limit" as the largest multiple of a page, v2 as "max"

Status = Literal["creating", "created", "running", "paused", "stopped", "broken"]


@attrs.frozen
class OutOfMemory:
    """The kernel killed `kills` processes for lack of memory; `limit` and `peak` if known."""

    kills: int
    limit: int | None = None
    peak: int | None = None

    @classmethod
    def of(cls, document: dict[str, Any]) -> OutOfMemory | None:
        """From a report of cgroups.stats.oom; None when there were no kills."""
        if not document:
            return None
        return cls(document.get("kills", 0), document.get("limit"), document.get("peak"))


@attrs.frozen
class State:
    """The state of runtime.md#state: `pid` is the host's number of init, 0 once it has stopped;
    `created` is RFC 3339. "broken": its state file makes no sense, only delete(force=True) helps.
    """

    id: str
    status: Status
    pid: int
    bundle: str
    rootfs: str
    created: str
    annotations: dict[str, str]
    oci_version: str
    oom: OutOfMemory | None = None

    @classmethod
    def of(cls, document: dict[str, Any]) -> State:
        """From what `pycontainer state` prints."""
        return cls(
            id=document["id"],
            status=document["status"],
            pid=document["pid"],
            bundle=document["bundle"],
            rootfs=document["rootfs"],
            created=document["created"],
            annotations=document.get("annotations") or {},
            oci_version=document["ociVersion"],
            oom=OutOfMemory.of(document.get("oom") or {}),
        )


@attrs.frozen
class Cpu:
    """Processor time used, in nanoseconds, and how often the quota was the limit."""

    total: int
    user: int
    kernel: int
    periods: int
    throttled_periods: int
    throttled_time: int


@attrs.frozen
class Memory:
    """Bytes; `limit` and `peak` are None when there is none, or the kernel does not say."""

    usage: int
    limit: int | None
    peak: int | None
    cache: int


@attrs.frozen
class Pids:
    """How many tasks there are; `limit` None: any number."""

    current: int
    limit: int | None


@attrs.frozen
class Stats:
    """What a container uses now; `document` is all of it, as `pycontainer events` prints it."""

    cpu: Cpu
    memory: Memory
    pids: Pids
    document: dict[str, Any] = attrs.field(repr=False)

    @classmethod
    def of(cls, document: dict[str, Any]) -> Stats:
        """From the data of a stats event."""
        usage = document["cpu"].get("usage") or {}
        throttling = document["cpu"].get("throttling") or {}
        memory = document["memory"]
        entry = memory.get("usage") or {}
        pids = document["pids"]
        return cls(
            Cpu(
                usage.get("total", 0),
                usage.get("user", 0),
                usage.get("kernel", 0),
                throttling.get("periods", 0),
                throttling.get("throttledPeriods", 0),
                throttling.get("throttledTime", 0),
            ),
            Memory(
                entry.get("usage", 0),
                _limit(entry.get("limit")),
                entry.get("max"),
                memory.get("cache", 0),
            ),
            Pids(pids.get("current", 0), pids.get("limit") or None),
            document,
        )


def _limit(value: int | None) -> int | None:
    return value if value and value < _UNLIMITED else None


@attrs.frozen
class Event:
    """Something that happened: `stats` with what the container uses, `oom`, or at last `exit`, with
    the exit status (128 + n for signal n), or None where it is not known."""

    type: Literal["stats", "oom", "exit"]
    id: str
    stats: Stats | None = None
    oom: OutOfMemory | None = None
    exit_status: int | None = None

    @classmethod
    def of(cls, document: dict[str, Any]) -> Event:
        """From what `pycontainer events` prints."""
        data = document["data"]
        if document["type"] == "oom":
            return cls("oom", document["id"], oom=OutOfMemory.of(data))
        if document["type"] == "exit":
            return cls("exit", document["id"], exit_status=data.get("status"))
        return cls("stats", document["id"], stats=Stats.of(data))


@attrs.frozen
class Operation:
    """One step of a plan, numbered as in the errors.

    `side` says who does it, `kind` and `arguments` what it is for a program, `text` for people,
    `field` where in the config it comes from ("": from no single field).
    """

    number: int
    side: Literal["runtime", "container"]
    kind: str
    arguments: dict[str, Any] = attrs.field(repr=False)
    field: str
    text: str


@attrs.frozen
class Plan:
    """What create would do, in order; `str()` is what `pycontainer plan` prints."""

    operations: tuple[Operation, ...]
    warnings: tuple[str, ...]
    _text: str = attrs.field(repr=False)

    def __str__(self) -> str:
        return self._text
