"""What is fuzzed: whatever reads bytes that somebody else has written.

A target makes an input from a source of chance, and is fed with it: the answer is "" when it was
taken, or refused with an error of ours, in time; else what was wrong.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import struct
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pycontainer.base.errors import ContainerError
from pycontainer.plan import serialize
from tests.fuzz import forked, mutate
from tests.fuzz.generate import invalid_config, valid_config
from tests.fuzz.seeds import make_rootfs
from tests.support.box import Box
from tests.support.runtimes import CHECKOUT, SLOWNESS, Done

SECONDS = 10 * SLOWNESS  # for one input
FRONT = CHECKOUT / "build/fast/pycontainer"
_INTERNAL = ("Traceback", "internal error", "Fatal", "Exception ignored")


class Target(ABC):
    """One of them, with a box for what it needs."""

    def __init__(self, box: Box) -> None:
        self.box = box

    @abstractmethod
    def make(self, rng: random.Random) -> bytes:
        """An input."""

    @abstractmethod
    def feed(self, data: bytes) -> str:
        """ "" or what is wrong."""


class Config(Target):
    """config.json, to the plan."""

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        forked.warm()
        self.rootfs = make_rootfs(box.directory)
        self.bundle = box.directory / "config"
        self.bundle.mkdir()

    def make(self, rng: random.Random) -> bytes:
        seed = rng.randrange(10**6)
        if rng.random() < 0.1:
            return mutate.of_bytes(rng, invalid_config(seed, self.rootfs)[0])
        config = valid_config(seed, self.rootfs, later=rng.random() < 0.5)
        return mutate.text_of(rng, mutate.of_json(rng, config))

    def feed(self, data: bytes) -> str:
        (self.bundle / "config.json").write_bytes(data)
        words = ["--root", str(self.box.pycontainer.root), "plan", str(self.bundle)]
        return _wrong(forked.command(words))


class State(Target):
    """The files of a state directory: read by Python, and the flat record by the front, too."""

    FILES = ("state.json", "record", "config.json")

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        forked.warm()
        pyc, self.id = box.pycontainer, box.id("fuzzed")
        pyc("create", "-b", box.bundle("/bin/true"), self.id).ok()
        self.good = {name: (pyc.root / self.id / name).read_bytes() for name in self.FILES}
        pyc("delete", "--force", self.id).ok()
        self.root = box.directory / "states"
        self.place = self.root / self.id
        self.place.mkdir(parents=True)
        self.root.chmod(0o700)

    def make(self, rng: random.Random) -> bytes:
        """The name of the file, a line feed, and what it holds."""
        name = rng.choice(self.FILES)
        good = self.good[name]
        if name == "record" or rng.random() < 0.3:
            data = mutate.of_bytes(rng, good)
        else:
            import json

            data = mutate.text_of(rng, mutate.of_json(rng, json.loads(good)))
        return name.encode() + b"\n" + data

    def feed(self, data: bytes) -> str:
        fuzzed, _, content = data.partition(b"\n")
        for name in self.FILES:
            (self.place / name).write_bytes(content if name.encode() == fuzzed else self.good[name])
        if fuzzed == b"record":
            self._tie_record(content)
        argv = ["--root", str(self.root)]
        for words in (["state", self.id], ["list"], ["ps", self.id]):
            if wrong := _wrong(forked.command([*argv, *words])):
                return wrong
        try:
            words = [str(FRONT), *argv, "state", self.id]
            done = subprocess.run(
                words, capture_output=True, input=b"", check=False, timeout=SECONDS
            )
        except subprocess.TimeoutExpired as hangs:
            return str(hangs)
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        return _wrong(Done(words, done.returncode, out, err))

    def _tie_record(self, content: bytes) -> None:
        """The front believes a record that names its state.json, by inode, size and time."""
        found = (self.place / "state.json").stat()
        facts = struct.pack("=QQq", found.st_ino, found.st_size, found.st_mtime_ns)
        head = struct.pack("=I", len(content)) + content[12:16] + facts
        (self.place / "record").write_bytes(content[:8] + head + content[16 + len(facts) :])


class Plan(Target):
    """A packed plan, as the executor reads it; kinds stay, since others could reach the host."""

    KIND, HEADER = 4, struct.calcsize("<IIIIQ")

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        from tests.executor.lab import Lab, bind, make, mount
        from tests.executor.test_hooks_inside import hook

        self.lab = Lab(box.directory / "lab")
        steps = [
            mount("tmpfs", "/tmp", "size=64k", "mode=700"),
            bind("/usr", "/tmp/usr"),
            make("mask", path="/etc"),
            hook("exit 0"),
            make("user", uid=0, gid=0, groups=struct.pack("<2I", 1, 2)),
            make("seccomp_prepare"),
        ]
        self.good = serialize.pack(self.lab.tree(*steps))
        record = self.good.index(b"/", self.HEADER)  # the first text: where the arena begins
        count = int.from_bytes(self.good[8:12], "little")
        self.record = (int.from_bytes(self.good[12:16], "little") - self.HEADER) // count
        assert record >= self.HEADER + count * self.record

    def make(self, rng: random.Random) -> bytes:
        """The first operation stays as it is: our mounts are our own."""
        keep = self.HEADER + self.record
        data = bytearray(self.good[:keep] + mutate.of_bytes(rng, self.good[keep:]))
        if rng.random() < 0.5:  # of the same length: what follows is looked at
            data = bytearray(self.good)
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(keep, len(data) - 8)
                data[at : at + 4] = rng.choice(mutate.INTEGERS).to_bytes(4, "little")
        for at in range(self.HEADER, len(self.good), self.record):
            if at < int.from_bytes(self.good[12:16], "little"):
                data[at : at + self.KIND] = self.good[at : at + self.KIND]
        return bytes(data)

    def feed(self, data: bytes) -> str:
        from tests.executor.lab import SPACES, converse

        facts = converse(data, SPACES)
        return "" if facts["status"] >= 0 else f"ended by signal {-facts['status']}: {facts}"


class DBus(Target):
    """What a D-Bus server says after the greeting."""

    def make(self, rng: random.Random) -> bytes:
        from pycontainer.cgroups.systemd.dbus_wire import pad, write

        kinds = ("s", "as", "v", "a{sv}", "(ua(ss))", "ay", "a(sv)", "t", "a()", "a(())", "aav")
        signature = rng.choice(kinds)
        fields = [(5, ("u", 1)), (8, ("g", signature))]
        body = rng.choice((
            b"\1\0\0\0a\0\0\0", bytes(64), b"\x08\0\0\0" + bytes(12), rng.randbytes(40),
        ))  # fmt: skip
        out = bytearray(b"l\2\0\1")
        write("uua(yv)", (len(body), 1, fields), out)
        pad(out, 8)
        return mutate.of_bytes(rng, bytes(out) + body) if rng.random() < 0.8 else bytes(out) + body

    def feed(self, data: bytes) -> str:
        from pycontainer.cgroups.systemd.dbus import Connection

        ours, theirs = socket.socketpair()
        theirs.sendall(b"OK 0\r\n" + data)
        theirs.shutdown(socket.SHUT_WR)
        connection = object.__new__(Connection)
        connection.peer, connection.name, connection.deadline_s = True, "fuzz", 1.0
        connection.signals, connection._input, connection._serial = [], bytearray(), 0
        connection._socket = ours  # type: ignore[assignment]
        with ours, theirs:
            connection.renew()
            return _typed(lambda: (connection._authenticate(), connection.call("a", "/", "a", "b")))


class Channel(Target):
    """What the executor, or whoever has taken its place, says at the channel and the gate."""

    def make(self, rng: random.Random) -> bytes:
        from pycontainer.executor.channel import HEAD

        kind = rng.choice((*range(8), 65535, 2**32 - 1))
        numbers = [rng.choice((0, 1, 5, 60, 255, 65535)) for _ in range(2)]
        text = rng.choice((b"", b"/x\0/y", rng.randbytes(90), b"\xff" * 2000))
        length = rng.choice((len(text), 0, 1, 65535))
        code = rng.choice((rng.randrange(70), 65535))
        head = HEAD.pack(kind, *numbers, rng.choice((0, 2, -1, 2**31 - 1)), length, code)
        return mutate.of_bytes(rng, head + text) if rng.random() < 0.3 else head + text

    def feed(self, data: bytes) -> str:
        from pycontainer.executor import channel, start_gate

        def talk() -> None:
            mine = channel.Channel()
            theirs = socket.socket(fileno=os.dup(mine.theirs))
            theirs.send(data)
            theirs.close()
            try:
                mine.drop_theirs()
                mine.expect(channel.MSG_SYNC)
            except channel.ExecutorFailed as failed:
                repr(failed.detail)
            except channel.ExecutorGone:
                pass
            finally:
                mine.close()

        def hear() -> None:
            ours, theirs = socket.socketpair()
            with theirs:
                theirs.sendall(data)
            start_gate.hear(ours.detach())

        return _typed(talk) or _typed(hear)


class Memory(Target):
    """The memory of a process whose system call was refused: its strings, for the report."""

    def make(self, rng: random.Random) -> bytes:
        return mutate.of_bytes(rng, rng.choice((b"/etc/passwd\0", b"\xff" * 300, b"")))

    def feed(self, data: bytes) -> str:
        from pycontainer._shim import ffi

        from pycontainer.seccomp.strings import of_call

        memory = ffi.new("char[]", data or b"\0")
        near = int(ffi.cast("uintptr_t", memory))
        numbers = [near, near + len(data) - 1, 2**64 - 1, 0, -1 % 2**64, 2**63]
        chance = random.Random(data)

        def look() -> None:
            for name in ("openat", "mount", "rename", "fanotify_mark"):
                found = of_call(os.getpid(), name, [chance.choice(numbers) for _ in range(6)])
                assert all(len(text) < 300 for text in found.values()), found

        return _typed(look)


TARGETS: dict[str, type[Target]] = {
    "config": Config,
    "state": State,
    "plan": Plan,
    "dbus": DBus,
    "channel": Channel,
    "memory": Memory,
}


def _wrong(done: Done) -> str:
    """A command ends with 0 or 1, in words of ours, and in one line if it fails."""
    internal = [word for word in _INTERNAL if word in done.err]
    if internal or done.status not in (0, 1) or (done.status and "level=error" not in done.err):
        return repr(done)
    return ""


class _Hangs(Exception):
    """It did not end in time."""


def _typed(call: Any) -> str:
    """Runs in time, and raises nothing but errors of ours."""
    try:
        with _in_time():
            call()
    except ContainerError:
        return ""
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__}: {error}"
    return ""


@contextmanager
def _in_time() -> Iterator[None]:
    def late(*_: object) -> None:
        raise _Hangs(f"not within {SECONDS:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def available() -> list[str]:
    """Those that can run here: real containers take root, and the front is built."""
    ready = os.geteuid() == 0 and FRONT.exists() and shutil.which("busybox") is not None
    return [name for name in TARGETS if ready or name in ("dbus", "channel", "memory")]


def keep(name: str, data: bytes) -> Path:
    """Where a failing input is kept, to be given again."""
    import hashlib

    place = CHECKOUT / "build/fuzz"
    place.mkdir(parents=True, exist_ok=True)
    file = place / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    file.write_bytes(data)
    return file
