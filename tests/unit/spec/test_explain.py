"""A refusal names the field, what is wrong, what would be right, and the clause."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pycontainer import spec
from pycontainer.base.errors import ConfigError
from pycontainer.spec import explain, schema


def config(**members: Any) -> dict[str, Any]:
    return {"ociVersion": "1.3.0", "root": {"path": "rootfs"}, **members}


REFUSED = [
    (
        config(process={"cwd": "/", "rlimits": [{"type": "NOFILE", "soft": 1, "hard": 1}]}),
        'process.rlimits[0].type: is "NOFILE", must be a name like RLIMIT_NOFILE'
        " [config.md#posix-process]; did you mean RLIMIT_NOFILE?",
    ),
    (
        config(process={}),
        'process.cwd: is required but missing [config.md#process]; fix: add "cwd": "/"',
    ),
    (config(process=None), "process: is null (null), must be an object [config.md#process]"),
    (
        config(linux={"namespaces": [{"type": "net"}, {"type": "networks"}]}),
        'linux.namespaces[0].type: is "net", must be one of mount, pid, network, uts, ipc, user,'
        " cgroup, time (did you mean network?) [config-linux.md#namespaces]; 1 more like this",
    ),
    (
        config(linux={"namespaces": [{"type": "networks"}]}),
        'linux.namespaces[0].type: is "networks", must be one of mount, pid, network, uts, ipc,'
        " user, cgroup, time (did you mean network?) [config-linux.md#namespaces]",
    ),
    (
        config(linux={"resources": {"pids": {"limit": 1.0}}}),
        "linux.resources.pids.limit: is 1.0 (a number with a fraction), must be an integer"
        " [config-linux.md#pids]",
    ),
    (
        config(linux={"resources": {"cpu": {"shares": -1}}}),
        "linux.resources.cpu.shares: is -1, must be from 0 to 18446744073709551615"
        " [config-linux.md#cpu]",
    ),
    (
        config(hooks={"poststop": [{"path": "/x", "timeout": 0}]}),
        "hooks.poststop[0].timeout: is 0, must be from 1 to 9223372036"
        " [config.md#posix-platform-hooks]",
    ),
    (
        config(annotations={"com.example": 1}),
        'annotations["com.example"]: is 1 (an integer), must be a string [config.md#annotations];'
        ' fix: write "1" with quotes',
    ),
    (
        config(linux={"seccomp": {"defaultAction": "SCMP_ACT_LOG", "syscalls": [
            {"names": [], "action": "SCMP_ACT_LOG"}]}}),
        "linux.seccomp.syscalls[0].names: is [], must have at least 1 entry"
        " [config-linux.md#seccomp]",
    ),
    ([], "is [] (an array), must be an object [config.md#configuration]"),
    (
        config(hostname=["x" * 200]),
        'hostname: is ["' + "x" * 58 + "... (an array), must be a string [config.md#hostname]",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("document", "text"), REFUSED)
def test_refusal(document: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        spec.validate(document)
    assert str(caught.value) == f"invalid config: {text}"
    assert "\n" not in str(caught.value)


def test_process_on_its_own() -> None:
    with pytest.raises(ConfigError) as caught:
        spec.validate_process({"cwd": 3, "args": ["sh"]})
    assert caught.value.field == "process.cwd"
    assert caught.value.clause == "config.md#process"


def test_resources_on_their_own() -> None:
    with pytest.raises(ConfigError) as caught:
        spec.validate_resources({"memory": {"limit": "1G"}})
    assert caught.value.field == "linux.resources.memory.limit"
    assert spec.validate_resources({"memory": {"limit": 1 << 30}}) == []


def test_field_path() -> None:
    assert schema.field_path(["a", 0, "b c", "d"]) == 'a[0]["b c"].d'
    assert schema.field_path([], "process") == "process"
    assert schema.field_path(["x"], "process") == "process.x"


def test_features_and_state_are_checked_off_the_hot_path() -> None:
    assert explain.conforms("features.schema.json", {"ociVersionMin": "1.0", "ociVersionMax": "1"})
    assert not explain.conforms("features.schema.json", {"ociVersionMin": "1.0.0"})


PACKAGING = Path(__file__).resolve().parents[3] / "packaging" / "debian"
AGAIN = """\
import sys
sys.path.insert(0, sys.argv[1])
import pytest, rpds
assert rpds.__file__.startswith(sys.argv[1])
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-k", "not debian", sys.argv[2]]))
"""


def test_the_debian_package_says_the_same() -> None:
    """It has rpds in Python, which is of no version of Python."""
    argv = [sys.executable, "-c", AGAIN, str(PACKAGING), __file__]
    done = subprocess.run(argv, cwd=PACKAGING.parents[1], capture_output=True, text=True)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr
