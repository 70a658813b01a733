"""What an image calls /etc/passwd, /dev/null or its program is looked at before it is opened.

The runtime reads some files of an image as root. A link to a file of procfs would make the kernel
tell root's secrets to the container (through $HOME); a device or a fifo has effects when it is
opened, or never ends; and who shares the root with somebody exchanges one file for another between
the look and the opening.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pycontainer.linux import image_file
from tests.attacks.racer import SECONDS, swapping
from tests.executor.lab import SPACES, Lab, make
from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.hanging import Hanging

# A line of passwd(5) that the kernel says: the name of a host, which a container may choose.
LEAK = "x:x:0:0:x:/leaked:/x"
IN_OPEN = 0x20
PATIENCE_S = 10


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def device(major: int, minor: int) -> Callable[[Path], None]:
    return lambda path: os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(major, minor))


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 << 30)


KINDS: dict[str, Callable[[Path], None]] = {
    "host name": link("/proc/sys/kernel/hostname"),
    "kernel log": link("/proc/kmsg"),
    "memory": link("/proc/self/mem"),
    "sysfs": link("/sys/kernel/uevent_seqnum"),
    "cgroup": link("/sys/fs/cgroup/cgroup.procs"),
    "magic link": link("/proc/self/exe"),
    "terminal": link("/dev/console"),
    "fifo": lambda path: os.mkfifo(path, 0o666),
    "endless device": device(1, 5),
    "kernel log device": device(1, 11),
    "100 GB": sparse,
    "directory": lambda path: path.mkdir(),
}


def leaky(box: Box, put: Callable[[Path], None]) -> Bundle:
    bundle = box.bundle().script("echo $HOME")
    bundle.config["hostname"] = LEAK
    bundle.process["env"] = ["PATH=/bin"]
    passwd = bundle.rootfs / "etc/passwd"
    passwd.unlink(missing_ok=True)
    put(passwd)
    return bundle


@pytest.mark.parametrize("kind", KINDS)
def test_a_passwd_that_is_something_else(box: Box, kind: str):
    """HOME is that of a user whom nobody knows, and nothing hangs: for the program and for exec."""
    bundle = leaky(box, KINDS[kind])
    began = time.monotonic()
    assert box.run(bundle).ok().out == "/\n"
    bundle.process["args"] = ["/bin/sleep", "1000"]
    box.pycontainer("run", "-d", "-b", bundle, box.id()).ok()
    assert box.pycontainer("exec", box.id(), "/bin/sh", "-c", "echo $HOME").ok().out == "/\n"
    assert time.monotonic() - began < PATIENCE_S


def test_runc_reads_what_the_kernel_makes_up(box: Box):
    """The control: the attack is a real one."""
    assert box.run(leaky(box, KINDS["host name"]), runtime="runc").ok().out == "/leaked\n"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("command", ["run", "exec"])
def test_a_passwd_that_never_comes(box: Box, command: str):
    """Whoever waits for its file system cannot be killed; the command ends all the same, says why,
    and leaves nothing that `delete --force` does not take away."""
    bundle = box.bundle("/bin/sleep", "1000")
    etc = box.directory / "etc"
    bundle.config["mounts"].append(
        {"destination": "/etc", "type": "bind", "source": str(etc), "options": ["bind"]}
    )
    bundle.process["env"] = ["PATH=/bin", *(["HOME=/"] if command == "exec" else [])]
    pyc, name = box.pycontainer, box.id()
    document = box.directory / "process.json"
    document.write_text('{"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}}')
    with Hanging(etc) as hanging:
        if command == "run":
            done = pyc("run", "-b", bundle, name)
        else:
            pyc("run", "-d", "-b", bundle, name).ok()
            done = pyc("exec", "--process", document, name)
        assert hanging.asked.is_set()
        words = ("find HOME of uid 0", "the file system of /etc/passwd does not answer")
        done.fails(*words, status=1 if command == "run" else 255)
        hanging.release()
        pyc("delete", "--force", name).ok()
    box.empty()


class Watch:
    """Who opens a file: inotify tells of each opening that is more than a look (O_PATH)."""

    def __init__(self, file: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert libc.inotify_add_watch(self.fd, bytes(file), IN_OPEN) >= 0

    def opened(self) -> int:
        size = struct.calcsize("iIII")
        try:
            return len(os.read(self.fd, 1 << 16)) // size
        except BlockingIOError:
            return 0
        finally:
            os.close(self.fd)


@pytest.mark.parametrize("what", ["null", "passwd", "copied up"])
def test_nothing_is_opened_that_has_not_been_looked_at(lab: Lab, what: str):
    """While somebody exchanges the right file for another as fast as the kernel can."""
    if what == "null":
        path, steps = lab.root / "dev/null", [make("reopen_null")]
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    elif what == "copied up":
        path = lab.root / "etc/f"
        path.write_text("f")
        mount = make("mount", copy_up=1, fstype="tmpfs", source="tmpfs", target="/etc")
        steps = [mount, make("unmount", target="/etc")] * 20
    else:
        path, steps = lab.root / "etc/passwd", [make("home", uid=1000)] * 500
        path.write_text("u:x:1000:1000:U:/home/u:/bin/sh\n")
    evil = lab.root / "evil"
    os.mkfifo(evil)  # an opening of a device could have any effect
    watch, tries = Watch(evil), 0
    with swapping(path, evil):
        end = time.monotonic() + SECONDS
        while tries < 10 or time.monotonic() < end:
            lab.inside(*steps, flags=SPACES)
            tries += 1
    assert watch.opened() == 0


def test_the_same_in_python(tmp_path: Path):
    """Images are unpacked, and failures explained, by the runtime itself."""
    (tmp_path / "file").write_bytes(b"0123456789")

    def read(path: Path | str, limit: int = 1000) -> bytes:
        fd = os.open(path, os.O_PATH)
        try:
            return image_file.read_file(fd, limit)
        finally:
            os.close(fd)

    assert (read(tmp_path / "file"), read(tmp_path / "file", 4)) == (b"0123456789", b"0123")
    sparse(tmp_path / "sparse")
    assert read(tmp_path / "sparse") == b"\0" * 1000
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, "/dev/zero", "/proc/kmsg", "/proc/self/environ",
                 "/sys/kernel/uevent_seqnum"):  # fmt: skip
        with pytest.raises(OSError, match="Invalid argument"):
            read(path)
