"""The remaining tables against the kernel's headers, Python's modules and runc's lists."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from pycontainer.tables import caps, mount_options, namespaces, rlimits, seccomp_names


def header_numbers(header: str) -> dict[str, int]:
    """All names of a kernel header, as the C preprocessor and compiler see them."""
    path = Path("/usr/include/linux") / header
    if not path.exists() or not shutil.which("cc"):
        pytest.skip("needs a C compiler and the kernel's headers")
    found = subprocess.run(
        ["cc", "-E", "-dM", str(path)], capture_output=True, text=True, check=True
    )
    numbers: dict[str, int] = {}
    pending = []
    for line in found.stdout.splitlines():
        _, name, *rest = line.split(None, 2)
        if rest and "(" not in name:
            pending.append((name, rest[0]))
    for _ in range(4):  # names that stand for names
        for name, value in pending:
            spaced = value.replace("(", " ( ").replace(")", " ) ").replace("|", " | ")
            words = [str(numbers.get(word, word)) for word in spaced.split()]
            text = " ".join(word.rstrip("UL") if word[0].isdigit() else word for word in words)
            try:
                number = eval(text, {"__builtins__": {}})
            except (SyntaxError, NameError, TypeError):
                continue
            if isinstance(number, int):
                numbers[name] = number
    return numbers


def test_capabilities() -> None:
    numbers = header_numbers("capability.h")
    for name, bit in caps.BITS.items():
        assert numbers[name] == bit
    assert numbers["CAP_LAST_CAP"] >= caps.LAST == 40


def test_capability_masks() -> None:
    assert caps.mask([]) == (0, [])
    assert caps.mask(["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE", "CAP_CHOWN"]) == (1 << 40 | 1, [])
    assert caps.mask(["CAP_X", "CAP_KILL", "kill"]) == (1 << 5, ["CAP_X", "kill"])
    assert caps.mask(["CAP_BPF", "CAP_KILL"], last=37) == (1 << 5, ["CAP_BPF"])
    assert caps.names(1 << 41 | 1 << 5 | 1) == ["CAP_CHOWN", "CAP_KILL", "CAP_41"]
    assert caps.mask(caps.NAMES) == ((1 << 41) - 1, [])


def test_rlimits() -> None:
    assert len(rlimits.NUMBERS) == 16
    assert sorted(rlimits.NUMBERS.values()) == list(range(16))
    for name, number in rlimits.NUMBERS.items():
        if hasattr(resource, name):
            assert getattr(resource, name) == number


def test_namespaces() -> None:
    numbers = header_numbers("sched.h")
    headers = {"mount": "NS", "network": "NET"}
    for kind, flag in namespaces.FLAGS.items():
        assert numbers["CLONE_NEW" + headers.get(kind, kind.upper())] == flag
        assert Path("/proc/self/ns", namespaces.FILES[kind]).is_symlink()
        assert namespaces.NAMES_OF_FLAGS[flag] == kind


def test_mount_flags() -> None:
    numbers = header_numbers("mount.h")
    checked = 0
    for name in dir(mount_options):
        if name.startswith("MS_"):
            assert numbers[name] == getattr(mount_options, name)
        elif name.startswith("ATTR_"):
            kernel = {"ATTR_ATIME": "MOUNT_ATTR__ATIME"}.get(name, "MOUNT_" + name)
            assert numbers[kernel] == getattr(mount_options, name)
        else:
            continue
        checked += 1
    assert checked > 30


def test_seccomp_actions_and_flags() -> None:
    numbers = header_numbers("seccomp.h")
    names = {"SCMP_ACT_NOTIFY": "USER_NOTIF", "SCMP_ACT_KILL": "KILL_THREAD"}
    for name, value in seccomp_names.ACTIONS.items():
        assert numbers["SECCOMP_RET_" + names.get(name, name[9:])] == value
    for name in ("LOG", "SPEC_ALLOW", "NEW_LISTENER", "WAIT_KILLABLE_RECV"):
        assert numbers["SECCOMP_FILTER_FLAG_" + name] == getattr(seccomp_names, "FLAG_" + name)


def test_seccomp_architectures() -> None:
    numbers = header_numbers("audit.h")
    special = {"SCMP_ARCH_X86": "I386", "SCMP_ARCH_SH": "SHEL", "SCMP_ARCH_SHEB": "SH"}
    for name, value in seccomp_names.ARCHS.items():
        if name == "SCMP_ARCH_X32":
            assert value == numbers["AUDIT_ARCH_X86_64"] & ~0x80000000
        else:
            assert numbers["AUDIT_ARCH_" + special.get(name, name[10:])] == value
        assert seccomp_names.arch_name(value) == name
    assert seccomp_names.arch_name(0x1234) == "0x1234"


@pytest.mark.skipif(not shutil.which("runc"), reason="compares with runc")
def test_knows_all_that_runc_knows() -> None:
    features = json.loads(subprocess.run(["runc", "features"], capture_output=True).stdout)
    linux = features["linux"]
    assert set(linux["namespaces"]) <= set(namespaces.TYPES)
    assert set(linux["capabilities"]) <= set(caps.NAMES)
    assert set(linux["seccomp"]["actions"]) <= set(seccomp_names.ACTIONS)
    assert set(linux["seccomp"]["operators"]) == set(seccomp_names.OPERATORS)
    assert set(linux["seccomp"]["archs"]) <= set(seccomp_names.ARCHS)
