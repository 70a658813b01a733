"""An image's config as a config.json: what engines make of it, with safe defaults.

Entrypoint, Cmd → process.args        User → process.user        Env, WorkingDir → process
Labels, StopSignal, ExposedPorts, … → annotations (image-spec, conversion.md)
Volumes → nothing with a writable root, which is the container's own; else a tmpfs each
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any

from pycontainer.base.errors import UsageError
from pycontainer.image import ImageError, seccomp_profile, users
from pycontainer.image.source import Image
from pycontainer.linux.namespace_child import Ids
from pycontainer.monitor.units import size
from pycontainer.spec import default_config
from pycontainer.tables import caps
from pycontainer.tables.annotations import UNSAFE_ANNOTATIONS

CAPABILITIES = frozenset(
    f"CAP_{name}"
    for name in """CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP
    SETUID SYS_CHROOT""".split()
)
PIDS = 2048
CPU_PERIOD = 100_000  # microseconds
MASKED = (
    *default_config.MASKED,
    "/proc/interrupts",
    "/sys/dev/block",
    "/sys/devices/virtual/powercap",
)
# What engines add to the mount options of the default config.
STRICTER = {"/proc": ["nosuid", "noexec", "nodev"], "/dev": ["noexec"]}
HOSTS = "hosts"  # of the bundle, where the network is the container's own
ANNOTATION = "org.opencontainers.image."


@dataclass
class Options:
    """What the caller wants otherwise than the image has it: the options of the command line."""

    args: list[str] = field(default_factory=list)
    entrypoint: str | None = None
    env: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    net: str = "none"
    memory: str = ""
    cpus: str = ""
    pids: int | None = None
    user: str = ""
    workdir: str = ""
    hostname: str = ""
    read_only: bool = False
    tty: bool = False
    no_new_privs: bool = False
    cap_add: list[str] = field(default_factory=list)
    cap_drop: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """What makes no sense is refused before anything is unpacked."""
        for check in (_check_net, _binds, _capabilities, _limits):
            check(self)


def config(
    image: Image, options: Options, etc: dict[str, str], ids: Ids | None
) -> tuple[dict[str, Any], list[str]]:
    """A config.json with the root "rootfs", and warnings."""
    settings = image.settings
    base = default_config.example()
    process = _process(settings, options, etc, base["process"])
    if ids is not None and ids.squash:
        process["user"].pop("additionalGids", None)  # setgroups is denied with one id
    annotations, warnings = _annotations(image)
    warnings += [f"ignore {e!r} in the image's Env: not NAME=VALUE" for e in _unset(settings)]
    own = [_strict(mount) for mount in base["mounts"]]
    mounts = [*own, *_binds(options), *_volumes(settings, options)]
    result = {
        **base,
        "process": process,
        "root": {"path": "rootfs", "readonly": options.read_only},
        "mounts": mounts,
        "annotations": annotations,
        "linux": _linux(options, ids, base["linux"], process["capabilities"]["bounding"]),
    }
    if options.hostname:
        result["hostname"] = options.hostname
    if not annotations:
        del result["annotations"]
    if ids is not None and options.net == "host":
        result["mounts"] = [  # sysfs belongs to the owner of the network namespace
            {"destination": "/sys", "type": "none", "source": "/sys",
             "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]}
            if mount["destination"] == "/sys" else mount
            for mount in mounts
        ]  # fmt: skip
    return result, warnings


# -- process ------------------------------------------------------------------------------------


def _process(
    settings: dict[str, Any], options: Options, etc: dict[str, str], base: dict[str, Any]
) -> dict[str, Any]:
    cwd = str(options.workdir or settings.get("WorkingDir") or "/")
    user, home = users.lookup(options.user or str(settings.get("User") or ""), etc, cwd)
    bounding = _capabilities(options)
    # As root it has them all; another user has those that were asked for by name.
    own = bounding if user["uid"] == 0 else sorted(bounding & _named(options.cap_add))
    capabilities = {"bounding": sorted(bounding)}
    if own:
        capabilities |= dict.fromkeys(("effective", "permitted"), sorted(own))
    if own and user["uid"] != 0:
        capabilities |= dict.fromkeys(("inheritable", "ambient"), sorted(own))
    result = {
        "terminal": options.tty,
        "user": user,
        "args": _args(settings, options),
        "env": _env(settings, options, home),
        "cwd": cwd,
        "capabilities": capabilities,
        "noNewPrivileges": options.no_new_privs,
    }
    if not cwd.startswith("/"):
        raise ImageError(f"the working directory {cwd!r} is not absolute", "bad-image")
    return {key: result.get(key, base.get(key)) for key in result}


def _args(settings: dict[str, Any], options: Options) -> list[str]:
    entrypoint, command = _texts(settings, "Entrypoint"), _texts(settings, "Cmd")
    if options.entrypoint is not None:
        entrypoint, command = [options.entrypoint] if options.entrypoint else [], []
    return [*entrypoint, *(options.args or command)] or ["sh"]


def _env(settings: dict[str, Any], options: Options, home: str) -> list[str]:
    found = {"PATH": default_config.PATH.partition("=")[2]}
    if options.tty:
        found["TERM"] = os.environ.get("TERM") or "xterm"
    unset = _unset(settings)
    for entry in (*(e for e in _texts(settings, "Env") if e not in unset), *options.env):
        name, equals, value = entry.partition("=")
        if not equals:  # -e NAME: the caller's, if it is set
            if name not in os.environ:
                continue
            value = os.environ[name]
        found[name] = value
    found.setdefault("HOME", home)
    return [f"{name}={value}" for name, value in found.items()]


def _unset(settings: dict[str, Any]) -> list[str]:
    """Entries of the image's Env that set nothing; an image does not get the caller's variables."""
    return [entry for entry in _texts(settings, "Env") if entry.find("=") < 1]


def _capabilities(options: Options) -> frozenset[str]:
    kept: frozenset[str] = CAPABILITIES
    dropped, added = _named(options.cap_drop), _named(options.cap_add)
    return frozenset(kept - dropped | added)


def _named(names: list[str]) -> frozenset[str]:
    """With or without CAP_, in any case; ALL for all."""
    found: set[str] = set()
    for name in names:
        word = name.upper()
        full = word if word.startswith("CAP_") else f"CAP_{word}"
        if word == "ALL":
            found.update(caps.NAMES)
        elif full in caps.BITS:
            found.add(full)
        else:
            raise UsageError(f"no capability {name}", "unknown")
    return frozenset(found)


def _texts(settings: dict[str, Any], name: str) -> list[str]:
    value = settings.get(name) or []
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ImageError(f"the image's config: {name} is no list of strings", "bad-image")
    return value


# -- annotations, mounts ------------------------------------------------------------------------


def _annotations(image: Image) -> tuple[dict[str, str], list[str]]:
    settings, config = image.settings, image.config
    found = {
        "ref.name": image.reference,
        "os": config.get("os"),
        "architecture": config.get("architecture"),
        "variant": config.get("variant"),
        "author": config.get("author"),
        "created": config.get("created"),
        "stopSignal": settings.get("StopSignal"),
        "exposedPorts": ",".join(settings.get("ExposedPorts") or ()),
    }
    annotations = {ANNOTATION + name: str(value) for name, value in found.items() if value}
    warnings = []
    for name, value in (settings.get("Labels") or {}).items():
        if name.startswith(UNSAFE_ANNOTATIONS):
            warnings.append(f"ignore label {name}: an annotation of that name changes the runtime")
        elif name:
            annotations[name] = str(value)
    return annotations, warnings


def _strict(mount: dict[str, Any]) -> dict[str, Any]:
    more = STRICTER.get(mount["destination"])
    return {**mount, "options": [*mount.get("options", ()), *more]} if more else mount


def _binds(options: Options) -> list[dict[str, Any]]:
    """-v SOURCE:TARGET[:OPTIONS], and what a host's network needs: its resolver and its names."""
    result: list[dict[str, Any]] = []
    words = ["ro", "nosuid", "nodev", "noexec"]
    if options.net == "host":
        shown = [path for path in ("/etc/resolv.conf", "/etc/hosts") if os.path.exists(path)]
        result += [_bind(path, path, words) for path in shown]
    else:
        result.append(_bind(HOSTS, "/etc/hosts", words))
    for text in options.volumes:
        source, _, rest = text.partition(":")
        target, _, asked = rest.partition(":")
        if not source or not target.startswith("/"):
            raise UsageError(f"-v {text}: expected SOURCE:TARGET[:OPTIONS]", "wrong-form")
        result.append(_bind(os.path.abspath(source), target, asked.split(",") if asked else []))
    return result


def _bind(source: str, target: str, options: list[str]) -> dict[str, Any]:
    return {
        "destination": target,
        "type": "bind",
        "source": source,
        "options": ["rbind", *options],
    }


def _volumes(settings: dict[str, Any], options: Options) -> list[dict[str, Any]]:
    if not options.read_only:
        return []
    taken = {text.split(":")[1] for text in options.volumes}
    words = "nosuid nodev tmpcopyup"
    return [
        default_config.mount(path, "tmpfs", "tmpfs", words)
        for path in settings.get("Volumes") or ()
        if path not in taken
    ]


# -- linux --------------------------------------------------------------------------------------


def _linux(
    options: Options, ids: Ids | None, base: dict[str, Any], capabilities: list[str]
) -> dict[str, Any]:
    kinds = [space["type"] for space in base["namespaces"]]
    if "cgroup" not in kinds and os.path.exists("/proc/self/ns/cgroup"):
        kinds.append("cgroup")
    if options.net == "host":
        kinds.remove("network")
    if ids is not None:
        kinds.append("user")
    result = {
        **base,
        "namespaces": [{"type": kind} for kind in kinds],
        "maskedPaths": list(MASKED),
        "seccomp": seccomp_profile.profile(capabilities),
        "resources": {**base["resources"], **_limits(options, ids)},
    }
    if ids is not None:
        result |= ids.mappings()
        del result["resources"]["devices"]  # of no effect for an ordinary user
    return result


def _check_net(options: Options) -> None:
    if options.net not in ("host", "none"):
        raise UsageError(f"--net {options.net}: must be host or none", "unknown-network")


def _limits(options: Options, ids: Ids | None = None) -> dict[str, Any]:
    """What was asked for; a limit of processes without being asked, where a cgroup is certain."""
    from pycontainer.spec.host_bundle import enabled_controllers

    limits: dict[str, Any] = {}
    if options.memory:
        limits["memory"] = {"limit": size(options.memory)}
    if options.cpus:
        if not re.fullmatch(r"\d+(\.\d+)?", options.cpus) or float(options.cpus) <= 0:
            raise UsageError(f"--cpus {options.cpus}: must be a number, like 1.5", "wrong-form")
        limits["cpu"] = {"quota": int(float(options.cpus) * CPU_PERIOD), "period": CPU_PERIOD}
    pids = options.pids
    if pids is None and ids is None and "pids" in enabled_controllers():
        pids = PIDS
    if pids is not None:
        limits["pids"] = {"limit": pids or -1}  # 0: no limit, as with Podman
    return limits
