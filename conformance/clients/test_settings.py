"""Podman and Docker: what a container is given, seen from inside it and from the host."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from conformance.clients.engine import Engine
from tests.support.leftovers import CGROUPS
from tests.support.runtimes import eventually

ENGINES = ("podman", "docker")
# A device that no engine gives to its containers by default.
DEVICE = next(
    (name for name in ("/dev/fuse", "/dev/net/tun", "/dev/loop-control") if os.path.exists(name)),
    "/dev/kmsg",
)
MAJOR, MINOR = os.major(os.stat(DEVICE).st_rdev), os.minor(os.stat(DEVICE).st_rdev)
NODE = f"c {MAJOR} {MINOR}"
UNIFIED = (CGROUPS / "cgroup.controllers").exists()
MIB = 1 << 20


def value(engine: Engine, container: str, v1: str, v2: str) -> str:
    """What is in the cgroup's file of this version of cgroups, e.g. "memory.limit_in_bytes"."""
    name = v2 if UNIFIED else v1
    return (engine.cgroup(container, v1.split(".")[0]) / name).read_text().strip()


@pytest.mark.quick
def test_limits(engine: Engine):
    box = engine.running("--memory=64m", "--cpus=0.5", "--cpu-shares=512", "--pids-limit=20")
    assert value(engine, box, "memory.limit_in_bytes", "memory.max") == str(64 * MIB)
    if UNIFIED:
        assert value(engine, box, "cpu", "cpu.max") == "50000 100000"
    else:
        assert value(engine, box, "cpu.cfs_quota_us", "") == "50000"
        assert value(engine, box, "cpu.shares", "") == "512"
    assert value(engine, box, "pids.max", "pids.max") == "20"


def test_cpuset(engine: Engine):
    assert (
        "0"
        == engine.script("--cpuset-cpus=0", "grep Cpus_allowed_list /proc/self/status").split()[1]
    )


def test_pids_limit_is_in_force(engine: Engine):
    done = engine.run(
        "--pids-limit=10", "sh", "-c", "for i in $(seq 30); do sleep 9 & done; exit 0"
    )
    assert "fork" in done.err


def test_update(engine: Engine):
    box = engine.running("--memory=64m", "--cpus=0.5")
    engine("update", "--memory=32m", "--cpus=1.5", box, *engine.swap_too("48m")).ok()
    assert value(engine, box, "memory.limit_in_bytes", "memory.max") == str(32 * MIB)
    quota = value(engine, box, "cpu.cfs_quota_us", "cpu.max")
    assert quota.split()[0] == "150000"


EAT = ("--memory=16m", "--memory-swap=16m", "tail", "/dev/zero")


@pytest.mark.quick
def test_out_of_memory(engine: Engine):
    box = engine.create(*EAT)
    engine("start", box).ok()
    engine.wait_for(box, "exited")
    assert engine.inspect(box)["State"]["ExitCode"] == 137


def test_out_of_memory_is_noticed(engine: Engine):
    if engine.name == "podman" and not UNIFIED:
        pytest.skip("conmon tells with cgroup v2 only")
    # The shell stays a while: the cgroup, where the engine reads it, goes with the last process.
    text = "tail /dev/zero; status=$?; sleep 2; exit $status"
    box = engine.create(*EAT[:2], "sh", "-c", text)
    engine("start", box).ok()
    engine.wait_for(box, "exited")
    state = engine.inspect(box)["State"]
    assert (state["OOMKilled"], state["ExitCode"]) == (True, 137)


@pytest.mark.quick
def test_user(engine: Engine):
    assert engine.script("--user=1000:50", "id -u; id -g") == "1000\n50\n"
    assert engine.script("--user=alice", "--group-add=7", "id -u; id -G").split()[0] == "1000"
    assert "7" in engine.script("--user=alice", "--group-add=7", "id -G").split()


@pytest.mark.quick
def test_capabilities(engine: Engine):
    show = "grep -E 'Cap(Eff|Bnd|Prm)' /proc/self/status"
    lines = engine.script("--cap-drop=ALL", "--cap-add=NET_BIND_SERVICE", show).splitlines()
    assert [int(line.split()[1], 16) for line in lines] == [1 << 10] * 3
    assert engine.run("--cap-drop=CHOWN", "chown", "1", "/tmp").status != 0
    assert engine.run("chown", "1", "/tmp").status == 0


@pytest.mark.quick
def test_seccomp(engine: Engine):
    profile = engine.home / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    done = engine.run(f"--security-opt=seccomp={profile}", "mkdir", "/tmp/x")
    assert done.status == 1 and "not supported" in done.err
    show = "grep -w Seccomp: /proc/self/status"
    assert engine.script(show).split()[1] == "2"
    assert engine.script("--security-opt=seccomp=unconfined", show).split()[1] == "0"


def test_no_new_privileges(engine: Engine):
    show = "grep NoNewPrivs /proc/self/status"
    assert engine.script(show).split()[1] == "0"
    assert engine.script("--security-opt=no-new-privileges", show).split()[1] == "1"


@pytest.mark.quick
def test_read_only(engine: Engine):
    assert "Read-only" in engine.run("--read-only", "touch", "/file").err
    engine.script("--read-only", "--tmpfs=/scratch", "touch /scratch/file")


def test_tmpfs(engine: Engine):
    out = engine.script(
        "--tmpfs=/scratch:size=1m,noexec,mode=1770",
        "grep /scratch /proc/mounts;"
        "stat -c %a /scratch; dd if=/dev/zero of=/scratch/x bs=1M count=2 2>&1"
        "|| true",
    )
    assert "size=1024k" in out and "noexec" in out
    assert "1770" in out and "No space left" in out


@pytest.mark.quick
def test_volumes(engine: Engine):
    shared = engine.home / "shared"
    shared.mkdir(exist_ok=True)
    (shared / "in").write_text("from the host\n")
    text = "cat /s/in; echo from inside > /s/out"
    assert engine.script(f"--volume={shared}:/s", text) == "from the host\n"
    assert (shared / "out").read_text() == "from inside\n"
    done = engine.run(f"--volume={shared}:/s:ro", "touch", "/s/no")
    assert done.status == 1 and "Read-only" in done.err
    engine.script(f"--mount=type=bind,source={shared},target=/s,readonly", "cat /s/in")


def test_named_volume(engine: Engine):
    name = f"{engine.token}-volume"
    engine.script(f"--volume={name}:/v", "echo kept > /v/file")
    assert engine.script(f"--volume={name}:/v", "cat /v/file") == "kept\n"
    engine("volume", "rm", name).ok()


def test_volumes_from(engine: Engine):
    box = engine.running("--volume=/v")
    engine.sh(box, "echo x > /v/file")
    assert engine.script(f"--volumes-from={box}", "cat /v/file") == "x\n"


def test_propagation(engine: Engine):
    shared = engine.home / "propagated"
    shared.mkdir(exist_ok=True)
    out = engine.script(f"--volume={shared}:/s:rprivate", "grep ' /s ' /proc/self/mountinfo")
    assert "shared:" not in out and "master:" not in out


@pytest.mark.quick
def test_devices(engine: Engine):
    given = f"--device={DEVICE}:/dev/given"
    engine.script(f"{given}:r", ": < /dev/given")
    if not engine.rootless:  # Linux lets root alone filter devices
        done = engine.run(f"{given}:r", "sh", "-c", ": > /dev/given")
        assert done.status != 0 and "not permitted" in done.err
    done = engine.run("sh", "-c", f"mknod /tmp/x {NODE} && : < /tmp/x")
    assert done.status != 0 and "not permitted" in done.err
    engine.script(
        "for i in null zero full random urandom tty ptmx; do test -e /dev/$i || exit; done"
    )


def test_device_cgroup_rule(engine: Engine):
    if engine.rootless:
        pytest.skip("Linux lets root alone make device nodes")
    engine.script(
        f"--device-cgroup-rule=c {MAJOR}:{MINOR} rmw", f"mknod /tmp/x {NODE} && : < /tmp/x"
    )


@pytest.mark.quick
def test_ulimits(engine: Engine):
    assert (
        engine.script("--ulimit=nofile=100:200", "--ulimit=nproc=99", "ulimit -n; ulimit -Hn")
        == "100\n200\n"
    )


@pytest.mark.quick
def test_sysctls(engine: Engine):
    out = engine.script(
        "--sysctl=net.ipv4.ip_unprivileged_port_start=77",
        "--sysctl=kernel.msgmax=4321",
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax",
    )
    assert out == "77\n4321\n"


def test_shm_size(engine: Engine):
    out = engine.script("--shm-size=3m", "grep /dev/shm /proc/mounts")
    assert "size=3072k" in out


@pytest.mark.quick
def test_init(engine: Engine):
    flags = engine.init_flags()
    out = engine.script(
        *flags, "cat /proc/1/comm; (sleep 0.1 &) ; sleep 0.5; ps -o stat | grep -c Z|| true"
    ).splitlines()
    assert out[0] in ("tini", "docker-init", "podman-init")
    assert out[-1] == "0"
    box = engine.running(*flags)
    engine("kill", "--signal=TERM", box).ok()  # init passes it on, sleep has no handler
    engine.wait_for(box, "exited")
    assert engine.inspect(box)["State"]["ExitCode"] == 143


@pytest.mark.quick
def test_tty(engine: Engine):
    done = engine.run("--tty", "sh", "-c", "tty; test -t 0 && test -t 1 && echo terminal").ok()
    assert done.out in ("/dev/pts/0\r\nterminal\r\n", "/dev/console\r\nterminal\r\n")


def test_tty_size_and_keys(engine: Engine):
    words = [
        "run",
        "--rm",
        "-it",
        *engine.flags(),
        "localhost/box",
        "sh",
        "-c",
        "sleep 0.5; echo ready; read answer; stty size; echo <$answer>",
    ]
    words[-1] = words[-1].replace("<$answer>", '"<$answer>"')
    status, seen = engine.terminal(*words, keys=b"typed\n", until=b"ready")
    assert status == 0, seen
    assert b"33 99" in seen and b"<typed>" in seen


def test_tty_of_exec(engine: Engine):
    box = engine.running()
    status, seen = engine.terminal(
        "exec", "-it", box, "sh", "-c", "sleep 0.3; tty; stty size; exit 6"
    )
    assert status == 6, seen
    assert b"/dev/pts/" in seen and b"33 99" in seen


@pytest.mark.quick
def test_stdin(engine: Engine):
    assert engine.run("--interactive", "cat", input=b"to the end").ok().out == "to the end"
    assert engine.run("cat").ok().out == ""


def test_a_lot_of_output(engine: Engine):
    assert len(engine.run("dd", "if=/dev/zero", "bs=1M", "count=8").ok().out) == 8 * MIB


@pytest.mark.quick
def test_environment_and_place(engine: Engine):
    out = engine.script(
        "--env=A=b c",
        "--workdir=/opt",
        "--hostname=there",
        "echo $A; pwd; hostname; echo $HOME",
    )
    assert out == "b c\n/opt\nthere\n/root\n"


def test_entrypoint(engine: Engine):
    assert engine.run("--entrypoint=echo", "-n").status in (0, 125, 127)
    done = engine("run", "--rm", *engine.flags(), "--entrypoint=echo", "localhost/box", "a", "b")
    assert done.ok().out == "a b\n"


def test_hosts_and_dns(engine: Engine):
    if engine.name == "docker":
        pytest.skip("none of it without a network")
    out = engine.script("--add-host=other:10.1.2.3", "cat /etc/hosts")
    assert "10.1.2.3" in out


@pytest.mark.quick
def test_masked_and_read_only_paths(engine: Engine):
    out = engine.script(
        "wc -c < /proc/timer_list; wc -c < /proc/keys; ls /proc/scsi | wc -l;"
        "ls /sys/firmware | wc -l; echo 1 2>&1 > /proc/sys/kernel/sysrq || true"
    )
    assert out.split()[:4] == ["0"] * 4
    assert engine.run("sh", "-c", "echo 1 > /proc/sys/kernel/domainname").status != 0


def test_privileged(engine: Engine):
    out = engine.script(
        "--privileged",
        "grep -w Seccomp: /proc/self/status; mount -t tmpfs x /mnt;"
        "ls /dev | wc -l; head -c0 /dev/kmsg && echo read || echo denied",
    )
    assert out.splitlines()[0].split()[1] == "0"
    assert int(out.splitlines()[1]) > 20
    # The kernel's messages are root's where kernel.dmesg_restrict says so.
    assert out.splitlines()[-1] == "read" or engine.rootless


@pytest.mark.quick
def test_namespaces_of_the_host(engine: Engine):
    for kind in ("pid", "ipc", "uts"):
        inside = engine.script(f"--{kind}=host", f"readlink /proc/self/ns/{kind}").strip()
        assert inside == str(Path(f"/proc/self/ns/{kind}").readlink())
        own = engine.script(f"readlink /proc/self/ns/{kind}").strip()
        assert own != inside


@pytest.mark.quick
def test_namespaces_of_another_container(engine: Engine):
    first = engine.running("--ipc=shareable")
    pid = engine.pid(first)
    flags = [f"--{kind}=container:{first}" for kind in ("pid", "ipc")]
    out = engine.script(*flags, "readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc; ps")
    spaces = [str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in ("pid", "ipc")]
    assert out.split()[:2] == spaces
    assert "sleep 1000" in out
    flags = [flag for flag in engine.flags() if not flag.startswith("--network")]
    done = engine(
        "run",
        "--rm",
        *flags,
        f"--network=container:{first}",
        "localhost/box",
        "readlink",
        "/proc/self/ns/net",
    ).ok()
    assert done.out.strip() == str(Path(f"/proc/{pid}/ns/net").readlink())


def test_pid_namespace_of_the_host_is_cleaned(engine: Engine):
    box = engine.running("--pid=host", "sh", "-c", "sleep 12345 & sleep 12346")
    place = engine.cgroup(box, "pids")
    eventually(lambda: len((place / "cgroup.procs").read_text().split()) == 2, "2 processes")
    pids = (place / "cgroup.procs").read_text().split()
    engine("kill", box).ok()
    engine.wait_for(box, "exited")
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "all gone")


def test_oom_score(engine: Engine):
    assert engine.script("--oom-score-adj=500", "cat /proc/self/oom_score_adj") == "500\n"


def test_cgroup_namespace(engine: Engine):
    private = engine.script("--cgroupns=private", "cat /proc/self/cgroup")
    assert engine.token not in private
    assert all(line.endswith(":/") for line in private.splitlines())


def test_cgroup_file_system(engine: Engine):
    place = "/sys/fs/cgroup" if UNIFIED else "/sys/fs/cgroup/memory"
    out = engine.script(f"ls /sys/fs/cgroup; mkdir {place}/x 2>&1; exit 0")
    assert "memory" in out
    assert "Read-only" in out
