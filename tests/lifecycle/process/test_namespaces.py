"""Namespaces: new, none, or joined by path; user namespaces with mappings; beside runc."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Runtime, eventually

# type in the config: (name in /proc/PID/ns, option of unshare(1))
KINDS = {
    "pid": ("pid", "--pid"),
    "network": ("net", "--net"),
    "ipc": ("ipc", "--ipc"),
    "uts": ("uts", "--uts"),
    "mount": ("mnt", "--mount"),
    "cgroup": ("cgroup", "--cgroup"),
    "user": ("user", "--user"),
}
# What a container shares with its host, with the config of `spec` or of `spec --rootless`.
SHARED = {"network"} if os.geteuid() else {"user"}
MAPPINGS = [
    {"containerID": 0, "hostID": 100000, "size": 1000},
    {"containerID": 1000, "hostID": 200000, "size": 1},
]


def spaces_of(pid: int | str) -> dict[str, str]:
    return {kind: os.readlink(f"/proc/{pid}/ns/{name}") for kind, (name, _) in KINDS.items()}


@pytest.fixture
def foreign(box: Box) -> Iterator[dict[str, str]]:
    """Paths of namespaces that belong to a process of somebody else's."""
    options = [option for kind, (_, option) in KINDS.items() if kind not in ("user", "mount")]
    if os.geteuid() != 0:
        options += ["--user", "--map-root-user"]
    gone = box.directory / "foreign.pid"
    argv = ["unshare", *options, "--fork", "--kill-child", "sh", "-c", "echo ready; sleep 1000"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    pid = int(children.split()[0])
    yield {kind: f"/proc/{pid}/ns/{name}" for kind, (name, _) in KINDS.items()}
    process.kill()
    process.wait()
    process.stdout.close()
    assert not gone.exists()


def user_namespace(bundle: Bundle) -> Bundle:
    """Map ids so that the root of the container belongs to the container's root."""
    if os.geteuid() != 0:
        pytest.skip("needs root: maps ids that are nobody's")
    bundle.new_namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = MAPPINGS
    for path in [bundle.rootfs, *bundle.rootfs.rglob("*")]:
        os.chown(path, 100000, 100000, follow_symlinks=False)
    # The way to the bundle has to be open for the container's root.
    for directory in [bundle.path, *bundle.path.parents]:
        if directory == Path("/"):
            break
        directory.chmod(directory.stat().st_mode | 0o111)
    return bundle


def test_new_ones(box: Box, pyc: Runtime):
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    bundle.new_namespace("cgroup")
    pyc("run", "-d", "-b", bundle, name).ok()
    own, theirs = spaces_of("self"), spaces_of(pyc.state(name)["pid"])
    assert {kind for kind in KINDS if own[kind] == theirs[kind]} == SHARED


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts"])
def test_none(box: Box, kind: str):
    looks = []
    for runtime in box.both():
        bundle = box.bundle("/bin/sleep", "1000")
        name = box.id(runtime.name)
        bundle.drop_namespace(kind)
        if kind == "uts":
            del bundle.config["hostname"]
        if kind == "network":  # sysfs shows the network namespace, which is not the container's
            bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["type"] != "sysfs"]
            bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["type"] != "cgroup"]
        runtime("run", "-d", "-b", bundle, name).ok()
        theirs = spaces_of(runtime.state(name)["pid"])
        looks.append({k for k, link in spaces_of("self").items() if theirs[k] == link})
    # On cgroup v2 the default config has a namespace for it.
    own = {space["type"] for space in bundle.linux["namespaces"]}
    assert looks[0] == looks[-1] == {kind} | SHARED | {"cgroup"} - own


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "cgroup"])
def test_joined(box: Box, foreign: dict[str, str], kind: str):
    for runtime in box.both():
        bundle, name = box.bundle("/bin/sleep", "1000"), box.id(runtime.name)
        box.join(bundle, kind, foreign[kind])
        runtime("create", "-b", bundle, name).ok()
        runtime("start", name).ok()
        pid = runtime.state(name)["pid"]
        assert spaces_of(pid)[kind] == os.readlink(foreign[kind])
        script = "echo in; [ -d /proc/self ] && exit 3"
        assert runtime("exec", name, "sh", "-c", script).status == 3
        runtime("kill", name, "KILL").ok()
        runtime.wait_for(name, "stopped")
        runtime("delete", name).ok()
    box.empty()


@pytest.mark.parametrize(
    ("kind", "name"),
    [("network", "net.ipv4.ip_forward"), ("ipc", "kernel/msgmax"), ("uts", "kernel.domainname")],
)
def test_no_sysctl_of_the_host_by_a_joined_namespace(box: Box, kind: str, name: str):
    """Whose path is only another name for the runtime's own."""
    bundle = box.bundle()
    value = (Path("/proc/sys") / name.replace(".", "/")).read_text().strip()  # to do no harm
    bundle.linux["sysctl"] = {name: value}
    bundle.config.pop("hostname")
    bundle.join_namespace(kind, f"/proc/{os.getpid()}/ns/{KINDS[kind][0]}")
    box.run(bundle).fails("sysctl", name, "not allowed in", f"own {kind} namespace")


def test_a_sysctl_of_a_joined_namespace(box: Box, foreign: dict[str, str]):
    box.needs_root("enters a namespace of the host's")
    bundle = box.bundle().script("cat /proc/sys/net/ipv4/ip_forward")
    bundle.join_namespace("network", foreign["network"])
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    assert box.run(bundle).ok().out == "1\n"


def test_all_joined_at_once(box: Box, pyc: Runtime, foreign: dict[str, str]):
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    for kind in ("pid", "network", "ipc", "uts", "cgroup"):
        box.join(bundle, kind, foreign[kind])
    pyc("run", "-d", "-b", bundle, name).ok()
    theirs = spaces_of(pyc.state(name)["pid"])
    joined = {kind for kind in KINDS if theirs[kind] == os.readlink(foreign[kind])}
    assert joined == {"pid", "network", "ipc", "uts", "cgroup", "user"}


def test_the_namespaces_of_another_container(box: Box, pyc: Runtime):
    """A pod: the second container shares what the first one has of its own."""
    first = box.running()
    pid = pyc.state(first)["pid"]
    bundle = box.bundle().script("ps -o comm | sort; hostname; readlink /proc/1/ns/net")
    del bundle.config["hostname"]
    for kind in {"pid", "network", "ipc", "uts"} - SHARED:
        box.join(bundle, kind, f"/proc/{pid}/ns/{KINDS[kind][0]}")
    out = box.run(bundle).ok().out
    assert "sleep" in out and "pycontainer" in out
    assert pyc.status(first) == "running"


def test_the_host_name_is_set_in_a_joined_uts(box: Box, pyc: Runtime, foreign: dict[str, str]):
    bundle = box.bundle("/bin/hostname")
    box.join(bundle, "uts", foreign["uts"])
    bundle.config["hostname"] = "joined"
    assert box.run(bundle).ok().out == "joined\n"
    assert os.uname().nodename != "joined"


USER_LOOK = """
id; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups | tr -s ' '
touch /tmp/new; stat -c '%u %g' /tmp/new /proc/1/status /dev/null
hostname; grep -E '^Cap(Eff|Bnd)' /proc/self/status
"""


@pytest.mark.parametrize("uid", [0, 1000])
def test_user_namespace(box: Box, uid: int):
    looks = []
    for runtime in box.both():
        bundle = user_namespace(box.bundle().script(USER_LOOK))
        bundle.process["user"] = {"uid": uid, "gid": uid, "additionalGids": [50]}
        done = box.run(bundle, runtime=runtime.name)
        looks.append((done.status, done.out))
        made = bundle.rootfs / "tmp" / "new"
        assert made.stat().st_uid == {0: 100000, 1000: 200000}[uid]
    assert looks[0] == looks[-1]
    assert looks[0][0] == 0


@pytest.mark.parametrize("size", [1, 1000])
def test_a_user_namespace_without_root(box: Box, pyc: Runtime, size: int):
    """Whoever the program runs as makes it then; crun does so, runc refuses it."""
    bundle = user_namespace(box.bundle("/bin/sleep", "1000"))
    mappings = [{"containerID": 1000, "hostID": 100000, "size": size}]
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = mappings
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    pyc("run", "-d", "-b", bundle, box.id()).ok()
    look = "id -u; id -g; stat -c %u:%g /dev /bin; grep CapPrm /proc/self/status"
    out = pyc("exec", box.id(), "sh", "-c", look).ok().out.split()
    assert out == ["1000", "1000", "1000:1000", "1000:1000", "CapPrm:", "0" * 16]
    other = pyc("exec", "-u", "1001:1001", box.id(), "id", "-u")
    assert other.ok().out == "1001\n" if size > 1 else other.status == 255
    pyc("exec", "-u", "0", box.id(), "id").fails(status=255)


def test_user_namespace_without_a_network_of_its_own(box: Box, pyc: Runtime):
    bundle = user_namespace(box.bundle().script("id -u; ls /sys/class/net | wc -l"))
    bundle.drop_namespace("network")
    assert box.run(bundle).ok().out.startswith("0\n")


def test_exec_in_a_user_namespace(box: Box, pyc: Runtime):
    bundle, name = user_namespace(box.bundle("/bin/sleep", "1000")), box.id()
    pyc("run", "-d", "-b", bundle, name).ok()
    for flags, expected in (([], "0 0\n"), (["-u", "1000:1000"], "1000 1000\n")):
        out = pyc("exec", *flags, name, "sh", "-c", "echo $(id -u) $(id -g)").ok().out
        assert out == expected
    status = Path(f"/proc/{pyc.state(name)['pid']}/status").read_text()
    assert "Uid:\t100000\t100000" in status


def test_a_bind_mount_that_the_containers_root_cannot_reach(box: Box, pyc: Runtime):
    bundle = user_namespace(box.bundle().script("cat /mnt/file"))
    secret = box.directory / "closed"
    (secret / "open").mkdir(parents=True)
    (secret / "open" / "file").write_text("inside\n")
    secret.chmod(0o700)
    bundle.config["mounts"].append(
        {
            "destination": "/mnt",
            "type": "none",
            "source": str(secret / "open"),
            "options": ["bind", "ro"],
        }
    )
    assert box.run(bundle).ok().out == "inside\n"


def test_a_joined_user_namespace(box: Box, pyc: Runtime):
    first = user_namespace(box.bundle("/bin/sleep", "1000"))
    pyc("run", "-d", "-b", first, box.id("first")).ok()
    pid = pyc.state(box.id("first"))["pid"]
    second = user_namespace(box.bundle("/bin/sleep", "1000"))
    for key in ("uidMappings", "gidMappings"):
        del second.linux[key]
    second.join_namespace("user", f"/proc/{pid}/ns/user")
    pyc("run", "-d", "-b", second, box.id("second")).ok()
    theirs = spaces_of(pyc.state(box.id("second"))["pid"])
    assert theirs["user"] == spaces_of(pid)["user"]
    assert pyc("exec", box.id("second"), "id", "-u").ok().out == "0\n"


@pytest.mark.parametrize("other", ["", "uidMappings", "gidMappings"])
def test_a_joined_user_namespace_with_mappings(box: Box, pyc: Runtime, other: str):
    """containerd and CRI-O name both; runc refuses them where they are not the same."""
    first = user_namespace(box.bundle("/bin/sleep", "1000"))
    pyc("run", "-d", "-b", first, box.id("first")).ok()
    second = user_namespace(box.bundle().script("id -u"))
    path = f"/proc/{pyc.state(box.id('first'))['pid']}/ns/user"
    second.join_namespace("user", path)
    if not other:
        second.linux["uidMappings"] = MAPPINGS[::-1]
        assert box.run(second).ok().out == "0\n"
        return
    second.linux[other] = [{"containerID": 0, "hostID": 300000, "size": 65536}]
    box.run(second).fails(f"linux.{other}", "non-matching mapping specified")


@pytest.mark.parametrize("flag", [True, False])
def test_keyrings(box: Box, pyc: Runtime, flag: bool):
    """A session keyring of its own, unless --no-new-keyring: two containers never share one."""
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    bundle.linux["maskedPaths"] = []
    flags = [] if flag else ["--no-new-keyring"]
    pyc("run", "-d", *flags, "-b", bundle, name).ok()
    keys = pyc("exec", name, "cat", "/proc/keys").ok().out
    assert flag is False or f"_ses.{name}" in keys


def test_no_mount_namespace(box: Box, pyc: Runtime):
    """A chroot; what is mounted is the host's, until the container is deleted."""
    box.needs_root("mounts on the host")
    bundle = box.bundle().script("echo /*; echo done > /tmp/made")
    bundle.drop_namespace("mount")
    for key in ("maskedPaths", "readonlyPaths"):
        bundle.linux[key] = []
    box.run(bundle).ok()
    box.empty()
    bundle.process["args"] = ["/bin/sleep", "1000"]
    pyc("run", "-d", "-b", bundle, box.id()).ok()
    assert box.token in Path("/proc/self/mountinfo").read_text()
    pyc("delete", "--force", box.id()).ok()
    bundle.process["args"] = ["/bin/nosuch"]
    box.run(bundle).fails("no such file")
    box.empty()
    bundle.script("echo /*; echo done > /tmp/made")
    bundle.config["mounts"] = []
    assert "/bin /dev /etc" in box.run(bundle).ok().out
    assert (bundle.rootfs / "tmp" / "made").read_text() == "done\n"
    box.empty()


def test_a_container_that_outlives_its_joined_namespace(
    box: Box, pyc: Runtime, foreign: dict[str, str]
):
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    box.join(bundle, "network", foreign["network"])
    pyc("run", "-d", "-b", bundle, name).ok()
    assert pyc("exec", name, "ip", "link").ok().out.count("lo") >= 1
    eventually(lambda: pyc.status(name) == "running", "still there")


def test_a_user_namespace_beside_joined_ones(box: Box, foreign: dict[str, str]):
    """Their owner's procfs, sysfs and mqueue are not to be had inside; and they show no other."""
    look = "cat /proc/1/comm; ls /proc | grep -c '^[0-9]'; ls /sys/class/net; ls -d /dev/mqueue"
    bundle = user_namespace(box.bundle().script(look))
    bundle.config.pop("hostname")
    for kind in ("pid", "network", "ipc", "uts"):
        box.join(bundle, kind, foreign[kind])
    first, count, *rest = box.run(bundle).ok().out.split()
    assert (first, rest) == ("sh", ["lo", "/dev/mqueue"]) and int(count) < 8
    (bundle.rootfs / "proc").rmdir()
    (bundle.rootfs / "proc").symlink_to("tmp")
    box.run(bundle).fails("/proc", "ordinary directory")


@pytest.mark.parametrize("joined", [False, True], ids=["own", "joined"])
@pytest.mark.parametrize("proc", [False, True], ids=["no procfs", "procfs"])
def test_a_readonly_root(box: Box, foreign: dict[str, str], joined: bool, proc: bool):
    """A procfs that does not show the executor, or none, is no reason to fail."""
    bundle = box.bundle("sh", "-c", "touch /x || exit 7")
    bundle.config["root"]["readonly"] = True
    bundle.config["linux"]["rootfsPropagation"] = "shared"
    if joined:
        box.join(bundle, "pid", foreign["pid"])
    if not proc:
        bundle.config["linux"] |= {"maskedPaths": [], "readonlyPaths": []}
        bundle.config["mounts"] = [
            mount for mount in bundle.config["mounts"] if mount["destination"] != "/proc"
        ]
    done = box.run(bundle)
    assert "Read-only file system" in done.err, done
    assert done.status == 7


def test_proc_shows_the_pid_namespace_that_was_joined(box: Box):
    """And nothing of ours: whoever mounts a procfs must be in there."""
    first = box.running()
    bundle = box.bundle().script("cat /proc/1/cmdline | tr '\\0' ' '; ls /proc | grep -c '^[0-9]'")
    box.join(bundle, "pid", f"/proc/{box.pycontainer.state(first)['pid']}/ns/pid")
    command, count = box.run(bundle).ok().out.split(" 1000 ")
    assert command == "/bin/sleep" and int(count) < 8
