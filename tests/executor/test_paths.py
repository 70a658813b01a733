"""Paths in a root that belongs to an attacker: whatever is there, nothing leads outside."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR

import pytest

from pycontainer.plan.ops import op
from tests.executor.lab import Lab, bind, mknod, mount


def deep(lab: Lab, name: str, target: str) -> None:
    (lab.root / name).symlink_to(target)


WAYS_OUT = {
    "absolute": "{outside}",
    "relative": "../../../../../../../../../..{outside}",
    "own dots": "../..{outside}",
    "dangling": "/nowhere/{outside}",
    "through itself": "./bin/../../..{outside}",
}


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("verb", ["mkdir", "mknod", "symlink", "bind", "mount", "bind file"])
def test_symlinks_stay_inside(lab: Lab, way: str, verb: str):
    """A naive runtime would have made `outside/new`; ours makes it at that place of the root."""
    deep(lab, "evil", WAYS_OUT[way].format(outside=lab.outside))
    (lab.directory / "source").write_text("host")
    step = {
        "mkdir": op("mkdir", 0o755, "/evil/new"),
        "mknod": mknod("/evil/new", 0o10644),
        "symlink": op("symlink", 0, "x", "/evil/new"),
        "bind": bind("/usr", "/evil/new"),
        "mount": mount("tmpfs", "/evil/new"),
        "bind file": bind(lab.directory / "source", "/evil/new"),
    }[verb]
    assert "new" in lab.below(step, script=f"ls /evil/; ls {lab.outside} || ls /nowhere").ok()
    lab.untouched()


def test_last_component_that_is_a_symlink(lab: Lab):
    """Directories and files are made where a dangling symlink leads to, inside."""
    deep(lab, "dir", f"{lab.outside}/new")
    deep(lab, "file", f"{lab.outside}/note")
    (lab.directory / "source").write_text("bound")
    steps = [mount("tmpfs", "/dir"), bind(lab.directory / "source", "/file")]
    assert lab.below(*steps, script=f"cat /file {lab.outside}/note").ok() == "bound" * 2
    lab.untouched()


@pytest.mark.parametrize("path", ["/loop/x", "/a/x", "/long0/x"])
def test_loops_end(lab: Lab, path: str):
    deep(lab, "loop", "loop")
    deep(lab, "a", "b")
    deep(lab, "b", "a")
    for number in range(60):
        deep(lab, f"long{number}", f"long{number + 1}")
    lab.below(op("mkdir", 0o755, path)).fails("mkdir", ELOOP)
    lab.below(op("readonly", path)).fails("readonly", ELOOP)
    lab.below(bind("/usr", path)).fails("bind", ELOOP)


def test_magic_links_are_not_followed(lab: Lab):
    """/proc/self/root leads out of every RESOLVE_IN_ROOT that follows magic links."""
    deep(lab, "evil", f"/proc/self/root{lab.outside}")
    deep(lab, "fd", "/proc/self/fd/0")
    proc = mount("proc", "/proc")
    lab.below(proc, op("mkdir", 0o755, "/evil/new")).fails("mkdir", ELOOP)
    lab.below(proc, bind("/usr", "/evil/new")).fails("bind", ELOOP)
    lab.below(proc, op("mask", "/fd")).fails("mask", ELOOP)
    lab.untouched()


def test_too_long(lab: Lab):
    name = "n" * 256
    lab.below(op("mkdir", 0o755, f"/{name}")).fails("mkdir", ENAMETOOLONG)
    lab.below(op("mkdir", 0o755, "/d" * 2100)).fails("mkdir", ENAMETOOLONG)
    lab.below(op("symlink", 0, "x", "/d" * 70000)).fails("symlink", ENAMETOOLONG)
    lab.below(op("symlink", 0, "x" * 5000, "/link")).fails("symlink", ENAMETOOLONG)
    deep(lab, "evil", "y/" * 2040)
    lab.below(op("mkdir", 0o755, "/evil/" + "z/" * 100)).fails("mkdir", ENAMETOOLONG)
    lab.below(op("mkdir", 0o755, "/d" * 400)).ok()


def test_a_file_in_the_way(lab: Lab):
    (lab.root / "file").write_text("")
    lab.below(op("mkdir", 0o755, "/file/x")).fails("mkdir", ENOTDIR)
    lab.below(op("mkdir", 0o755, "/file")).fails("mkdir", ENOTDIR)
    lab.below(mount("tmpfs", "/file")).fails("mount", ENOTDIR)
    lab.below(bind("/usr", "/file")).fails("bind", ENOTDIR, words="the source is a directory")
    (lab.directory / "source").write_text("")
    words = "the source is a file"
    lab.below(bind(lab.directory / "source", "/tmp")).fails("bind", ENOTDIR, words=words)
    lab.below(bind(lab.directory / "nothing", "/tmp")).fails(
        "bind", ENOENT, words="open the source"
    )


def test_dots(lab: Lab):
    lab.below(op("mkdir", 0o755, "/new/../../x")).fails("mkdir", EINVAL, words="climbs")
    lab.below(op("mkdir", 0o755, "//tmp///./y/."), script="ls -d /tmp/y").ok()
    lab.below(op("symlink", 0, "x", "/tmp/..")).fails("symlink", EINVAL)
    lab.below(op("symlink", 0, "x", "/")).fails("symlink", EINVAL)
    lab.below(op("symlink", 0, "x", "")).fails("symlink", EINVAL)
    lab.untouched()


def test_proc_wants_an_ordinary_directory(lab: Lab):
    """CVE-2019-19921, CVE-2023-27561: the image must not choose where proc and sysfs appear."""
    (lab.root / "proc").rmdir()
    deep(lab, "proc", "tmp")
    words = "must be mounted on ordinary directory"
    lab.below(mount("proc", "/proc")).fails("mount", ELOOP, words=words)
    (lab.root / "sys").rmdir()
    (lab.root / "sys").write_text("")
    lab.below(mount("sysfs", "/sys"), flags=0x20000 | 0x40000000).fails(
        "mount", ENOTDIR, words=words
    )


def test_existing_devices(lab: Lab):
    """The same device is fine, whatever its mode; anything else is an error, not overwritten."""
    null = mknod("/dev/null", 0o20666, 1, 3)
    full = mknod("/dev/null", 0o20666, 1, 7)
    lab.below(null, null, full).fails("mknod", EEXIST, words="another file is there already")
    (lab.root / "dev/null").unlink()
    (lab.root / "dev/null").write_text("precious")
    lab.below(null).fails("mknod", EEXIST)
    assert (lab.root / "dev/null").read_text() == "precious"
    (lab.root / "dev/null").unlink()
    deep(lab, "dev/null", f"{lab.outside}/treasure")
    lab.below(null).fails("mknod", EEXIST)
    lab.untouched()


def test_existing_symlinks(lab: Lab):
    """Only /dev/ptmx is replaced."""
    (lab.root / "dev/ptmx").write_text("")
    (lab.root / "dev/fd").write_text("mine")
    steps = [op("symlink", 1, "pts/ptmx", "/dev/ptmx"), op("symlink", 0, "x", "/dev/fd")]
    assert lab.below(*steps, script="readlink /dev/ptmx; cat /dev/fd").ok() == "pts/ptmx\nmine"
