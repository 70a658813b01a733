"""Kernel parameters of a namespace that is joined, and is the runtime's own: the host's, mostly.

Whether it is, only the host can tell, so it is no rule of the specification's.
"""

from __future__ import annotations

import posix

from pycontainer.base.errors import ConfigError
from pycontainer.spec.rules.namespaces import sysctl_space
from pycontainer.tables.namespaces import FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def refuse(linux: dict[str, Any]) -> None:
    """ConfigError when a parameter in linux.sysctl would change what is outside of the container.

    A path that cannot be looked at is left to who joins it.
    """
    joined = {entry["type"]: entry.get("path") or "" for entry in linux["namespaces"]}
    for name in linux["sysctl"]:
        kind = sysctl_space(name)
        if joined.get(kind) and _is_own(kind, joined[kind]):
            raise ConfigError(
                f"not allowed in the runtime's own {kind} namespace, which {joined[kind]} is",
                "needs-namespace",
                f'linux.sysctl["{name}"]',
                namespace=kind,
            )


def _is_own(kind: str, path: str) -> bool:
    try:
        theirs, own = posix.stat(path), posix.stat(f"/proc/self/ns/{FILES[kind]}")
    except OSError:
        return False
    return (theirs.st_dev, theirs.st_ino) == (own.st_dev, own.st_ino)
