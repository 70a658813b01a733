"""run --image, run --overlay: a writable layer for each container over layers that are shared."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.images import Layout, busybox, digest, docker_archive, entry, image, layer
from tests.support.runtimes import Done

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, see test_as_user.py")


class Images:
    """A layer store of the test's own, and one image."""

    def __init__(self, box: Box, *layers: bytes, **options: Any) -> None:
        self.box = box
        self.store = box.directory / "store"
        self.image = image(box.directory / "image", *(layers or (busybox(),)), **options)

    def run(self, name: str, *words: str, flags: tuple[str, ...] = ()) -> Done:
        options = ("--layers", self.store, "--image", self.image, *flags)
        return self.box.pycontainer("run", *options, self.box.id(name), *words)

    def gc(self, *words: str) -> str:
        return self.box.pycontainer("gc", "--layers", self.store, *words).ok().out

    def names(self, kind: str) -> list[str]:
        path = self.store / kind
        return sorted(os.listdir(path)) if path.exists() else []


def test_settings_of_the_image(box: Box):
    config = {
        "Entrypoint": ["/bin/sh", "-c"],
        "Cmd": ["echo $NAME; pwd; id -u; id -g; hostname"],
        "Env": ["NAME=from the image"],
        "WorkingDir": "/tmp",
        "User": "alice",
    }
    images = Images(box, config=config)
    out = images.run("c", flags=("--hostname", "box")).ok().out.splitlines()
    assert out == ["from the image", "/tmp", "1000", "1000", "box"]
    out = images.run("c", "echo $NAME", flags=("-e", "NAME=mine")).ok().out
    assert out == "mine\n"
    out = images.run("c", "/bin/id", "-u", flags=("--entrypoint", "", "-u", "0")).ok().out
    assert out == "0\n"


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_of_an_archive(box: Box, form: str):
    """Each layer is unpacked by a process of its own, and all read the same file."""
    layers = [busybox(), *(layer(entry(f"data/{n}", f"{n} " * 50000)) for n in range(5))]
    if form == "docker":
        archive = docker_archive(box.directory / "saved", layers, {})
    else:
        made = Layout(box.directory / "layout")
        made.image(*layers)
        archive = made.tar(box.directory / "saved")
    options = ("--layers", box.directory / "store", "--image", archive)
    done = box.pycontainer("run", *options, box.id(), "sh", "-c", "cat /data/* | wc -w").ok()
    assert done.out.strip() == "250000"


def test_of_a_root_tar(box: Box):
    """Nobody has described it: it is read twice, once for its digest."""
    archive = box.directory / "root.tar"
    archive.write_bytes(busybox())
    options = ("--layers", box.directory / "store", "--image", archive)
    for name in ("c", "d"):
        done = box.pycontainer("run", *options, box.id(name), "sh", "-c", "echo $0; id -u").ok()
        assert done.out == "sh\n0\n"
    assert len(os.listdir(box.directory / "store/layers")) == 1


def test_each_has_a_layer_of_its_own(box: Box):
    images = Images(box)
    for name in ("one", "two"):
        images.run(name, "sleep", "1000", flags=("-d",)).ok()
        box.pycontainer("exec", box.id(name), "sh", "-c", f"echo {name} > /data").ok()
    for name in ("one", "two"):
        assert box.pycontainer("exec", box.id(name), "cat", "/data").ok().out == f"{name}\n"
    assert len(images.names("layers")) == 1 and len(images.names("containers")) == 2
    box.pycontainer("delete", "--force", box.id("one")).ok()
    assert len(images.names("containers")) == 1


def test_a_layer_that_is_kept(box: Box):
    images = Images(box)
    kept = ("--keep-layer", str(box.directory / "kept"))
    images.run("c", "sh", "-c", "echo hello > /data; rm /etc/group", flags=kept).ok()
    assert images.run("d", "sh", "-c", "cat /data; ls /etc", flags=kept).ok().out == (
        "hello\nhosts\npasswd\n"
    )
    assert images.names("containers") == []
    assert (box.directory / "kept/upper/data").read_text() == "hello\n"


def test_a_kept_layer_has_one_user(box: Box):
    images = Images(box)
    kept = ("--keep-layer", str(box.directory / "kept"))
    images.run("c", "sleep", "1000", flags=("-d", *kept)).ok()
    images.run("d", "true", flags=kept).fails(box.id("c"), "uses it")
    box.pycontainer("delete", "--force", box.id("c")).ok()
    images.run("d", "true", flags=kept).ok()


def test_nothing_stays_of_what_fails(box: Box):
    images = Images(box)
    images.run("c", "/no/such/program").fails("no such file")
    assert images.names("containers") == []
    images.run("c", "-v").fails("-v")


def test_what_follows_the_container_is_the_command(box: Box):
    """Its options are not ours, whatever they are called."""
    config = {"Entrypoint": ["sh", "-c", 'echo "$@"', "sh"]}
    images = Images(box, config=config)
    words = ("-v", "--memory", "-e", "--", "-c")
    assert images.run("c", *words).ok().out == "-v --memory -e -- -c\n"
    assert images.run("c", "--", "-v").ok().out == "-v\n"
    done = images.run("c", "-c", "echo $0", "-x", flags=("--entrypoint", "sh"))
    assert done.ok().out == "-x\n"


def test_layers_are_shared_by_images(box: Box):
    first = Images(box)
    first.run("c", "true").ok()
    second = image(box.directory / "second", busybox(), layer(entry("more", "x")))
    options = ("--layers", first.store, "--image", second)
    assert box.pycontainer("run", *options, box.id(), "cat", "/more").ok().out == "x"
    assert len(first.names("layers")) == 2


@pytest.mark.parametrize("count", [40])
def test_many_layers(box: Box, count: int):
    """More than one option of the mount API has room for."""
    layers = [busybox(), *(layer(entry(f"data/{n}", f"{n} ")) for n in range(count))]
    done = Images(box, *layers).run("c", "sh", "-c", "cat /data/* | wc -w; ls /data | wc -l")
    assert done.ok().out.split() == [str(count), str(count)]


def test_over_a_bundle(box: Box):
    """Two containers of one bundle, whose root stays as it is."""
    bundle = box.bundle().script("cat /data 2>/dev/null; echo $$ > /data; ls /data")
    for name in ("one", "two"):
        options = ("--overlay", "--layers", box.directory / "store", "-b", bundle)
        assert box.pycontainer("run", *options, box.id(name)).ok().out == "/data\n"
    assert not (bundle.rootfs / "data").exists()
    assert os.listdir(box.directory / "store/containers") == []


def test_a_bundle_over_layers(box: Box):
    images = Images(box)
    made = box.directory / "made"
    command = ("bundle", "--overlay", "--layers", images.store, images.image, made)
    box.pycontainer(*command, "sh", "-c", "echo x >> /data; wc -l < /data").ok()
    for expected in "12":
        assert box.pycontainer("run", "-b", made, box.id()).ok().out.strip() == expected
    assert os.listdir(made / "rootfs") == []
    assert images.gc("--unused", "0s", "--yes") == ""
    (made / "config.json").unlink()
    images.gc("--unused", "0s", "--yes")
    assert images.names("layers") == images.names("bundles") == []


def test_gc_removes_what_nobody_needs(box: Box):
    images = Images(box)
    images.run("c", "sleep", "1000", flags=("-d",)).ok()
    assert images.gc("--unused", "0s", "--yes") == ""
    box.pycontainer("exec", box.id("c"), "true").ok()
    box.pycontainer("delete", "--force", box.id("c")).ok()
    assert images.gc() == ""  # it may be wanted again
    assert images.gc("--unused", "0s").startswith("layer ")
    assert images.gc("--unused", "0s", "--yes").startswith("removed layer ")
    assert images.names("layers") == []
    images.run("c", "true").ok()


def test_gc_removes_what_a_dead_run_left(box: Box):
    images = Images(box)
    images.run("c", "sleep", "1000", flags=("-d",)).ok()
    (only,) = images.names("containers")
    dead = images.store / "containers" / "0123"
    dead.mkdir()
    owner = json.loads((images.store / "containers" / only / "owner.json").read_text())
    (dead / "owner.json").write_text(json.dumps({**owner, "id": "nobody", "pid": 1 << 22}))
    interrupted = images.store / "layers" / ".new-0123"
    (interrupted / "fs").mkdir(parents=True)
    out = images.gc("--yes")
    assert "0123" in out and only not in out
    assert images.names("containers") == [only] and not interrupted.exists()


def test_at_once(box: Box):
    """They unpack the layer once."""
    images = Images(box)
    options = ("--layers", images.store, "--image", images.image)
    started = [
        box.pycontainer.start_process("run", *options, box.id(f"c{n}"), "true") for n in range(8)
    ]
    assert [process.wait(60) for process in started] == [0] * 8
    (only,) = images.names("layers")
    assert only == digest(busybox()).partition(":")[2][:32]


def test_options_that_need_an_image(box: Box):
    run = box.pycontainer
    bundle = box.bundle("/bin/true")
    run("run", "--memory", "1M", "-b", bundle, "x").fails("--memory needs --image")
    run("run", "--layers", "/x", "-b", bundle, "x").fails("--layers needs")
    run("run", "--image", "x", "-b", bundle, "x").fails("--bundle is not for --image")
    run("run", "-b", bundle, "x", "y").fails("requires exactly 1 argument", "needs --image")


def test_its_image_is_known(box: Box):
    images = Images(box, name="host/app:1")
    images.run("c", "sleep", "1000", flags=("-d",)).ok()
    listed = box.pycontainer("list", "--filter", "image=*app*", "--format", "{{.image}}").ok().out
    assert listed == "host/app:1\n"
    assert 'image="host/app:1"' in box.pycontainer("metrics").ok().out


def test_limits(box: Box):
    images = Images(box)
    flags = ("--memory", "64M", "--pids", "50", "--cpus", "0.5", "-d")
    images.run("c", "sleep", "1000", flags=flags).ok()
    config = json.loads(
        Path(box.pycontainer.state(box.id("c"))["bundle"], "config.json").read_text()
    )
    assert config["linux"]["resources"]["memory"] == {"limit": 64 << 20}
    stats = json.loads(box.pycontainer("events", "--stats", box.id("c")).ok().out)["data"]
    assert stats["memory"]["usage"]["limit"] == 64 << 20 and stats["pids"]["limit"] == 50


def test_a_read_only_root_and_volumes(box: Box):
    config = {"Volumes": {"/data": {}}}
    images = Images(box, busybox(), layer(entry("data/"), entry("data/a", "x")), config=config)
    script = "cat /data/a; echo y > /data/b && cat /data/b; touch /x 2>/dev/null || echo refused"
    done = images.run("c", "sh", "-c", script, flags=("--read-only",)).ok()
    assert done.out.split() == ["xy", "refused"]
    done = images.run("c", "sh", "-c", script).ok()
    assert done.out.split() == ["xy"]


def test_seccomp_refuses(box: Box):
    images = Images(box)
    script = "unshare -U true; mount -t tmpfs x /tmp; true"
    done = images.run("c", "sh", "-c", script).ok()
    assert "mount" in done.err.lower()
    done = images.run("c", "grep", "-E", "Seccomp:|CapEff", "/proc/self/status").ok()
    assert done.out.split() == ["CapEff:", "00000000800405fb", "Seccomp:", "2"]


def test_binds(box: Box):
    images = Images(box)
    (box.directory / "shared").mkdir()
    (box.directory / "shared/file").write_text("x\n")
    volume = f"{box.directory}/shared:/data:ro"
    done = images.run("c", "sh", "-c", "cat /data/file; touch /data/y", flags=("-v", volume))
    assert done.out == "x\n" and "Read-only" in done.err
