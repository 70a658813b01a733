"""`linux.resources` as an ordered list of writes: a pure function of the config and the mode.

Input: the dict of the config (validated: types are right). Output: a `ResourcePlan`: writes for
the limits, writes (v1) or a program (v2) for the devices, and warnings about what is ignored. The
values are runc's (>= 1.3): 0 means "not set" where it does there, v1 units are converted for v2.
v1.py and v2.py hold the tables.
"""

from __future__ import annotations

from pycontainer.cgroups.resources.writes import ResourcePlan, Write, warn_unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


IGNORED = (
    ("memory", "kernel", "kernel memory limits were removed from Linux"),
    ("memory", "kernelTCP", "kernel memory limits were removed from Linux"),
)


def compile_resources(
    resources: dict, mode: str, *, device_paths: Iterable[str] | None = None
) -> ResourcePlan:
    """Compile `linux.resources` for a layout's mode ("none" compiles as v2).

    `device_paths` are the paths of `linux.devices`, whose default rules they replace; None leaves
    device rules out (update). Raises ConfigError for values that cannot work.
    """
    warnings: list[str] = []
    warn_unsupported(resources, IGNORED, warnings)
    if mode in ("v1", "hybrid"):
        from pycontainer.cgroups.resources import v1 as tables
    else:
        from pycontainer.cgroups.resources import v2 as tables  # type: ignore[no-redef]
    writes = tables.compile_writes(resources, warnings)
    device_writes: list[Write] = []
    program = b""
    if device_paths is not None:
        from pycontainer.cgroups.resources import devices

        rules = devices.rules(resources.get("devices") or (), device_paths)
        if mode in ("v1", "hybrid"):
            device_writes = devices.v1_writes(rules)
        elif mode == "v2":
            from pycontainer.cgroups.resources.device_bpf import compile_program

            program = compile_program(rules)
    return ResourcePlan(writes, device_writes, program, bool(resources.get("devices")), warnings)
