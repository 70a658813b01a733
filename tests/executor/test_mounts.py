"""Mount operations, looked at from inside through mountinfo and stat."""

from __future__ import annotations

import os
from errno import EINVAL, ENODEV, ENOENT

import pytest

from pycontainer.plan.ops import op
from pycontainer.tables.mount_options import ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY
from tests.executor.lab import NEWNS, Lab, bind, make, mknod, mount

PROC = mount("proc", "/proc")
MS_REMOUNT, MS_BIND, MS_NOEXEC, MS_RDONLY, MS_SILENT = 32, 4096, 8, 1, 32768
PRIVATE, SLAVE, SHARED, UNBINDABLE, REC = 1 << 18, 1 << 19, 1 << 20, 1 << 17, 16384


def info(lab: Lab, target: str, *ops) -> str:
    """The mountinfo line of `target`, after these operations."""
    script = f"grep ' {target} ' /proc/self/mountinfo"
    return lab.below(PROC, *ops, script=script).ok().splitlines()[-1]


def test_a_new_file_system_is_complete_when_it_appears(lab: Lab):
    step = mount("tmpfs", "/tmp/new", "size=64k", "mode=711", attr_set=ATTR_NOSUID | ATTR_RDONLY)
    line = info(lab, "/tmp/new", step)
    assert " ro,nosuid,relatime " in line and "size=64k,mode=711" in line


@pytest.mark.parametrize("mode", [0o1777, 0o700, 0o2755])
def test_a_tmpfs_keeps_the_mode_of_what_it_covers(lab: Lab, mode: int):
    os.chmod(lab.root / "tmp", mode)
    kept = lab.below(mount("tmpfs", "/tmp", keep_mode=1), script="stat -c %a /tmp").ok()
    assert int(kept, 8) == mode
    other = lab.below(mount("tmpfs", "/tmp", "mode=0750"), script="stat -c %a /tmp").ok()
    assert other == "750\n"


def test_what_the_kernel_says_of_a_bad_option(lab: Lab):
    lab.below(mount("tmpfs", "/tmp", "colour=red")).fails("mount", EINVAL, words="colour")
    lab.below(mount("nosuchfs", "/tmp")).fails("mount", ENODEV, words="no such file system")
    lab.below(mount("tmpfs", "/tmp", "size=a" * 200)).fails("mount", EINVAL)


def test_the_classic_way_for_flags_that_the_new_one_has_not(lab: Lab):
    step = mount("tmpfs", "/tmp", "size=64k", "mode=700", ms_flags=MS_NOEXEC | MS_SILENT)
    line = info(lab, "/tmp", step)
    assert "noexec" in line and "size=64k,mode=700" in line
    big = mount("tmpfs", "/tmp", "x" * 5000, ms_flags=MS_SILENT)
    assert lab.below(big).kind == "mount"


def test_bind_sets_what_was_asked_for_and_nothing_deeper(lab: Lab):
    (lab.directory / "source/below").mkdir(parents=True)
    source = lab.directory / "source"
    line = info(lab, "/tmp", bind(source, "/tmp", attr_set=ATTR_RDONLY | ATTR_NOEXEC))
    assert " ro,noexec," in line
    inner = mount("tmpfs", "/tmp/below")
    script = "echo x > /tmp/below/x && ! echo x > /tmp/x"
    lab.below(bind(source, "/tmp"), inner, make("mount_attr", attr_set=1, target="/tmp"),
              script=script).ok()  # fmt: skip
    deep = make("mount_attr", attr_set=1, recursive=1, target="/tmp")
    lab.below(bind(source, "/tmp"), inner, deep, script="! echo x > /tmp/below/x").ok()
    cleared = make("mount_attr", attr_clear=1, recursive=1, target="/tmp")
    lab.below(bind(source, "/tmp"), inner, deep, cleared, script=script.replace("!", "")).ok()


def test_an_optional_bind_of_nothing(lab: Lab):
    nothing = make("bind_host", source=str(lab.directory / "nothing"), target="/tmp", missing=1)
    lab.below(nothing).ok()
    lab.below(bind(lab.directory / "nothing", "/tmp")).fails("bind", ENOENT)


def test_a_host_mount_keeps_its_own_flags(lab: Lab):
    """bind without flags changes nothing; attributes of the source stay."""
    tmpfs = mount("tmpfs", "/tmp", attr_set=ATTR_NOEXEC)
    again = make("readonly", path="/tmp")
    assert "ro,noexec" in info(lab, "/tmp", tmpfs, again)


def test_remount(lab: Lab):
    flags = MS_REMOUNT | MS_RDONLY
    steps = [
        mount("tmpfs", "/tmp", "size=64k"),
        make("remount", ms_flags=flags, target="/tmp", data="size=32k"),
    ]
    line = info(lab, "/tmp", *steps)
    assert "size=32k" in line and " ro," in line
    flags = MS_REMOUNT | MS_BIND | MS_NOEXEC
    steps = [mount("tmpfs", "/tmp"), make("remount", ms_flags=flags, target="/tmp")]
    assert "noexec" in info(lab, "/tmp", *steps)
    nowhere = make("remount", ms_flags=MS_REMOUNT, target="/etc")
    lab.below(nowhere).fails("remount", EINVAL)


@pytest.mark.parametrize(
    "flags, word", [(PRIVATE, " - "), (SHARED, " shared:"), (UNBINDABLE, " unbindable ")]
)
def test_propagation(lab: Lab, flags: int, word: str):
    steps = [mount("tmpfs", "/tmp"), make("mount_propagation", flags=flags, target="/tmp")]
    line = info(lab, "/tmp", *steps)
    assert word in line and ("shared" in line) == (flags == SHARED)


def test_slave_of_a_shared_mount(lab: Lab):
    steps = [
        mount("tmpfs", "/tmp"),
        make("mount_propagation", flags=SHARED, target="/tmp"),
        op("mkdir", 0o755, "/tmp/a"),
        make("mount_propagation", flags=SLAVE, target="/tmp"),
    ]
    assert "shared" not in info(lab, "/tmp", *steps)


def test_nothing_travels_to_the_host(lab: Lab):
    before = open("/proc/self/mountinfo").read()
    lab.below(mount("tmpfs", "/tmp"), script="exit 0").ok()
    assert open("/proc/self/mountinfo").read() == before


def own_shared_mounts() -> None:
    """Mounts of our own (the machine's are out of reach), all shared with who copies them."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(NEWNS) == 0
    assert libc.mount(None, b"/", None, REC | PRIVATE, None) == 0
    assert libc.mount(None, b"/", None, REC | SHARED, None) == 0


def test_detaching_a_shared_root_leaves_the_host_alone(lab: Lab):
    """rootfsPropagation "shared": what the container detaches must stay where the host has it."""
    plan = lab.tree()
    plan[0] = op("propagation", REC | SHARED, "/")
    before = len(open("/proc/self/mountinfo").read().splitlines())
    ended = lab.run(plan, prepare=own_shared_mounts)
    ended.ok()
    assert len(ended.mounts.splitlines()) == before


def test_masks(lab: Lab):
    """A file reads as empty, a directory is an empty one; all masked directories are one tmpfs."""
    (lab.root / "etc/secret").write_text("secret")
    for name in ("a", "b"):
        (lab.root / "etc" / name).mkdir()
        (lab.root / "etc" / name / "secret").write_text("secret")
    (lab.root / "etc/link").symlink_to("/etc/a")
    paths = ["/etc/secret", "/etc/link", "/etc/b", "/etc/missing", "/etc/secret/missing"]
    script = "cat /etc/secret; ls /etc/a /etc/b; ! echo x > /etc/a/x; stat -c %d /etc/a /etc/b"
    out = lab.below(*[make("mask", path=path) for path in paths], script=script).ok()
    assert "secret\n" not in out
    first, second = out.split()[-2:]
    assert first == second


def test_a_mask_is_really_the_null_device(lab: Lab):
    """CVE-2025-31133: what the image has at /dev/null does not matter."""
    (lab.root / "dev/null").symlink_to("/etc/precious")
    (lab.root / "etc/precious").write_text("precious")
    (lab.root / "etc/secret").write_text("secret")
    script = "stat -c %t:%T /etc/secret; cat /etc/secret; echo x > /etc/secret; cat /etc/precious"
    assert lab.below(make("mask", path="/etc/secret"), script=script).ok() == "1:3\nprecious"


def test_readonly_paths(lab: Lab):
    (lab.root / "etc/file").write_text("x")
    (lab.root / "link").symlink_to("../../etc")
    steps = [
        make("readonly", path=path) for path in ("/link/file", "/tmp", "/missing", "/bin/sh/x")
    ]
    script = "! echo y > /etc/file && ! echo y > /tmp/y && echo y > /etc/other && cat /etc/file"
    assert lab.below(*steps, script=f"({script}) 2>/dev/null").ok() == "x"


def test_readonly_takes_what_is_mounted_below_along(lab: Lab):
    steps = [
        mount("tmpfs", "/tmp"),
        op("mkdir", 0o755, "/tmp/in"),
        mount("tmpfs", "/tmp/in", "size=4k"),
    ]
    script = "grep -c ' /tmp/in ' /proc/self/mountinfo"
    out = lab.below(PROC, *steps, make("readonly", path="/tmp"), script=script).ok()
    assert int(out) >= 1


def test_the_old_root_is_gone(lab: Lab):
    """Only what we mounted is there, and no path leads back."""
    out = lab.below(PROC, script="cat /proc/self/mountinfo; ls /..").ok()
    assert len([line for line in out.splitlines() if " - " in line]) == 2
    assert "treasure" not in out


def test_move_root_hides_the_host(lab: Lab):
    """--no-pivot: the host's file systems are below, no path leads to them."""
    tail = lab.tree(PROC)[4:]
    plan = [*lab.tree(PROC)[:4], op("move_root"), *tail[1:-2]]
    assert plan[-1].kind == "move_root"
    from tests.executor.lab import shell

    out = lab.run([*plan, *shell("ls /../..; ls /proc/1/root/")]).ok()
    assert "treasure" not in out and out.count("bin") == 2


def test_devices_have_mode_owner_and_number(lab: Lab):
    steps = [
        mknod("/dev/a/fuse", 0o20640, 10, 229, uid=5, gid=6),
        mknod("/dev/pipe", 0o10600),
        mknod("/dev/big", 0o60660, 259, 70000),
    ]
    script = "stat -c '%f %t %T %u:%g' /dev/a/fuse /dev/pipe /dev/big"
    out = lab.below(*steps, script=script).ok()
    assert out.splitlines() == ["21a0 a e5 5:6", "1180 0 0 0:0", "61b0 103 11170 0:0"]


def test_a_bound_device_is_the_hosts(lab: Lab):
    step = mknod("/dev/null", 0o20666, 1, 3, bind=1, source="/dev/null")
    assert lab.below(step, script="stat -c %t:%T /dev/null").ok() == "1:3\n"
    missing = mknod("/dev/x", 0o20666, 1, 3, bind=1, source="/dev/nothing")
    lab.below(missing).fails("mknod", ENOENT, words="/dev/nothing")
