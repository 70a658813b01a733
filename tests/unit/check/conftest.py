"""What the tests of `check` share: a bundle whose config is theirs, and its findings."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from pycontainer.base.settings import Settings
from pycontainer.check import examine
from pycontainer.check.findings import Finding, Report
from pycontainer.lifecycle.options import CreateOptions
from pycontainer.linux import host
from pycontainer.tables import caps

PROGRAMS = "sh sleep true echo cat id ls touch grep stat readlink chown mkdir tail dd env".split()
FILES = (
    "resolv.conf", "hosts", "hostname", ".containerenv", "docker-init", "catatonit", "init",
    "passwd", "group", "termination-log",
)  # fmt: skip


def smallest_program() -> bytes:
    """An ELF file for this machine that names one segment and no dynamic loader, elf(5)."""
    machine = {"x86_64": 62, "aarch64": 183}[os.uname().machine]
    ident = b"\x7fELF" + bytes([2, 1, 1, *[0] * 9])
    head = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 128, 128, 4096)
    return ident + head + segment + bytes(8)


class Bundle:
    """A root with programs, and what a config may bind."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in PROGRAMS:
            program = path / "rootfs" / "bin" / name
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_bytes(smallest_program())
            program.chmod(0o755)
        (path / "directory").mkdir()
        (path / "file").touch()

    def at_home(self, config: dict[str, Any]) -> dict[str, Any]:
        """A config of another machine with the files of this one."""
        config["root"]["path"] = "rootfs"
        for mount in config.get("mounts") or ():
            if {"bind", "rbind"} & set(mount.get("options") or ()):
                name = os.path.basename(mount["destination"])
                mount["source"] = str(self.path / ("file" if name in FILES else "directory"))
        for space in config["linux"]["namespaces"]:
            if space["type"] == "network" and config["linux"].get("sysctl"):
                space.pop("path", None)  # our own one's parameters are not to be set
            if space.get("path"):
                file = {"network": "net", "mount": "mnt"}.get(space["type"], space["type"])
                space["path"] = f"/proc/self/ns/{file}"
        # All but the first of each engine have their long profiles cut short.
        for rule in (config["linux"].get("seccomp") or {}).get("syscalls") or ():
            if rule["action"] == "SCMP_ACT_ALLOW":
                rule["names"].append("execve")
                break
        for hooks in (config.get("hooks") or {}).values():
            for hook in hooks:
                hook["path"] = "/bin/true"
        return config

    def check(self, config: dict[str, Any] | str, **settings: Any) -> Report:
        """Write the config (or its text), and look at it."""
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        (self.path / "config.json").write_text(text)
        return examine(
            Settings(str(self.path / "state"), **settings), CreateOptions(bundle=str(self.path))
        )


def probe_with_capabilities(rootless: bool = False) -> host.Host:
    """This host, with what the configs here grant: an ordinary user's process has none."""
    found = host.probe(rootless)
    found.permitted |= caps.mask(["CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE"])[0]
    return found


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setattr("pycontainer.lifecycle.create.probe", probe_with_capabilities)
    return Bundle(tmp_path)


def of(report: Report, *severities: str) -> list[Finding]:
    """The findings of these severities."""
    return [finding for finding in report.findings if finding.severity in severities]
