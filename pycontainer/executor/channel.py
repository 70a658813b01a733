"""The channel to the executor: one SEQPACKET socket, a closed set of messages
(csrc/executor/executor.h).
"""

from __future__ import annotations

from _struct import Struct
from errno import ECONNRESET, EINTR, EPIPE
from select import POLLIN, poll

from pycontainer._shim import ffi, lib
from pycontainer.base.errors import HostError, OperationError, check
from pycontainer.linux.files import close_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.plan.details import Detail

MSG_PLAN, MSG_SYNC, MSG_GO, MSG_CHILD, MSG_CONSOLE, MSG_FAILED, MSG_LISTENER = range(1, 8)
_NAMES = ("the end", "PLAN", "SYNC", "GO", "CHILD", "CONSOLE", "FAILED", "LISTENER")
HEAD = Struct("<IHHiHH")  # type, kind and number of the operation, errno, length of text, detail
ROOM = HEAD.size + 2048
MAX_FDS = 252  # what one message can carry, less the plan itself (SCM_MAX_FD)


class ExecutorFailed(Exception):
    """A FAILED message: the operation's number in the plan, its errno, and the details."""

    def __init__(self, step: int, errno: int, detail: Detail) -> None:
        super().__init__(step, errno, detail)
        self.step = step
        self.errno = errno
        self.detail = detail


class ExecutorGone(Exception):
    """The other end is closed, without a word."""


class Channel:
    """Our end of the channel, `ours`; `theirs` is the executor's until it has been started."""

    __slots__ = ("caught", "ours", "root", "theirs")

    def __init__(self) -> None:
        self.root = -1  # the container's root directory, sent along with a FAILED
        self.caught = -1  # a descriptor that came when Ctrl-C did
        pair = ffi.new("int[2]")
        check(lib.shim_channel(pair, pair + 1), "make the channel")
        self.ours, self.theirs = pair[0], pair[1]

    def drop_theirs(self) -> None:
        """After the clone: from now on the executor's death ends the channel."""
        fd, self.theirs = self.theirs, -1
        close_all(fd)

    def close(self) -> None:
        """Give both ends up."""
        close_all(self.theirs, self.ours, self.root)
        self.theirs = self.ours = self.root = -1

    def hand_over(self, packed: bytes, slots: list[int], timings: int = -1) -> None:
        """Send the plan, and the descriptors that its operations call slots; the last one may be
        a file for their `timings` (executor/timing.py)."""
        if len(slots) > MAX_FDS:
            raise HostError(
                f"the plan needs {len(slots)} descriptors, over {MAX_FDS}", "too-many-descriptors"
            )
        memfd = check(lib.shim_memfd(b"pycontainer-plan", packed, len(packed), 0), "keep the plan")
        try:
            traced = timings >= 0 and len(slots) < MAX_FDS
            self.send(MSG_PLAN, [memfd, *slots, *([timings] if traced else [])], index=traced)
        finally:
            close_all(memfd)

    def send(self, kind: int, fds: list[int] | None = None, index: int = 0) -> None:
        """Send a message; what the executor said before it went is raised instead of EPIPE."""
        data = HEAD.pack(kind, 0, index, 0, 0, 0)
        result = lib.shim_send(self.ours, data, len(data), fds or ffi.NULL, len(fds or ()))
        if result == -EPIPE:
            self.receive()
            raise ExecutorGone
        check(result, "talk to the executor")

    def receive(self) -> tuple[int, int]:
        """The next message's type and descriptor (-1 for none); type 0 at the end."""
        room, fds, count = ffi.new("char[]", ROOM), ffi.new("int[1]", [-1]), ffi.new("int *")
        try:
            got = -EINTR
            # ECONNRESET, once: it ended before it read all that we sent; its last words come next.
            while got in (-EINTR, -ECONNRESET):
                count[0] = 1
                got = lib.shim_receive(self.ours, room, ROOM, fds, count)
            check(got, "listen to the executor")
            if got < HEAD.size:
                return 0, -1
            data = bytes(ffi.buffer(room, got))
            kind, _, step, errno, _, _ = HEAD.unpack_from(data)
            if kind == MSG_FAILED:
                self.root = fds[0] if count[0] else -1
                raise ExecutorFailed(step, errno, detail_of(data))
            return kind, fds[0] if count[0] else -1
        except KeyboardInterrupt:  # every call is a moment for it; here, it may have a descriptor
            self.caught = fds[0]
            raise

    def child_of(self, executor: int) -> int:
        """The pidfd of the executor's child, which goes on in its place. Killed in between, the
        executor leaves a child that we were not told of, and that keeps the channel open."""
        poller = poll()
        poller.register(self.ours, POLLIN)
        poller.register(executor, POLLIN)
        if [fd for fd, _ in poller.poll()] == [executor]:
            poller.unregister(executor)
            if not poller.poll(0):
                raise ExecutorGone
        return self.expect(MSG_CHILD)

    def still_open(self) -> bool:
        """Whether the executor is still there."""
        return is_open(self.ours)

    def expect(self, wanted: int) -> int:
        """The descriptor of the next message, which must be of this type."""
        kind, fd = self.receive()
        if kind == 0:
            raise ExecutorGone
        if kind != wanted:
            raise unexpected(kind, wanted)
        return fd


def unexpected(got: int, expected: int) -> OperationError:
    """The error for a message that does not belong here; 0 is the end of the channel."""
    name = _NAMES[got] if got < len(_NAMES) else f"message {got}"
    text = f"protocol error: got {name}, expected {_NAMES[expected]}"
    return OperationError(text, "protocol", operation="channel")


def detail_of(message: bytes) -> Detail:
    """What a FAILED message tells beyond the errno. It may come from a tracer of init, so that
    every number in it is looked at."""
    from pycontainer.plan.details import CODES, Detail

    *_, length, code = HEAD.unpack_from(message)
    if code >= len(CODES):
        raise OperationError(f"protocol error: no detail {code}", "protocol", operation="channel")
    return Detail(CODES[code], message[HEAD.size :][:length].decode("utf-8", "replace"))


def program_of(detail: Detail) -> str:
    """The program that could not be executed, or ""."""
    return detail.facts[0] if detail.code in ("exec", "hook-not-executed") else ""


def is_open(connection: int) -> bool:
    """Whether the other end of a socket has not been closed."""
    poller = poll()
    poller.register(connection, 0)
    return not poller.poll(0)
