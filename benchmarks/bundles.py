"""The bundles that every runtime gets: runc's default spec around busybox; with a profile, too."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

PROFILE = Path("/usr/share/containers/seccomp.json")  # what podman writes into its configs
# As Go and as seccomp call this machine.
_ARCHITECTURE, _SECCOMP = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
}.get(platform.machine(), ("", ""))


def default_config() -> dict[str, Any]:
    """`runc spec`, without a terminal."""
    spec = shutil.which("runc") or "pycontainer"
    directory = Path(os.environ.get("TMPDIR", "/tmp")) / f"pycontainer-bench-spec-{os.getpid()}"
    directory.mkdir()
    try:
        subprocess.run([spec, "spec"], cwd=directory, check=True)
        config = json.loads((directory / "config.json").read_text())
    finally:
        shutil.rmtree(directory)
    config["process"]["terminal"] = False
    return config


def make(path: Path, config: dict[str, Any], *args: str) -> str:
    """A bundle that runs `args`; its path."""
    root = path / "rootfs"
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy("/bin/busybox", root / "bin" / "busybox")
    for name in ("true", "sleep", "sh"):
        (root / "bin" / name).symlink_to("busybox")
    changed = {**config, "process": {**config["process"], "args": list(args)}}
    (path / "config.json").write_text(json.dumps(changed, indent=1))
    return str(path)


def with_memory(config: dict[str, Any], limit: int) -> dict[str, Any]:
    """The same with a memory limit in bytes."""
    resources = {**config["linux"].get("resources", {}), "memory": {"limit": limit}}
    return {**config, "linux": {**config["linux"], "resources": resources}}


def with_profile(config: dict[str, Any]) -> dict[str, Any]:
    """The same with podman's seccomp profile, as podman would resolve it."""
    profile = json.loads(PROFILE.read_text())
    held = set(config["process"]["capabilities"]["bounding"])
    rules = [
        {key: rule[key] for key in ("names", "action", "args", "errnoRet") if rule.get(key)}
        for rule in profile["syscalls"]
        if _applies(rule, held)
    ]
    for rule in rules:
        for argument in rule.get("args", ()):
            argument.setdefault("valueTwo", 0)
    names = next(
        ([row["architecture"], *(row.get("subArchitectures") or ())])
        for row in profile["archMap"]
        if row["architecture"]
        == {"amd64": "SCMP_ARCH_X86_64"}.get(_ARCHITECTURE, "SCMP_ARCH_AARCH64")
    )
    seccomp = {"defaultAction": profile["defaultAction"], "architectures": names, "syscalls": rules}
    if "defaultErrnoRet" in profile:
        seccomp["defaultErrnoRet"] = profile["defaultErrnoRet"]
    return {**config, "linux": {**config["linux"], "seccomp": seccomp}}


def _applies(rule: dict[str, Any], held: set[str]) -> bool:
    wanted, unwanted = rule.get("includes") or {}, rule.get("excludes") or {}
    if any(name not in held for name in wanted.get("caps") or ()):
        return False
    if any(name in held for name in unwanted.get("caps") or ()):
        return False
    if wanted.get("arches") and _ARCHITECTURE not in wanted["arches"]:
        return False
    return _ARCHITECTURE not in (unwanted.get("arches") or ())
