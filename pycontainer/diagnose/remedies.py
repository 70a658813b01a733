"""What to do about an error whose code, field and facts say everything: a table.

Loaded after a failure. Nothing here looks at a container; a path of the host is looked at to name
the part of it that is missing.
"""

from __future__ import annotations

from errno import EACCES, ENOENT, ENOTDIR

from pycontainer.base.nearest import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pycontainer.base.errors import ContainerError

_RANGE = '{"containerID": 0, "hostID": 100000, "size": 65536}'
# "FIELD CODE": the remedy. In a field, [] stands for an index or a key. "*" is any field or code.
REMEDIES: dict[str, str] = {
    "ociVersion required": 'add "ociVersion": "1.2.0"',
    "ociVersion too-new": "set ociVersion to 1.3.0",
    "root required": 'add "root": {"path": "rootfs"}',
    "process required": 'add "process" with "args" and "cwd", as `spec` writes it',
    "process.args no-process": 'add "process" with "args" and "cwd", as `spec` writes it',
    "process.args required": 'add "args": ["PROGRAM", "ARGUMENT"]',
    "process.args empty": 'name the program, e.g. "args": ["sh"]',
    "process.cwd required": 'add "cwd": "/"',
    "process.user.uid unmapped-id": "add it to linux.uidMappings, or take an id that is mapped",
    "process.user.gid unmapped-id": "add it to linux.gidMappings, or take an id that is mapped",
    "process.user.additionalGids[] unmapped-id": "add it to linux.gidMappings, or remove it",
    "process.capabilities.effective not-allowed": "add them to process.capabilities.permitted, too",
    "process.rlimits[].type duplicate": "remove one of the two",
    "process.scheduler out-of-range": "choose runtime <= deadline <= period, in nanoseconds",
    "linux.namespaces[].type duplicate": "remove one of the two",
    "linux.uidMappings required": f"add one, e.g. {_RANGE}, or remove the user namespace",
    "linux.gidMappings required": f"add one, e.g. {_RANGE}, or remove the user namespace",
    "linux.uidMappings differs": "leave uidMappings out: the namespace that is joined has its own",
    "linux.gidMappings differs": "leave gidMappings out: the namespace that is joined has its own",
    "linux.timeOffsets joined-namespace": (
        "remove path of the time namespace, or remove linux.timeOffsets"
    ),
    "linux.sysctl[] exclusive": "remove it, and set hostname",
    "linux.sysctl[] wrong-name": "correct the name: `sysctl -a` lists those that there are",
    "linux.sysctl[] of-the-host": "set it on the host with `sysctl -w`, and remove it here",
    "linux.devices[].major required": "`ls -l` of the device shows its major and minor number",
    "linux.devices[].minor required": "`ls -l` of the device shows its major and minor number",
    "linux.seccomp.defaultAction not-allowed": (
        "take SCMP_ACT_ERRNO or SCMP_ACT_ALLOW, and SCMP_ACT_NOTIFY for calls in syscalls"
    ),
    "linux.seccomp.syscalls[].names not-allowed": "remove write from names",
    "linux.seccomp.listenerPath required": "name the agent's socket there, or take another action",
    "linux.resources.memory.swap below-limit": (
        "swap counts memory plus swap; fix: set it to at least memory.limit, or -1 for no limit"
    ),
    "linux.resources.unified no-cgroup-v2": (
        "use linux.resources.memory and the like, or boot with systemd.unified_cgroup_hierarchy=1"
    ),
    "linux.resources.memory.limit limit-below-usage": "give a higher limit, or free memory first",
    "mounts[].destination required": 'add "destination", its path in the container',
    "mounts[].destination not-mountable": "choose another destination",
    "mounts[].options needs-mappings": "add uidMappings and gidMappings, or remove idmap",
    "hostname too-large": "shorten it",
    "domainname too-large": "shorten it",
    "linux.uidMappings[] out-of-range": "lower size",
    "linux.gidMappings[] out-of-range": "lower size",
    "* hook-exit": "see what the hook complains of, or remove it",
    "* hook-signal": "find out who has killed the hook, or remove it",
    "* overlap": "change the ranges so that each id is in one of them",
    "* needs-namespace": 'add {{"type": "{namespace}"}} to linux.namespaces, or remove {field}',
    "* nul": "remove the NUL byte (\\u0000)",
    "* not-absolute": "begin it with /",
}


def of(error: ContainerError) -> str:
    """`fix: ` and the remedy, or ""."""
    remedy = _remedy(error)
    return remedy if not remedy or "; fix: " in remedy or "?" in remedy else f"fix: {remedy}"


def _remedy(error: ContainerError) -> str:
    place, _ = field_and_keys(error.field)
    keys = (f"{place} {error.code}", f"* {error.code}")
    words = next((REMEDIES[key] for key in keys if key in REMEDIES), "")
    if "{namespace}" in words:
        facts = {"field": error.field, **error.params}
        return words.format_map(facts) if "namespace" in facts else ""
    if words:
        return words
    find = _COMPUTED.get(error.code)
    return (find(error, place) if find else "") or _path(error)


def field_and_keys(field: str) -> tuple[str, dict[str, str]]:
    """The field with [] for each index and key; the last of both."""
    place, bracket, rest = field.partition("[")
    facts = {"key": "", "index": ""}
    while bracket:
        quoted = rest[:1] in ("'", '"')
        if quoted:  # a key may hold anything
            facts["key"], _, rest = rest[1:].rpartition(rest[0] + "]")
        else:
            facts["index"], _, rest = rest.partition("]")
        head, bracket, rest = rest.partition("[")
        place += "[]" + head
    return place, facts


# -- remedies that depend on the value -------------------------------------------------------------


def _limit_type(error: ContainerError, place: str) -> str:
    """A resource limit that there is not."""
    if place != "process.rlimits[].type":
        return ""
    from pycontainer.tables import rlimits

    name = str(error.params.get("value"))
    near = did_you_mean(f"RLIMIT_{name.upper().removeprefix('RLIMIT_')}", rlimits.NUMBERS)
    return near or f"take one of {', '.join(rlimits.NUMBERS)}"


def _limit(error: ContainerError, place: str) -> str:
    if not place.startswith("process.rlimits[]."):
        return ""
    if int(error.params.get("value", 0)) < 0:
        return f"no limit is {(1 << 64) - 1}"
    return "lower soft, or raise hard"


_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def _wrong_type(error: ContainerError, place: str) -> str:
    """A number, a truth or a list that was written as a string."""
    value, expected = error.params.get("value"), error.params.get("expected")
    if type(value) is int and expected == "string":
        return f'write "{value}" with quotes'
    if type(value) is not str:
        return ""
    if expected == "array":
        parts = value.split(",") if place.endswith(".options") else value.split()
        words = ", ".join(f'"{word}"' for word in parts)
        return f"write [{words}]"
    if expected == "boolean" and value.lower() in ("true", "false"):
        return f"write {value.lower()} without quotes"
    if expected != "integer":
        return ""
    if place.endswith(("fileMode", "umask")) and value.isdigit() and not value.strip("01234567"):
        return f"JSON has no octal numbers: write {int(value, 8)}"
    text = value.strip().lower().removesuffix("b").removesuffix("i")
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "")
    if not number.isascii() or not number.isdigit():
        return "look its number up in the image's /etc/passwd" if place.endswith(".uid") else ""
    return f"write {int(number) * _UNITS[unit]} without quotes" + (", in bytes" if unit else "")


_COMPUTED: dict[str, Callable[[ContainerError, str], str]] = {
    "unknown": _limit_type,
    "wrong-form": _limit_type,
    "out-of-range": _limit,
    "wrong-type": _wrong_type,
}


def _path(error: ContainerError) -> str:
    """The part of a path of the host that is missing, a file, or closed."""
    if error.category == "operation" or error.path[:1] != "/":
        return ""
    from pycontainer.diagnose import paths

    if error.errno in (ENOENT, ENOTDIR):
        return str(paths.obstacle(error.path))
    if error.errno == EACCES:
        import os

        closed = paths.unsearchable(error.path, (os.geteuid(), os.getegid()))
        return str(closed or "")
    return ""
