"""What engines send although the schema of the specification does not have it, and runc takes.

Looked at only when the compiled validator has said no. Each entry rewrites a copy into what the
schema knows; when the copy passes, the original goes on as it is, with a warning. The plan has to
understand both spellings.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# containerd's CRI plugin, CRI-O and Docker ask for recursive propagation of the root filesystem.
_RECURSIVE = {
    "rprivate": "private",
    "rshared": "shared",
    "rslave": "slave",
    "runbindable": "unbindable",
}


def accept(config: dict[str, Any]) -> list[str]:
    """Return warnings if the configuration is valid but for its dialect, raise ConfigError else."""
    from pycontainer.spec._compiled_spec import valid_config

    warnings: list[str] = []
    copy = rewritten(config, warnings)
    if copy is config or not valid_config(copy, []):
        from pycontainer.spec import explain, schema

        explain.explain(schema.CONFIG, copy, valid_config)
    return warnings


def rewritten(config: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    """The configuration as the schema would have it, which may be itself."""
    return _no_filter(_device_modes(_propagation(config, warnings), warnings), warnings)


def _linux(config: Any) -> dict[str, Any]:
    linux = config.get("linux") if type(config) is dict else None
    return linux if type(linux) is dict else {}


def _propagation(config: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    linux = _linux(config)
    value = linux.get("rootfsPropagation")
    if value == "":
        return {**config, "linux": {k: v for k, v in linux.items() if k != "rootfsPropagation"}}
    if type(value) is not str or value not in _RECURSIVE:
        return config
    warnings.append(f"linux.rootfsPropagation: {value} is not in the specification, taken as runc")
    return {**config, "linux": {**linux, "rootfsPropagation": _RECURSIVE[value]}}


def _device_modes(config: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    """linux.devices[].fileMode with the set-id, sticky or file type bits of a whole st_mode."""
    linux = _linux(config)
    devices = linux.get("devices")
    if type(devices) is not list:
        return config
    copies = []
    for place, device in enumerate(devices):
        mode = device.get("fileMode") if type(device) is dict else None
        if type(mode) is int and 0o777 < mode <= 0o177777:
            warnings.append(f"linux.devices[{place}].fileMode: {mode:#o} is more than permissions")
            device = {**device, "fileMode": mode & 0o777}
        copies.append(device)
    if copies == devices:
        return config
    return {**config, "linux": {**linux, "devices": copies}}


def _no_filter(config: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    """linux.seccomp that says nothing, as Go writes an empty structure, asks for no filter."""
    linux = _linux(config)
    profile = linux.get("seccomp")
    if type(profile) is not dict or profile.get("defaultAction") or profile.get("syscalls"):
        return config
    warnings.append("linux.seccomp: has neither a default action nor rules, and filters nothing")
    return {**config, "linux": {k: v for k, v in linux.items() if k != "seccomp"}}
