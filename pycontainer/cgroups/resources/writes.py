"""One value for one file of a cgroup, the plan of all of them, and what v1.py and v2.py share."""

from __future__ import annotations

from pycontainer.base.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROOT = "linux.resources"


class Write:
    """One value for one file of a cgroup.

    `alternatives` are (file, value) pairs to try when the file does not exist; `optional` lets it
    be missing (with `warning`); `deferrable` writes that fail with EINVAL are tried again
    after the others of the controller; `by_line` writes each line by itself; `limit_check` reads
    the file instead and refuses a value that is not above it.
    """

    __slots__ = (
        "controller",
        "file",
        "value",
        "field",
        "alternatives",
        "optional",
        "warning",
        "deferrable",
        "by_line",
        "limit_check",
    )

    def __init__(
        self,
        controller: str,
        file: str,
        value: str,
        field: str = "",
        *,
        alternatives: tuple[tuple[str, str], ...] = (),
        optional: bool = False,
        warning: str = "",
        deferrable: bool = False,
        by_line: bool = False,
        limit_check: bool = False,
    ) -> None:
        self.controller = controller
        self.file = file
        self.value = value
        self.field = field
        self.alternatives = alternatives
        self.optional = optional
        self.warning = warning
        self.deferrable = deferrable
        self.by_line = by_line
        self.limit_check = limit_check

    def __repr__(self) -> str:
        return f"Write({self.controller}, {self.file} = {self.value!r}, {self.field})"


class ResourcePlan:
    """What `create` has to set, from v1.py or v2.py. Immutable by convention.

    `writes` are the limits, in order. The device rules are `device_writes` for v1 and
    `device_program` for v2; `explicit_devices` says whether the config names any.
    `unit_properties` and `device_properties` are for systemd: (name, (signature, value)).
    """

    __slots__ = (
        "device_program",
        "device_properties",
        "device_writes",
        "explicit_devices",
        "unit_properties",
        "warnings",
        "writes",
    )

    def __init__(
        self,
        writes: list[Write],
        device_writes: list[Write],
        device_program: bytes,
        explicit_devices: bool,
        warnings: list[str],
    ) -> None:
        self.writes = writes
        self.device_writes = device_writes
        self.device_program = device_program
        self.explicit_devices = explicit_devices
        self.warnings = warnings
        self.unit_properties: list[tuple[str, tuple[str, Any]]] = []
        self.device_properties: list[tuple[str, tuple[str, Any]]] = []

    def fields(self) -> dict[str, list[str]]:
        """The config's fields that ask for something, by controller."""
        asked: dict[str, list[str]] = {}
        for write in self.writes:
            if not write.optional:
                asked.setdefault(write.controller, []).append(write.field)
        return asked


def integer(section: dict, name: str) -> int:
    """A number of the config; absent (or null) reads as 0, which means "not set"."""
    value = section.get(name)
    return 0 if value is None else int(value)


def section_of(resources: dict, name: str) -> dict:
    """An object of the config; absent (or null) reads as empty."""
    return resources.get(name) or {}


def table_writes(resources: dict, section: str, controller: str, rows: tuple) -> list[Write]:
    """The writes of plain numbers: rows of (property, file, Write's keyword arguments)."""
    values = section_of(resources, section)
    writes = []
    for name, file, options in rows:
        if value := integer(values, name):
            field = f"{ROOT}.{section}.{name}"
            writes.append(Write(controller, file, str(value), field, **options))
    return writes


def present_writes(resources: dict, section: str, controller: str, rows: tuple) -> list[Write]:
    """As `table_writes`, for properties whose 0 is a value of its own."""
    values = section_of(resources, section)
    return [
        Write(controller, file, str(int(values[name])), f"{ROOT}.{section}.{name}", **options)
        for name, file, options in rows
        if values.get(name) is not None
    ]


def hugepage_writes(resources: dict, suffix: str) -> list[Write]:
    """The fault limit and, where the kernel has it (5.7), the reservation limit of each size."""
    writes = []
    for index, entry in enumerate(resources.get("hugepageLimits") or ()):
        field = f"{ROOT}.hugepageLimits[{index}]"
        size = entry["pageSize"]
        check_name(size, field + ".pageSize")
        value = str(int(entry["limit"]))
        writes.append(Write("hugetlb", f"hugetlb.{size}{suffix}", value, field))
        writes.append(Write("hugetlb", f"hugetlb.{size}.rsvd{suffix}", value, field, optional=True))
    return writes


def rdma_writes(resources: dict) -> list[Write]:
    """One line per device, the same file and format on v1 and v2."""
    writes = []
    for device, limits in (resources.get("rdma") or {}).items():
        line = device
        for name, key in (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object")):
            if limits.get(name) is not None:
                line += f" {key}={int(limits[name])}"
        writes.append(Write("rdma", "rdma.max", line, f"{ROOT}.rdma.{device}"))
    return writes


def pids_writes(resources: dict) -> list[Write]:
    """pids.max; negative is no limit. 0 becomes 1, which lets init itself in and nothing else."""
    limit = section_of(resources, "pids").get("limit")
    if limit is None:
        return []
    value = "max" if limit < 0 else str(max(int(limit), 1))
    return [Write("pids", "pids.max", value, ROOT + ".pids.limit")]


def check_name(name: str, field: str) -> None:
    """Refuse what would be another file than `controller.parameter` in the cgroup's directory."""
    plain = name.replace(".", "").replace("_", "").replace("-", "")
    if not (plain.isascii() and plain.isalnum()):
        raise ConfigError(
            f"{name!r} must be a file name (no slashes)",
            "wrong-name",
            field,
        )


def warn_unsupported(resources: dict, rows: tuple, warnings: list[str]) -> None:
    """Warn about the (section, property, reason) rows that the config sets."""
    for section, name, reason in rows:
        if section_of(resources, section).get(name):
            warnings.append(f"{ROOT}.{section}.{name} is ignored: {reason}")
