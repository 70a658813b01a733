"""What an entry of `mounts` may not ask for, as ConfigError."""

from __future__ import annotations

from pycontainer.base.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.tables.mount_options import ParsedOptions

# What may be mounted inside of /proc, as with runc: files that lxcfs shows with a container's own
# numbers. Elsewhere there an image's volume could take the place of what others rely on.
_PROC_FILES = frozenset(
    f"/proc/{name}"
    for name in (
        *("cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo"),
        *("sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"),
    )
)


def fstype(mount: dict[str, Any], field: str) -> str:
    """The type of a mount that is no bind."""
    if not mount.get("type"):
        raise ConfigError(
            'a mount that is no bind needs a type (a bind needs the option "bind" or "rbind")',
            "required",
            f"{field}.type",
        )
    return mount["type"]


def options(mount: dict[str, Any], asked: ParsedOptions, field: str) -> None:
    """Words that are for one kind of mount only."""
    if asked.tmpcopyup and (asked.bind or mount.get("type") != "tmpfs"):
        raise ConfigError(
            "tmpcopyup is for mounts of type tmpfs",
            "wrong-options",
            field,
        )
    if (asked.links or asked.idmap) and not asked.bind:
        raise ConfigError(
            "copy-symlink, src-nofollow, dest-nofollow and idmap are for bind mounts",
            "wrong-options",
            field,
        )


def proc(mount: dict[str, Any], target: str, bind: int, field: str) -> None:
    """Nothing covers /proc but a procfs (of a bind the executor knows it), or lies inside of it."""
    if target == "/proc":
        if bind or mount.get("type") == "proc":
            return
        reason = "not of type proc"
    elif target.startswith("/proc/") and target not in _PROC_FILES:
        reason = "inside /proc"
    else:
        return
    raise ConfigError(
        f'"{target}" cannot be mounted because it is {reason}',
        "not-mountable",
        f"{field}.destination",
        value=target,
    )
