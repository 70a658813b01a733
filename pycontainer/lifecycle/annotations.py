"""crun's annotations, run.oci.*: what the author of config.json asks for beyond the specification.

Engines may pass annotations on from people whom the host does not trust, and runc does nothing for
these. So those that reach beyond the container, and org.criu.config, are ignored with a warning,
unless the settings say that annotations are trusted. Loaded only for a config that has one. What we
do not do is refused where going on without it would be something else than was asked for;
docs/crun.md has the list.
"""

from __future__ import annotations

from pycontainer.base.errors import ConfigError, HostError
from pycontainer.tables.annotations import CRIU_CONFIG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pycontainer.base.settings import Settings
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


# They name files and sockets of the host, put another filter in place of linux.seccomp, or mount a
# hierarchy of cgroups that is the whole host's.
BEYOND = (
    CRIU_CONFIG,
    PREFIX + "hooks.stdout",
    PREFIX + "hooks.stderr",
    PREFIX + "seccomp_bpf_data",
    FORCE_V1,
    PIDFD_RECEIVER,
    RECEIVER,
)
_REFUSED = {
    HANDLER: "this runtime runs programs of the kernel only: it has no handler of that name",
    PLUGINS: "this runtime loads no plugins; linux.seccomp.listenerPath names an agent's socket",
}
_PATHS = tuple(name for name in BEYOND if name not in (CRIU_CONFIG, PREFIX + "seccomp_bpf_data"))


def field(name: str) -> str:
    """The JSON path of an annotation."""
    return f'annotations["{name}"]'


def check(config: dict[str, Any]) -> None:
    """ConfigError for an annotation that cannot be followed, and must not be passed over."""
    annotations = config.get("annotations") or {}
    for name, reason in _REFUSED.items():
        if name in annotations:
            raise ConfigError(
                f'is "{annotations[name]}": {reason}',
                "wrong-value",
                field(name),
                value=annotations[name],
            )
    for name in _PATHS:
        path = annotations.get(name, "/")
        if not path.startswith("/") or "\0" in path:
            raise ConfigError(
                f'is "{path}", must be an absolute path', "not-absolute", field(name), value=path
            )


def contained(config: dict[str, Any]) -> dict[str, Any]:
    """The config without those that reach beyond the container."""
    annotations: dict[str, str] = config["annotations"]
    rest = {name: value for name, value in annotations.items() if name not in BEYOND}
    return config if len(rest) == len(annotations) else {**config, "annotations": rest}


def warn(config: dict[str, Any], settings: Settings) -> None:
    """Say which ones are ignored; the config need not be valid yet."""
    annotations: Any = config.get("annotations")
    if settings.trust_annotations or type(annotations) is not dict:
        return
    for name in BEYOND:
        if name in annotations:
            message = "ignored, it reaches beyond the container; --trust-annotations allows it"
            settings.log.warning(f"{field(name)}: {message}")


def with_receiver(
    config: dict[str, Any], environ: Mapping[bytes, bytes], trusted: bool
) -> dict[str, Any]:
    """The config with the receiver's path as linux.seccomp.listenerPath, unless it has one.

    Done before the config is validated, so nothing in it is believed yet. The annotation counts if
    annotations are trusted, the variable always.
    """
    annotations: Any = config.get("annotations")
    linux: Any = config.get("linux")
    named = annotations.get(RECEIVER) if trusted and type(annotations) is dict else None
    path = named or environ.get(RECEIVER_VARIABLE, b"").decode("utf-8", "surrogateescape")
    seccomp = linux.get("seccomp") if type(linux) is dict else None
    if type(path) is not str or not path or type(seccomp) is not dict:
        return config
    if seccomp.get("listenerPath"):
        return config
    if not path.startswith("/"):
        name = field(RECEIVER) if named else f"${RECEIVER_VARIABLE.decode()}"
        raise ConfigError(
            f'is "{path}", must be an absolute path', "not-absolute", name, value=path
        )
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
            f'is "{wanted}", must be a path below the container\'s cgroup',
            "wrong-path",
            field(DELEGATE),
            value=wanted,
        )
    if paths.mode != "v2":
        raise HostError(
            "delegate a cgroup: it takes cgroup v2", "no-cgroup-v2", field=field(DELEGATE)
        )
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
