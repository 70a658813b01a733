"""The profile that Debian's podman ships, by calls from inside: what it allows and what it blocks.

Engines resolve its `includes` and `excludes` before a runtime sees it; so does this file, for a
container without capabilities. Each call is made with arguments that the kernel refuses in another
way than the filter does, so that the answer says who gave it.
"""

from __future__ import annotations

import errno
import json
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from pycontainer._shim import lib

PROFILE = Path("/usr/share/containers/seccomp.json")
pytestmark = [
    pytest.mark.skipif(not PROFILE.exists(), reason="needs golang-github-containers-common"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc for the probe"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the names are x86_64's"),
]

PROBE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        errno = 0;
        syscall(atol(argv[i]), -1L, -1L, -1L, -1L, -1L, -1L);
        printf("%s %d\n", argv[i], errno);
        fflush(stdout);
    }
}
"""
# Each would answer EINVAL, EFAULT, EBADF and the like if it came to the kernel.
ALLOWED = ("close", "fstat", "openat2", "statx", "clone3", "pidfd_getfd", "faccessat2", "splice")
BLOCKED = ("userfaultfd", "bpf", "kexec_load", "finit_module", "acct", "nfsservctl", "iopl")
NEVER = 100_000  # a number that no kernel has


def resolved() -> dict:
    """The profile as an engine hands it to a runtime, for no capabilities on amd64."""
    document = json.loads(PROFILE.read_text())
    rules = []
    for rule in document["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if includes.get("caps") or "amd64" not in (includes.get("arches") or ["amd64"]):
            continue
        if "amd64" in (excludes.get("arches") or []):
            continue
        kept = {key: rule[key] for key in ("names", "action", "args", "errnoRet") if rule.get(key)}
        rules.append(kept)
    return {
        "defaultAction": document["defaultAction"],
        "defaultErrnoRet": document["defaultErrnoRet"],
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules,
    }


def number(name: str) -> int:
    assert lib.shim_seccomp_open() >= 0
    return lib.shim_seccomp_resolve(0, name.encode())


def answers(box, runtime: str, *numbers: int) -> dict[int, int]:
    bundle = box.bundle()
    source = box.directory / "probe.c"
    source.write_text(PROBE)
    program = bundle.rootfs / "probe"
    subprocess.run(["gcc", "-static", "-O1", "-o", program, source], check=True)
    bundle.process["args"] = ["/probe", *map(str, numbers)]
    bundle.process["capabilities"] = {}
    bundle.linux["seccomp"] = resolved()
    lines = box.run(bundle, runtime=runtime).ok().out.splitlines()
    return {int(line.split()[0]): int(line.split()[1]) for line in lines}


def test_what_it_allows_and_blocks(box):
    numbers = {name: number(name) for name in (*ALLOWED, *BLOCKED)}
    found = answers(box, "pycontainer", *numbers.values(), NEVER)
    for name in ALLOWED:
        assert found[numbers[name]] not in (errno.EPERM, errno.ENOSYS), name
    for name in BLOCKED:
        assert found[numbers[name]] in (errno.EPERM, errno.ENOSYS), name
    assert found[numbers["kexec_load"]] == errno.EPERM
    assert found[NEVER] == errno.ENOSYS


def test_the_same_answers_as_with_runc(box):
    names = ("ptrace", "mount", "setns", "unshare", "chroot", "acct", "socket", "personality")
    numbers = [number(name) for name in (*ALLOWED, *BLOCKED, *names)]
    assert answers(box, "pycontainer", *numbers) == answers(box, "runc", *numbers)


def test_it_holds_for_exec(box):
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.linux["seccomp"] = resolved()
    box.pycontainer("run", "-d", "-b", bundle, box.id()).ok()
    status = ("exec", box.id(), "/bin/grep", "^Seccomp", "/proc/self/status")
    assert "Seccomp:\t2" in box.pycontainer(*status).ok().out
