"""Root of a user namespace: a user with a systemd of their own, or root of a system in there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pycontainer.cgroups.systemd import dbus
from pycontainer.cgroups.systemd.dbus_wire import write

ASK = "from pycontainer.cgroups.systemd.manager import is_the_users; print(is_the_users())"
IN_NAMESPACE = ["unshare", "--user", "--map-root-user"]
CHECKOUT = Path(__file__).parents[3]


def asked(environ: dict[str, str]) -> bool:
    if subprocess.run([*IN_NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs user namespaces")
    done = subprocess.run(
        [*IN_NAMESPACE, sys.executable, "-c", ASK],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout == "True\n"


def manager(directory: Path, control_group: str) -> threading.Thread:
    """A systemd that knows one thing about itself."""
    (directory / "systemd").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "systemd" / "private"))
    listener.listen()
    listener.settimeout(60)
    body = bytearray()
    write("v", (("s", control_group),), body)
    types = {**dbus.HEADER_TYPES, dbus.REPLY_SERIAL: "u"}
    fields = {dbus.REPLY_SERIAL: 1, dbus.SIGNATURE: "v"}
    answer = bytearray((ord("l"), 2, 0, 1))
    members = [(name, (types[name], value)) for name, value in fields.items()]
    write("uua(yv)", (len(body), 1, members), answer)
    answer += bytes(-len(answer) % 8) + body

    def serve() -> None:
        peer, _ = listener.accept()
        peer.recv(65536)
        peer.sendall(b"DATA\r\nOK 0123456789abcdef\r\n")
        peer.recv(65536)
        peer.sendall(bytes(answer))
        peer.recv(65536)
        peer.close()
        listener.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_a_system_without_a_session() -> None:
    """As dockerd and containerd of an LXC guest run; runc takes the system's systemd, too."""
    assert not asked({})


def test_a_session_without_a_systemd(tmp_path: Path) -> None:
    assert not asked({"XDG_RUNTIME_DIR": str(tmp_path)})


@pytest.mark.parametrize(
    ("unit", "users"),
    [
        ("/user.slice/user-1000.slice/user@1000.service", True),
        ("/user.slice/user-0.slice/user@0.service", False),
    ],
)
def test_whose_session_it_is(tmp_path: Path, unit: str, users: bool) -> None:
    thread = manager(tmp_path, unit)
    assert asked({"XDG_RUNTIME_DIR": str(tmp_path)}) is users
    thread.join(60)
    assert not thread.is_alive()
