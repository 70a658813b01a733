"""What the container's program finds: files, devices, ids, privileges."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from conformance.rootless.case import Case
from tests.support.bundles import Bundle


def add_mount(bundle: Bundle, destination: str, **members: Any) -> Bundle:
    bundle.config["mounts"].append({"destination": destination, **members})
    return bundle


def test_devices(case: Case) -> None:
    done = case.run("echo x > /dev/null; head -c 2 /dev/zero | wc -c; stat -c %t:%T /dev/full")
    assert done.ok().out.split() == ["2", "1:7"]


def test_a_device_of_the_config(case: Case) -> None:
    """The kernel makes no node without privileges: the host's own is bound."""
    fuse = os.stat("/dev/fuse")
    bundle = case.bundle("stat -c %t:%T /dev/fuse")
    device = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438}
    bundle.linux["devices"] = [device]
    wanted = f"{os.major(fuse.st_rdev):x}:{os.minor(fuse.st_rdev):x}"
    assert case.run(bundle).ok().out.strip() == wanted


def test_proc_shows_its_own_processes(case: Case) -> None:
    assert int(case.run("ls /proc | grep -c '^[0-9]'").ok().out) < 5


def test_masked_and_readonly_paths(case: Case) -> None:
    done = case.run("cat /proc/timer_list | wc -c; echo 1 > /proc/sys/kernel/panic || echo no")
    assert done.ok().out.split() == ["0", "no"]


def test_tmpfs_with_its_size(case: Case) -> None:
    options = ["nosuid", "size=64k", "mode=700"]
    bundle = case.bundle("head -c 1m /dev/zero > /mnt/x; wc -c < /mnt/x; stat -c %a /mnt")
    add_mount(bundle, "/mnt", type="tmpfs", source="tmpfs", options=options)
    assert case.run(bundle).ok().out.split() == ["65536", "700"]


def test_overlay(case: Case) -> None:
    for name in ("lower", "upper", "work"):
        (case.box.directory / name).mkdir()
    (case.box.directory / "lower/file").write_text("below\n")
    place = case.box.directory
    layers = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work,userxattr"
    bundle = case.bundle("cat /mnt/file; echo above > /mnt/file")
    add_mount(bundle, "/mnt", type="overlay", source="overlay", options=layers.split(","))
    assert case.run(bundle).ok().out == "below\n"
    assert (place / "upper/file").read_text() == "above\n"
    assert (place / "lower/file").read_text() == "below\n"


def test_a_bind_from_where_only_the_user_may_go(case: Case) -> None:
    secret = case.box.directory / "private"
    (secret / "shared").mkdir(parents=True)
    (secret / "shared/file").write_text("here\n")
    secret.chmod(0o700)
    bundle = case.bundle("cat /mnt/file; (echo x > /mnt/file) 2>/dev/null || echo no")
    add_mount(bundle, "/mnt", type="none", source=str(secret / "shared"), options=["rbind", "ro"])
    assert case.run(bundle).ok().out == "here\nno\n"


def test_a_bind_of_a_mount_with_locked_flags(case: Case) -> None:
    """An ordinary user cannot drop flags that root has set, and need not name them."""
    find = "grep ' {} ' /proc/self/mountinfo"
    flags = subprocess.run(["sh", "-c", find.format("/proc")], capture_output=True, text=True)
    kept = set(flags.stdout.split()[5].split(",")) & {"nosuid", "nodev", "noexec"}
    bundle = case.bundle(find.format("/mnt"))
    add_mount(bundle, "/mnt", type="none", source="/proc", options=["rbind", "ro"])
    options = case.run(bundle).ok().out.splitlines()[0].split()[5].split(",")
    assert {"ro", *kept} <= set(options)


def test_files_of_the_host_are_nobodys(case: Case) -> None:
    bundle = case.bundle("stat -c %u /mnt/hosts; (echo x >> /mnt/hosts) 2>/dev/null || echo no")
    add_mount(bundle, "/mnt", type="none", source="/etc", options=["rbind"])
    assert case.run(bundle).ok().out.split() == ["65534", "no"]


def test_its_files_belong_to_the_mapped_ids(case: Case) -> None:
    bundle = case.bundle("touch /tmp/a /tmp/b; chown 7:8 /tmp/b || true")
    for name in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][name] = ["CAP_CHOWN"]
    case.run(bundle).ok()
    assert (bundle.rootfs / "tmp/a").stat().st_uid == os.getuid()
    status = (bundle.rootfs / "tmp/b").stat()
    ids = (0, 0) if case.one_id else (7, 8)
    assert (status.st_uid, status.st_gid) == (case.host_id(ids[0]), case.host_id(ids[1]))


def test_a_user_of_the_config(case: Case) -> None:
    bundle = case.bundle("id -u; id -G; touch /tmp/mine")
    bundle.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [50]}
    done = case.run(bundle)
    if case.one_id:
        assert done.status != 0  # there is no such id
    else:
        assert done.ok().out.split() == ["1000", "1000", "50"]
        assert (bundle.rootfs / "tmp/mine").stat().st_uid == case.host_id(1000)


def test_setgroups_is_denied_only_where_it_must_be(case: Case) -> None:
    wanted = "deny" if case.one_id else "allow"
    assert case.run("cat /proc/self/setgroups").ok().out.strip() == wanted


def test_a_network_of_its_own(case: Case) -> None:
    bundle = case.bundle("ls /sys/class/net; ip link show lo | grep -c UP")
    bundle.linux["namespaces"].append({"type": "network"})
    for mount in bundle.config["mounts"]:
        if mount["destination"] == "/sys":
            mount.update(type="sysfs", source="sysfs", options=["nosuid", "noexec", "nodev", "ro"])
    assert case.run(bundle).ok().out.split() == ["lo", "1"]


def test_capabilities(case: Case) -> None:
    bundle = case.bundle("grep Cap /proc/self/status")
    bundle.process["capabilities"] = {
        name: ["CAP_KILL"] for name in ("bounding", "effective", "permitted")
    }
    sets = dict(line.split() for line in case.run(bundle).ok().out.splitlines())
    assert sets["CapBnd:"] == sets["CapEff:"] == sets["CapPrm:"] == f"{1 << 5:016x}"


def test_seccomp(case: Case) -> None:
    bundle = case.bundle("mkdir /tmp/x || echo no; grep Seccomp: /proc/self/status")
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    assert case.run(bundle).ok().out.split() == ["no", "Seccomp:", "2"]


def test_rlimits(case: Case) -> None:
    bundle = case.bundle("ulimit -Sn; ulimit -Hn")
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    assert case.run(bundle).ok().out.split() == ["100", "200"]


def test_oom_score(case: Case) -> None:
    bundle = case.bundle("cat /proc/self/oom_score_adj")
    bundle.process["oomScoreAdj"] = 321
    assert case.run(bundle).ok().out == "321\n"


def test_a_sysctl_of_its_namespaces(case: Case) -> None:
    bundle = case.bundle("cat /proc/sys/kernel/msgmax")
    bundle.linux["sysctl"] = {"kernel.msgmax": "4711"}
    assert case.run(bundle).ok().out == "4711\n"


def test_a_readonly_root(case: Case) -> None:
    bundle = case.bundle("touch /x || echo no")
    bundle.config["root"]["readonly"] = True
    assert case.run(bundle).ok().out == "no\n"


def test_a_closed_way_to_the_root(case: Case) -> None:
    """Nobody but the user may search it; the container's root needs it no more."""
    case.box.directory.chmod(0o700)
    assert case.run("echo in").ok().out == "in\n"


def test_descriptors_are_preserved(case: Case) -> None:
    file = case.box.directory / "preserved"
    bundle = case.bundle("echo x >&3")
    argv = case.runtime.argv("run", "--preserve-fds", "1", "-b", bundle, case.id())
    subprocess.run(["sh", "-c", f'exec 3> {file}; exec "$@"', "sh", *argv], check=True)
    assert file.read_text() == "x\n"
