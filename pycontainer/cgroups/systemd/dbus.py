"""A connection to a D-Bus server: authentication, calls, signals, each with a deadline.

Input: an address, and how many seconds of silence are too many. It asks one thing at a time;
signals that arrive meanwhile are kept until the caller waits for them. A server that is silent,
closes, or sends nonsense becomes a HostError that names the socket, never a hang.

Authentication is SASL EXTERNAL without a name: the server then takes the uid that the kernel
vouches for, which is also right when we are root of a user namespace.
"""

from __future__ import annotations

import _socket
import posix
import select
from _struct import Struct
from time import monotonic, sleep

from pycontainer.base.errors import ContainerError, HostError, os_reason
from pycontainer.cgroups.systemd.dbus_wire import Reader, pad, write
from pycontainer.linux.process import activity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CALL, REPLY, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SIGNATURE = 1, 2, 3, 4, 5, 6, 8
HEADER_TYPES = {PATH: "o", INTERFACE: "s", MEMBER: "s", DESTINATION: "s", SIGNATURE: "g"}
BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
LONGEST = 1 << 24  # bytes of one message; the specification allows more, and systemd sends less
MOST = 1 << 26  # bytes in one step, signals to everybody included
# A manager that starts many units tells everybody of each, and answers when it comes to it; among
# many processes it hardly gets to run. A step may take so many times as long as silence may.
WHOLE = 20
_PEER = Struct("iII")  # struct ucred


class DBusError(ContainerError):
    """The other side answered with an error: `name` is its kind, e.g. ...systemd1.UnitExists."""

    category = "dbus"

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message or name)
        self.name = name


class Message:
    """A received message: its type, header fields by number, and body."""

    __slots__ = ("body", "fields", "kind")

    def __init__(self, kind: int, fields: dict[int, Any], body: tuple[Any, ...]) -> None:
        self.kind = kind
        self.fields = fields
        self.body = body


class Connection:
    """Connected and authenticated; `peer` says that there is no bus daemon between."""

    __slots__ = (
        *("_input", "_received", "_serial", "_since", "_socket", "_until"),
        *("deadline_s", "name", "peer", "signals"),
    )

    def __init__(self, address: bytes | str, peer: bool, deadline_s: float = 30.0) -> None:
        self.peer = peer
        self.name = _shown(address)
        self.deadline_s = deadline_s
        self.signals: list[Message] = []
        self._input = bytearray()
        self._serial = 0
        self.renew()
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            self._socket.setblocking(False)
            self._connect(address)
            self._authenticate()
            if not peer:
                self.call(*BUS, "Hello")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def renew(self) -> None:
        """Start the deadline anew, for the next step."""
        self._since = monotonic()
        self._received = 0
        self._give_time()

    def call(
        self, destination: str, path: str, interface: str, method: str, *arguments: Any
    ) -> tuple[Any, ...]:
        """Call a method; `arguments` are a signature and then its values. Raises DBusError."""
        signature, values = (arguments[0], arguments[1:]) if arguments else ("", ())
        fields = {PATH: path, INTERFACE: interface, MEMBER: method}
        if not self.peer:
            fields[DESTINATION] = destination
        serial = self._send(fields, signature, values)
        while True:
            message = self._receive()
            if message.kind == SIGNAL:
                self.signals.append(message)
            elif message.fields.get(REPLY_SERIAL) == serial:
                if message.kind == ERROR:
                    text = message.body[0] if message.body else ""
                    raise DBusError(str(message.fields.get(ERROR_NAME, "")), str(text))
                return message.body

    def signal(self, member: str) -> tuple[Any, ...]:
        """The body of the next signal of that name; HostError at the deadline."""
        while True:
            for index, message in enumerate(self.signals):
                if message.fields.get(MEMBER) == member:
                    del self.signals[index]
                    return message.body
            message = self._receive()
            if message.kind == SIGNAL:
                self.signals.append(message)

    # -- bytes ---------------------------------------------------------------------------------

    def _connect(self, address: bytes | str) -> None:
        pause = 0.001
        while True:
            try:
                return self._socket.connect(address)
            except BlockingIOError:  # the queue is full: many containers start at once
                if monotonic() + pause > self._until:
                    text = f"it accepts no connection within {self.deadline_s:g} s"
                    raise HostError(f"connect to {self.name}: {text}", "bus-failed") from None
            except OSError as error:
                raise HostError(
                    f"connect to {self.name}: {os_reason(error.errno or 0)}", "os-error"
                ) from None
            sleep(pause)
            pause = min(pause * 2, 0.2)

    def _authenticate(self) -> None:
        # BEGIN goes with the rest: should it come in one piece with the first message, systemd
        # would not look at that message before the next one arrives.
        self._write(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")
        while True:
            line = self._line()
            if line.startswith(b"OK "):
                break
            if line.rstrip() != b"DATA":
                raise HostError(
                    f"authenticate to {self.name}: it said {line.decode('ascii', 'replace')!r}",
                    "bus-failed",
                )

    def _line(self) -> bytes:
        while (end := self._input.find(b"\r\n")) < 0:
            if len(self._input) > 4096:
                raise HostError(f"authenticate to {self.name}: it talks no D-Bus", "bus-failed")
            self._fill()
        line = bytes(self._input[:end])
        del self._input[: end + 2]
        return line

    def _send(self, fields: dict[int, Any], signature: str, values: tuple[Any, ...]) -> int:
        body = bytearray()
        if signature:
            write(signature, values, body)
            fields[SIGNATURE] = signature
        self._serial += 1
        listed = [(number, (HEADER_TYPES[number], value)) for number, value in fields.items()]
        out = bytearray(b"l\1\0\1")
        write("uua(yv)", (len(body), self._serial, listed), out)
        pad(out, 8)
        self._write(bytes(out + body))
        return self._serial

    def _receive(self) -> Message:
        try:
            return self._parse()
        except (ValueError, TypeError) as error:
            raise HostError(f"read from {self.name}: {error}", "bus-failed") from None

    def _parse(self) -> Message:
        self._need(16)
        if self._input[0] not in b"lB":
            raise ValueError("no D-Bus message")
        order = "big" if self._input[0] == 0x42 else "little"
        kind = self._input[1]
        start = Reader(bytes(self._input[:16]), order, 4)  # type: ignore[arg-type]
        body_size, _, fields_size = start.read("uuu")
        head_size = 16 + fields_size + -fields_size % 8
        if head_size + body_size > LONGEST:
            raise ValueError("D-Bus message is too long")
        self._need(head_size + body_size)
        head = Reader(bytes(self._input[:head_size]), order, 12)  # type: ignore[arg-type]
        body = Reader(bytes(self._input[head_size : head_size + body_size]), order)  # type: ignore[arg-type]
        del self._input[: head_size + body_size]
        (listed,) = head.read("a(yv)")
        fields = {number: value for number, (_, value) in listed}
        return Message(kind, fields, body.read(fields.get(SIGNATURE, "")))

    def _need(self, size: int) -> None:
        while len(self._input) < size:
            self._fill()

    def _fill(self) -> None:
        self._wait(select.POLLIN)
        try:
            data = self._socket.recv(65536)
        except OSError as error:
            raise HostError(
                f"read from {self.name}: {os_reason(error.errno or 0)}", "os-error"
            ) from None
        if not data:
            raise HostError(f"read from {self.name}: it closed the connection", "bus-failed")
        self._input += data
        self._received += len(data)
        if self._received > MOST:
            raise HostError(f"talk to {self.name}: {MOST >> 20} MiB, and no answer among them")
        self._give_time()

    def _write(self, data: bytes) -> None:
        while data:
            self._wait(select.POLLOUT)
            try:
                data = data[self._socket.send(data, _socket.MSG_NOSIGNAL) :]
            except OSError as error:
                raise HostError(
                    f"write to {self.name}: {os_reason(error.errno or 0)}", "os-error"
                ) from None

    def _wait(self, events: int) -> None:
        poller = select.poll()
        poller.register(self._socket.fileno(), events)
        while (left := self._until - monotonic()) <= 0 or not poller.poll(left * 1000):
            waited = round(monotonic() - self._since, 1)
            if self._until >= self._end() or not self._is_busy():
                raise HostError(f"talk to {self.name}: no answer within {waited:g} s", "timeout")
            self._give_time()

    def _give_time(self) -> None:
        self._until = min(monotonic() + self.deadline_s, self._end())

    def _end(self) -> float:
        """When even the busiest had its time."""
        return self._since + WHOLE * self.deadline_s

    def _is_busy(self) -> bool:
        """Whether the other side runs, or would like to: then it is not stuck. We can't know when
        it is in another pid namespace."""
        peer = self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _PEER.size)
        pid = _PEER.unpack(peer)[0]
        if pid in (0, posix.getpid()):
            return False
        before = activity(pid)
        sleep(self.deadline_s / 20)
        state, used = activity(pid)
        return state == b"R" or used > before[1]


def _shown(address: bytes | str) -> str:
    """The address in words; an abstract one begins with NUL."""
    text = address if isinstance(address, str) else address.decode("utf-8", "replace")
    return "@" + text[1:] if text.startswith("\0") else text


def parse_address(text: str) -> bytes | str:
    """The first unix socket of an address list ("unix:path=/run/x,guid=1;unix:abstract=y")."""
    for entry in text.split(";"):
        transport, _, rest = entry.partition(":")
        if transport != "unix":
            continue
        for pair in rest.split(","):
            key, _, value = pair.partition("=")
            value = _unescape(value)
            if key == "path":
                return value
            if key == "abstract":
                return "\0" + value
    raise HostError(f"use D-Bus address {text!r}: not a unix socket", "bus-failed")


def _unescape(text: str) -> str:
    head, *rest = text.split("%")
    return head + "".join(chr(int(part[:2], 16)) + part[2:] for part in rest)
