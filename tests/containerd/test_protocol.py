"""Frames: right ones, wrong ones, and noise; the shim goes on."""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from tests.containerd.shim import (
    EXHAUSTED,
    INVALID,
    REQUEST,
    RUNNING,
    UNIMPLEMENTED,
    Client,
    Refused,
    Shim,
    alive,
    message,
    read_frame,
)
from tests.fuzz.seeds import seeds
from tests.support.box import Box
from tests.support.runtimes import CHECKOUT, SHIM, eventually

METHODS = (
    "State Create Start Delete Pids Pause Resume Checkpoint Kill Exec ResizePty CloseIO"
    " Update Wait Stats Connect Shutdown"
).split()
SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=undefined"


def code_of(client: Client, stream: int) -> int:
    with pytest.raises(Refused) as refused:
        client.answer(stream)
    return refused.value.code


def test_unknown_services_and_methods(shim: Shim):
    container = shim.running()
    client = shim.client
    request = message("Request", service="containerd.task.v2.Task", method="Juggle")
    assert code_of(client, client.send_raw(request)) == UNIMPLEMENTED
    request = message("Request", service="containerd.runtime.sandbox.v1.Sandbox", method="State")
    assert code_of(client, client.send_raw(request)) == UNIMPLEMENTED
    assert shim.status(container) == RUNNING


def test_frames_that_break_the_rules(shim: Shim):
    container = shim.running()
    client = shim.client
    assert code_of(client, client.send_raw(b"\xff\xff\xff")) == INVALID
    request = message("Request", service="containerd.task.v2.Task", method="State", payload=b"\x0a")
    assert code_of(client, client.send_raw(request)) == INVALID
    zero = message("Request", service="containerd.task.v2.Task", method="State", payload=b"\n\1\0")
    assert code_of(client, client.send_raw(zero)) == INVALID
    assert code_of(client, client.send_raw(b"", kind=3)) == INVALID  # data
    for stream in (2, 1):  # even; used before
        client.socket.sendall(struct.pack(">IIBB", 0, stream, REQUEST, 0))
        assert code_of(client, stream) == INVALID
    client.send_raw(b"ignored", kind=77)
    assert shim.status(container) == RUNNING


@pytest.mark.parametrize("size", [(4 << 20) + 1, 1 << 26])
def test_frame_that_is_too_long(shim: Shim, size: int):
    container = shim.running()
    client = shim.client
    client.stream += 2
    client.socket.sendall(struct.pack(">IIBB", size, client.stream, REQUEST, 0))
    assert code_of(client, client.stream) == EXHAUSTED
    left = size
    while left:
        left -= client.socket.send(bytes(min(left, 1 << 20)))
    assert shim.status(container) == RUNNING  # on the same connection


def test_frame_of_the_longest_size(shim: Shim):
    container = shim.running()
    name = "n" * ((4 << 20) - 100)
    with pytest.raises(Refused, match="container not created"):
        shim.client("State", id=name)
    assert shim.status(container) == RUNNING


def test_one_byte_at_a_time(shim: Shim):
    container = shim.running()
    client = Client(shim.path)
    body = message("StateRequest", id=container)
    request = message("Request", service=client.service, method="State", payload=body)
    for byte in struct.pack(">IIBB", len(request), 1, REQUEST, 0) + request:
        client.socket.send(bytes([byte]))
    assert client.answer(1)
    client.close()


def test_half_a_frame_stops_nobody(shim: Shim):
    container = shim.running()
    half = Client(shim.path)
    half.socket.send(struct.pack(">IIB", 1 << 20, 1, REQUEST))
    assert shim.status(container) == RUNNING
    half.close()
    assert shim.status(container) == RUNNING


def test_client_that_does_not_read(shim: Shim):
    container = shim.running()
    deaf = Client(shim.path)
    deaf.socket.settimeout(5)
    body = message("StateRequest", id=container)
    request = message("Request", service=deaf.service, method="State", payload=body)
    frames = b"".join(
        struct.pack(">IIBB", len(request), stream, REQUEST, 0) + request
        for stream in range(1, 2000, 2)
    )
    try:
        for _ in range(3):
            deaf.socket.sendall(frames)
    except TimeoutError:
        pass
    assert shim.status(container) == RUNNING
    deaf.close()


def test_thousand_calls_at_once(shim: Shim):
    container = shim.running()
    streams = [shim.client.send("Wait", id=container) for _ in range(500)]
    streams += [shim.client.send("State", id=container) for _ in range(500)]
    for stream in streams[500:]:
        shim.client.answer(stream)
    shim.client("Kill", id=container, signal=9)
    for stream in streams[:500]:
        shim.client.answer(stream)


def test_waiting_client_that_has_gone(shim: Shim):
    container = shim.running()
    for _ in range(20):
        client = Client(shim.path)
        client.send("Wait", id=container)
        client.close()
    shim.client("Kill", id=container, signal=9)
    assert shim.wait(container) == 137


# -- noise, on a shim that tells of every error in memory ------------------------------------------


@pytest.fixture(scope="session")
def sanitized() -> Path:
    """The shim as AddressSanitizer and UBSan watch it. It is kept, and built when it is old."""
    file = CHECKOUT / "build/sanitized" / SHIM.name
    options = [f"BUILD={file.parent}", f"OPTIMIZE=-O0 -g {SANITIZE}", f"CONTAINERD_SHIM={file}"]
    command = ["make", "-s", "-j2", "-C", CHECKOUT / "csrc", *options]
    made = subprocess.run(
        [*command, f"CONTAINERD_LDFLAGS={SANITIZE} -no-pie", "containerd-shim"],
        capture_output=True,
        check=False,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"needs gcc's sanitizers: {made.stderr[-200:]}")
    return file


def noise(rng: random.Random, container: str) -> bytes:
    """Some bytes for the socket: frames that are right, nearly right, or nothing of the kind."""
    kind = rng.randrange(10)
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    method = rng.choice([name for name in METHODS if name != "Shutdown"])
    payload = bytearray(rng.randbytes(rng.randrange(60)))
    if kind > 2:  # fields that make sense, some damaged
        payload = bytearray(message("WaitRequest", id=rng.choice([container, "x"]), exec_id="e"))
        for number in range(3, rng.randrange(3, 12)):
            if rng.random() < 0.5:
                payload += bytes([number << 3, rng.randrange(128)])
            else:
                text = rng.randbytes(rng.randrange(20))
                payload += bytes([number << 3 | 2, len(text)]) + text
    if payload and rng.random() < 0.3:
        payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
    request = bytearray(
        message("Request", service="containerd.task.v2.Task", method=method, payload=bytes(payload))
    )
    if rng.random() < 0.2:
        request[rng.randrange(len(request))] ^= 1 << rng.randrange(8)
    size = len(request) if rng.random() < 0.95 else rng.randrange(1 << 23)
    header = struct.pack(">IIBB", size, rng.randrange(1, 1 << 31), rng.choice([1, 1, 1, 2, 3]), 0)
    return header + bytes(request)


@pytest.mark.slow  # to compile, the first time
def test_noise(box: Box, sanitized: Path):
    box.needs_root("containerd's shim is root's")
    shim = Shim(box, sanitized)
    errors = box.directory / "sanitizer"
    os.environ["ASAN_OPTIONS"] = f"log_path={errors}:detect_leaks=0"
    os.environ["UBSAN_OPTIONS"] = f"log_path={errors}:print_stacktrace=1"
    try:
        container = shim.running()
        pid = shim.pid
        for seed in seeds(0, 300):
            rng = random.Random(f"frames {seed}")
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(shim.path)
                connection.settimeout(0.5)
                try:
                    for _ in range(rng.randrange(1, 20)):
                        connection.sendall(noise(rng, container))
                    if rng.random() < 0.3:
                        read_frame(connection)
                except (OSError, EOFError):
                    pass
            assert alive(pid), f"seed {seed}: {[f.read_text() for f in errors.parent.glob('san*')]}"
        eventually(lambda: shim.client("Connect", id=container)["shim_pid"] == pid, "an answer", 60)
        assert not list(box.directory.glob("sanitizer*"))
    finally:
        del os.environ["ASAN_OPTIONS"], os.environ["UBSAN_OPTIONS"]
        shim.close()


def test_noise_leaves_no_memory(shim: Shim):
    container = shim.running()
    rng = random.Random("leak")
    pid = shim.pid

    def send(times: int) -> None:
        for _ in range(times):
            for method in ("State", "Stats", "Pids", "Connect"):
                shim.client(method, id=container)
            with pytest.raises(Refused):
                shim.client("State", id="n" * rng.randrange(1000))

    send(200)
    before = _private(pid)
    send(1000)
    time.sleep(0.1)
    assert _private(pid) - before < 64


def _private(pid: int) -> int:
    """KiB that the process has for itself."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1])
    raise AssertionError("no Private_Dirty")
