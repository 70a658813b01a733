"""The kernel forbids user namespaces altogether: limits, switches, filters, a chroot."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from pycontainer.diagnose import namespaces as diagnose_namespaces
from tests.rootless.person import Person
from tests.support.filters import FILTER

UNSHARE = {"x86_64": 272, "aarch64": 97}
SWITCH = Path("/proc/sys/kernel/unprivileged_userns_clone")


def test_a_limit_of_zero(person: Person):
    """The limit of a user namespace holds for those below it; it harms nobody else."""
    bundle = person.bundle("own")
    for name in ("uidMappings", "gidMappings"):
        bundle.linux[name] = [{"containerID": 0, "hostID": 0, "size": 1}]
    words = f'echo 0 > /proc/sys/user/max_user_namespaces; exec "$0" run -b {bundle} {person.id()}'
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", words, person.command]
    person.execute(*argv).fails(
        "new user namespaces are disabled: user.max_user_namespaces is 0",
        "sudo sysctl -w user.max_user_namespaces=15000",
    )
    words = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$0" info --json'
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", words, person.command]
    said = json.loads(person.execute(*argv).ok().out)["user namespaces"]["unprivileged"]
    assert said["value"] is False and "max_user_namespaces=15000" in said["fix"]


def test_too_deep(person: Person):
    """The kernel takes 33 of them, one in the other."""
    bundle = person.bundle("own")
    for name in ("uidMappings", "gidMappings"):
        bundle.linux[name] = [{"containerID": 0, "hostID": 0, "size": 1}]
    argv = ["unshare", "--user", "--map-root-user"] * 33
    person.execute(*argv, person.command, "run", "-b", str(bundle), person.id()).fails(
        "user namespaces are nested 32 deep already, or the limit of an outer one is reached"
    )


@pytest.mark.parametrize("kind, setting", [("uts", "uts"), ("mount", "mnt"), ("pid", "pid")])
def test_another_limit_of_zero(person: Person, kind: str, setting: str):
    bundle = person.bundle("own")
    for name in ("uidMappings", "gidMappings"):
        bundle.linux[name] = [{"containerID": 0, "hostID": 0, "size": 1}]
    file = f"/proc/sys/user/max_{setting}_namespaces"
    words = f'echo 0 > {file}; exec "$0" run -b {bundle} {person.id()}'
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", words, person.command]
    person.execute(*argv).fails(f"new {kind} namespaces are disabled: user.max_{setting}_")


def test_a_filter_around_us(person: Person):
    number = UNSHARE.get(platform.machine())
    if number is None:
        pytest.skip("unknown machine")
    bundle = person.bundle("own")
    person.execute(
        "python3", "-c", FILTER, str(number), person.command, "run", "-b", str(bundle), person.id()
    ).fails("a seccomp filter is around this process", "seccomp=unconfined")


def test_a_chroot(obstructed: Person):
    jail = obstructed.home / "outer" / "jail"
    lines = [f"mkdir -p {jail}", f"mount -t tmpfs none {jail.parent}"]
    for name in os.listdir("/"):
        path = Path("/", name)
        if path.is_symlink():
            lines.append(f"mkdir -p {jail}; cp -a {path} {jail}/")
        elif path.is_dir():
            lines.append(f"mkdir -p {jail}{path}; mount --rbind {path} {jail}{path}")
    bundle = obstructed.bundle("own")
    obstructed.obstacles = [*lines, f'set -- chroot --userspec={obstructed.uid}:{obstructed.uid} '
                            f'{jail} "$@"', 'exec "$@"']  # fmt: skip
    obstructed("run", "-b", bundle, obstructed.id()).fails("in a chroot")


@pytest.mark.skipif("PYCONTAINER_THROW_AWAY" not in os.environ, reason="changes a sysctl")
def test_the_switch_of_debian(obstructed: Person):
    """Only where the whole machine is thrown away afterwards."""
    if not SWITCH.exists():
        pytest.skip("this kernel has no such switch")
    bundle = obstructed.bundle("own")
    before = SWITCH.read_text()
    SWITCH.write_text("0")
    try:
        done = obstructed("run", "-b", bundle, obstructed.id())
        info = obstructed("info").ok()
    finally:
        SWITCH.write_text(before)
    command = "sudo sysctl -w kernel.unprivileged_userns_clone=1"
    done.fails("kernel.unprivileged_userns_clone is 0", command)
    assert command in info.out


def test_apparmor_takes_the_privileges_away(obstructed: Person):
    """No kernel of ours has the switch: a file says what it would, and a mount is refused."""
    kept = "cap_last_cap osrelease overflowuid overflowgid pid_max ngroups_max"
    obstructed.obstacles = [
        f"files=$(cd /proc/sys/kernel && grep -H . {kept} | tr '\\n' ' ')",
        "mount -t tmpfs none /proc/sys/kernel",
        'for file in $files; do echo "${file#*:}" > "/proc/sys/kernel/${file%%:*}"; done',
        "echo 1 > /proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    ]
    setting = "kernel.apparmor_restrict_unprivileged_userns"
    command = f"sudo sysctl -w {setting}=0"
    done = obstructed("run", "-b", obstructed.bundle("own"), obstructed.id())
    done.fails(f"AppArmor takes the privileges of user namespaces away: {setting} is 1", command)
    said = json.loads(obstructed("info", "--json").ok().out)["user namespaces"]["unprivileged"]
    assert said["value"] is False and command in said["fix"]


def test_apparmor_of_ubuntu(monkeypatch: pytest.MonkeyPatch):
    """No kernel of ours has this switch; what is said of it is at least held to its text."""
    monkeypatch.setattr(diagnose_namespaces, "read", lambda path: "1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = diagnose_namespaces.apparmor()
    assert found is not None
    assert "kernel.apparmor_restrict_unprivileged_userns is 1" in found.problem
    assert found.command.startswith("sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
