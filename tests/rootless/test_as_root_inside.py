"""Root of a user namespace, as `unshare -r` makes it: setgroups denied, nobody else mapped."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Done

INSIDE = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"]
OWN = [{"containerID": 0, "hostID": 0, "size": 1}]


def inside(box: Box, script: str, *argv: str) -> Done:
    """What the script prints, of that root's shell; $@ is a command of ours."""
    words = [*INSIDE, "sh", "-c", script, "sh", *argv]
    done = subprocess.run(
        words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False
    )
    return Done(words, done.returncode, done.stdout, done.stderr)


@pytest.fixture
def bundle(box: Box) -> Bundle:
    """Without what only a mapped group, or a cgroup, could have."""
    box.needs_root("is root outside, too, for the bundle's files")
    made = box.bundle()
    mounts = made.config["mounts"]
    made.config["mounts"] = [m for m in mounts if m["type"] not in ("cgroup", "devpts")]
    made.linux["resources"] = {}
    made.drop_namespace("cgroup")
    return made


@pytest.mark.parametrize("mapped", [False, True], ids=["its namespace", "one more"])
@pytest.mark.parametrize("groups", [[], [0]], ids=["", "groups"])
def test_setgroups_is_denied(box: Box, bundle: Bundle, mapped: bool, groups: list[int]):
    """Root goes without additional groups, which engines take from the image for it."""
    bundle.process["user"] = {"uid": 0, "gid": 0, "additionalGids": groups}
    if mapped:
        bundle.new_namespace("user")
        bundle.linux.update(uidMappings=OWN, gidMappings=OWN)
    bundle.process["args"] = ["/bin/sleep", "1000"]
    name, ours = box.id(), box.pycontainer
    look = "grep Groups /proc/self/status; cat /proc/self/setgroups"
    execute = " ".join(ours.argv("exec", name, "sh", "-c", f"'{look}'"))
    delete = " ".join(ours.argv("delete", "-f", name))
    script = f'"$@" && {execute}; {delete}'
    done = inside(box, script, *ours.argv("run", "-d", "-b", bundle, name)).ok()
    assert done.out.split() == ["Groups:", "deny"]
    assert ("additionalGids" in done.err) == bool(groups), done


def test_namespaces_of_two_owners_are_joined(box: Box, bundle: Bundle):
    """A network of the outer user namespace, and a user namespace inside of that."""
    bundle.script("for i in net user; do readlink /proc/self/ns/$i; done")
    bundle.drop_namespace("network")
    places = {"network": "/run/net", "user": "/run/user"}
    bundle.linux["namespaces"] += [{"type": k, "path": path} for k, path in places.items()]
    script = (
        "mount -t tmpfs t /run && touch /run/net /run/user || exit\n"
        "unshare --net sh -c 'echo $$ > /run/1; exec sleep 100' & n=$!\n"
        "unshare --user --map-root-user sh -c 'echo $$ > /run/2; exec sleep 100' & u=$!\n"
        "until [ -s /run/1 -a -s /run/2 ]; do sleep 0.1; done\n"
        "mount --bind /proc/$n/ns/net /run/net; mount --bind /proc/$u/ns/user /run/user\n"
        'readlink /proc/$n/ns/net /proc/$u/ns/user; "$@"; kill $n $u'
    )
    done = inside(box, script, *box.pycontainer.argv("run", "-b", bundle, box.id())).ok()
    lines = done.out.split()
    assert lines[:2] == lines[2:], done
