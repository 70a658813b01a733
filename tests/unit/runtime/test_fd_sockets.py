"""Descriptors arrive through unix sockets, whatever the length of their path."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pycontainer.base.errors import OperationError
from pycontainer.linux.fd_passing import send_fd


@pytest.fixture
def listen() -> Iterator[Callable[[Path], socket.socket]]:
    opened = []

    def make(path: Path) -> socket.socket:
        path.parent.mkdir(parents=True, exist_ok=True)
        parent = os.open(path.parent, os.O_PATH)
        short = f"/proc/self/fd/{parent}/s"
        listener = socket.socket(socket.AF_UNIX)
        opened.append(listener)
        listener.bind(short)
        os.rename(short, path)
        os.close(parent)
        listener.listen()
        return listener

    yield make
    for listener in opened:
        listener.close()


@pytest.mark.parametrize("name", ["s", "n" * 200, f"{'d' * 250}/{'e' * 250}/{'f' * 250}"])
def test_a_descriptor_arrives(tmp_path: Path, name: str, listen: Callable) -> None:
    path = tmp_path / "dir" / name
    listener = listen(path)
    (tmp_path / "file").write_text("content")
    with open(tmp_path / "file") as file:
        before = os.listdir("/proc/self/fd")
        send_fd(str(path), file.fileno(), b"/dev/ptmx", "console socket")
        assert os.listdir("/proc/self/fd") == before
    connection, _ = listener.accept()
    with connection:
        payload, fds, flags, _ = socket.recv_fds(connection, 4096, 4)
        assert (payload, len(fds), flags & socket.MSG_CTRUNC) == (b"/dev/ptmx", 1, 0)
        assert os.read(fds[0], 100) == b"content"
        os.close(fds[0])
        assert connection.recv(1) == b""


def test_an_empty_or_endless_payload(tmp_path: Path, listen: Callable) -> None:
    listener = listen(tmp_path / "s")
    for payload, arrives in ((b"", b"\0"), (b"x" * 5000, b"x" * 4095)):
        send_fd(str(tmp_path / "s"), 0, payload)
        connection, _ = listener.accept()
        with connection:
            data, fds, _, _ = socket.recv_fds(connection, 8192, 4)
        assert data == arrives
        os.close(fds[0])


def test_nobody_there(tmp_path: Path) -> None:
    stale = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(stale))
    (tmp_path / "file").write_text("")
    listen = "; fix: start what listens there first"
    for name, reason in {
        "none": f"no such file or directory{listen}",
        "stale": f"connection refused{listen}",
        "file": f"connection refused{listen}",
        "nul\0": "invalid argument",
    }.items():
        with pytest.raises(OperationError) as caught:
            send_fd(f"{tmp_path}/{name}", 0, b"x", "console socket")
        assert str(caught.value) == f"connect to console socket {tmp_path}/{name}: {reason}"


def test_a_wrong_descriptor(tmp_path: Path, listen: Callable) -> None:
    listen(tmp_path / "s")
    with pytest.raises(OperationError, match="send to pidfd socket .*: bad file descriptor"):
        send_fd(f"{tmp_path}/s", 9999, b"x", "pidfd socket")
