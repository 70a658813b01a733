"""tmpcopyup: what a tmpfs covers appears in it, config.md#linux-mount-options; beside runc."""

from __future__ import annotations

import os
import stat
import struct

import pytest

ROOT = os.geteuid() == 0
DEVICES = {"./null": "1:3", "./loop": "7:12c"}
LIST = "cd /opt && find . | sort | while read f; do stat -c '%n %F %a %u:%g %s %Y %t:%T' $f; done"


@pytest.fixture
def bundle(box):
    """A bundle with one of everything that the caller can make in /opt, and a tmpfs over it."""
    made = box.bundle()
    opt = made.rootfs / "opt"
    (opt / "dir" / "empty").mkdir(parents=True)
    (opt / "dir" / "file").write_text("content\n")
    (opt / "big").write_bytes(os.urandom(3_000_000))
    (opt / "link").symlink_to("/nowhere")
    (opt / "setuid").write_text("")
    os.mkfifo(opt / "fifo", 0o640)
    if ROOT:
        os.mknod(opt / "null", stat.S_IFCHR | 0o622, os.makedev(1, 3))
        os.mknod(opt / "loop", stat.S_IFBLK | 0o660, os.makedev(7, 300))
        for number, name in enumerate(("dir", "dir/file", "fifo", "null", "setuid")):
            os.chown(opt / name, 1000 + number, 2000 + number)
        os.lchown(opt / "link", 77, 78)
    (opt / "setuid").chmod(0o4755)
    (opt / "dir").chmod(0o1735)
    for name in ("big", "dir/file", "dir", "setuid"):
        os.utime(opt / name, (1_000_000_000, 1_000_000_000))
    opt.chmod(0o751)
    mount(made)
    return made


def mount(bundle, *options: str, fstype: str = "tmpfs") -> None:
    entry = {"destination": "/opt", "type": fstype, "source": "tmpfs"}
    bundle.config["mounts"].append({**entry, "options": ["tmpcopyup", *options]})


def lines(bundle, box) -> dict[str, str]:
    bundle.script(LIST)
    out = box.run(bundle).ok().out
    return dict(line.split(" ", 1) for line in out.splitlines())


def test_everything_is_copied(bundle, box):
    copied = lines(bundle, box)
    bundle.config["mounts"].pop()
    bundle.config["root"]["readonly"] = True
    original = lines(bundle, box)
    for name in (".", "./dir/empty"):  # directory sizes are the file system's
        del copied[name], original[name]
    for name in ("./link", "./fifo", "./dir", *(DEVICES if ROOT else ())):
        assert copied[name].split()[:-3] == original[name].split()[:-3]
    for name in ("./big", "./dir/file", "./setuid"):
        assert copied[name] == original[name]
    assert copied.keys() == original.keys()
    if ROOT:
        assert {name: copied[name].split()[-1] for name in DEVICES} == DEVICES


def test_as_runc(bundle, box):
    """The same names, types, modes and owners as in runc's copy, which fails at fifos and
    devices, and takes the umask away from directories' modes."""
    (bundle.rootfs / "opt" / "dir").chmod(0o1755)
    for name in ("fifo", "null", "loop"):
        (bundle.rootfs / "opt" / name).unlink(missing_ok=True)
    bundle.script("cd /opt && find . | sort | while read f; do stat -c '%n %F %a %u:%g' $f; done")
    ours, theirs = box.run(bundle).ok().out, box.run(bundle, runtime="runc").ok().out
    assert ours == theirs


def test_content_and_independence(bundle, box):
    bundle.script(
        "cat /opt/dir/file; readlink /opt/link; echo changed > /opt/dir/file; wc -c /opt/big"
    )
    out = box.run(bundle).ok().out
    assert out == "content\n/nowhere\n3000000 /opt/big\n"
    assert (bundle.rootfs / "opt/dir/file").read_text() == "content\n"


def test_options(bundle, box):
    """Its own mode and owner win; read-only, it is filled all the same."""
    box.needs_ids()
    bundle.config["mounts"].pop()
    mount(bundle, "ro", "mode=1711", "uid=5", "size=8m")
    bundle.script("stat -c '%a %u' /opt; cat /opt/dir/file; touch /opt/x")
    done = box.run(bundle)
    assert done.out == "1711 5\ncontent\n"
    assert "Read-only file system" in done.err


def test_extended_attributes(bundle, box):
    box.needs_root("sets and sees attributes that are root's")
    os.setxattr(bundle.rootfs / "opt/setuid", "user.word", b"value")
    os.setxattr(bundle.rootfs / "opt/setuid", "trusted.word", b"value")
    bundle.process["args"] = ["/bin/sleep", "1000"]
    box.pycontainer("run", "-d", "-b", bundle, box.id()).ok()
    pid = box.pycontainer.state(box.id())["pid"]
    assert os.getxattr(f"/proc/{pid}/root/opt/setuid", "trusted.word") == b"value"


def test_a_full_tmpfs_is_an_error(bundle, box):
    bundle.config["mounts"].pop()
    mount(bundle, "size=1m")
    box.run(bundle).fails("no space left on device", "copy up big", "from mounts[")
    box.empty()


def test_for_tmpfs_only(bundle, box):
    bundle.config["mounts"].pop()
    mount(bundle, fstype="ramfs")
    box.run(bundle).fails("tmpcopyup is for mounts of type tmpfs", ".options")


def test_a_deep_tree(bundle, box):
    """Deeper than we go is an error, not a crash."""
    path = bundle.rootfs / "opt"
    descriptor = os.open(path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    box.run(bundle).fails("too many levels", "deeper than 256")


def test_links_do_not_lead_out(bundle, box):
    """Symlinks are copied as such, wherever they point."""
    secret = box.directory / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    (bundle.rootfs / "opt" / "out").symlink_to(secret)
    bundle.script("readlink /opt/out; cat /opt/out/key")
    done = box.run(bundle)
    assert done.out == f"{secret}\n" and done.status != 0


@pytest.mark.skipif(not ROOT, reason="file capabilities take root")
def test_file_capabilities_are_copied(bundle, box):
    """Of a file that is not root's, too: a change of the owner takes them away."""
    tool = bundle.rootfs / "opt" / "tool"
    tool.write_text("")
    os.chown(tool, 7, 7)
    capability = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
    os.setxattr(tool, "security.capability", capability)
    bundle.process["args"] = ["/bin/sleep", "1000"]
    box.pycontainer("run", "-d", "-b", bundle, box.id()).ok()
    copy = f"/proc/{box.pycontainer.state(box.id())['pid']}/root/opt/tool"
    assert os.getxattr(copy, "security.capability") == capability
    assert (os.stat(copy).st_uid, os.stat(copy).st_gid) == (7, 7)
