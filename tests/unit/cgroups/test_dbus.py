"""The D-Bus client: values to bytes and back, and servers that misbehave."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycontainer.base.errors import HostError
from pycontainer.cgroups.systemd import dbus, gvariant
from pycontainer.cgroups.systemd.dbus_wire import Reader, types_of, write

INTEGERS = {"y": (0, 8), "n": (1, 16), "q": (0, 16), "i": (1, 32), "u": (0, 32), "x": (1, 64)}


def integer(kind: str) -> st.SearchStrategy:
    signed, bits = {**INTEGERS, "t": (0, 64)}[kind]
    return st.integers(-(1 << bits - 1) if signed else 0, (1 << bits - signed) - 1)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))
BASIC = [("b", st.booleans()), ("d", st.floats(allow_nan=False)), ("s", TEXT), ("ay", st.binary())]
BASIC += [(kind, integer(kind)) for kind in (*INTEGERS, "t")]


@st.composite
def typed(draw: st.DrawFn, depth: int = 3) -> tuple[str, object]:
    """A signature of one complete type, and a value of it."""
    if depth == 0 or draw(st.booleans()):
        kind, values = draw(st.sampled_from(BASIC))
        return kind, draw(values)
    shape = draw(st.sampled_from(("array", "struct", "variant", "dict")))
    if shape == "variant":
        return "v", draw(typed(depth - 1))
    if shape == "struct":
        members = draw(st.lists(typed(depth - 1), min_size=1, max_size=4))
        return f"({''.join(kind for kind, _ in members)})", tuple(value for _, value in members)
    if shape == "dict":
        return "a{su}", draw(st.dictionaries(TEXT, integer("u")))
    kind, values = draw(st.sampled_from([pair for pair in BASIC if pair[0] not in ("y", "ay")]))
    return f"a{kind}", draw(st.lists(values))


@given(st.lists(typed(), max_size=5))
def test_what_is_written_is_read(members):
    signature = "".join(kind for kind, _ in members)
    values = tuple(value for _, value in members)
    out = bytearray()
    write(signature, values, out)
    reader = Reader(bytes(out))
    assert reader.read(signature) == values
    assert reader.at == len(out)


@given(st.lists(typed(), min_size=1, max_size=3), st.data())
def test_cut_messages_are_refused(members, data):
    signature = "".join(kind for kind, _ in members)
    out = bytearray()
    write(signature, tuple(value for _, value in members), out)
    if not out:
        return
    short = bytes(out[: data.draw(st.integers(0, len(out) - 1))])
    with pytest.raises(ValueError, match=r"cut short|not|signature"):
        Reader(short).read(signature)


@given(st.binary(max_size=64), st.sampled_from(["a(sv)", "as", "v", "a{sv}", "(ua(ss))"]))
def test_nonsense_is_refused_or_read(data, signature):
    try:
        Reader(data).read(signature)
    except (ValueError, RecursionError) as error:
        assert isinstance(error, ValueError)


def test_known_bytes():
    """The example of an array of 64-bit integers from the specification."""
    out = bytearray()
    write("ax", ([5],), out)
    assert out == bytes.fromhex("08000000 00000000 0500000000000000")


@pytest.mark.parametrize("signature", ["a", "(", "(s", "z", "a{s", "h", "()", "a()"])
def test_bad_signatures(signature):
    with pytest.raises(ValueError, match="signature"):
        types_of(signature)


@pytest.mark.parametrize(
    ("address", "socket_path"),
    [
        ("unix:path=/run/user/1/bus", "/run/user/1/bus"),
        ("tcp:host=x;unix:guid=1,path=/a%20b", "/a b"),
        ("unix:abstract=/tmp/x,guid=2", "\0/tmp/x"),
    ],
)
def test_addresses(address, socket_path):
    assert dbus.parse_address(address) == socket_path


def test_address_without_a_socket():
    with pytest.raises(HostError, match="not a unix socket"):
        dbus.parse_address("tcp:host=localhost")


class Server:
    """A socket that answers with fixed bytes after each piece that it gets."""

    def __init__(self, path, *answers: bytes) -> None:
        self.path = str(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.thread = threading.Thread(target=self._serve, args=(answers,), daemon=True)
        self.thread.start()

    def _serve(self, answers) -> None:
        peer, _ = self.listener.accept()
        for answer in answers:
            peer.recv(65536)
            peer.sendall(answer)
        while answers and peer.recv(65536):
            pass  # until the client gives up
        peer.close()


OK = b"DATA\r\nOK 0123456789abcdef\r\n"


@pytest.mark.alone
@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ((b"",), "no answer within 0.2 s"),
        ((b"REJECTED EXTERNAL\r\n",), "REJECTED"),
        ((b"x" * 5000,), "talks no D-Bus"),
        ((), "closed the connection|connection reset|broken pipe"),
        ((OK, b"l\x02\0\1\xff\xff\xff\x7f" + bytes(8)), "too long"),
        ((OK, b"\0" * 16), "no D-Bus message"),
    ],
)
def test_bad_servers_are_errors_and_no_hang(tmp_path, answers, words):
    server = Server(tmp_path / "bus", *answers)
    began = time.monotonic()
    with pytest.raises(HostError, match=words):
        dbus.Connection(server.path, peer=False, deadline_s=0.2)
    assert time.monotonic() - began < 2


def told(path, times: int, pause: float = 0.1) -> threading.Thread:
    """A server that tells of other things, with pauses, before it answers the first call."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    signal = message(dbus.SIGNAL, {dbus.MEMBER: "Other", dbus.PATH: "/", dbus.INTERFACE: "a.b"})

    def serve() -> None:
        peer, _ = listener.accept()
        peer.recv(65536)
        peer.sendall(OK)
        try:
            peer.recv(65536)
            for _ in range(times):
                time.sleep(pause)
                peer.sendall(signal)
            peer.sendall(message(2, {dbus.REPLY_SERIAL: 1}))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has given up
        peer.close()
        listener.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def message(kind: int, fields: dict[int, object]) -> bytes:
    types = {**dbus.HEADER_TYPES, dbus.REPLY_SERIAL: "u"}
    out = bytearray((ord("l"), kind, 0, 1))
    write("uua(yv)", (0, 1, [(n, (types[n], value)) for n, value in fields.items()]), out)
    return bytes(out) + bytes(-len(out) % 8)


@pytest.mark.alone
def test_a_busy_server_is_waited_for(tmp_path):
    thread = told(tmp_path / "bus", 6)
    connection = dbus.Connection(str(tmp_path / "bus"), peer=True, deadline_s=0.4)
    assert connection.call("a.b", "/", "a.b", "Do") == ()
    assert len(connection.signals) == 6
    connection.close()
    thread.join()


def test_a_flood_is_an_error(tmp_path, monkeypatch):
    """The signals that nobody waits for are kept: of so many bytes at most."""
    monkeypatch.setattr(dbus, "MOST", 1 << 20)
    thread = told(tmp_path / "bus", 50000, 0)
    connection = dbus.Connection(str(tmp_path / "bus"), peer=True, deadline_s=30)
    with pytest.raises(HostError, match="1 MiB, and no answer among them"):
        connection.call("a.b", "/", "a.b", "Do")
    connection.close()
    thread.join()


@pytest.mark.alone
def test_a_server_that_only_tells_is_an_error(tmp_path):
    thread = told(tmp_path / "bus", 70, 0.05)
    connection = dbus.Connection(str(tmp_path / "bus"), peer=True, deadline_s=0.1)
    began = time.monotonic()
    with pytest.raises(HostError, match="no answer within 2"):
        connection.call("a.b", "/", "a.b", "Do")
    assert time.monotonic() - began < 3
    connection.close()
    thread.join()


@pytest.mark.parametrize("busy", [True, False])
def test_a_silent_server_is_waited_for_while_it_runs(tmp_path, busy):
    """With many processes beside it systemd hardly gets a CPU."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "bus"))
    pid = os.fork()
    if not pid:  # the one that listens is the one that the kernel names
        listener.listen()
        peer, _ = listener.accept()
        peer.recv(65536)
        peer.sendall(OK)
        peer.recv(65536)
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            if not busy:
                time.sleep(0.2)
        peer.sendall(message(2, {dbus.REPLY_SERIAL: 1}))
        os._exit(0)
    listener.close()
    try:
        while True:
            try:
                connection = dbus.Connection(str(tmp_path / "bus"), peer=True, deadline_s=0.4)
                break
            except HostError:
                time.sleep(0.01)
        if busy:
            assert connection.call("a.b", "/", "a.b", "Do") == ()
        else:
            with pytest.raises(HostError, match="no answer within 0.4"):
                connection.call("a.b", "/", "a.b", "Do")
        connection.close()
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_a_full_queue_is_waited_for(tmp_path):
    """Many containers start at once: systemd takes one connection after the other."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "bus"))
    listener.listen(0)
    first = socket.socket(socket.AF_UNIX)
    first.connect(str(tmp_path / "bus"))
    with pytest.raises(HostError, match="accepts no connection within 0.2 s"):
        dbus.Connection(str(tmp_path / "bus"), peer=True, deadline_s=0.2)

    def serve() -> None:
        time.sleep(0.3)
        listener.accept()[0].close()
        peer, _ = listener.accept()
        peer.recv(65536)
        peer.sendall(OK)
        peer.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    dbus.Connection(str(tmp_path / "bus"), peer=True, deadline_s=30).close()
    thread.join()
    first.close()
    listener.close()


def test_no_server(tmp_path):
    with pytest.raises(HostError, match="no such file"):
        dbus.Connection(str(tmp_path / "bus"), peer=True)


# -- the text form of annotations ----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("uint64 123456789", ("t", 123456789)),
        ("456", ("i", 456)),
        ("byte 0x2a", ("y", 42)),
        ("int16 -5", ("n", -5)),
        ("234.789", ("d", 234.789)),
        ("true", ("b", True)),
        ("'inactive-or-failed'", ("s", "inactive-or-failed")),
        ('"with \\" and \\u00e4"', ("s", 'with " and ä')),
        ("['a', 'b,c']", ("as", ["a", "b,c"])),
        ("[uint32 1, 2]", ("au", [1, 2])),
        ("@as []", ("as", [])),
        ("@ay [1, 2]", ("ay", b"\1\2")),
        ("objectpath '/x'", ("o", "/x")),
    ],
)
def test_annotation_values(text, value):
    assert gvariant.parse(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "invalid-value", "'open", "byte 256", "int16 40000", "[]", "{'a': 1}", "'a' 'b'", "(1,)"],
)
def test_annotation_nonsense(text):
    with pytest.raises(ValueError, match="."):
        gvariant.parse(text)


@given(st.text())
def test_annotation_fuzz(text):
    try:
        gvariant.parse(text)
    except ValueError:
        pass
