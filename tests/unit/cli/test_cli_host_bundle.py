"""`spec --host`: what of the host gets in, and above all what does not."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pycontainer.base.errors import HostError
from pycontainer.spec import host_bundle


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A small host with merged /usr, secrets in /etc and a stranger in a public directory."""
    root = tmp_path / "host"
    for name in ("usr/bin", "usr/lib", "etc/ssl/private", "etc/profile.d", "etc/alternatives"):
        (root / name).mkdir(parents=True)
    for name, target in (("bin", "usr/bin"), ("lib", "usr/lib")):
        (root / name).symlink_to(target)
    (root / "lib64").mkdir()
    for name in ("shadow", "gshadow", "machine-id", "ssl/private/key", "hosts", "npmrc"):
        (root / "etc" / name).write_text(name)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/group").chmod(0o600)
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "etc/localtime").symlink_to("/usr/share/zoneinfo/UTC")
    (root / "etc/alternatives/vi").symlink_to("/usr/bin/vi")
    (root / "etc/profile.d/secret.sh").write_text("TOKEN=1")
    (root / "etc/profile.d/secret.sh").chmod(0o640)
    return root


def destinations(bundle: host_bundle.HostBundle, host: Path) -> list[str]:
    """What is bound from the host."""
    mounts = bundle.config["mounts"]
    return [m["destination"] for m in mounts if m["source"].startswith(str(host))]


def test_takes_programs_and_the_public_part_of_etc(host: Path) -> None:
    bundle = host_bundle.plan(str(host), terminal=True, rootless=False)
    assert destinations(bundle, host) == [
        "/lib64",
        "/usr",
        "/etc/alternatives",
        "/etc/hosts",
        "/etc/passwd",
    ]
    assert sorted(bundle.links) == [
        ("bin", "usr/bin"),
        ("etc/localtime", "/usr/share/zoneinfo/UTC"),
        ("etc/os-release", "../usr/lib/os-release"),
        ("lib", "usr/lib"),
    ]


def test_leaves_out_a_passwd_with_hashes(host: Path) -> None:
    (host / "etc/passwd").write_text("root:$6$abc$def:0:0::/root:/bin/sh\n")
    bundle = host_bundle.plan(str(host), terminal=True, rootless=False)
    assert "/etc/passwd" not in destinations(bundle, host)


def test_leaves_out_directories_with_sockets_and_devices(host: Path) -> None:
    os.mkfifo(host / "etc/alternatives/pipe", 0o666)
    bundle = host_bundle.plan(str(host), terminal=True, rootless=False)
    assert "/etc/alternatives" not in destinations(bundle, host)


def test_everything_of_the_host_is_read_only(host: Path) -> None:
    for rootless, bind in ((False, "bind"), (True, "rbind")):
        bundle = host_bundle.plan(str(host), terminal=False, rootless=rootless)
        for entry in bundle.config["mounts"]:
            if entry["source"].startswith(str(host)):
                assert entry["options"] == [bind, "ro", "nosuid", "nodev"]


def test_config_is_confined(host: Path) -> None:
    config = host_bundle.plan(str(host), terminal=False, rootless=False).config
    assert config["process"]["terminal"] is False
    assert not any(config["process"]["capabilities"].values())
    assert config["process"]["noNewPrivileges"] is True
    assert config["root"]["readonly"] is True
    types = {entry["type"] for entry in config["linux"]["namespaces"]}
    assert types >= {"pid", "network", "ipc", "uts", "mount"}
    assert "devices" not in config["linux"]
    controllers = host_bundle.enabled_controllers()
    assert set(config["linux"]["resources"]) - {"devices"} == controllers & {"memory", "pids"}


def test_rootless_has_a_user_namespace_and_no_limits(host: Path) -> None:
    linux = host_bundle.plan(str(host), terminal=False, rootless=True).config["linux"]
    assert "resources" not in linux
    assert {"type": "user"} in linux["namespaces"]


def test_writes_mount_points(host: Path, tmp_path: Path) -> None:
    bundle = host_bundle.plan(str(host), terminal=True, rootless=False)
    host_bundle.write(bundle, str(tmp_path / "b"))
    rootfs = tmp_path / "b/rootfs"
    assert os.readlink(rootfs / "bin") == "usr/bin"
    for entry in bundle.config["mounts"]:
        inside = rootfs / entry["destination"].lstrip("/")
        if entry["destination"].startswith(("/dev/", "/sys/")):
            continue
        assert inside.is_dir() == Path(entry["source"]).is_dir() or entry["type"] != "none"
        assert inside.exists()
    files = [path for path in rootfs.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files and all(path.stat().st_size == 0 for path in files)


def test_does_not_touch_a_root_filesystem_with_content(host: Path, tmp_path: Path) -> None:
    (tmp_path / "b/rootfs/precious").mkdir(parents=True)
    bundle = host_bundle.plan(str(host), terminal=True, rootless=False)
    with pytest.raises(HostError, match="directory not empty"):
        host_bundle.write(bundle, str(tmp_path / "b"))
    assert os.listdir(tmp_path / "b/rootfs") == ["precious"]


def test_of_this_machine(pycontainer: Any, tmp_path: Path) -> None:
    done = pycontainer("spec", "--host", "-b", str(tmp_path / "new/b"))
    assert (done.returncode, done.stderr) == (0, "")
    config = json.loads((tmp_path / "new/b/config.json").read_text())
    bound = {m["destination"] for m in config["mounts"] if m["type"] == "none"}
    assert "/usr" in bound
    for name in ("shadow", "gshadow", "sudoers", "machine-id", "ssh", "ssl", "hostname"):
        assert f"/etc/{name}" not in bound
    assert "/etc" not in bound and "/" not in bound


@pytest.mark.skipif(os.geteuid() != 0, reason="runc needs root")
def test_runs_with_another_runtime(pycontainer: Any, runc: Any, tmp_path: Path) -> None:
    """The bundle is valid for others too, and shows what it should."""
    bundle = tmp_path / "b"
    assert pycontainer("spec", "--host", "-b", str(bundle)).returncode == 0
    path = bundle / "config.json"
    config = json.loads(path.read_text())
    script = "echo pid $$; hostname; cat /etc/shadow; touch /usr/x; touch /tmp/x && echo wrote"
    config["process"] = {**config["process"], "args": ["sh", "-c", script]}
    path.write_text(json.dumps(config))
    done = runc("run", "-b", str(bundle), f"pyc-host-{os.getpid()}", stdin=subprocess.DEVNULL)
    assert done.stdout.splitlines() == ["pid 1", "pycontainer", "wrote"]
    assert "shadow: No such file or directory" in done.stderr
    assert "Read-only file system" in done.stderr
