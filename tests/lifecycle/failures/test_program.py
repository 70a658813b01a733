"""A program that cannot be found or executed: one line that names the cause and the remedy."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.bundles import BUSYBOX, Bundle
from tests.support.runtimes import Done

Change = Callable[[Bundle], Any]
LOADER = b"/lib64/ld-linux-x86-64.so.2"
MUSL = b"/lib/ld-musl-x86_64.so.1"
NO_MACHINE = 0x4242


def put(path: str, content: bytes | str | Callable[[], bytes], mode: int = 0o755) -> Change:
    """A file in the image."""

    def change(bundle: Bundle) -> None:
        data = content() if callable(content) else content
        file = bundle.rootfs / path.strip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        file.chmod(mode)

    return change


def process(**members: Any) -> Change:
    return lambda bundle: bundle.process.update(members)


def user(uid: int) -> Change:
    return process(user={"uid": uid, "gid": uid}, capabilities={})


def mode(path: str, bits: int) -> Change:
    return lambda bundle: (bundle.rootfs / path.strip("/")).chmod(bits)


def link(path: str, target: str) -> Change:
    return lambda bundle: (bundle.rootfs / path.strip("/")).symlink_to(target)


def limit(name: str, value: int) -> Change:
    return process(rlimits=[{"type": name, "soft": value, "hard": value}])


def refuse_execve(number: int) -> Change:
    rule = {"names": ["execve"], "action": "SCMP_ACT_ERRNO", "errnoRet": number}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    return lambda bundle: bundle.linux.update(seccomp=profile)


def allow_little(bundle: Bundle) -> None:
    names = ["read", "write", "mmap", "sendmsg", "openat", "exit_group", "close"]
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}],
    }


def owner(path: str, uid: int) -> Change:
    return lambda bundle: os.chown(bundle.rootfs / path.strip("/"), uid, uid)


def data_bind(bundle: Bundle) -> None:
    entry = {"destination": "/mnt", "source": str(bundle.path / "data"), "options": ["bind"]}
    bundle.config["mounts"].append({"type": "bind", **entry})


def noexec_bind(bundle: Bundle) -> None:
    entry = {"destination": "/mnt", "source": "/bin", "options": ["bind", "noexec"]}
    bundle.config["mounts"].append({"type": "bind", **entry})


def empty_root(bundle: Bundle) -> None:
    shutil.rmtree(bundle.rootfs)
    bundle.rootfs.mkdir()


def fifo(bundle: Bundle) -> None:
    os.mkfifo(bundle.rootfs / "app", 0o755)


def raw_capability(bundle: Bundle) -> None:
    """setcap cap_sys_time+ep, which no container of ours has."""
    put("/app", elf)(bundle)
    value = struct.pack("<IIIII", 0x02000001, 1 << 25, 0, 0, 0)
    os.setxattr(bundle.rootfs / "app", "security.capability", value)
    bundle.process["noNewPrivileges"] = False


def new_user_namespace(bundle: Bundle) -> None:
    bundle.new_namespace("user")
    mapping = [{"containerID": 0, "hostID": 300000, "size": 65536}]
    bundle.linux.update(uidMappings=mapping, gidMappings=mapping)
    for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
        os.chown(path, 300000, 300000, follow_symlinks=False)


def elf() -> bytes:
    return BUSYBOX.read_bytes()


def dynamic() -> bytes:
    data = Path("/bin/true").read_bytes()
    if LOADER not in data:
        pytest.skip("needs a program of x86_64 that glibc's loader starts")
    return data


def musl() -> bytes:
    return dynamic().replace(LOADER, MUSL.ljust(len(LOADER), b"\0"))


def foreign() -> bytes:
    """Of a machine that nobody has, not even as an emulator."""
    data = elf()
    return data[:18] + struct.pack("<H", NO_MACHINE) + data[20:]


def object_file() -> bytes:
    return elf()[:16] + struct.pack("<H", 1) + elf()[18:]


NESTED = [put(f"/b{number}", f"#!/b{number + 1}\n") for number in range(1, 6)]
MISSING = "no such file or directory"
DENIED = "permission denied"
FORMAT = "exec format error"
IN_PATH = "executable file not found in $PATH"
APP = ("/app",)

# What is wrong: (process.args, how, words of the line)
Case = tuple[tuple[str, ...], tuple[Change, ...], tuple[str, ...]]
NOT_FOUND: dict[str, Case] = {
    "no such program": (("nosuch",), (), (IN_PATH, "$PATH is /usr/local/sbin:", "install")),
    "misspelt": (("slep",), (), (IN_PATH, "did you mean sleep")),
    "a command line": (("echo hi",), (), (IN_PATH, "one argument with a space", '["echo", "hi"]')),
    "empty name": (("",), (), ("process.args[0] is empty",)),
    "not executable in $PATH": (
        ("app",),
        (put("/usr/bin/app", elf, 0o644),),
        (IN_PATH, "/usr/bin/app is not executable (mode 0644, owner 0)", "chmod +x /usr/bin/app"),
    ),
    "outside of $PATH": (
        ("app",),
        (put("/usr/bin/app", elf), process(env=["PATH=/bin"])),
        (IN_PATH, "app is in /usr/bin", "not in $PATH (/bin)", "add /usr/bin to PATH"),
    ),
    "no directory of $PATH": (
        ("app",),
        (process(env=["PATH=/nowhere:/nor/here"]),),
        (IN_PATH, "$PATH is /nowhere:/nor/here, none of which is"),
    ),
    "empty $PATH": (("app",), (process(env=["PATH="]),), (IN_PATH, "PATH is empty")),
    "no $PATH": (("nosuch",), (process(env=[]),), (IN_PATH, "process.env has no PATH")),
    "empty root": (("sh",), (empty_root,), (IN_PATH, "rootfs is empty", "root.path")),
    "empty root, by path": (("/bin/sh",), (empty_root,), (MISSING, "rootfs is empty")),
    "misspelt path": (("/bin/slep",), (), (MISSING, "/bin has no slep", "did you mean sleep")),
    "missing directory": (("/opt/x/y/app",), (), (MISSING, "/opt has no x")),
    "in another directory": (("/usr/bin/ls",), (), (MISSING, "did you mean /bin/ls")),
    "dangling link": (
        ("/app",),
        (link("/app", "/usr/nosuch/app"),),
        (MISSING, "/app is a symbolic link to /usr/nosuch/app, and /usr has no nosuch"),
    ),
    "dangling link in $PATH": (
        ("app",),
        (link("/bin/app", "nosuch"),),
        (IN_PATH, "/bin/app is a symbolic link to nosuch, and /bin has no nosuch"),
    ),
    "link to itself in $PATH": (
        ("app",),
        (link("/bin/app", "app"),),
        (IN_PATH, "go in a circle at /bin/app -> app"),
    ),
    "circle of links": (
        APP,
        (link("/app", "/bpp"), link("/bpp", "/app")),
        ("too many levels", "go in a circle at"),
    ),
    "relative": (("./sh",), (), (MISSING, "/ has no sh", "did you mean /bin/sh")),
    "below a file": (("/bin/sh/app",), (), ("not a directory", "/bin/busybox is a file")),
    "directory": (("/tmp",), (), ("is a directory", "set process.args[0] to a program in it")),
    "not executable": (
        APP,
        (put("/app", elf, 0o644),),
        (DENIED, "(mode 0644", "chmod +x /app in the image"),
    ),
    "not for this user": (
        APP,
        (put("/app", elf, 0o700), user(1000)),
        (DENIED, "/app is not executable for uid 1000 (mode 0700, owner 0)", "chmod o+x /app"),
    ),
    "closed directory": (
        ("/a/b/app",),
        (put("/a/b/app", elf), mode("/a", 0o700), user(1000)),
        (DENIED, "the directory /a is not searchable for uid 1000 (mode 0700", "chmod o+x /a in"),
    ),
    "not for this user of a user namespace": (
        APP,
        (put("/app", elf, 0o700), new_user_namespace, user(1000)),
        (DENIED, "for uid 1000 (301000 on the host) (mode 0700, owner 300000)"),
    ),
    "script that is not for this user": (
        APP,
        (put("/app", "#!/bin/sh\n", 0o700), user(1000)),
        (DENIED, "/app is not executable for uid 1000", "chmod o+rx /app in the image"),
    ),
    "its owner may not": (
        APP,
        (put("/app", elf, 0o611), owner("/app", 1000), user(1000)),
        (DENIED, "(mode 0611, owner 1000)", "chmod u+x /app in the image"),
    ),
    "mounted, not executable": (
        ("/mnt/app",),
        (put("../data/app", elf, 0o644), data_bind),
        (DENIED, "chmod +x /mnt/app in the source of mounts[7]"),
    ),
    "noexec mount": (
        ("/mnt/busybox",),
        (noexec_bind,),
        (DENIED, "is on /mnt, which is mounted noexec", "remove noexec from mounts[7].options"),
    ),
}
NOT_EXECUTED: dict[str, Case] = {
    "no interpreter": (
        APP,
        (put("/app", "#!/no/python3\n"),),
        (MISSING, "the interpreter /no/python3 of its #! line is not in", "install python3"),
    ),
    "interpreter elsewhere": (
        APP,
        (put("/app", "#!/usr/bin/sh -e\n"),),
        (MISSING, "the interpreter /usr/bin/sh", "change the line to #!/bin/sh"),
    ),
    "relative interpreter": (
        APP,
        (put("/app", "#!python3\n"),),
        (MISSING, "the interpreter python3", "#!/usr/bin/env python3"),
    ),
    "carriage return": (
        APP,
        (put("/app", "#!/bin/sh\r\necho hi\r\n"),),
        (MISSING, "carriage return", "interpreter /bin/sh ", "sed -i 's/\\r$//' /app"),
    ),
    "interpreter is closed": (
        APP,
        (put("/app", "#!/own/sh\n"), put("/own/sh", elf), mode("/own", 0o700), user(1000)),
        (DENIED, "the interpreter /own/sh", "the directory /own is not searchable for uid 1000"),
    ),
    "interpreter not executable": (
        APP,
        (put("/app", "#!/python\n"), put("/python", elf, 0o644)),
        (DENIED, "/python is not executable", "chmod +x /python in the image"),
    ),
    "interpreter is a directory": (
        APP,
        (put("/app", "#!/usr/bin\n"),),
        (DENIED, "the #! line of /app names /usr/bin, a directory; fix: write a program there"),
    ),
    "interpreter's interpreter": (
        APP,
        (put("/app", "#!/b1\n"), put("/b1", "#!/nosuch\n")),
        (MISSING, "/nosuch, the interpreter of /b1, is not in the root"),
    ),
    "too deep": (
        APP,
        (put("/app", "#!/b1\n"), *NESTED, put("/b6", "#!/bin/sh\n")),
        ("too many levels", "is a script, too, and so on 5 times", "in the first #! line"),
    ),
    "long line": (
        APP,
        (put("/app", "#!" + "/x" * 200 + "\n"),),
        (FORMAT, "longer than the 256 bytes", "symlink"),
    ),
    "nothing after #!": (APP, (put("/app", "#! \n"),), (FORMAT, "names no interpreter")),
    "text": (
        APP,
        (put("/app", "echo hi\n"),),
        (FORMAT, "/app is a text file without a #! line", "#!/bin/sh"),
    ),
    "late #!": (APP, (put("/app", "\n#!/bin/sh\n"),), (FORMAT, "white space in front of its #!")),
    "byte order mark": (
        APP,
        (put("/app", "\ufeff#!/bin/sh\n"),),
        (FORMAT, "a byte order mark in front of its #!"),
    ),
    "empty file": (APP, (put("/app", ""),), (FORMAT, "/app is an empty file")),
    "zip": (APP, (put("/app", b"PK\3\4" + bytes(99)),), (FORMAT, "/app is a zip archive")),
    "Windows": (APP, (put("/app", b"MZ" + bytes(99)),), (FORMAT, "a program for Windows")),
    "another machine": (APP, (put("/app", foreign),), (FORMAT, "this machine is", "emulator")),
    "object file": (APP, (put("/app", object_file),), (FORMAT, "has not been linked")),
    "cut in the header": (
        APP,
        (put("/app", lambda: elf()[:40]),),
        (FORMAT, "/app is damaged", "ELF header", "copy it again"),
    ),
    "cut in the program headers": (
        APP,
        (put("/app", lambda: elf()[:100]),),
        (FORMAT, "/app is damaged", "program headers"),
    ),
    "glibc's loader": (
        APP,
        (put("/app", dynamic),),
        (MISSING, LOADER.decode(), "is not in the root file system", "glibc", "statically"),
    ),
    "musl's loader": (APP, (put("/app", musl),), (MISSING, MUSL.decode(), "musl (Alpine)")),
    "loader for another machine": (
        APP,
        (put("/app", dynamic), put(LOADER.decode(), foreign)),
        ("its dynamic loader", "cannot be used", "this machine is x86_64"),
    ),
    "fifo": (APP, (fifo,), (DENIED, "/app is a fifo, not a regular file")),
    "long argument": (
        ("/bin/true", "x" * 200000),
        (),
        ("argument list too long", "process.args[1] has 200001 bytes", "in a file"),
    ),
    "many arguments": (
        ("/bin/true", *["x" * 1000] * 1000),
        (limit("RLIMIT_STACK", 1 << 20),),
        ("argument list too long", "a quarter of RLIMIT_STACK (1048576)", "process.rlimits"),
    ),
    "no memory": (
        APP,
        (put("/app", elf), limit("RLIMIT_AS", 100000)),
        ("cannot allocate memory", "RLIMIT_AS is 100000", "process.rlimits"),
    ),
    "file capabilities": (
        APP,
        (raw_capability,),
        ("not permitted", "may not have: CAP_SYS_TIME", "process.capabilities.bounding"),
    ),
    "seccomp": (
        APP,
        (put("/app", elf), refuse_execve(1)),
        ("not permitted", "profile refuses execve (by linux.seccomp.syscalls[0])"),
    ),
    "seccomp with an errno": (
        APP,
        (put("/app", elf), refuse_execve(13)),
        (DENIED, "profile refuses execve (by linux.seccomp.syscalls[0])", "allow execve"),
    ),
    "seccomp's default": (
        APP,
        (put("/app", elf), allow_little),
        ("not permitted", "profile refuses execve (by linux.seccomp.defaultAction)"),
    ),
}


def prepared(box: Box, case: Case) -> Bundle:
    args, changes, _ = case
    bundle = box.bundle(*args)
    bundle.process["args"] = list(args)
    for change in changes:
        change(bundle)
    return bundle


def one_line(done: Done, words: tuple[str, ...], status: int = 1) -> None:
    done.fails(status=status)
    assert len(done.err.splitlines()) == 1
    line = done.err.replace('\\"', '"').replace("\\\\", "\\")
    for word in ("unable to start container process", *words):
        assert word in line


@pytest.mark.parametrize("name", [*NOT_FOUND, *NOT_EXECUTED])
def test_run(box: Box, name: str):
    case = (NOT_FOUND | NOT_EXECUTED)[name]
    one_line(box.run(prepared(box, case)), case[2])
    box.empty()


@pytest.mark.parametrize("name", NOT_EXECUTED)
def test_start(box: Box, name: str):
    case = NOT_EXECUTED[name]
    box.pycontainer("create", "-b", prepared(box, case), box.id()).ok()
    one_line(box.pycontainer("start", box.id()), case[2])
    box.empty()


# Not those that keep the container itself from running.
@pytest.mark.parametrize(
    "name", [n for n in NOT_FOUND | NOT_EXECUTED if "root" not in n and "seccomp" not in n]
)
def test_exec(box: Box, name: str):
    case = (NOT_FOUND | NOT_EXECUTED)[name]
    bundle = prepared(box, case)
    document = box.directory / "process.json"
    document.write_text(json.dumps(bundle.process))
    bundle.process.update(args=["/bin/sleep", "1000"], rlimits=[])
    name = box.id()
    box.pycontainer("run", "-d", "-b", bundle, name).ok()
    one_line(box.pycontainer("exec", "-p", document, name), case[2], status=255)
    assert box.pycontainer.status(name) == "running"


@pytest.mark.parametrize(
    "name", [n for n, case in NOT_FOUND.items() if any("chmod" in word for word in case[2])]
)
def test_the_mode_that_helps(box: Box, name: str):
    """What the line says is done, and is enough."""
    bundle = prepared(box, NOT_FOUND[name])
    line = box.run(bundle).fails("fix: chmod ").err
    found = re.search(r"fix: chmod (\S+) (\S+) in (the image|the source of mounts)", line)
    assert found is not None, line
    file = bundle.rootfs / found[2].strip("/")
    if "source" in found[3]:
        file = bundle.path / "data" / file.name
    subprocess.run(["chmod", found[1], file], check=True)
    done = box.run(bundle)
    # Of busybox, a program of another name is no applet.
    assert done.status == 0 or "applet not found" in done.err, done


def test_a_program_being_written(box: Box):
    bundle = box.bundle("/app")
    put("/app", elf)(bundle)
    with (bundle.rootfs / "app").open("ab"):
        done = box.run(bundle)
    one_line(done, ("text file busy", "has /app open for writing"))


def test_a_root_on_a_noexec_file_system(box: Box):
    bundle = box.bundle("/bin/true")
    argv = box.pycontainer.argv("run", "-b", bundle, box.id())
    here = bundle.path
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,noexec "$0" && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, str(here), *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done
    words = ("root.path is mounted noexec on the host", f"at {here}", f"remount,bind,exec {here}")
    for word in (DENIED, *words):
        assert word in done.stderr
