"""Who the program's process is, and what the modes of files let it do."""

from __future__ import annotations

import os

from pycontainer.tables import caps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.diagnose.tree import Node

_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2
_SEARCH = 1


class Identity:
    """process.user and its capabilities, with the ids that files show to us."""

    __slots__ = ("bounding", "effective", "gids", "inside", "no_new_privs", "outside")

    def __init__(self, config: dict[str, Any]) -> None:
        process, linux = config.get("process") or {}, config.get("linux") or {}
        user, sets = process.get("user") or {}, process.get("capabilities") or {}
        self.inside: int = user.get("uid", 0)
        uids, gids = linux.get("uidMappings") or (), linux.get("gidMappings") or ()
        self.outside = _outside(self.inside, uids)
        groups = [user.get("gid", 0), *(user.get("additionalGids") or ())]
        self.gids = {_outside(group, gids) for group in groups}
        self.effective = caps.mask(sets.get("effective") or ())[0]
        self.bounding = caps.mask(sets.get("bounding") or ())[0]
        self.no_new_privs = bool(process.get("noNewPrivileges"))

    def __str__(self) -> str:
        if self.inside == self.outside:
            return f"uid {self.inside}"
        return f"uid {self.inside} ({self.outside} on the host)"

    def may(self, node: Node, right: int) -> bool:
        """The kernel's answer from mode and capabilities (1: search, or execute). A file with an
        access control list is not judged: yes."""
        mode = node.status.st_mode
        if self.effective & _DAC_OVERRIDE and (node.is_dir or mode & 0o111):
            return True
        if self.effective & _DAC_READ_SEARCH and node.is_dir and right == _SEARCH:
            return True
        if "system.posix_acl_access" in _attributes(node):
            return True
        owner, group = node.status.st_uid, node.status.st_gid
        shift = 6 if owner == self.outside else 3 if group in self.gids else 0
        return bool(mode >> shift & right)

    def part(self, node: Node) -> str:
        """Which part of the mode is for this user, as chmod(1) calls it."""
        if node.status.st_uid == self.outside:
            return "u"
        return "g" if node.status.st_gid in self.gids else "o"

    def lacking(self, node: Node) -> str:
        """File capabilities (capabilities(7)) that are beyond the bounding set, by name."""
        if self.no_new_privs or "security.capability" not in _attributes(node):
            return ""
        value = os.getxattr(f"/proc/self/fd/{node.fd}", "security.capability")
        # struct vfs_ns_cap_data: flags, then permitted and inheritable, each in two halves
        flags, low, _, high = (int.from_bytes(value[at : at + 4], "little") for at in (0, 4, 8, 12))
        wanted = (high << 32 | low) & ~self.bounding
        return ", ".join(caps.names(wanted)) if flags & 1 else ""


def _outside(number: int, mappings: Any) -> int:
    for entry in mappings:
        if 0 <= number - entry["containerID"] < entry["size"]:
            return int(entry["hostID"]) + number - int(entry["containerID"])
    return number


def _attributes(node: Node) -> list[str]:
    try:
        return os.listxattr(f"/proc/self/fd/{node.fd}")
    except OSError:
        return []
