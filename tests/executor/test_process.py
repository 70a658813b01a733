"""The process: identity, capabilities, HOME, the program's file, working directory, proc writes."""

from __future__ import annotations

import os
import struct
import time
from errno import EACCES, EINVAL, EISDIR, ELOOP, ENOENT, ENOTDIR, EPERM, EXDEV

import pytest

from pycontainer.plan.ops import joined, op
from tests.executor.lab import NEWNET, NEWNS, NEWPID, SPACES, Lab, make, mount

PROC = mount("proc", "/proc")


# -- HOME --------------------------------------------------------------------------------------


def home(lab: Lab, uid: int = 1000) -> str:
    began = time.monotonic()
    ended = lab.inside(make("home", uid=uid), script="echo $HOME")
    assert time.monotonic() - began < 5, "it has hung"
    return ended.ok().strip()


PASSWDS = {
    "usual": (b"root:x:0:0:r:/root:/bin/sh\nu:x:1000:1000:U:/home/u:/bin/sh\n", "/home/u"),
    "first of two": (b"a:x:1000:1:a:/a:/x\nb:x:1000:1:b:/b:/x\n", "/a"),
    "no newline": (b"u:x:1000:1000:U:/home/u", "/home/u"),
    "no shell": (b"u:x:1000:1000:U:/home/u:", "/home/u"),
    "empty": (b"", "/"),
    "empty home": (b"u:x:1000:1000:U::/bin/sh\n", "/"),
    "too few fields": (b"u:x:1000\nu:x:1000:1\n\n:::\n", "/"),
    "uid with junk": (b"u:x:1000x:1:U:/no:/x\nu:x: 1000:1:U:/no:/x\n", "/"),
    "uid as prefix": (b"u:x:10000:1:U:/no:/x\nu:x:100:1:U:/no:/x\n", "/"),
    "huge number": (b"u:x:18446744073709552616:1:U:/no:/x\n", "/"),
    "no uid": (b"u:x::1:U:/no:/x\n", "/"),
    "binary": (bytes(range(1, 256)) * 50 + b"\nu:x:1000:1:U:/home/u:/x\n", "/home/u"),
    "long lines": (b"x" * 100000 + b"\nu:x:1000:1:U:/home/u:/x\n", "/home/u"),
    "NUL ends it": (b"\0\nu:x:1000:1:U:/home/u:/x\n", "/"),
}


@pytest.mark.parametrize("kind", PASSWDS)
def test_home_in_passwd(lab: Lab, kind: str):
    text, expected = PASSWDS[kind]
    (lab.root / "etc/passwd").write_bytes(text)
    assert home(lab) == expected


def test_home_without_a_passwd(lab: Lab):
    assert home(lab) == "/"
    (lab.root / "etc").rename(lab.root / "etc2")
    assert home(lab) == "/"


def test_a_passwd_over_the_limit_is_read_up_to_it(lab: Lab):
    with (lab.root / "etc/passwd").open("wb") as file:
        file.write(b"u:x:1000:1:U:/home/u:/x\n")
        file.truncate(1 << 34)
    assert home(lab) == "/home/u"


def test_a_home_longer_than_a_path_is_refused(lab: Lab):
    (lab.root / "etc/passwd").write_bytes(b"u:x:1000:1:U:" + b"/h" * 3000 + b":/x\n")
    assert lab.inside(make("home", uid=1000)).kind == "home"


def test_a_passwd_that_is_no_file_cannot_hang_us(lab: Lab):
    """A fifo would wait for its writer for ever; a device may do anything when it is opened."""
    path = lab.root / "etc/passwd"
    os.mkfifo(path)
    assert home(lab) == "/"
    path.unlink()
    os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero has no end
    assert home(lab) == "/"
    path.unlink()
    path.mkdir()
    assert home(lab) == "/"


def test_a_passwd_behind_a_symlink(lab: Lab):
    """One that leads out of the root leads to the same place inside of it."""
    (lab.outside / "passwd").write_text("u:x:1000:1:U:/evil:/x\n")
    (lab.root / "etc/passwd").symlink_to(f"../../../../../{lab.outside}/passwd")
    assert home(lab) == "/"
    (lab.root / "etc/passwd").unlink()
    (lab.root / "etc/real").write_text("u:x:1000:1:U:/real:/x\n")
    (lab.root / "etc/passwd").symlink_to("/etc/real")
    assert home(lab) == "/real"


# -- the program -------------------------------------------------------------------------------


def found(lab: Lab, name: str, search: str = "/bin"):
    return lab.run(
        [
            *lab.tree()[:4],
            make("find_program", name=name, search=search),
            make("exec", args=joined([name, "-c", "echo ran"]), env=joined(["PATH=/bin"])),
        ]
    )


def test_search_order_and_what_is_passed_over(lab: Lab):
    for name in ("a", "b", "dir/sh"):
        (lab.root / name).mkdir(parents=True)
    (lab.root / "a/sh").write_text("not executable")
    (lab.root / "a/sh").chmod(0o644)
    assert found(lab, "sh", "/missing:/a:/dir:/bin:/b").ok() == "ran\n"
    assert found(lab, "sh", "bin").ok() == "ran\n"
    assert found(lab, "sh", "/" + "x" * 5000 + ":/bin").ok() == "ran\n"
    (lab.root / "sh").symlink_to("/bin/sh")
    assert found(lab, "sh", "").ok() == "ran\n"
    assert found(lab, "sh", "/b::").ok() == "ran\n"


def test_a_program_that_is_not_there(lab: Lab):
    found(lab, "nothing").fails("find_program", ENOENT)
    found(lab, "nothing", "").fails("find_program", ENOENT)
    found(lab, "/bin/nothing").fails("find_program", ENOENT)
    found(lab, "", "/bin").fails("find_program", ENOENT)
    found(lab, "n" * 5000).fails("find_program", ENOENT)
    found(lab, "/bin/sh/x").fails("find_program", ENOTDIR)
    found(lab, "/bin").fails("find_program", EISDIR, EACCES)


def test_a_program_that_may_not_be_executed(lab: Lab):
    (lab.root / "bin/text").write_text("x")
    found(lab, "/bin/text").fails("find_program", EACCES)
    (lab.root / "bin/text").chmod(0o755)
    found(lab, "/bin/text").fails("exec", 8)  # ENOEXEC
    (lab.root / "bin/text").write_text("#!/no/such/interpreter\n")
    found(lab, "/bin/text").fails("exec", ENOENT)


# -- identity ----------------------------------------------------------------------------------


def inside_proc(lab: Lab, *ops, **options) -> dict[str, str]:
    """/proc/self/status of the program."""
    plan = lab.tree(PROC)
    tail = [
        make("find_program", name="/bin/cat"),
        make("exec", args=joined(["cat", "/proc/self/status"]), env=b""),
    ]
    out = lab.run([*plan[:4], *ops, *tail], **options).ok()
    return dict(line.split(":\t", 1) for line in out.splitlines() if ":\t" in line)


def test_user_groups_and_capabilities(lab: Lab):
    """uid, gid and groups; capabilities survive the change of user only as the plan says."""
    groups = struct.pack("<3I", 5, 6, 4294967294)
    net, kill = 1 << 10, 1 << 5
    seen = inside_proc(
        lab,
        make("bounding", mask=net | kill),
        make("user", uid=1000, gid=1001, groups=groups),
        make("capabilities", effective=net, permitted=net | kill, inheritable=net, ambient=net),
    )
    assert seen["Uid"].split() == ["1000"] * 4 and seen["Gid"].split() == ["1001"] * 4
    assert seen["Groups"].split() == ["5", "6", "4294967294"]
    masks = {name: int(seen[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
    assert masks == {"Inh": net, "Prm": net, "Eff": net, "Bnd": net | kill, "Amb": net}


def test_root_without_capabilities(lab: Lab):
    seen = inside_proc(lab, make("bounding"), make("capabilities"), make("no_new_privs"))
    assert {seen[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert seen["NoNewPrivs"] == "1"


def test_capabilities_that_cannot_be(lab: Lab):
    """Ambient without inheritable is the kernel's EPERM, not silence."""
    lab.inside(make("capabilities", ambient=1, permitted=1)).fails("capabilities", EPERM)
    assert lab.inside(make("user", uid=1 << 40)).status == 0  # the kernel's uids have 32 bits


def test_signals_are_as_a_program_expects(lab: Lab):
    """Python ignores SIGPIPE; the container's program does not."""
    seen = inside_proc(lab)
    assert (seen["SigBlk"], seen["SigIgn"], seen["SigCgt"]) == ("0" * 16,) * 3


def test_limits_umask_personality(lab: Lab):
    steps = [
        make("rlimit", resource=7, soft=10, hard=20),
        make("umask", mask=0o27),
        make("personality", domain=8),
    ]
    out = lab.inside(*steps, script="ulimit -Sn; ulimit -Hn; umask; busybox uname -m").ok()
    assert out.split()[:3] == ["10", "20", "0027"]
    lab.inside(make("rlimit", resource=99, soft=1, hard=1)).fails("rlimit", EINVAL)


# -- working directory -------------------------------------------------------------------------


def test_the_working_directory_is_made(lab: Lab):
    steps = [make("enter_cwd", make=1, path="/a/b/c"), make("chdir", path="/a/b/c")]
    assert lab.inside(*steps, script="pwd").ok() == "/a/b/c\n"
    gone = [make("enter_cwd", path="/x/y"), make("chdir", path="/x/y")]
    lab.inside(*gone).fails("chdir", ENOENT)


def test_a_directory_that_only_root_may_enter(lab: Lab):
    (lab.root / "closed").mkdir(mode=0o700)
    steps = [
        make("enter_cwd", make=1, path="/closed"),
        make("user", uid=1000, gid=1000),
        make("chdir", path="/closed"),
    ]
    assert lab.inside(*steps, script="exit 0").ok() == ""


def test_a_working_directory_outside_is_refused(lab: Lab):
    """CVE-2024-21626: through every descriptor that there is."""
    plan = lab.tree(PROC)
    for fd in range(3, 30):
        for path in (f"/proc/self/fd/{fd}", f"/proc/self/fd/{fd}/..{lab.outside}"):
            steps = [make("enter_cwd", make=1, path=path), make("chdir", path=path)]
            ended = lab.run([*plan[:5], *steps, *lab.tree(script="ls; ls ../..")[-2:]])
            assert "treasure" not in ended.out and "outside" not in ended.out, (path, ended)


# -- proc --------------------------------------------------------------------------------------


def test_a_sysctl_goes_to_the_real_proc(lab: Lab):
    """CVE-2025-52881: a file that the image has at that place stays as it was."""
    fake = lab.root / "proc/sys/net/ipv4"
    fake.mkdir(parents=True)
    (fake / "ip_forward").write_text("fake")
    step = make("sysctl", file="sys/net/ipv4/ip_forward", value="1")
    look = mount("proc", "/tmp", plain_target=0)
    script = "cat /proc/sys/net/ipv4/ip_forward; cat /tmp/sys/net/ipv4/ip_forward"
    assert lab.below(look, step, script=script, flags=SPACES | NEWNET).ok() == "fake1\n"
    assert lab.run([*lab.tree()[:4], step, *lab.tree()[-2:]], flags=SPACES | NEWNET).ok() == ""
    assert (fake / "ip_forward").read_text() == "fake"


@pytest.mark.parametrize(
    "file",
    [
        "sys/../../etc/passwd",
        "self/mem",
        "/etc/passwd",
        "sys/nothing",
        "../treasure",
        "sys/net/../kernel/hostname",
        "sys/..",
    ],
)
def test_a_sysctl_stays_below_sys(lab: Lab, file: str):
    ended = lab.below(make("sysctl", file=file, value="1"), flags=SPACES | NEWNET)
    ended.fails("sysctl", ENOENT, EXDEV, EINVAL, ELOOP, EACCES, EPERM)
    lab.untouched()


def test_a_file_of_the_process_itself(lab: Lab):
    (lab.root / "proc/1").mkdir()
    (lab.root / "proc/1/comm").write_text("fake")
    steps = [make("self_write", file="comm", value="renamed")]
    assert lab.inside(*steps, script="cat /proc/1/comm").ok() == "fake"
    seen = lab.below(make("self_write", file="oom_score_adj", value="77"), PROC,
                     script="cat /proc/self/oom_score_adj").ok()  # fmt: skip
    assert seen == "77\n"
    assert lab.inside(make("self_write", file="x" * 300, value="")).kind == "self_write"
    assert lab.inside(make("self_write", file="../1/comm", value="x")).kind == "self_write"


def test_the_program_gets_no_descriptor_of_ours(lab: Lab):
    plan = lab.tree(
        PROC, make("mask", path="/etc"), make("sysctl", file="sys/kernel/hostname", value="x")
    )
    out = lab.run([*plan[:-2], *lab.tree(script="ls /proc/self/fd")[-2:]]).ok()
    assert len(out.split()) == 4  # 0, 1, 2, and the directory that ls reads


def test_names_and_session(lab: Lab):
    steps = [make("setsid"), make("hostname", name="h" * 64), make("domainname", name="d.example")]
    script = (
        "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname; cut -d' ' -f6 /proc/self/stat"
    )
    out = lab.below(PROC, *steps, script=script.replace("cut", "busybox cut")).ok().split()
    assert out == ["h" * 64, "d.example", "1"]
    lab.inside(make("hostname", name="h" * 65)).fails("hostname", EINVAL)


def test_respawn_goes_on_in_a_child(lab: Lab):
    """The rest of the plan is another process's, in the new pid namespace."""
    plan = [op("respawn", NEWPID, 0), *lab.tree(PROC, script="echo $$")]
    assert lab.run(plan, flags=NEWNS).ok() == "1\n"
    plan = [op("respawn", NEWPID, 0), *lab.tree(PROC, make("mask", path="/a" * 3000))]
    assert lab.run(plan, flags=NEWNS).kind == "mask"


def test_loopback(lab: Lab):
    out = lab.below(mount("sysfs", "/sys"), make("loopback_up"), flags=SPACES | NEWNET,
                    script="cat /sys/class/net/lo/flags").ok()  # fmt: skip
    assert int(out, 16) & 1
