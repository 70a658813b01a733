"""What the parts of a check share: the config as it is and without its errors, and the findings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pycontainer import spec
from pycontainer.base.settings import absolute
from pycontainer.check.findings import Finding, Report
from pycontainer.check.positions import Positions, parse
from pycontainer.spec.schema import field_path
from pycontainer.spec.shorten import shallow

if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cgroups.layout import Layout
    from pycontainer.lifecycle.options import CreateOptions


class Case:
    """One bundle under examination.

    `config` begins as a copy of the file's content; errors.py takes out of it what is wrong, and
    notes list elements that it took out in `gone`, so that fields can be given as they are in the
    file.
    """

    def __init__(self, settings: Settings, options: CreateOptions) -> None:
        self.settings = settings
        self.options = options
        self.bundle = absolute(options.bundle)
        self.file = options.config or f"{options.bundle.rstrip('/') or '/'}/config.json"
        loaded, raw = spec.load_config(options.config or f"{self.bundle}/config.json")
        self.original: dict[str, Any] = loaded
        self.config: dict[str, Any] = shallow(loaded)
        self.positions = Positions(_text_of(options.config or f"{self.bundle}/config.json", raw))
        self.gone: dict[str, list[int]] = {}
        self.layout: Layout | None = None
        self._findings: list[Finding] = []

    # -- the config, for the parts that come after the errors --------------------------------------

    @property
    def process(self) -> dict[str, Any]:
        """`process`, or {}."""
        return self.config.get("process") or {}

    @property
    def linux(self) -> dict[str, Any]:
        """`linux`, or {}."""
        return self.config.get("linux") or {}

    @property
    def resources(self) -> dict[str, Any]:
        """`linux.resources`, or {}."""
        return self.linux.get("resources") or {}

    @property
    def mounts(self) -> list[dict[str, Any]]:
        """`mounts`, or []."""
        return self.config.get("mounts") or []

    @property
    def namespaces(self) -> dict[str, str]:
        """Type to the path to join, "" for a new one."""
        return {s["type"]: s.get("path") or "" for s in self.linux.get("namespaces") or ()}

    @property
    def rootfs(self) -> str:
        """root.path on the host."""
        path = (self.config.get("root") or {}).get("path") or ""
        return path if path.startswith("/") else os.path.normpath(f"{self.bundle}/{path}")

    def on_v2(self) -> bool:
        """Whether limits are those of cgroup v2."""
        return self.layout is not None and self.layout.mode == "v2"

    # -- findings ----------------------------------------------------------------------------------

    def add(self, severity: str, field: str, message: str, fix: str = "", clause: str = "") -> None:
        """Note a finding about a field of `config`; the same field and words are noted once."""
        self.add_in_file(severity, self.in_file(field), message, fix, clause)

    def add_in_file(
        self, severity: str, field: str, message: str, fix: str = "", clause: str = ""
    ) -> None:
        """The same about a field of the file."""
        if not any((f.field, f.message) == (field, message) for f in self._findings):
            place = self.positions.find(field)
            self._findings.append(Finding(severity, field, message, fix, clause, *place))

    def advise(self, field: str, fix: str) -> None:
        """Add a remedy to what has been found about a field."""
        field = self.in_file(field)
        self._findings = [f._replace(fix=fix) if f.field == field else f for f in self._findings]

    def found(self, field: str, *severities: str) -> bool:
        """Whether something of one of these severities has been found about a field."""
        field = self.in_file(field)
        return any(f.field == field and f.severity in severities for f in self._findings)

    def found_below(self, field: str, severity: str) -> bool:
        """Whether something of it has been found about a part of a field."""
        return any(f.field.startswith(field) and f.severity == severity for f in self._findings)

    def report(self) -> Report:
        """What it came to."""
        return Report(self.file, self._findings)

    def in_file(self, field: str) -> str:
        """A field of `config` as it is in the file, where no list element is missing."""
        steps = parse(field)
        for depth, step in enumerate(steps):
            if isinstance(step, int):
                for index in self.gone.get(field_path(steps[:depth]), ()):
                    step += index <= step
                steps[depth] = step
        return field_path(steps)


def _text_of(path: str, raw: bytes) -> str:
    """The file itself: of one with null members, `raw` is not what was read."""
    try:
        with open(path, "rb") as file:
            raw = file.read(len(raw) + (64 << 20))
    except OSError:
        pass
    return raw.decode("utf-8", "replace")
