"""What the host may have in a user's way: each obstacle is made, and has to be named and fixed."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.rootless.person import COUNT, FIRST, NAME, Person
from tests.support.runtimes import Done


def run(person: Person, mapping: str = "ranges", script: str = "true") -> Done:
    """Run a container of this mapping."""
    return person("run", "-b", person.bundle(mapping, script), person.id())


def told(done: Done, key: str, section: str = "user namespaces") -> dict[str, Any]:
    """What `info --json` says of one thing."""
    return json.loads(done.ok().out)[section][key]


def test_no_range(obstructed: Person):
    (obstructed.etc / "subuid").write_text("other:100000:65536\n")
    done = run(obstructed).fails(f"{NAME} has no range in /etc/subuid")
    ids = f"{FIRST}-{FIRST + COUNT - 1}"
    done.fails(f"fix: sudo usermod --add-subuids {ids} {NAME}")
    run(obstructed, "own").ok()
    (obstructed.etc / "subgid").write_text("")
    run(obstructed).fails(f"fix: sudo usermod --add-subuids {ids} --add-subgids {ids} {NAME}")


def test_no_range_of_groups(obstructed: Person):
    (obstructed.etc / "subgid").write_text("")
    done = run(obstructed).fails(f"{NAME} has no range in /etc/subgid")
    done.fails(f"fix: sudo usermod --add-subgids {FIRST}-{FIRST + COUNT - 1} {NAME}")
    assert "add-subuids" not in done.err
    (obstructed.etc / "subgid").write_text(f"{NAME}:{FIRST}:{COUNT}\n")
    run(obstructed).ok()


def test_a_range_of_another_user(obstructed: Person):
    """Nobody is given the ids of somebody else, nor those of the host's users."""
    (obstructed.etc / "subgid").write_text(f"other:{FIRST + 1000}:{COUNT}\n")
    first = FIRST + 1000 + COUNT
    run(obstructed).fails(
        f"fix: sudo usermod --add-subgids {first}-{first + COUNT - 1} {NAME}, "
        f"then set hostID to {first} in linux.gidMappings"
    )
    (obstructed.etc / "subgid").write_text(f"{NAME}:{first}:{COUNT}\n")
    first += COUNT
    bundle = obstructed.bundle("ranges")
    bundle.linux["uidMappings"][1].update(hostID=0, size=10)
    obstructed("run", "-b", bundle, obstructed.id()).fails(
        f"change the mapping, or: sudo usermod --add-subuids {first}-{first + 9} {NAME}, then"
    )


def test_a_range_that_is_too_small(obstructed: Person):
    (obstructed.etc / "subuid").write_text(f"{NAME}:{FIRST}:10\n")
    run(obstructed).fails(
        f"ids {FIRST} to {FIRST + COUNT - 1} are not all of {NAME}'s in /etc/subuid",
        f"which has {FIRST}-{FIRST + 9}",
        f"usermod --add-subuids {FIRST}-{FIRST + COUNT - 1} {NAME}",
    )


@pytest.mark.parametrize("name, capability", [("newuidmap", "setuid"), ("newgidmap", "setgid")])
def test_a_helper_without_its_privilege(obstructed: Person, name: str, capability: str):
    """As it is after a careless copy of a root file system, or in a container image."""
    copy = obstructed.home / name
    subprocess.run(["cp", f"/usr/bin/{name}", copy], check=True)
    copy.chmod(0o755)
    obstructed.obstacles = [f"mount --bind {copy} /usr/bin/{name}"]
    run(obstructed).fails(
        f"/usr/bin/{name} is not setuid root and lacks CAP_{capability.upper()}",
        f"sudo chmod u+s /usr/bin/{name}",
        f"setcap cap_{capability}+ep /usr/bin/{name}",
    )
    said = told(obstructed("info", "--json"), name)
    assert "is not setuid root" in said["meaning"] and "chmod u+s" in said["fix"]


def test_a_helper_on_a_nosuid_file_system(obstructed: Person):
    obstructed.obstacles = [
        "mount --bind /usr/bin/newuidmap /usr/bin/newuidmap",
        "mount -o remount,bind,nosuid /usr/bin/newuidmap",
    ]
    run(obstructed).fails("newuidmap is on a file system that is mounted nosuid", "remount,suid")


def test_no_helper(obstructed: Person):
    obstructed.obstacles = ["mount --bind /dev/null /usr/bin/newuidmap"]
    done = run(obstructed).fails("newuidmap is not installed")
    assert "install" in done.err.partition("fix: ")[2]


def test_a_helper_that_gets_no_privileges(obstructed: Person):
    bundle = str(obstructed.bundle("ranges"))
    command = obstructed.command
    obstructed.execute(
        "setpriv", "--no-new-privs", command, "run", "-b", bundle, obstructed.id()
    ).fails("no_new_privs is set on this process")


def test_an_id_that_is_nobodys(obstructed: Person):
    passwd = obstructed.etc / "passwd"
    bundle = obstructed.bundle("ranges")
    passwd.write_text(
        passwd.read_text().replace(f"{NAME}:", "other:").replace(f":{obstructed.uid}:", ":1:")
    )
    obstructed("run", "-b", bundle, obstructed.id()).fails("has no entry in /etc/passwd")


def test_a_covered_proc(obstructed: Person):
    """As in a container of Docker's: new procfs mounts would show what it has masked."""
    obstructed.obstacles = ["mount --bind /dev/null /proc/version", "mount --bind /tmp /proc/tty"]
    run(obstructed).fails(
        "/proc of this (outer) container is covered at", "/proc/version", "unmask=ALL"
    )
    said = told(obstructed("info", "--json"), "proc")
    assert said["value"] is False and "covered at" in said["meaning"]
    assert "unmask=ALL" in said["fix"]
    obstructed.obstacles = []
    assert told(obstructed("info", "--json"), "proc")["value"] is True


def test_a_covered_sys_is_bound(obstructed: Person):
    """What it shows is less than a new one would, and is all there is."""
    obstructed.obstacles = ["mount -t tmpfs none /sys/firmware"]
    bundle = obstructed.bundle("own", "ls /sys/firmware | wc -l; ls -d /sys/class")
    bundle.new_namespace("network")
    bundle.linux["maskedPaths"] = []
    for mount in bundle.config["mounts"]:
        if mount["destination"] == "/sys":
            mount.update(type="sysfs", source="sysfs", options=["ro"])
    assert obstructed("run", "-b", bundle, obstructed.id()).ok().out == "0\n/sys/class\n"


def test_a_directory_that_is_closed(obstructed: Person):
    closed = obstructed.home / "closed"
    (closed / "data").mkdir(parents=True)
    bundle = obstructed.bundle("own")
    mount = {"destination": "/mnt", "source": str(closed / "data"), "options": ["rbind"]}
    bundle.config["mounts"].append({"type": "none", **mount})
    os.chown(closed, 0, 0)
    closed.chmod(0o700)
    obstructed("run", "-b", bundle, obstructed.id()).fails(
        f"the directory {closed} is not searchable for uid {obstructed.uid}",
        f"setfacl -m u:{obstructed.uid}:x {closed}",
        "mounts[",
    )
    info = [obstructed.command, "info", "--json"]
    said = told(obstructed.execute("env", f"HOME={closed / 'data'}", *info), "home")
    assert said["value"] is False and f"the directory {closed} is not search" in said["meaning"]
    assert f"setfacl -m u:{obstructed.uid}:x {closed}" in said["fix"]
    assert told(obstructed("info", "--json"), "home")["value"] is True


def test_a_root_that_the_containers_root_may_not_write(obstructed: Person):
    bundle = obstructed.bundle("shifted")
    (bundle.rootfs / "proc").rmdir()
    obstructed("run", "-b", bundle, obstructed.id()).fails(
        f"the container's root is uid {FIRST} of the host, who may not write in {bundle.rootfs}",
        f"sudo chown -R {FIRST}:{FIRST} {bundle.rootfs}",
    )


def test_a_bind_that_would_uncover(obstructed: Person):
    outer = obstructed.home / "outer"
    (outer / "inner").mkdir(parents=True)
    bundle = obstructed.bundle("own")
    mount = {"destination": "/mnt", "source": str(outer), "options": ["bind"]}
    bundle.config["mounts"].append({"type": "none", **mount})
    obstructed.obstacles = [f"mount -t tmpfs none {outer}/inner"]
    done = obstructed("run", "-b", bundle, obstructed.id())
    done.fails(f"{outer}/inner is mounted below it", "use the option")
    bundle.config["mounts"][-1]["options"] = ["rbind"]
    obstructed("run", "-b", bundle, obstructed.id()).ok()


@pytest.mark.parametrize("option", ["strictatime", "nodiratime"])
def test_a_bind_with_access_times_of_its_own(person: Person, option: str):
    bundle = person.bundle("own")
    mount = {"destination": "/mnt", "source": str(person.home), "options": ["rbind", option]}
    bundle.config["mounts"].append({"type": "none", **mount})
    done = person("run", "-b", bundle, person.id())
    done.fails("cannot change locked atime flags", f"fix: remove {option} from mounts[")
    mount["options"].remove(option)
    person("run", "-b", bundle, person.id()).ok()


def test_a_file_system_that_only_root_mounts(person: Person):
    bundle = person.bundle("own")
    bundle.config["mounts"].append({"destination": "/mnt", "type": "ext4", "source": "/dev/vda"})
    done = person("run", "-b", bundle, person.id())
    done.fails("mounts no ext4 in a user namespace")


def test_a_device_that_the_host_lacks(person: Person):
    bundle = person.bundle("own")
    device = {"path": "/dev/nosuch", "type": "c", "major": 1, "minor": 3}
    bundle.linux["devices"] = [device]
    person("run", "-b", bundle, person.id()).fails(
        "the host's is bound, and it has none at /dev/nosuch",
        "fix: set linux.devices[0].path to a device that the host has (1:3 is /dev/null)",
    )
    device["path"] = "/dev/null"
    person("run", "-b", bundle, person.id()).ok()


def test_a_limit_without_a_cgroup(obstructed: Person):
    """Limits that cannot hold are named, and the container does not run without them."""
    bundle = obstructed.bundle("own")
    bundle.linux["resources"] = {"memory": {"limit": 1 << 26}, "pids": {"limit": 10}}
    done = obstructed("run", "-b", bundle, obstructed.id())
    done.fails("linux.resources.memory.limit", "linux.resources.pids.limit", "delegate")


def test_pause_without_a_cgroup(obstructed: Person):
    name = obstructed.id()
    obstructed("run", "-d", "-b", obstructed.bundle("own", "sleep 1000"), name).ok()
    obstructed("pause", name).fails("no cgroup")


def test_no_user_namespace_in_the_config(person: Person):
    bundle = person.bundle("own")
    bundle.drop_namespace("user")
    for name in ("uidMappings", "gidMappings"):
        del bundle.linux[name]
    person("run", "-b", bundle, person.id()).fails("spec --rootless")


def test_no_runtime_directory(obstructed: Person):
    obstructed.runtime_dir.chmod(0o500)
    try:
        remedy = f"chmod 0700 {obstructed.runtime_dir}, or give --root DIR"
        obstructed("list").fails("($XDG_RUNTIME_DIR) has mode 0500", remedy)
    finally:
        obstructed.runtime_dir.chmod(0o755)


def test_the_runtime_directory_of_another_user(obstructed: Person):
    """What `su` leaves in the environment."""
    os.chown(obstructed.runtime_dir, 0, 0)
    obstructed("list").fails(
        f"{obstructed.runtime_dir} ($XDG_RUNTIME_DIR) belongs to uid 0, you are uid "
        f"{obstructed.uid}; fix: log in as this user (su keeps the old value), or give --root DIR"
    )
    obstructed("--root", obstructed.home, "list").ok()


def test_the_state_directory_is_of_another_user(obstructed: Person):
    """What an ordinary user may not list is not called empty."""
    directory = obstructed.home / "closed"
    directory.mkdir(mode=0o711)
    done = obstructed.execute(obstructed.command, "--root", str(directory), "state", "x")
    done.fails("which is another user's; fix: set $XDG_RUNTIME_DIR")


def test_nested_without_the_ids(person: Person):
    """Inside of a user namespace with one id there are no others to give on."""
    bundle = person.bundle("own")
    bundle.linux["uidMappings"] = [{"containerID": 0, "hostID": 1000, "size": 10}]
    argv = ["unshare", "--user", "--map-root-user", "--mount", person.command]
    done = person.execute(*argv, "run", "-b", str(bundle), person.id())
    done.fails("ids 1000 to 1009 do not exist in this user namespace, which has 0-0")


def test_nested(person: Person):
    """A container in a user namespace in a user namespace."""
    bundle = person.bundle("own", "cat /proc/self/uid_map")
    for name in ("uidMappings", "gidMappings"):
        bundle.linux[name] = [{"containerID": 0, "hostID": 0, "size": 1}]
    argv = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"]
    done = person.execute(*argv, person.command, "run", "-b", str(bundle), person.id()).ok()
    assert done.out.split() == ["0", "0", "1"]
