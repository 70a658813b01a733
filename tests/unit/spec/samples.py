"""A small valid configuration, and how to change one: set_at(config(), "process.user.uid", 3)."""

from __future__ import annotations

import copy
from typing import Any

from pycontainer import spec
from pycontainer.base.errors import ConfigError

BASE: dict[str, Any] = {
    "ociVersion": "1.3.0",
    "process": {"cwd": "/", "args": ["sh"], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
    "root": {"path": "rootfs"},
    "hostname": "box",
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "linux": {
        "namespaces": [
            {"type": kind} for kind in ("mount", "pid", "network", "ipc", "uts", "cgroup")
        ]
    },
}
IDS = [{"containerID": 0, "hostID": 1000, "size": 100}]


def changed(changes: dict[str, Any], base: dict[str, Any] = BASE) -> dict[str, Any]:
    """A copy with members set by dotted path; None as value removes the member."""
    config = copy.deepcopy(base)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = config
        for parent in parents:
            place = place[int(parent)] if parent.isdigit() else place.setdefault(parent, {})
        if value is None:
            del place[last]
        elif last == "+":
            place.append(copy.deepcopy(value))
        else:
            place[int(last) if last.isdigit() else last] = copy.deepcopy(value)
    return config


def with_user(*also: Any) -> dict[str, Any]:
    """A configuration with a new user namespace (and further namespaces)."""
    config = changed({"linux.uidMappings": IDS, "linux.gidMappings": IDS})
    config["linux"]["namespaces"] += [{"type": "user"}, *also]
    return config


def refusal(config: dict[str, Any]) -> ConfigError | None:
    """The error of a configuration, None when it is accepted."""
    try:
        spec.validate(config)
    except ConfigError as error:
        return error
    return None
