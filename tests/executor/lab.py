"""The executor alone, with plans made by hand, in namespaces that end with the test.

A Lab has a root file system with busybox, and runs lists of operations through the same engine
pieces as `create` does: clone, channel, packed plan. Nothing of the store or of cgroups is there.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pycontainer._shim import ffi, lib

from pycontainer.executor import binary
from pycontainer.executor.channel import (
    MSG_CHILD,
    MSG_GO,
    MSG_LISTENER,
    MSG_SYNC,
    Channel,
    ExecutorFailed,
)
from pycontainer.plan import serialize
from pycontainer.plan.ops import TABLE, Op, joined, op

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
RSLAVE = 0x80000 | 0x4000
SPACES = NEWNS | NEWUTS | NEWIPC | NEWPID
APPLETS = (
    "sh cat ls stat readlink id pwd echo sleep env true false mount grep head yes touch".split()
)
PATIENCE = 20  # seconds for one run


class Outcome:
    """How it ended: the failed operation's `kind`, `errno` and `detail`, or the program's status.

    `out` is what the program wrote to stdout and stderr.
    """

    def __init__(self, facts: dict[str, Any], ops: list[Op]) -> None:
        self.status: int = facts["status"]
        self.errno: int = facts.get("errno", 0)
        self.detail: str = facts.get("detail", "")
        self.step: int = facts.get("step", -1)
        self.kind = ops[self.step].kind if self.step >= 0 else ""
        self.out: str = facts["out"]
        self.mounts: str = facts.get("mounts", "")

    def __repr__(self) -> str:
        name = errno.errorcode.get(self.errno, self.errno)
        return f"{self.kind or 'exit'} {self.status} {name} {self.detail!r}\n{self.out}"

    def ok(self) -> str:
        """What the program wrote, when all went well."""
        assert not self.kind and self.status == 0, repr(self)
        return self.out

    def fails(self, kind: str, *codes: int, words: str = "") -> str:
        """The detail, when this operation has failed with one of these errnos."""
        assert (self.kind, self.errno in codes) == (kind, True), repr(self)
        assert words in self.detail, repr(self)
        return self.detail


class Lab:
    """A directory with `root`, the container's, and `outside`, which nobody may touch."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "root"
        self.outside = directory / "outside"
        for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
            (self.root / name).mkdir(parents=True)
        self.outside.mkdir()
        (self.outside / "treasure").write_text("untouched")
        shutil.copy("/bin/busybox", self.root / "bin/busybox")
        for name in APPLETS:
            (self.root / "bin" / name).symlink_to("busybox")

    def untouched(self) -> None:
        """Assert that nothing outside of the root has been made or changed."""
        assert [path.name for path in self.outside.iterdir()] == ["treasure"]
        assert (self.outside / "treasure").read_text() == "untouched"

    def tree(self, *ops: Op, script: str = "exit 0", pivot: bool = True) -> list[Op]:
        """Operations below the root, then `script` in it."""
        begin = [
            op("propagation", RSLAVE, "/"),
            make("own_files"),
            make("rootfs", parent=1, path=str(self.root)),
        ]
        return [*begin, *ops, *[op("pivot_root")] * pivot, *shell(script)]

    def below(self, *ops: Op, script: str = "exit 0", **options: Any) -> Outcome:
        """Run operations below the root, then `script` in it."""
        return self.run(self.tree(*ops, script=script), **options)

    def inside(self, *ops: Op, script: str = "exit 0", **options: Any) -> Outcome:
        """Run operations in the root, then `script`."""
        return self.run([*self.tree()[:3], op("pivot_root"), *ops, *shell(script)], **options)

    def run(
        self,
        ops: list[Op],
        flags: int = SPACES,
        prepare: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> Outcome:
        """Carry the plan out in a child of ours, so that its stdio is a file.

        `prepare` is called in that child; the mounts that it has afterwards are in the outcome.
        """
        out, facts = self.directory / "out", self.directory / "facts"
        out.write_bytes(b"")
        facts.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            try:
                fd = os.open(out, os.O_RDWR | os.O_APPEND)
                null = os.open("/dev/null", os.O_RDONLY)
                os.dup2(null, 0)
                os.dup2(fd, 1)
                os.dup2(fd, 2)
                prepare()
                told = converse(serialize.pack(ops), flags, **options)
                told["mounts"] = Path("/proc/self/mountinfo").read_text()
                facts.write_text(json.dumps(told))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert facts.exists(), out.read_text(errors="replace")
        return Outcome(
            {**json.loads(facts.read_text()), "out": out.read_text(errors="replace")}, ops
        )


def converse(
    packed: bytes, flags: int, slots: tuple[int, ...] = (), raw: bool = False
) -> dict[str, Any]:
    """Start the executor, hand `packed` over, answer it until it is gone."""
    channel, pidfd = Channel(), ffi.new("int *")
    exe = binary.sealed()
    pid = lib.shim_spawn(exe, channel.theirs, flags, -1, 0, pidfd)
    assert pid > 0, os.strerror(-pid)
    channel.drop_theirs()
    facts: dict[str, Any] = {}
    watchdog = os.fork()
    if watchdog == 0:
        channel.close()
        import time

        time.sleep(PATIENCE)
        os.kill(pid, 9)
        os._exit(0)
    try:
        channel.hand_over(packed, list(slots))
        while True:
            kind, fd = channel.receive()
            if kind in (MSG_SYNC, MSG_LISTENER):
                channel.send(MSG_GO)
            elif kind == MSG_CHILD:
                os.waitpid(pid, 0)
                pid = binary.pid_of(fd)
                channel.send(MSG_GO)
            elif kind == 0:
                break
    except ExecutorFailed as failed:
        facts = {"step": failed.step, "errno": failed.errno, "detail": str(failed.detail)}
    channel.close()  # who found no program waits for that
    _, status = os.waitpid(pid, 0)
    os.kill(watchdog, 9)
    os.waitpid(watchdog, 0)
    for fd in (exe, pidfd[0]):
        os.close(fd)
    return {**facts, "status": os.waitstatus_to_exitcode(status)}


def shell(script: str, *env: str) -> list[Op]:
    """The last operations: a shell that runs `script`."""
    path = "PATH=/bin"
    return [
        make("find_program", name="/bin/sh", search="/bin"),
        make("exec", args=joined(["sh", "-c", script]), env=joined([path, *env])),
    ]


def make(kind: str, **values: Any) -> Op:
    """An operation with arguments by name; the others are 0, -1 for a slot, or empty."""
    _, ints, texts = TABLE[kind]
    assert set(values) <= {*ints, *texts}, f"{kind} has no such argument"
    numbers = [values.get(name, -1 if "slot" in name else 0) for name in ints]
    return op(kind, *numbers, *[values.get(name, b"") for name in texts])


def mount(fstype: str, target: str, *options: str, **more: Any) -> Op:
    """A new file system."""
    more.setdefault("plain_target", int(fstype in ("proc", "sysfs")))
    names = {"fstype": fstype, "source": fstype, "target": target}
    return make("mount", **names, options=joined(list(options)), **more)


def bind(source: Any, target: str, **more: Any) -> Op:
    """A bind mount from the host."""
    return make("bind", source=str(source), target=target, **more)


def mknod(path: str, mode: int, major: int = 0, minor: int = 0, **more: Any) -> Op:
    """A device."""
    return make("mknod", path=path, mode=mode, device=major << 32 | minor, **more)
