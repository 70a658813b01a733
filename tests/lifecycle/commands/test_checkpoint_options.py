"""Each option of checkpoint and restore, with what it does to a container that goes and returns."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.runtimes import Runtime, eventually
from tests.support.saved import QUIET, Saved, beat, criu, free_port, listens, needs_criu


@needs_criu
@pytest.mark.parametrize("mode", ["soft", "full", "strict", "ignore"])
def test_manage_cgroups_mode(box: Box, pyc: Runtime, mode: str):
    saved = Saved(box)
    saved.bundle.linux["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}
    saved.start()
    saved.checkpoint("--manage-cgroups-mode", mode).ok()
    saved.restore("--manage-cgroups-mode", mode).ok()
    saved.goes_on()
    stats = json.loads(pyc("events", "--stats", saved.name).ok().out)["data"]
    assert stats["memory"]["usage"]["limit"] == 64 << 20
    assert stats["pids"] == {"current": 1, "limit": 50}
    pyc("update", "--pids-limit", "40", saved.name).ok()
    pyc("pause", saved.name).ok()
    pyc("resume", saved.name).ok()
    saved.goes_on()


@needs_criu
def test_page_server(box: Box):
    saved = Saved(box, "memory = bytearray(os.urandom(1 << 20)) * 4; pulse()").start()
    port, pages = free_port(), box.directory / "pages"
    pages.mkdir()
    with criu("page-server", "-D", pages, "--address", "127.0.0.1", "--port", port) as server:
        eventually(lambda: listens(port), "a page server", 30)
        saved.checkpoint("--page-server", f"127.0.0.1:{port}").ok()
        assert server.wait(30) == 0
    assert not list(saved.images.glob("pages-*"))
    assert sum(file.stat().st_size for file in pages.glob("pages-*")) >= 4 << 20
    for file in pages.iterdir():
        shutil.copy(file, saved.images)
    saved.restore().ok()
    saved.goes_on()


@needs_criu
def test_lazy_pages(box: Box):
    """Memory stays with the source until the restored processes touch it."""
    saved = Saved(box, "memory = bytearray(os.urandom(1 << 20)) * 4; pulse(lambda n: sum(memory))")
    saved.start()
    port = free_port()
    ready, told = os.pipe()
    words = ("--lazy-pages", "--page-server", f"127.0.0.1:{port}", "--status-fd", told)
    source = saved.pyc.start_process(
        *("checkpoint", "--image-path", saved.images, *words, saved.name), pass_fds=[told], **QUIET
    )
    os.close(told)
    assert os.read(ready, 10) == b"\0"  # --status-fd
    assert sum(file.stat().st_size for file in saved.images.glob("pages-*")) < 4 << 20
    other = saved.name
    saved.name = box.id("elsewhere")  # the source is still there
    place = ("-D", saved.images, "-W", saved.images)
    with criu("lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", port, *place):
        eventually((saved.images / "lazy-pages.socket").exists, "its socket", 30)
        saved.restore("--lazy-pages", "--work-path", saved.images).ok()
        saved.goes_on()
        assert source.wait(60) == 0
    saved.goes_on()
    assert saved.pyc.status(other) == "gone"
    os.close(ready)


@needs_criu
def test_lazy_pages_need_somebody_to_hear(box: Box):
    saved = Saved(box).start()
    words = ("--lazy-pages", "--page-server", "127.0.0.1:1", "--status-fd")
    saved.checkpoint(*words, "99").fails("--status-fd")
    with open(os.devnull) as unwritable:
        done = saved.checkpoint(*words, "0", stdin=unwritable)
    done.fails("--status-fd", "not writable")
    saved.goes_on()


TALK = """
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
peer = server.accept()[0]
def talk(number):
    client.sendall(b"x%d" % number)
    assert peer.recv(100) == b"x%d" % number
pulse(talk)
"""


@needs_criu
def test_tcp_established(box: Box):
    saved = Saved(box, TALK)
    saved.bundle.drop_namespace("network")
    saved.start()
    saved.checkpoint().fails("tcp-established")
    saved.goes_on()
    saved.checkpoint("--tcp-established", "--tcp-skip-in-flight").ok()
    saved.restore("--tcp-established").ok()
    saved.goes_on()


@needs_criu
def test_ext_unix_sk(box: Box):
    """A datagram socket to somebody outside, who is found again by name on the restore."""
    place = Path("/tmp", box.token)  # the same inside, and short enough for a socket's name
    place.mkdir()
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(f"{place}/log")
    log.setblocking(False)
    saved = Saved(
        box,
        "import socket; out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
        f"out.connect('{place}/log'); pulse(lambda number: out.send(b'%d' % number))",
    )
    saved.mount(place, place)
    saved.bundle.drop_namespace("network")  # CRIU looks for the other end in the same one

    def emptied() -> int:
        for count in itertools.count():
            try:
                log.recv(100)
            except BlockingIOError:
                return count
        return 0

    try:
        saved.pyc("run", "-d", "-b", saved.bundle, saved.name, **QUIET).ok()
        eventually(lambda: emptied() >= 0 and beat(saved.bundle) > 2, "it counts", 60)
        saved.checkpoint().fails("ext-unix-sk")
        emptied()
        saved.checkpoint("--ext-unix-sk").ok()
        emptied()
        saved.restore("--ext-unix-sk").ok()
        eventually(lambda: emptied() > 0, "more comes", 60)
    finally:
        log.close()
        shutil.rmtree(place)


@needs_criu
def test_file_locks(box: Box):
    saved = Saved(
        box,
        "import fcntl; file = open('/lock', 'w'); fcntl.flock(file, fcntl.LOCK_EX); pulse()",
    ).start()
    lock = saved.bundle.rootfs / "lock"

    def is_held() -> bool:
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    assert is_held()
    saved.checkpoint().fails("file-locks")
    saved.checkpoint("--file-locks").ok()
    assert not is_held()
    saved.restore("--file-locks").ok()
    saved.goes_on()
    assert is_held()


@needs_criu
def test_link_remap(box: Box):
    saved = Saved(
        box,
        "open('/one', 'w').write('kept'); os.link('/one', '/two'); file = open('/one');"
        "os.remove('/one'); pulse(lambda number: file.seek(0) or file.read() == 'kept' or exit())",
    ).start()
    saved.checkpoint().fails("link-remap")
    saved.checkpoint("--link-remap").ok()
    saved.restore().ok()
    saved.goes_on()


@needs_criu
def test_auto_dedup(box: Box):
    """What the second image has again is punched out of the first, and of the second on restore."""
    saved = Saved(
        box,
        "memory = bytearray(4 << 20)\n"
        "def fill(number): memory[:] = bytes([number % 255 + 1]) * len(memory)\n"
        "pulse(fill)",
    ).start()
    pre = box.directory / "pre"
    saved.pyc("checkpoint", "--pre-dump", "--image-path", pre, saved.name).ok()

    def blocks(place: Path) -> int:
        return sum(file.stat().st_blocks for file in place.glob("pages-*"))

    before, now = blocks(pre), beat(saved.bundle)
    eventually(lambda: beat(saved.bundle) > now + 1, "the memory is another", 60)
    saved.checkpoint("--parent-path", "../pre", "--auto-dedup").ok()
    assert blocks(pre) <= before - (4 << 20) // 512
    before = blocks(saved.images)
    saved.restore("--auto-dedup").ok()
    assert blocks(saved.images) < before
    saved.goes_on()


@needs_criu
def test_empty_ns(box: Box, pyc: Runtime):
    saved = Saved(box).start()
    saved.checkpoint("--empty-ns", "network").ok()
    saved.restore("--empty-ns", "network").ok()
    saved.goes_on()
    out = pyc("exec", saved.name, "/bin/cat", "/proc/net/dev").ok().out
    assert [line.split(":")[0].strip() for line in out.splitlines()[2:]] == ["lo"]
    assert os.readlink(f"/proc/{saved.pid}/ns/net") != os.readlink("/proc/self/ns/net")


@needs_criu
def test_shell_job(box: Box):
    """A container's init leads its session: it is no job of a shell, and none is missed."""
    saved = Saved(box).start()
    saved.checkpoint("--shell-job").ok()
    saved.restore("--shell-job").ok()
    saved.goes_on()


@needs_criu
def test_lsm_labels(box: Box):
    """They reach CRIU: what this machine has no module for is refused, or of no concern."""
    saved = Saved(box).start()
    saved.checkpoint().ok()
    saved.restore("--lsm-profile", "nonsense:x").fails("criu")
    assert saved.pyc.status(saved.name) == "gone"
    saved.restore("--lsm-mount-context", "system_u:object_r:container_file_t:s0").ok()
    saved.goes_on()
