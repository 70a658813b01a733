"""A container against those who enter it, wait in it, or send signals to it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from pycontainer.linux.host import probe
from pycontainer.seccomp import simulate
from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.filters import FILTER
from tests.support.runtimes import CHECKOUT, eventually

THIEF = Path(__file__).parent / "thief.c"


@pytest.fixture(scope="module")
def thief(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The thief's program, static."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    program = tmp_path_factory.mktemp("thief") / "thief"
    subprocess.run([compiler, "-static", "-O2", "-w", "-o", program, THIEF], check=True)
    return program


def _hashes() -> dict[str, str]:
    """What a container must never change: the interpreter, our code, the executor."""
    package = CHECKOUT / "pycontainer"
    files = [Path("/usr/bin/python3").resolve(), *package.rglob("*.py"), *package.glob("*.bin")]
    files += package.glob("*.so")
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def with_thief(box: Box, thief: Path, *caps: str) -> Bundle:
    bundle = box.bundle("/bin/sleep", "100")
    shutil.copy(thief, bundle.rootfs / "bin/thief")
    for kind in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][kind] += caps
    return bundle


def rob(box: Box, bundle: Bundle, tries: str, uid: int = 0) -> list[str]:
    """Let the thief try for 3 s while processes enter; what it got."""
    name = box.id("victim")
    box.pycontainer("run", "-d", "-b", bundle, name).ok()
    argv = box.pycontainer.argv("exec", name, "/bin/thief", "3", tries)
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    entered = 0
    while process.poll() is None:
        entered += box.pycontainer("exec", "-u", str(uid), name, "/bin/true").status == 0
    out, _ = process.communicate()
    lines = out.decode().splitlines()
    seen = [int(line.split()[1]) for line in lines if line.startswith("seen")]
    # Few, where it holds a program of its own right when that has been executed, until it ends.
    assert entered and seen and seen[0] > 0, (entered, lines)
    return [line for line in lines if not line.startswith("seen")]


def test_nothing_can_be_taken_from_a_process_that_enters(box: Box, thief: Path):
    """CVE-2016-9962, CVE-2019-5736: no program to write to, no descriptor, no tracing."""
    before = _hashes()
    assert rob(box, with_thief(box, thief), "tc") == []
    assert _hashes() == before


ONLY_THEN = {"names": ["setns"], "action": "SCMP_ACT_ERRNO"}
FILTERS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "a list of what is forbidden": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [ONLY_THEN]},
    "a list of what is allowed": {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {
                "names": [*simulate.CALLS, *"exit write brk mmap munmap arch_prctl poll"
                " mprotect set_tid_address set_robust_list rseq getrandom read stat lstat fstat"
                " newfstatat statx getuid geteuid getgid setgid setuid getppid fcntl dup2 access"
                " readlink readlinkat rt_sigaction rt_sigprocmask clock_gettime kill ptrace wait4"
                " open nanosleep clock_nanosleep uname lseek writev readv exit_group".split()],
                "action": "SCMP_ACT_ALLOW",
            }
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("uid", [0, 1000])
def test_a_tracer_finds_nothing_of_the_host(box: Box, thief: Path, name: str, uid: int):
    """With CAP_SYS_PTRACE the kernel lets it look, and trace: there is nothing to take, nothing to
    write, and no capability that the container has not."""
    before = _hashes()
    bundle = with_thief(box, thief, "CAP_SYS_PTRACE")
    bundle.process["noNewPrivileges"] = False
    if FILTERS[name]:
        bundle.linux["seccomp"] = FILTERS[name]
    assert rob(box, bundle, "c", uid) == []
    assert _hashes() == before


def neighbour(box: Box, thief: Path, runtime: str) -> tuple[str, str]:
    """A container whose program is the thief, for as long as it takes; its id and pid namespace."""
    bundle = with_thief(box, thief, "CAP_SYS_PTRACE")
    bundle.process["args"] = ["/bin/sh", "-c", "thief 5 c > /tmp/loot; sleep 1000"]
    name = box.id("neighbour")
    box.runtime(runtime)("run", "-d", "-b", bundle, name).ok()
    return name, f"/proc/{box.runtime(runtime).state(name)['pid']}/ns/pid"


def beside(box: Box, space: str, profile: dict[str, Any] | None, hooks: bool) -> Bundle:
    """A container that joins this pid namespace."""
    bundle = box.bundle("/bin/true")
    bundle.join_namespace("pid", space)
    bundle.process["noNewPrivileges"] = False
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}  # takes a procfs of the executor's own
    if profile:
        bundle.linux["seccomp"] = profile
    if hooks:
        bundle.config["hooks"] = {
            "createContainer": [{"path": "/bin/true"}], "startContainer": [{"path": "/bin/true"}]
        }  # fmt: skip
    return bundle


def make_many(box: Box, runtime: str, bundle: Bundle, name: str, thief_root: Path) -> list[str]:
    """Make containers beside the thief until it has looked long enough; what it got."""
    runs, made, loot = box.runtime(runtime), 0, thief_root / "tmp/loot"
    while "seen" not in loot.read_text():
        # runc 1.1 takes half a second for one
        runs("create", "-b", bundle, f"{name}-{made}").ok()
        runs("start", f"{name}-{made}").ok()
        runs("delete", "--force", f"{name}-{made}").ok()
        made += 1
    lines = loot.read_text().splitlines()
    assert made and int(lines[-1].split()[1]) > 0, lines
    return lines[:-1]


needs_pidns = pytest.mark.skipif(
    not probe().procfs_pidns, reason="needs a procfs that can be of another pid namespace (6.18)"
)
PROFILES: dict[str, dict[str, Any] | None] = {
    **FILTERS,
    "as Docker's": {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["clone3", "setns", "mount"], "action": "SCMP_ACT_ERRNO",
                      "errnoRet": 38}],
    },
}  # fmt: skip
PROFILES["a list of what is allowed"] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "syscalls": [*FILTERS["a list of what is allowed"]["syscalls"],  # type: ignore[index]
                 {"names": [*simulate.WAITING], "action": "SCMP_ACT_ALLOW"}],
}  # fmt: skip


@needs_pidns
@pytest.mark.parametrize("hooks", [False, True], ids=["", "hooks"])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_neighbour_of_the_same_pid_namespace(box: Box, thief: Path, profile: str, hooks: bool):
    """While a container is made and waits, who shares its pid namespace finds no capability and no
    directory there that are not the container's."""
    name, space = neighbour(box, thief, "pycontainer")
    bundle = beside(box, space, PROFILES[profile], hooks)
    root = Path(box.pycontainer.state(name)["rootfs"])
    assert make_many(box, "pycontainer", bundle, box.id("beside"), root) == []


def test_runc_is_vulnerable_to_that(box: Box, thief: Path):
    """The control: the attack is a real one."""
    name, space = neighbour(box, thief, "runc")
    bundle = beside(box, space, None, False)
    loot = make_many(box, "runc", bundle, box.id("beside"), Path(box.runc.state(name)["rootfs"]))
    assert any(line.startswith("caps") for line in loot)


@needs_pidns
def test_a_profile_that_lets_nobody_wait(box: Box, thief: Path):
    """It can only be loaded at the end, by CAP_SYS_ADMIN: that is told."""
    name, space = neighbour(box, thief, "pycontainer")
    refused = {"names": ["accept4"], "action": "SCMP_ACT_ERRNO"}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}
    bundle = beside(box, space, profile, False)
    log = box.directory / "log"
    box.pycontainer("--log", log, "create", "-b", bundle, box.id("beside")).ok()
    assert "CAP_SYS_ADMIN" in log.read_text()
    box.pycontainer("start", box.id("beside")).ok()
    box.pycontainer("delete", "--force", box.id("beside")).ok()
    log.unlink()
    bundle.process["noNewPrivileges"] = True
    box.pycontainer("--log", log, "create", "-b", bundle, box.id("beside")).ok()
    assert not log.exists() or "CAP_SYS_ADMIN" not in log.read_text()


def mapped(bundle: Bundle) -> Bundle:
    """Give a container a user namespace."""
    for kind in ("uidMappings", "gidMappings"):
        bundle.linux[kind] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.new_namespace("user")
    bundle.path.parent.chmod(0o755)
    return bundle


@needs_pidns
@pytest.mark.parametrize("hooks", [False, True], ids=["", "hooks"])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_neighbour_outside_of_the_user_namespace(
    box: Box, thief: Path, profile: str, hooks: bool
):
    """A user namespace does not help against who is in the pid namespace, but not in that one."""
    name, space = neighbour(box, thief, "pycontainer")
    bundle = mapped(beside(box, space, PROFILES[profile], hooks))
    bundle.config.get("hooks", {}).pop("createContainer", None)  # warned of
    root = Path(box.pycontainer.state(name)["rootfs"])
    assert make_many(box, "pycontainer", bundle, box.id("beside"), root) == []


def test_exec_beside_such_a_neighbour(box: Box, thief: Path):
    bundle, name = mapped(box.bundle("/bin/sleep", "1000")), box.id("mapped")
    box.pycontainer("run", "-d", "-b", bundle, name).ok()
    watcher = with_thief(box, thief, "CAP_SYS_PTRACE")
    watcher.join_namespace("pid", f"/proc/{box.pycontainer.state(name)['pid']}/ns/pid")
    watcher.process["args"] = ["/bin/sh", "-c", "thief 3 c > /tmp/loot; sleep 1000"]
    box.pycontainer("run", "-d", "-b", watcher, box.id("watcher")).ok()
    entered, loot = 0, watcher.rootfs / "tmp/loot"
    eventually(loot.exists, "the thief")
    while "seen" not in loot.read_text():
        box.pycontainer("exec", name, "/bin/true").ok()
        entered += 1
    *found, seen = loot.read_text().splitlines()
    assert entered and int(seen.split()[1]) > 0
    assert found == []


def test_a_tracer_in_a_user_namespace_has_no_hold(box: Box, thief: Path):
    """There it sees who enters with all capabilities. But its CAP_SYS_PTRACE does not count over
    a memory that belongs to the host's namespace and is not dumpable, up to the exec."""
    assert rob(box, mapped(with_thief(box, thief, "CAP_SYS_PTRACE")), "t") == []


def test_an_entrypoint_that_is_the_runtime_itself(box: Box):
    """CVE-2019-5736: `#!/proc/self/exe` runs a sealed copy in memory, which nobody can write."""
    before = _hashes()
    bundle = box.bundle("/evil")
    (bundle.rootfs / "evil").write_text("#!/proc/self/exe\n")
    (bundle.rootfs / "evil").chmod(0o755)
    assert box.run(bundle).status != 0
    name = box.running()
    rootfs = Path(json.loads(box.pycontainer("state", name).out)["rootfs"])
    (rootfs / "evil").write_text("#!/proc/self/exe\n")
    (rootfs / "evil").chmod(0o755)
    assert box.pycontainer("exec", name, "/evil").status != 0
    assert _hashes() == before


@pytest.mark.parametrize("command", ["create", "exec"])
def test_no_descriptor_is_a_working_directory(box: Box, command: str):
    """CVE-2024-21626: /proc/self/fd/N as cwd, also through a symlink of the image."""
    name = box.running() if command == "exec" else ""
    held = [os.open("/", os.O_RDONLY | os.O_DIRECTORY) for _ in range(3)]
    for fd in held:
        os.set_inheritable(fd, True)
    try:
        for fd in [*range(3, 24), *held]:
            cwd = f"/proc/self/fd/{fd}"
            if command == "exec":
                argv = ("exec", "--cwd", cwd, name, "/bin/ls")
                done = box.pycontainer(*argv, close_fds=False)
            else:
                bundle = box.bundle("/bin/ls")
                (bundle.rootfs / "work").symlink_to(cwd)
                bundle.process["cwd"] = "/work" if fd % 2 else cwd
                done = box.run(bundle, close_fds=False)
            # The container's own root is fine; the host's has a /lib and a /boot.
            assert not {"lib", "boot", "state.json"} & set(done.out.split()), (fd, done)
            assert done.status == 0 or "working directory" in done.err or "cwd" in done.err, done
    finally:
        for fd in held:
            os.close(fd)


def test_no_capability_is_inheritable(box: Box):
    """CVE-2022-27650, CVE-2022-29162."""
    name = box.running()
    script = ("/bin/grep", "CapInh", "/proc/self/status")
    for flags in ((), ("--cap", "CAP_NET_RAW")):
        done = box.pycontainer("exec", *flags, name, *script)
        assert done.ok().out.split() == ["CapInh:", "0" * 16]
    assert box.run(box.bundle(*script)).ok().out.split() == ["CapInh:", "0" * 16]


@pytest.mark.parametrize(
    "user", ["abc", "1:", ":1", "99999999999", "-1", "1x", "+5", "0x0", "1:2:3", "4294967296"]
)
def test_a_user_that_is_no_number(box: Box, user: str):
    """CVE-2026-30892: what cannot be read is an error, never uid 0."""
    name = box.running()
    done = box.pycontainer("exec", "-u", user, name, "/bin/id", "-u")
    assert done.status != 0 and done.out == "", done


def test_long_fields_are_not_cut(box: Box):
    """CVE-2021-43784: 70,000 bytes are 70,000 bytes, or a clean error."""
    bundle = box.bundle()
    bundle.join_namespace("network", "/" + "n" * 70000)
    box.run(bundle).fails()
    bundle = box.bundle().script("echo ${#LONG}")
    bundle.process["env"].append("LONG=" + "x" * 70000)
    assert box.run(bundle).ok().out == "70000\n"
    bundle.process["env"].append("TOOLONG=" + "x" * (1 << 18))  # over the kernel's own limit
    box.run(bundle).fails("argument list too long")


def test_a_waiting_init_holds_nothing_of_the_host(box: Box):
    """Descriptors of a created container: its stdio and the gate. Its memory: next to nothing."""
    name = box.id("waiting")
    box.pycontainer("create", "-b", box.bundle(), name).ok()
    pid = box.pycontainer.state(name)["pid"]
    links = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    others = [link for fd, link in links.items() if fd not in "012"]
    assert len(others) == 1 and others[0].startswith("socket:"), links
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    pss = int(next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")))
    assert pss <= 150, rollup  # kB
    exe = os.readlink(f"/proc/{pid}/exe")
    assert exe.startswith("/memfd:"), exe


def test_the_program_has_only_its_descriptors(box: Box):
    done = box.run(box.bundle("/bin/ls", "/proc/1/fd").script("ls /proc/1/fd"))
    assert done.ok().out.split() in (["0", "1", "2"], ["0", "1", "2", "3"])
    name = box.running()
    done = box.pycontainer("exec", name, "/bin/sh", "-c", "ls /proc/$$/fd; exit 0")
    assert set(done.ok().out.split()) == {"0", "1", "2"}


@pytest.mark.parametrize("command", ["run", "exec"])
def test_the_callers_descriptors_stay_outside(box: Box, command: str):
    """CVE-2024-21626, also where an outer container's old filter knows no close_range(2)."""
    box.needs_root("loads a filter without no_new_privs")
    look = "ls /proc/self/fd | wc -l; ls -d /proc/self/fd/[23]??"
    if command == "run":
        words = ["run", "-b", box.bundle().script(look), box.id()]
    else:
        words = ["exec", box.running(), "/bin/sh", "-c", look]
    close_range = "436"
    code = FILTER.replace("assert libc.prctl(38, 1, 0, 0, 0) == 0\n", "")
    argv = ["python3", "-c", code, close_range, *box.pycontainer.argv(*words)]
    directory = os.open("/", os.O_RDONLY)
    given = [fcntl.fcntl(directory, fcntl.F_DUPFD, least) for least in (200, 300)]
    done = subprocess.run(
        argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, pass_fds=given
    )
    for fd in (directory, *given):
        os.close(fd)
    assert done.stdout.split() == ["4"], done


def test_a_pid_that_was_used_again(box: Box):
    """A signal goes to the container's init or to nobody."""
    name = box.running()
    old = box.pycontainer.state(name)["pid"]
    bystander = subprocess.Popen(["sleep", "100"])
    try:
        box.pycontainer("kill", name, "KILL").ok()
        box.pycontainer.wait_for(name, "stopped")
        for file in (box.pycontainer.root / name).iterdir():
            if file.is_file():
                data = file.read_bytes().replace(
                    f'"pid":{old},'.encode(), f'"pid":{bystander.pid},'.encode()
                )
                if file.name == "record":
                    data = data.replace(struct.pack("<i", old), struct.pack("<i", bystander.pid))
                file.write_bytes(data)
        box.pycontainer("kill", name, "KILL").fails("container not running")
        assert box.pycontainer.status(name) == "stopped"
        box.pycontainer("kill", "--all", name, "KILL")
        box.pycontainer("delete", "--force", name).ok()
        time.sleep(0.1)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
