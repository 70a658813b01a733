"""crun's annotations, run.oci.*: what the author of config.json asks for beyond the specification.

They name paths of the host and cgroups, so they are as powerful as the config itself: engines must
not pass on what a stranger wrote (features lists the prefix). Loaded only for a config that has
one. What we do not do is refused where going on without it would be something else than was asked
for; docs/crun.md has the list.
"""

from __future__ import annotations

from pycontainer.base.errors import ConfigError, HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pycontainer.cgroups.paths import CgroupPaths
    from pycontainer.executor.engine import Started

PREFIX = "run.oci."
RECEIVER_VARIABLE = b"RUN_OCI_SECCOMP_RECEIVER"
DELEGATE = PREFIX + "delegate-cgroup"
FORCE_V1 = PREFIX + "systemd.force_cgroup_v1"
HANDLER = PREFIX + "handler"
PIDFD_RECEIVER = PREFIX + "pidfd_receiver"
PLUGINS = PREFIX + "seccomp.plugins"
RECEIVER = PREFIX + "seccomp.receiver"
SUBGROUP = PREFIX + "systemd.subgroup"


_REFUSED = {
    HANDLER: "this runtime runs programs of the kernel only: it has no handler of that name",
    PLUGINS: "this runtime loads no plugins; linux.seccomp.listenerPath names an agent's socket",
}
_PATHS = (
    RECEIVER,
    PIDFD_RECEIVER,
    FORCE_V1,
    PREFIX + "hooks.stdout",
    PREFIX + "hooks.stderr",
)


def field(name: str) -> str:
    """The JSON path of an annotation."""
    return f'annotations["{name}"]'


def check(config: dict[str, Any]) -> None:
    """ConfigError for an annotation that cannot be followed, and must not be passed over."""
    annotations = config.get("annotations") or {}
    for name, reason in _REFUSED.items():
        if name in annotations:
            raise ConfigError(f'is "{annotations[name]}": {reason}', field=field(name))
    for name in _PATHS:
        path = annotations.get(name, "/")
        if not path.startswith("/") or "\0" in path:
            raise ConfigError(f'is "{path}", must be an absolute path', field=field(name))


def with_receiver(config: dict[str, Any], environ: Mapping[bytes, bytes]) -> dict[str, Any]:
    """The config with the receiver's path as linux.seccomp.listenerPath, unless it has one.

    Done before the config is validated, so nothing in it is believed yet.
    """
    annotations: Any = config.get("annotations")
    linux: Any = config.get("linux")
    named = annotations.get(RECEIVER) if type(annotations) is dict else None
    path = named or environ.get(RECEIVER_VARIABLE, b"").decode("utf-8", "surrogateescape")
    seccomp = linux.get("seccomp") if type(linux) is dict else None
    if type(path) is not str or not path or type(seccomp) is not dict:
        return config
    if seccomp.get("listenerPath"):
        return config
    if not path.startswith("/"):
        name = field(RECEIVER) if named else f"${RECEIVER_VARIABLE.decode()}"
        raise ConfigError(f'is "{path}", must be an absolute path', field=name)
    return {**config, "linux": {**linux, "seccomp": {**seccomp, "listenerPath": path}}}


# -- cgroups ---------------------------------------------------------------------------------


def delegated(config: dict[str, Any], paths: CgroupPaths) -> str:
    """The cgroup below the container's that the program is to have for its own, or "".

    ConfigError for a path that could lead out of it, HostError on v1, where it would be no safe
    thing to give away.
    """
    wanted = (config.get("annotations") or {}).get(DELEGATE)
    if not wanted:
        return ""
    parts = [part for part in wanted.split("/") if part not in ("", ".")]
    if ".." in parts or not parts or "\0" in wanted:
        raise ConfigError(
            f'is "{wanted}", must be a path below the container\'s cgroup', field=field(DELEGATE)
        )
    if paths.mode != "v2":
        raise HostError("delegate a cgroup: it takes cgroup v2", field=field(DELEGATE))
    return f"{paths.unified}/{'/'.join(parts)}"


def warnings(config: dict[str, Any], driver: str) -> list[str]:
    """What is passed over because nothing depends on it."""
    name = (config.get("annotations") or {}).get(SUBGROUP)
    if name and driver == "systemd":
        return [f"{field(SUBGROUP)}: containers are in the unit's own cgroup, not in {name}"]
    return []


# -- init ------------------------------------------------------------------------------------


def announce(config: dict[str, Any], started: Started) -> None:
    """A pidfd of the container's init for the socket that waits for it."""
    path = (config.get("annotations") or {}).get(PIDFD_RECEIVER)
    if path:
        from pycontainer.linux.fd_passing import send_fd

        send_fd(path, started.pidfd, b"pidfd", "pidfd receiver")
