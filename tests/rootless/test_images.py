"""An ordinary user's images: unpacked, run, over shared layers, with the ids that the user has."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from tests.image.nasty import four_layers
from tests.rootless.person import FIRST, Person
from tests.support.images import busybox, entry, hard_link, image, layer
from tests.support.runtimes import CHECKOUT

FILES = layer(
    entry("data/", uid=1000, gid=50),
    entry("data/file", "x", uid=1000, gid=50, mode=0o600),
    entry("data/old", "x"),
)
MORE = layer(entry("data/.wh.old"), entry("data/new", "y", uid=1000))
CONFIG = {"Cmd": ["sh", "-c", "ls -ln /data | tail -n +2 | cut -c1-40; cat /data/new"]}


def made(person: Person, **config: object) -> Path:
    path = image(person.home / "image", busybox(), FILES, MORE, config={**CONFIG, **config})
    person.own()
    return path


def lines(text: str) -> list[list[str]]:
    return [line.split()[2:4] + line.split()[-1:] for line in text.splitlines() if " " in line]


def test_bundle(person: Person):
    bundle = person.home / "bundle"
    person("bundle", made(person), bundle).ok()
    if person.is_root:  # who may look
        found = (bundle / "rootfs/data/file").stat()
        assert (found.st_uid, found.st_gid) == (FIRST + 999, FIRST + 49)
    done = person("run", "-b", bundle, person.id()).ok()
    assert [row[:2] for row in lines(done.out)] == [["1000", "50"], ["1000", "0"]]
    assert done.out.endswith("y")


def test_shared_layers(person: Person):
    source = made(person)
    for name in ("one", "two"):
        done = person("run", "--image", source, person.id(name)).ok()
        assert [row[:2] for row in lines(done.out)] == [["1000", "50"], ["1000", "0"]]
    store = person.home / ".local/share/pycontainer"
    # Before Linux 6.8 a mount option has no room for three paths of this length.
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    assert len(os.listdir(store / "layers")) == (3 if release >= (6, 8) else 1)
    assert os.listdir(store / "containers") == []


def test_as_somebody_in_the_image(person: Person):
    source = made(person, User="alice", Cmd=["sh", "-c", "id -u; id -G; cat /data/file"])
    assert person("run", "--image", source, person.id()).ok().out == "1000\n1000 50\nx"


def test_volumes_and_the_working_directory(person: Person):
    """They are made for the user of the image, with an id of the range."""
    config = {"User": "alice", "WorkingDir": "/new/work", "Volumes": {"/data/volume": {}, "/v": {}}}
    script = "pwd; stat -c '%n %u %a' . /data/volume /v; touch mine /data/volume/x /v/x"
    source = made(person, **config, Cmd=["sh", "-c", script])
    expected = "/new/work\n. 1000 755\n/data/volume 1000 755\n/v 1000 755\n"
    assert person("run", "--image", source, person.id()).ok().out == expected
    person("bundle", source, person.home / "bundle").ok()
    assert person("run", "-b", person.home / "bundle", person.id("b")).ok().out == expected


def test_links_to_devices(person: Person):
    """A device that a user cannot make has no links either, and is no reason to fail."""
    null = entry("devices/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)
    links = [hard_link("devices/zero", "devices/null"), hard_link("x", "./devices/zero")]
    file = [entry("devices/null", "a file"), hard_link("y", "devices/null")]
    source = image(person.home / "image", busybox(), layer(null, *links, *file))
    person.own()
    done = person("bundle", source, person.home / "bundle").ok()
    assert "device nodes (3 files)" in done.err
    script = ("sh", "-c", "ls /devices; cat /y; ls /x")
    done = person("run", "--image", source, person.id(), *script)
    assert done.out == "null\na file" and "No such file" in done.err


def test_what_layers_do_to_each_other(person: Person):
    """The same as for root: all of tests/image/nasty.py that a user has the rights for."""
    source = image(person.home / "image", busybox(), *four_layers())
    person.own()
    script = """
    cd /; cat 'file again/d/f' 'opaque/d/new' 'whiteout, later again/d/z'; ls 'whiteout/d' opaque/d
    stat -c '%a %u %g %Y' 'dir again/d' 'hard link across/new'
    stat -c %a 'below what it does not mention/sticky'
    """
    done = person("run", "--image", source, person.id(), "sh", "-c", script).ok()
    assert done.out.splitlines() == [
        "uppernthirdopaque/d:", "new", "", "whiteout/d:", "g",
        "711 1 0 300", "4755 9 0 200", "1777",
    ]  # fmt: skip


def test_what_the_container_wrote_goes_with_it(person: Person):
    """Files of other ids of the range are not the user's to remove, but their root's."""
    script = "mkdir /mine; chown 1000 /mine /tmp; chmod 700 /mine; echo x > /mine/file"
    source = made(person, Cmd=["sh", "-c", script])
    person("run", "--image", source, person.id()).ok()
    assert os.listdir(person.home / ".local/share/pycontainer/containers") == []
    bundle = person.home / "bundle"
    person("bundle", source, bundle, "--max-size", "1M").fails("--max-size")
    assert not bundle.exists()


def test_gc(person: Person):
    person("run", "--image", made(person), person.id()).ok()
    person("gc", "--unused", "0s", "--yes").ok()
    assert os.listdir(person.home / ".local/share/pycontainer/layers") == []


def test_with_one_id(obstructed: Person):
    """No range: everything is the user's, which is said."""
    for name in ("subuid", "subgid"):
        (obstructed.etc / name).write_text("")
    bundle = obstructed.home / "bundle"
    done = obstructed("bundle", made(obstructed), bundle).ok()
    assert "owners other than root" in done.err
    done = obstructed("run", "-b", bundle, obstructed.id()).ok()
    assert [row[:2] for row in lines(done.out)] == [["0", "0"], ["0", "0"]]


def test_an_id_outside_of_the_range(obstructed: Person):
    files = layer(entry("a", "x", uid=100000))
    source = image(obstructed.home / "image", files)
    obstructed.own()
    obstructed("bundle", source, obstructed.home / "bundle").fails("subuid")


@pytest.mark.parametrize("net", ["none", "host"])
def test_networks(person: Person, net: str):
    source = made(person, Cmd=["sh", "-c", "ls /sys/class/net | wc -l; cat /etc/hosts | wc -l"])
    person("run", "--image", source, "--net", net, person.id()).ok()


def test_demo(person: Person):
    """It is for everybody."""
    commands = person.home / "bin"
    commands.mkdir()
    (commands / "pycontainer").symlink_to(person.command)
    person.own()
    path = f"PATH={commands}:{os.environ['PATH']}"
    script = CHECKOUT / "docs" / "demo.sh"
    done = person.execute("/usr/bin/env", path, f"TMPDIR={person.home}", "sh", str(script))
    assert done.status == 0, repr(done)
    assert "hello from inside" in done.out and "data of container 2" in done.out
