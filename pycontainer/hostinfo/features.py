"""The features document: what this build supports, whatever the host can do (features.md); the
only exception is `supportedFlags` of seccomp, which is about the kernel.

Each fact here is about the code beside it: a concern that comes changes its line in the same
change. What the tables know is asked of the tables.
"""

from __future__ import annotations

from pycontainer import __version__
from pycontainer.spec.default_config import SPEC_VERSION
from pycontainer.tables import caps, mount_options, namespaces, scheduling, seccomp_names
from pycontainer.tables.annotations import UNSAFE_ANNOTATIONS

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
CGROUP = {"v1": True, "v2": True, "systemd": True, "systemdUser": True, "rdma": True}
APPARMOR = True
SELINUX = True
INTEL_RDT = {"enabled": True, "schemata": True, "monitoring": True}
NET_DEVICES = True
IDMAP = True


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
            "memoryPolicy": {
                "modes": sorted(scheduling.MEMORY_MODES),
                "flags": sorted(scheduling.MEMORY_FLAGS),
            },
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
        "org.opencontainers.runc.checkpoint.enabled": "true",  # whether CRIU is here or not
    }
    library = libseccomp_version()
    if library:
        annotations["io.github.seccomp.libseccomp.version"] = library
    return annotations


def _seccomp() -> dict[str, Any]:
    return {
        "enabled": True,
        "actions": sorted(seccomp_names.ACTIONS),
        "operators": sorted(seccomp_names.OPERATORS),
        "archs": sorted(seccomp_names.ARCHS),
        "knownFlags": sorted(seccomp_names.FLAGS),
        "supportedFlags": sorted(filter(_is_supported, seccomp_names.FLAGS)),
    }


def _is_supported(flag: str) -> bool:
    """Whether this kernel takes the flag: features-linux.md wants those, beside the known ones."""
    try:
        from pycontainer._shim import lib
    except ImportError:  # not built yet
        return False
    bits = seccomp_names.FLAGS[flag]
    if bits == seccomp_names.FLAG_WAIT_KILLABLE_RECV:
        bits |= seccomp_names.FLAG_NEW_LISTENER
    return bool(lib.shim_seccomp_flags_supported(bits))
