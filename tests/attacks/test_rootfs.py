"""Images that attack the runtime: what is in the root must not be able to reach the host.

Each test names the class of failure it is about. The races use a swapper that wins against a
runtime that checks first and uses then: the first test here shows that.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attacks.racer import SECONDS, swapping
from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Done


@pytest.fixture
def outside(box: Box) -> Path:
    """A directory of the host that no container may touch."""
    path = box.directory / "outside"
    path.mkdir()
    (path / "treasure").write_text("untouched")
    return path


def untouched(outside: Path) -> bool:
    """True when nothing was made or changed there."""
    names = os.listdir(outside)
    return names == ["treasure"] and (outside / "treasure").read_text() == "untouched"


class Volume:
    """A directory that two containers share: `way` is a directory now, a way out then."""

    def __init__(self, box: Box, outside: Path) -> None:
        self.path = box.directory / "volume"
        (self.path / "way").mkdir(parents=True)
        (self.path / "out").symlink_to(f"../../../../../../../../../../..{outside}")

    def swapping(self):
        return swapping(self.path / "way", self.path / "out")


def runs(box: Box, bundle: Bundle, outside: Path, least: int = 0) -> Iterator[Done]:
    """What becomes of the bundle, again and again while a race goes on, for SECONDS; up to 30 more
    until `least` containers were made. Nothing has been touched outside after any of them."""
    made, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end or (made < least and time.monotonic() < end + 30):
        done = box.run(bundle)
        made += done.status == 0
        assert untouched(outside), done
        yield done


def test_the_racer_wins_against_a_naive_runtime(box: Box, outside: Path):
    """Resolve the path, see that it is inside, make the directory: too late."""
    volume = Volume(box, outside)
    with volume.swapping():
        end = time.monotonic() + 10
        while untouched(outside) and time.monotonic() < end:
            target = f"{volume.path}/way/mnt"
            try:
                if os.path.realpath(target).startswith(str(volume.path)):
                    os.makedirs(target, exist_ok=True)
                    os.rmdir(target)
            except OSError:
                pass  # the other side of the swap
    assert not untouched(outside), "the race is too slow to prove anything"


@pytest.mark.parametrize("kind", ["tmpfs", "bind", "file"])
def test_mount_targets_in_a_shared_volume(box: Box, outside: Path, kind: str):
    """CVE-2021-30465, CVE-2024-45310: nothing is mounted, and no directory is made, outside."""
    volume = Volume(box, outside)
    (box.directory / "file").write_text("x")
    source = {"bind": "/usr", "file": f"{box.directory}/file"}.get(kind, "tmpfs")
    bundle = box.bundle().script("cut -d' ' -f5 /proc/self/mountinfo")
    bundle.config["mounts"] += [
        {"destination": "/vol", "source": str(volume.path), "options": ["bind"]},
        {"destination": "/vol/way/a/b", "type": "tmpfs" if kind == "tmpfs" else "",
         "source": source, "options": [] if kind == "tmpfs" else ["bind"]},
    ]  # fmt: skip
    if kind != "tmpfs":
        bundle.config["mounts"][-1].pop("type")
    bundle.write()
    made = 0
    with volume.swapping():
        for done in runs(box, bundle, outside):
            made += done.status == 0
            places = [line for line in done.out.split() if "treasure" in line or "outside" in line]
            # In the container's own root the link leads to a place of the same name.
            assert all((bundle.rootfs / place.lstrip("/")).exists() for place in places), done
    assert made > 3


def test_a_false_procfs_does_not_keep_the_root_writable(box: Box, outside: Path):
    """Without a procfs, /proc/self/fd is what the image has there."""
    bundle = box.bundle().script("mkdir /new; true")
    links = bundle.rootfs / "proc/self/fd"
    links.mkdir(parents=True)
    for number in range(64):
        (links / str(number)).symlink_to("/tmp")
    bundle.config["mounts"] = [{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}]
    bundle.config["root"]["readonly"] = True
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    done = box.run(bundle)
    assert not (bundle.rootfs / "new").exists() and "Read-only" in done.err, done


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_proc_and_sys_are_ordinary_directories(box: Box, outside: Path, name: str):
    """CVE-2019-19921, CVE-2023-27561, CVE-2023-28642."""
    bundle = box.bundle()
    (bundle.rootfs / name).rmdir()
    (bundle.rootfs / name).symlink_to("tmp")
    box.run(bundle).fails("must be mounted on ordinary directory", f"mount {name}")
    (bundle.rootfs / name).unlink()
    (bundle.rootfs / name).symlink_to(outside)
    box.run(bundle).fails("must be mounted on ordinary directory")
    assert untouched(outside)


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_a_race_for_proc_and_sys(box: Box, outside: Path, name: str):
    """The same, while somebody swaps the directory and a link: nothing appears where the link leads
    on the host. (Below the container's own root it may: that is the image's.)"""
    bundle = box.bundle().script("cut -d' ' -f5 /proc/self/mountinfo; true")
    (bundle.rootfs / "link").symlink_to(f"../../../..{outside}")
    bundle.write()
    made = 0
    with swapping(bundle.rootfs / name, bundle.rootfs / "link"):
        for done in runs(box, bundle, outside, least=3):
            made += done.status == 0
    assert made


@pytest.mark.parametrize("what", ["maskedPaths", "readonlyPaths"])
def test_a_race_for_a_mask(box: Box, outside: Path, what: str):
    """Masks and read-only paths below a volume whose directories are swapped stay inside, too."""
    volume = Volume(box, outside)
    bundle = box.bundle().script("cut -d' ' -f5 /proc/self/mountinfo")
    mount = {"destination": "/vol", "source": str(volume.path), "options": ["bind"]}
    bundle.config["mounts"].append(mount)
    bundle.linux[what] = ["/vol/way"]
    bundle.write()
    made = 0
    with volume.swapping():
        for done in runs(box, bundle, outside):
            made += done.status == 0
            assert str(box.directory) not in done.out, done
    assert made > 3


def test_a_symlink_at_dev(box: Box, outside: Path):
    """CVE-2026-41579: default devices and links are made inside, wherever /dev leads."""
    bundle = box.bundle()
    mounts = bundle.config["mounts"]
    bundle.config["mounts"] = [m for m in mounts if not m["destination"].startswith("/dev")]
    (bundle.rootfs / "dev").rmdir()
    (bundle.rootfs / "dev").symlink_to(f"/../../../..{outside}")
    done = box.run(bundle.script("ls -l /dev/ /dev/null"))
    assert untouched(outside) and not (outside / "null").exists(), done
    assert done.status == 0 and (bundle.rootfs / str(outside)[1:] / "null").is_char_device()


def bound_dev(box: Box, outside: Path) -> tuple[Bundle, Path]:
    """A bundle whose /dev is the attacker's own directory."""
    dev = box.directory / "dev"
    (dev / "pts").mkdir(parents=True)
    bundle = box.bundle()
    mounts = bundle.config["mounts"]
    bundle.config["mounts"] = [m for m in mounts if not m["destination"].startswith("/dev")]
    bundle.config["mounts"].append({"destination": "/dev", "source": str(dev), "options": ["bind"]})
    return bundle, dev


def test_masks_do_not_trust_the_images_null(box: Box, outside: Path):
    """CVE-2025-31133: a symlink at /dev/null must not be what hides /proc/keys."""
    bundle, dev = bound_dev(box, outside)
    (dev / "null").symlink_to("/proc/sys/kernel/core_pattern")
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    masked = "/proc/timer_list"
    bundle.linux["maskedPaths"] = [masked]
    bundle.script(f"stat -c %t:%T {masked}; echo evil > {masked}; cat {masked}")
    done = box.run(bundle, stdin=subprocess.PIPE)
    assert done.ok().out == "1:3\n"
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


NULLS: dict[str, Callable[[Path], object]] = {
    "symlink": lambda null: null.symlink_to("/proc/sys/kernel/core_pattern"),
    "file": lambda null: null.write_text(""),
    "directory": lambda null: null.mkdir(),
    "fifo": lambda null: os.mkfifo(null),
    "device": lambda null: os.mknod(null, 0o20666, os.makedev(1, 8)),
}


@pytest.mark.parametrize("kind", NULLS)
def test_stdio_does_not_become_what_an_image_calls_null(box: Box, outside: Path, kind: str):
    """CVE-2025-31133: neither opened with effect, nor handed to the program, which gets a null
    device of its own."""
    bundle, dev = bound_dev(box, outside)
    NULLS[kind](dev / "null")
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.script("stat -Lc %t:%T /proc/self/fd/0")
    assert box.run(bundle, stdin=subprocess.DEVNULL).ok().out == "1:3\n"
    assert kind != "file" or (dev / "null").read_text() == ""


def test_a_root_without_a_null_device(box: Box, outside: Path):
    bundle, dev = bound_dev(box, outside)
    assert not (dev / "null").exists()
    box.run(bundle.script("echo fine"), stdin=subprocess.DEVNULL).ok()


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The nested program, static."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    program = tmp_path_factory.mktemp("nested") / "nested"
    source = Path(__file__).parent / "nested.c"
    subprocess.run(["gcc", "-static", "-O1", "-o", program, source], check=True)
    return program


@pytest.mark.parametrize("flags", [(), ("--no-pivot",)])
@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.alone
def test_no_procfs_without_masks(box: Box, nested: Path, flags: tuple[str, ...], mapped: bool):
    """Where a whole procfs is to be seen, and without pivot_root that would be the host's, anybody
    may mount one; what is masked in the container's would be open in there."""
    bundle = box.bundle("/bin/nested", "/mnt")
    shutil.copy(nested, bundle.rootfs / "bin/nested")
    if mapped:
        for kind in ("uidMappings", "gidMappings"):
            bundle.linux[kind] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        bundle.new_namespace("user")
    before = Path("/proc/self/mountinfo").read_text()
    assert box.run(bundle, *flags).status == errno.EPERM
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    assert box.run(bundle, *flags).status == 0, "this kernel forbids it anyhow"
    assert Path("/proc/self/mountinfo").read_text() == before


def test_a_sysctl_is_really_set(box: Box, outside: Path):
    """CVE-2019-16884, CVE-2025-52881: no volume goes over /proc, and what an image has there when
    the config mounts none redirects nothing that we write."""
    bundle = box.bundle()
    fake = bundle.rootfs / "proc"
    (fake / "sys/net/ipv4").mkdir(parents=True)
    (fake / "sys/net/ipv4/ip_forward").write_text("fake")
    (fake / "self").symlink_to("1")
    volume = {"destination": "/proc", "source": str(outside), "options": ["bind"]}
    bundle.config["mounts"].append(volume)
    box.run(bundle).fails("not of type proc")
    mounts = [mount for mount in bundle.config["mounts"] if mount["destination"] != "/proc"]
    real = {"destination": "/real", "type": "proc", "source": "proc"}
    bundle.config["mounts"] = [*mounts, real]
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    done = box.run(bundle.script("cat /real/sys/net/ipv4/ip_forward"))
    assert done.ok().out == "1\n"
    assert (fake / "sys/net/ipv4/ip_forward").read_text() == "fake"


def test_a_console_that_is_a_symlink(box: Box, outside: Path):
    """CVE-2025-52565: the terminal is not bound over what the image's links point at."""
    bundle, dev = bound_dev(box, outside)
    devpts = {"destination": "/dev/pts", "type": "devpts", "source": "devpts"}
    bundle.config["mounts"].append({**devpts, "options": ["newinstance", "ptmxmode=0666"]})
    (dev / "console").symlink_to("/proc/sys/kernel/hostname")
    bundle.process["terminal"] = True
    main, other = os.openpty()
    done = box.run(bundle.script("echo evil > /proc/sys/kernel/hostname; ls -l /dev/console"),
                   stdin=other)  # fmt: skip
    os.close(main)
    os.close(other)
    assert os.uname().nodename != "evil" and untouched(outside), done
    assert (dev / "console").is_symlink()


def test_files_of_the_image_are_opened_inside(box: Box, outside: Path):
    """CVE-2019-18837, CVE-2025-24965: passwd is looked up in the root, magic links or not."""
    bundle = box.bundle()
    bundle.process["env"] = ["PATH=/bin"]
    passwd = bundle.rootfs / "etc/passwd"
    (outside / "treasure").write_text("root:x:0:0:r:/stolen:/bin/sh\n")
    for target in (f"{'../' * 12}{outside}/treasure", f"/proc/1/root{outside}/treasure",
                   f"/proc/self/cwd{outside}/treasure"):  # fmt: skip
        passwd.unlink()
        passwd.symlink_to(target)
        assert box.run(bundle.script("echo $HOME")).ok().out == "/\n"


def test_nothing_of_the_image_is_loaded(box: Box):
    """CVE-2019-14271: no library, module or configuration of the root is read by us."""
    from tests.executor import trace

    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    bundle = box.bundle("/bin/true")
    for name in ("usr/lib/libnss_files.so.2", "usr/lib/python3.11/encodings/__init__.py",
                 "sitecustomize.py", "etc/ld.so.preload", "etc/nsswitch.conf"):  # fmt: skip
        path = bundle.rootfs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("evil")
    file = box.directory / "trace"
    process = trace.record(box.pycontainer.argv("run", "-b", bundle, box.id()), file)
    assert process.wait(60) == 0
    if process.stderr:
        process.stderr.close()
    calls = trace.read(file)
    inside = False
    looked_at: dict[str, str] = {}  # by descriptor: opened with O_PATH, perhaps read after the look
    read = set()
    for call in calls[trace.executor_of(calls)]:
        inside |= call.name == "pivot_root"
        opened = call.name in ("open", "openat", "openat2") and call.ok and inside
        path = (call.text(0 if call.name == "open" else 1) or "") if opened else ""
        if opened and number_of_flags(call) & 0x200000:  # O_PATH
            looked_at[str(call.result)] = path
        elif opened:
            read.add(looked_at.get(path, path))
        if call.name == "execve" and call.ok and inside:
            break
    assert read <= {"/etc/passwd", "/dev/null"}
    for pid, own in calls.items():
        if pid != trace.executor_of(calls):
            paths = [c.args[1] for c in own if c.name == "openat" and c.ok]
            assert not [p for p in paths if f"{bundle.rootfs}/" in p]


def number_of_flags(call) -> int:
    """The flags of an open."""
    if call.name == "openat2":
        return call.member(2, "flags")
    return call.number(1 if call.name == "open" else 2)
