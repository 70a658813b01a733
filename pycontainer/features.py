"""The features document: what this build supports, whatever the host can do (features.md).

Each fact here is about the code beside it: a concern that comes changes its line in the same
change. What the tables know is asked of the tables.
"""

from __future__ import annotations

from pycontainer import __version__
from pycontainer.default_spec import SPEC_VERSION
from pycontainer.tables import caps, mount_options, namespaces, seccomp_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OLDEST_SPEC_VERSION = "1.0.0"
HOOKS = (
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
)
CGROUP = {"v1": True, "v2": True, "systemd": False, "systemdUser": False, "rdma": True}
APPARMOR = True
SELINUX = False
INTEL_RDT = {"enabled": False, "schemata": False, "monitoring": False}
NET_DEVICES = False
IDMAP = False
# Annotations of config.json that reach beyond the container; engines filter them.
UNSAFE_ANNOTATIONS = ("bundle",)


def document() -> dict[str, Any]:
    """The document as features.md and features-linux.md describe it."""
    return {
        "ociVersionMin": OLDEST_SPEC_VERSION,
        "ociVersionMax": SPEC_VERSION,
        "hooks": list(HOOKS),
        "mountOptions": mount_options.known_options(),
        "linux": {
            "namespaces": sorted(namespaces.TYPES),
            "capabilities": list(caps.NAMES),
            "cgroup": dict(CGROUP),
            "seccomp": _seccomp(),
            "apparmor": {"enabled": APPARMOR},
            "selinux": {"enabled": SELINUX},
            "intelRdt": dict(INTEL_RDT),
            "mountExtensions": {"idmap": {"enabled": IDMAP}},
            "netDevices": {"enabled": NET_DEVICES},
        },
        "annotations": _annotations(),
        "potentiallyUnsafeConfigAnnotations": list(UNSAFE_ANNOTATIONS),
    }


def libseccomp_version() -> str:
    """The version of the libseccomp that a profile would be compiled with; "" without one."""
    try:
        from pycontainer._shim import lib
    except ImportError:  # not built yet
        return ""
    if lib.shim_seccomp_open() < 0:
        return ""
    number = lib.shim_seccomp_version()
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"


def _annotations() -> dict[str, str]:
    """Ours, and those that runc made known (its types/features)."""
    annotations = {
        "io.github.pycontainer.version": __version__,
        "org.opencontainers.runc.checkpoint.enabled": "false",
    }
    library = libseccomp_version()
    if library:
        annotations["io.github.seccomp.libseccomp.version"] = library
    return annotations


def _seccomp() -> dict[str, Any]:
    flags = sorted(seccomp_names.FLAGS)
    return {
        "enabled": True,
        "actions": sorted(seccomp_names.ACTIONS),
        "operators": sorted(seccomp_names.OPERATORS),
        "archs": sorted(seccomp_names.ARCHS),
        "knownFlags": flags,
        "supportedFlags": flags,
    }
