"""Capability names and bits, capabilities(7), up to Linux 5.9's CAP_CHECKPOINT_RESTORE."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# The place in this tuple is the kernel's number.
NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
LAST = len(NAMES) - 1
BITS = {name: bit for bit, name in enumerate(NAMES)}


def mask(names: Iterable[str], last: int = LAST) -> tuple[int, list[str]]:
    """Return the capabilities as a bit mask, and the names that are unknown.

    `last` is the running kernel's highest capability (/proc/sys/kernel/cap_last_cap): what is
    above it counts as unknown. config.md#linux-process wants a warning for those, not a failure.
    """
    bits = 0
    unknown = []
    for name in names:
        bit = BITS.get(name, 64)
        if bit > last:
            unknown.append(name)
        else:
            bits |= 1 << bit
    return bits, unknown


def names(bits: int) -> list[str]:
    """Return the names in a mask, in the kernel's order; bits without a name as "CAP_41"."""
    found = []
    for bit in range(bits.bit_length()):
        if bits >> bit & 1:
            found.append(NAMES[bit] if bit <= LAST else f"CAP_{bit}")
    return found
