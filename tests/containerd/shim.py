"""The shim as containerd has it: started, called over ttrpc, heard when it sends events."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.protobuf import Table, decode, encode
from tests.support.runtimes import COMMAND, SHIM, SLOWNESS, eventually

REQUEST, RESPONSE = 1, 2
UNKNOWN, INVALID, NOT_FOUND, EXISTS, EXHAUSTED, PRECONDITION, UNIMPLEMENTED = 2, 3, 5, 6, 8, 9, 12
CREATED, RUNNING, STOPPED, PAUSED, PAUSING = 1, 2, 3, 4, 5
PATIENCE = 30 * SLOWNESS

_ID = {"id": (1, str)}
_EXEC = {**_ID, "exec_id": (2, str)}
_TIME = {"seconds": (1, int), "nanos": (2, int)}
_END = {"exit_status": (1, int), "exited_at": (2, "time")}
MESSAGES: Table = {
    "Request": {
        "service": (1, str),
        "method": (2, str),
        "payload": (3, bytes),
        "timeout_nano": (4, int),
    },
    "Response": {"status": (1, "status"), "payload": (2, bytes)},
    "status": {"code": (1, int), "message": (2, str)},
    "time": _TIME,
    "any": {"type_url": (1, str), "value": (2, bytes)},
    "mount": {"type": (1, str), "source": (2, str), "target": (3, str), "options": (4, str)},
    "options": {
        "no_pivot_root": (1, bool),
        "io_uid": (4, int),
        "io_gid": (5, int),
        "binary_name": (6, str),
        "root": (7, str),
    },
    "generic": {"type_url": (1, str), "config_path": (2, str), "config_body": (3, bytes)},
    "CreateRequest": {
        **_ID,
        "bundle": (2, str),
        "rootfs": (3, "mount"),
        "terminal": (4, bool),
        "stdin": (5, str),
        "stdout": (6, str),
        "stderr": (7, str),
        "options": (10, "any"),
    },
    "CreateResponse": {"pid": (1, int)},
    "StartRequest": _EXEC,
    "StartResponse": {"pid": (1, int)},
    "StateRequest": _EXEC,
    "StateResponse": {
        "id": (1, str),
        "bundle": (2, str),
        "pid": (3, int),
        "status": (4, int),
        "stdin": (5, str),
        "stdout": (6, str),
        "stderr": (7, str),
        "terminal": (8, bool),
        "exit_status": (9, int),
        "exited_at": (10, "time"),
    },
    "DeleteRequest": _EXEC,
    "DeleteResponse": {"pid": (1, int), "exit_status": (2, int), "exited_at": (3, "time")},
    "ExecRequest": {
        **_EXEC,
        "terminal": (3, bool),
        "stdin": (4, str),
        "stdout": (5, str),
        "stderr": (6, str),
        "spec": (7, "any"),
    },
    "KillRequest": {**_EXEC, "signal": (3, int), "all": (4, bool)},
    "WaitRequest": _EXEC,
    "WaitResponse": _END,
    "PidsRequest": _ID,
    "PidsResponse": {"processes": (1, "process")},
    "process": {"pid": (1, int), "info": (2, "any")},
    "StatsRequest": _ID,
    "StatsResponse": {"stats": (1, "any")},
    "UpdateRequest": {**_ID, "resources": (2, "any")},
    "ResizePtyRequest": {**_EXEC, "width": (3, int), "height": (4, int)},
    "CloseIORequest": {**_EXEC, "stdin": (3, bool)},
    "ConnectRequest": _ID,
    "ConnectResponse": {"shim_pid": (1, int), "task_pid": (2, int), "version": (3, str)},
    "CheckpointRequest": {**_ID, "path": (2, str), "options": (3, "any")},
    **{f"{name}Request": _ID for name in ("Pause", "Resume", "Shutdown")},
    **{
        f"{name}Response": {}
        for name in ("Exec", "Kill", "Pause", "Resume", "Update", "Shutdown", "ResizePty")
    },
    "CloseIOResponse": {},
    "CheckpointResponse": {},
    "BootstrapParams": {
        "instance_id": (1, str),
        "namespace": (2, str),
        "containerd_ttrpc_address": (5, str),
        "containerd_grpc_address": (6, str),
        "socket_dir": (9, str),
    },
    "BootstrapResult": {"version": (1, int), "address": (2, str), "protocol": (3, str)},
    "ForwardRequest": {"envelope": (1, "envelope")},
    "envelope": {
        "timestamp": (1, "time"),
        "namespace": (2, str),
        "topic": (3, str),
        "event": (4, "any"),
    },
    "TaskCreate": {"container_id": (1, str), "bundle": (2, str), "io": (4, "io"), "pid": (6, int)},
    "io": {"stdin": (1, str), "stdout": (2, str), "stderr": (3, str), "terminal": (4, bool)},
    "TaskStart": {"container_id": (1, str), "pid": (2, int)},
    "TaskExit": {
        "container_id": (1, str),
        "id": (2, str),
        "pid": (3, int),
        "exit_status": (4, int),
        "exited_at": (5, "time"),
    },
    "TaskDelete": {"container_id": (1, str), "pid": (2, int), "exit_status": (3, int)},
    "TaskExecAdded": {"container_id": (1, str), "exec_id": (2, str)},
    "TaskExecStarted": {"container_id": (1, str), "exec_id": (2, str), "pid": (3, int)},
    **{name: {"container_id": (1, str)} for name in ("TaskPaused", "TaskResumed", "TaskOOM")},
}


def message(kind: str, **members: Any) -> bytes:
    """The bytes of a message; proto3 leaves out what is empty."""
    return encode(MESSAGES, kind, {name: value for name, value in members.items() if value})


def wrap(kind: str, value: bytes) -> dict[str, Any]:
    """google.protobuf.Any."""
    return {"type_url": kind, "value": value}


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code


class Client:
    """One connection; calls may be under way at the same time."""

    def __init__(self, path: str, service: str = "containerd.task.v2.Task") -> None:
        self.service = service
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.stream = -1
        self.early: dict[int, bytes] = {}

    def send(self, method: str, **members: Any) -> int:
        """Starts a call; returns its stream."""
        request = message(
            "Request",
            service=self.service,
            method=method,
            payload=message(f"{method}Request", **members),
        )
        return self.send_raw(request)

    def send_raw(self, request: bytes, kind: int = REQUEST) -> int:
        """The same with any bytes."""
        self.stream += 2
        self.socket.sendall(struct.pack(">IIBB", len(request), self.stream, kind, 0) + request)
        return self.stream

    def answer(self, stream: int) -> bytes:
        """The payload of the answer; Refused if that is an error."""
        while stream not in self.early:
            number, body = read_frame(self.socket)
            self.early[number] = body
        found = decode(MESSAGES, "Response", self.early.pop(stream))
        status = found.get("status", {})
        if status.get("code"):
            raise Refused(status["code"], status.get("message", ""))
        return found.get("payload", b"")

    def __call__(self, method: str, **members: Any) -> dict[str, Any]:
        return decode(MESSAGES, f"{method}Response", self.answer(self.send(method, **members)))

    def close(self) -> None:
        self.socket.close()


def read_frame(connection: socket.socket) -> tuple[int, bytes]:
    """The stream and the content of the next frame."""
    size, stream, _, _ = struct.unpack(">IIBB", exactly(connection, 10))
    return stream, exactly(connection, size)


def exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


class Listener:
    """containerd's side of events."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.server = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)
        self.server.bind(str(path))
        self.server.listen()
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection = self.server.accept()[0]
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        while True:
            try:
                stream, body = read_frame(connection)
            except (OSError, EOFError):
                return
            request = decode(MESSAGES, "Request", body)
            assert request["service"] == "containerd.services.events.ttrpc.v1.Events"
            assert request["method"] == "Forward"
            envelope = decode(MESSAGES, "ForwardRequest", request["payload"])["envelope"]
            kind = envelope["event"]["type_url"].removeprefix("containerd.events.")
            event = decode(MESSAGES, kind, envelope["event"].get("value", b""))
            try:
                connection.sendall(struct.pack(">IIBB", 0, stream, RESPONSE, 0))
            except OSError:
                return  # without an answer it comes again
            self.events.append((envelope["topic"], event))

    def topics(self, container: str) -> list[str]:
        """What has been heard of a container, in order."""
        return [topic for topic, event in self.events if event.get("container_id") == container]

    def close(self) -> None:
        # A thread that is in accept() or recv() would keep the socket.
        for one in (self.server, *self.connections):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the shim has gone already
            one.close()


class Shim:
    """One shim for the containers of a test."""

    def __init__(self, box: Box, program: Path = SHIM, containerd: bool = True) -> None:
        self.box = box
        self.program = program
        self.home = box.directory
        self.namespace = "test"
        # A socket's path is 107 bytes at most, and the shim's own name in it takes 64.
        self.sockets = Path(tempfile.mkdtemp(prefix=f"{box.token}-", dir="/tmp"))
        self.ttrpc = self.sockets / "t"
        self.listener = Listener(self.ttrpc) if containerd else None
        self.state = self.home / "state"
        self.prefix: list[str] = []  # a command that executes the shim: env(1), for example
        self.path = ""
        self.client: Client
        self.known: list[str] = []

    def terminate(self) -> None:
        """SIGTERM ends it, and its socket."""
        pid = self.pid
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not alive(pid), "its end")
        assert not Path(self.path).exists()

    def command(self, bundle: Path, container: str, *words: str, **options: Any) -> bytes:
        """What the program says to one command."""
        argv = [*self.prefix, self.program, "-namespace", self.namespace, "-id", container]
        argv += ["-address", f"{self.home}/c.sock", "-publish-binary", "/bin/true"]
        env = {**os.environ, "TTRPC_ADDRESS": str(self.ttrpc), **options.pop("env", {})}
        options.setdefault("input", b"")
        ended = subprocess.run(
            [*argv, *words], cwd=bundle, env=env, capture_output=True, check=False, **options
        )
        assert ended.returncode == 0, ended.stderr.decode()
        return ended.stdout

    def start(self, bundle: Bundle, container: str) -> str:
        """`start`, as containerd 2.3 does it: its answer's address."""
        params = message(
            "BootstrapParams",
            instance_id=container,
            namespace=self.namespace,
            containerd_ttrpc_address=str(self.ttrpc),
            containerd_grpc_address=f"{self.home}/c.sock",
            socket_dir=f"{self.sockets}/s",
        )
        out = self.command(bundle.write().path, container, "start", input=params)
        result = decode(MESSAGES, "BootstrapResult", out)
        assert (result["version"], result["protocol"]) == (3, "ttrpc")
        self.connect(result["address"])
        return result["address"]

    def connect(self, address: str) -> None:
        self.path = address.removeprefix("unix://")
        self.client = Client(self.path)

    @property
    def pid(self) -> int:
        return self.client("Connect", id="")["shim_pid"]

    def options(self) -> dict[str, Any]:
        """runc's, with a state directory of the test."""
        value = message("options", binary_name=str(COMMAND), root=str(self.state))
        return wrap("containerd.runc.v1.Options", value)

    def create(self, bundle: Bundle, name: str = "c", **members: Any) -> str:
        """The id of a new container; its shim is started if there is none."""
        container = self.box.id(name)
        bundle.config["linux"]["cgroupsPath"] = f"/{container}"
        if not self.path:
            self.start(bundle, container)
        members.setdefault("options", self.options())
        self.client("Create", id=container, bundle=str(bundle), **members)
        self.known.append(container)
        return container

    def running(self, *args: str, name: str = "c", **members: Any) -> str:
        container = self.create(self.box.bundle(*(args or ("/bin/sleep", "1000"))), name, **members)
        self.client("Start", id=container)
        return container

    def exec(self, container: str, *args: str, exec_id: str = "e", **members: Any) -> int:
        """Adds and starts a process; returns its pid."""
        process = {"args": list(args), "cwd": "/", "env": ["PATH=/bin"], "user": {}}
        process |= members.pop("process", {})
        spec = wrap("types.containerd.io/x/Process", json.dumps(process).encode())
        self.client("Exec", id=container, exec_id=exec_id, spec=spec, **members)
        return self.client("Start", id=container, exec_id=exec_id)["pid"]

    def status(self, container: str) -> int:
        return self.client("State", id=container)["status"]

    def wait(self, container: str, exec_id: str = "") -> int:
        return self.client("Wait", id=container, exec_id=exec_id).get("exit_status", 0)

    def delete(self, container: str) -> dict[str, Any]:
        self.known.remove(container)
        return self.client("Delete", id=container)

    def heard(self, container: str, *topics: str) -> None:
        """Exactly these events come, in this order."""
        wanted = [f"/tasks/{topic}" for topic in topics]
        assert self.listener
        listener = self.listener
        try:
            eventually(lambda: len(listener.topics(container)) >= len(wanted), "the events")
        finally:
            assert listener.topics(container) == wanted

    def close(self) -> None:
        """Removes all containers and ends the shim."""
        if self.path and Path(self.path).exists():
            client = Client(self.path)
            pid = client("Connect", id="")["shim_pid"]
            for container in self.known:
                try:
                    client("Kill", id=container, signal=9, all=True)
                    client("Wait", id=container)
                    client("Delete", id=container)
                except Refused:
                    pass  # deleted, or never started; leftovers tell
            client("Shutdown", id="")
            client.close()
            eventually(lambda: not alive(pid), "the shim has ended")
        if self.listener:
            self.listener.close()
        assert not list(self.sockets.glob("s/*"))
        shutil.rmtree(self.sockets)


def alive(pid: int) -> bool:
    """Whether this process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def fifo(path: Path) -> tuple[str, int]:
    """A new fifo, and a descriptor that reads from it, as containerd's clients have it."""
    os.mkfifo(path)
    return str(path), os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def read_to_end(fd: int, seconds: float = 10) -> bytes:
    """What comes until the writer has closed it."""
    os.set_blocking(fd, True)
    deadline, data = time.monotonic() + seconds * SLOWNESS, b""
    while time.monotonic() < deadline:
        part = os.read(fd, 65536)
        if not part:
            return data
        data += part
    raise AssertionError(f"no end after {data!r}")
