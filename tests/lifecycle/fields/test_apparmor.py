"""process.apparmorProfile where the kernel has AppArmor, with a profile that is loaded for it.

config.md#process; CVE-2019-16884, CVE-2025-52881. The profile only complains, so that it needs no
rules, and the kernel's binary form of it is short enough to be written here.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

KERNEL = Path("/sys/kernel/security/apparmor")
ENABLED = Path("/sys/module/apparmor/parameters/enabled")
# enum aa_code and modes of the kernel's security/apparmor/policy_unpack.c
U32, NAME, STRING, STRUCT, STRUCT_END = 2, 4, 5, 7, 8
COMPLAIN = 1
ABI = 5


def has_apparmor() -> bool:
    return ENABLED.exists() and ENABLED.read_text().startswith("Y") and (KERNEL / ".load").exists()


pytestmark = pytest.mark.skipif(not has_apparmor(), reason="needs a kernel with AppArmor")


def text(code: int, value: str) -> bytes:
    data = value.encode() + b"\0"
    return struct.pack("<BH", code, len(data)) + data


def number(value: int) -> bytes:
    return struct.pack("<BI", U32, value)


def binary(name: str) -> bytes:
    """What apparmor_parser would make of `profile NAME flags=(complain) {}`."""
    begin, end = bytes([STRUCT]), bytes([STRUCT_END])
    flags = text(NAME, "flags") + begin + number(0) + number(COMPLAIN) + number(0) + end
    capabilities = number(0) * 4
    header = text(NAME, "version") + number(ABI)
    return header + text(NAME, "profile") + begin + text(STRING, name) + flags + capabilities + end


@pytest.fixture
def profile(box):
    """The name of a loaded profile."""
    box.needs_root("loads a profile")
    name = f"pycontainer-{box.token}"
    (KERNEL / ".load").write_bytes(binary(name))
    yield name
    (KERNEL / ".remove").write_text(name)


CURRENT = ("/bin/cat", "/proc/self/attr/apparmor/current")


@pytest.mark.parametrize("no_new_privs", [True, False])
def test_the_program_has_the_profile(box, profile, no_new_privs):
    bundle = box.bundle(*CURRENT)
    bundle.process["apparmorProfile"] = profile
    bundle.process["noNewPrivileges"] = no_new_privs
    assert box.run(bundle).ok().out == f"{profile} (complain)\n"


@pytest.mark.parametrize("filtered", [True, False])
def test_a_process_that_joins_has_it(box, profile, filtered):
    """The config's, or another one; the label is written after it appears in the container."""
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.process["apparmorProfile"] = profile
    bundle.process["noNewPrivileges"] = False
    if filtered:
        bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}
    box.pycontainer("run", "-d", "-b", bundle, box.id()).ok()
    assert box.pycontainer("exec", box.id(), *CURRENT).ok().out == f"{profile} (complain)\n"
    done = box.pycontainer("exec", "--apparmor", "unconfined", box.id(), *CURRENT)
    assert done.ok().out == "unconfined\n"


def test_a_container_in_a_shared_pid_namespace_has_it(box, profile):
    first = box.running()
    bundle = box.bundle(*CURRENT)
    bundle.join_namespace("pid", f"/proc/{box.pycontainer.state(first)['pid']}/ns/pid")
    bundle.process["apparmorProfile"] = profile
    assert box.run(bundle).ok().out == f"{profile} (complain)\n"


@pytest.mark.parametrize("kind", ["unconfined", ""])
def test_no_profile(box, kind):
    bundle = box.bundle(*CURRENT)
    bundle.process["apparmorProfile"] = kind
    assert box.run(bundle).ok().out == "unconfined\n"


def test_a_profile_that_nobody_has_loaded(box):
    bundle = box.bundle(*CURRENT)
    bundle.process["apparmorProfile"] = "nobody-has-loaded-this"
    done = box.run(bundle)
    done.fails("nobody-has-loaded-this", "no such file", "process.apparmorProfile")
    name = box.running()
    done = box.pycontainer("exec", "--apparmor", "nobody-has-loaded-this", name, *CURRENT)
    done.fails("nobody-has-loaded-this", "no such file", status=255)


def test_nothing_in_the_containers_proc_takes_it(box, profile):
    """The label is written through a procfs that nobody else can touch."""
    bundle = box.bundle("/bin/sh", "-c", "cat /real/self/attr/apparmor/current; cat /proc/1/attr/*")
    bundle.process["apparmorProfile"] = profile
    hidden = {"destination": "/proc/1/attr", "type": "tmpfs", "source": "tmpfs"}
    bundle.config["mounts"] += [hidden, {"destination": "/real", "type": "proc", "source": "proc"}]
    done = box.run(bundle)
    refused = done.status != 0 and "/proc" in done.err  # such a mount need not be possible
    assert refused or done.out.startswith(profile), done


def test_both_runtimes_say_no_alike(box):
    for runtime in box.both():
        bundle = box.bundle(*CURRENT)
        bundle.process["apparmorProfile"] = "nobody-has-loaded-this"
        name = box.id(runtime.name)
        assert runtime("run", "-b", bundle, name).status == 1
