"""linux.netDevices: devices move in, keep what they have, and come up.

Everything happens in network namespaces that the tests make: the runtime runs in one of them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

needs_ip = pytest.mark.skipif(shutil.which("ip") is None, reason="needs ip of iproute2")
pytestmark = needs_ip


class Net:
    """A network namespace with one end of a veth, "pyt0", and a runtime inside of it."""

    def __init__(self, box) -> None:
        self.box = box
        self.name = f"net{box.token[3:]}"  # its mount is not the container's
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.ip("link add pyt0 type veth peer name pyt1")

    def ip(self, words: str, namespace: str = "") -> str:
        argv = ["ip", "-n", namespace or self.name, *words.split()]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def names(self) -> list[str]:
        return [link["ifname"] for link in json.loads(self.ip("-json link"))]

    def runtime(self, *argv: str):
        """Our runtime, in this namespace."""
        pyc = self.box.pycontainer
        command = pyc.command
        enter = ["nsenter", f"--net=/run/netns/{self.name}"]
        pyc.argv = lambda *args: [*enter, command, "--root", str(pyc.root), *map(str, args)]
        return pyc(*argv)

    def inside(self, pid: int, what: str) -> list[dict]:
        argv = ["nsenter", "-t", str(pid), "-n", "ip", "-json", *what.split()]
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    def close(self) -> None:
        self.box.pycontainer.__dict__.pop("argv", None)
        subprocess.run(["ip", "netns", "del", self.name], check=True)


@pytest.fixture
def net(box):
    box.needs_root("moves devices of the host's network")
    made = Net(box)
    yield made
    made.close()


def started(net, devices: dict, **linux) -> int:
    bundle = net.box.bundle("/bin/sleep", "1000")
    bundle.linux["netDevices"] = devices
    bundle.linux.update(linux)
    net.runtime("run", "-d", "-b", bundle, net.box.id()).ok()
    return net.box.pycontainer.state(net.box.id())["pid"]


def addresses(net, pid: int, name: str) -> dict[str, dict]:
    (link,) = (x for x in net.inside(pid, "addr") if x["ifname"] == name)
    return {f"{a['local']}/{a['prefixlen']}": a for a in link["addr_info"]}


def test_moved_and_renamed(net):
    net.ip("link set pyt0 mtu 1371 address 02:00:00:00:00:77")
    pid = started(net, {"pyt0": {"name": "inner0"}})
    assert "pyt0" not in net.names() and "pyt1" in net.names()
    (link,) = (x for x in net.inside(pid, "link") if x["ifname"] == "inner0")
    assert (link["mtu"], link["address"]) == (1371, "02:00:00:00:00:77")
    assert "UP" in link["flags"]


def test_keeps_its_name(net):
    pid = started(net, {"pyt0": {}})
    assert [x["ifname"] for x in net.inside(pid, "link")] == ["lo", "pyt0"]


def test_a_name_to_be_completed(net):
    pid = started(net, {"pyt0": {"name": "eth%d"}, "pyt1": {"name": "eth%d"}})
    assert sorted(x["ifname"] for x in net.inside(pid, "link")) == ["eth0", "eth1", "lo"]


def test_addresses(net):
    """Permanent global ones stay; those of the link, of the host, and with a lifetime do not."""
    for words in (
        "198.51.100.7/24",
        "198.51.101.1 peer 198.51.101.2/32",
        "2001:db8::7/64 nodad",
        "198.51.102.7/24 scope link",
        "198.51.103.7/24 valid_lft 500 preferred_lft 500",
    ):
        net.ip(f"addr add {words} dev pyt0")
    net.ip("link set pyt0 up")
    net.ip("link set pyt1 up")
    found = addresses(net, started(net, {"pyt0": {"name": "inner0"}}), "inner0")
    kept = {name for name in found if not name.startswith("fe80")}
    assert kept == {"198.51.100.7/24", "198.51.101.1/32", "2001:db8::7/64"}
    assert found["198.51.101.1/32"]["address"] == "198.51.101.2"


def test_into_a_namespace_that_is_joined(net):
    """And it stays there when the container is gone: nobody moves it back."""
    other = f"{net.name}b"
    subprocess.run(["ip", "netns", "add", other], check=True)
    try:
        spaces = [{"type": "network", "path": f"/run/netns/{other}"}]
        bundle = net.box.bundle("/bin/true")
        bundle.linux["netDevices"] = {"pyt0": {"name": "inner0"}}
        bundle.drop_namespace("network")
        bundle.linux["namespaces"] += spaces
        net.runtime("run", "-b", bundle, net.box.id()).ok()
        assert "inner0" in net.ip("link", other)
    finally:
        subprocess.run(["ip", "netns", "del", other], check=True)


def test_with_a_user_namespace(net, tmp_path):
    """The namespace belongs to the container's user namespace; the runtime may enter it."""
    os.chmod(tmp_path, 0o755)
    for parent in (tmp_path.parent, tmp_path.parent.parent):
        os.chmod(parent, 0o755)
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle = net.box.bundle("/bin/sleep", "1000")
    os.chown(bundle.rootfs, 100000, 100000)
    bundle.new_namespace("user")
    bundle.linux.update(uidMappings=mapping, gidMappings=mapping)
    bundle.linux["netDevices"] = {"pyt0": {"name": "inner0"}}
    for name in ("dev", "proc", "sys", "tmp", "etc"):
        os.chown(bundle.rootfs / name, 100000, 100000)
    net.runtime("run", "-d", "-b", bundle, net.box.id()).ok()
    pid = net.box.pycontainer.state(net.box.id())["pid"]
    assert "inner0" in [x["ifname"] for x in net.inside(pid, "link")]


def test_before_the_hooks(net):
    """createRuntime hooks find it in the container's namespace."""
    bundle = net.box.bundle("/bin/true")
    bundle.linux["netDevices"] = {"pyt0": {"name": "inner0"}}
    out = net.box.directory / "links"
    script = f"pid=$(sed -n 's/.*\"pid\":\\([0-9]*\\).*/\\1/p'); nsenter -t $pid -n ip link > {out}"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": [f"PATH={os.environ['PATH']}"]}
    bundle.config["hooks"] = {"createRuntime": [hook]}
    net.runtime("run", "-b", bundle, net.box.id()).ok()
    assert "inner0" in out.read_text()


REFUSED = [
    ({"nosuch": {}}, "no such device", "runtime's own network namespace"),
    ({"pyt0": {"name": "lo"}}, "file exists", "there already"),
    ({"lo": {"name": "lo9"}}, "invalid argument", "cannot leave"),
]


@pytest.mark.parametrize(("devices", "reason", "hint"), REFUSED)
def test_refused(net, devices, reason, hint):
    bundle = net.box.bundle("/bin/true")
    bundle.linux["netDevices"] = devices
    (name,) = devices
    done = net.runtime("run", "-b", bundle, net.box.id())
    done.fails(f"move network device {name}", reason, f'linux.netDevices[\\"{name}\\"]', hint)
    assert "pyt0" in net.names()
    net.box.empty()


def test_needs_a_network_namespace(net):
    bundle = net.box.bundle("/bin/true")
    bundle.linux["netDevices"] = {"pyt0": {}}
    bundle.drop_namespace("network")
    net.runtime("run", "-b", bundle, net.box.id()).fails("linux.netDevices", "network namespace")
