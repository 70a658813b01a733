"""`update`: other limits for a container, as options or as a document."""

from __future__ import annotations

from pycontainer.cli.options import TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "change the limits of a container"
USAGE = "update [options] CONTAINER"
WORDS = (1, 1)
OPTIONS = (
    ("resources", "r", TEXT, "FILE", "read linux.resources from FILE (- is stdin)"),
    ("blkio-weight", "", TEXT, "N", "share of block I/O, 10 to 1000"),
    ("cpu-period", "", TEXT, "USEC", "length of a period of the quota"),
    ("cpu-quota", "", TEXT, "USEC", "CPU time in each period; -1 is no limit"),
    ("cpu-burst", "", TEXT, "USEC", "unused quota that may be saved up"),
    ("cpu-rt-period", "", TEXT, "USEC", "length of a period of realtime scheduling"),
    ("cpu-rt-runtime", "", TEXT, "USEC", "realtime in each such period"),
    ("cpu-share", "", TEXT, "N", "share of CPU time"),
    ("cpu-idle", "", TEXT, "0|1", "1: run only when the CPU is idle (SCHED_IDLE)"),
    ("cpuset-cpus", "", TEXT, "LIST", "CPUs to run on: 0-2,5"),
    ("cpuset-mems", "", TEXT, "LIST", "memory nodes to use"),
    ("memory", "", TEXT, "SIZE", "memory limit: 64m, 1.5g, -1 for none"),
    ("memory-reservation", "", TEXT, "SIZE", "memory that is kept for it"),
    ("memory-swap", "", TEXT, "SIZE", "limit of memory and swap together; -1 for none"),
    ("pids-limit", "", TEXT, "N", "how many tasks; -1 for any number"),
    ("l3-cache-schema", "", TEXT, "SCHEMA", "Intel RDT: share of the L3 cache"),
    ("mem-bw-schema", "", TEXT, "SCHEMA", "Intel RDT: share of the memory bandwidth"),
    ("kernel-memory", "", TEXT, "SIZE", ""),
    ("kernel-memory-tcp", "", TEXT, "SIZE", ""),
)
HELP = """\
What is not named stays as it is. A value that cannot be set changes nothing.

   pycontainer update --memory 256m --cpu-quota 50000 mybox
   echo '{"pids": {"limit": 20}}' | pycontainer update -r - mybox
"""

# option: (section and property of linux.resources, how to read it)
SIGNED, UNSIGNED, SIZE, LIST = "signed", "unsigned", "size", "list"
PROPERTIES = {
    "blkio-weight": ("blockIO", "weight", UNSIGNED),
    "cpu-period": ("cpu", "period", UNSIGNED),
    "cpu-quota": ("cpu", "quota", SIGNED),
    "cpu-burst": ("cpu", "burst", UNSIGNED),
    "cpu-rt-period": ("cpu", "realtimePeriod", UNSIGNED),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime", SIGNED),
    "cpu-share": ("cpu", "shares", UNSIGNED),
    "cpu-idle": ("cpu", "idle", SIGNED),
    "cpuset-cpus": ("cpu", "cpus", LIST),
    "cpuset-mems": ("cpu", "mems", LIST),
    "memory": ("memory", "limit", SIZE),
    "memory-reservation": ("memory", "reservation", SIZE),
    "memory-swap": ("memory", "swap", SIZE),
    "kernel-memory": ("memory", "kernel", SIZE),
    "kernel-memory-tcp": ("memory", "kernelTCP", SIZE),
    "pids-limit": ("pids", "limit", SIGNED),
}
SCHEMAS = {"l3-cache-schema": "l3CacheSchema", "mem-bw-schema": "memBwSchema"}
FACTORS = {letter: 1 << 10 * (power + 1) for power, letter in enumerate("kmgtp")}


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.cli import find
    from pycontainer.lifecycle import update

    container = find(settings, arguments)
    if arguments["resources"]:
        resources = document(arguments["resources"])
    else:
        resources = of_options(arguments)
    schemas = {SCHEMAS[name]: arguments[name] for name in SCHEMAS if arguments[name]}
    update.update(container, resources, schemas)
    return 0


def of_options(arguments: Arguments) -> dict[str, Any]:
    """The options as linux.resources; UsageError for what is no number."""
    resources: dict[str, Any] = {}
    for option, (section, name, kind) in PROPERTIES.items():
        text = arguments[option]
        if text:
            resources.setdefault(section, {})[name] = _value(option, kind, text)
    return resources


def _value(option: str, kind: str, text: str) -> int | str:
    from pycontainer.base.errors import UsageError

    if kind == LIST:
        return text
    wrong = UsageError(f'invalid value for {option}: "{text}" is not a number', "wrong-form")
    if kind == SIZE:
        size = -1 if text == "-1" else bytes_of(text)
        if size is None:
            raise UsageError(f'invalid value for {option}: invalid size: "{text}"', "no-size")
        return size
    digits = text[1:] if text[0] in ("+-" if kind == SIGNED else "+") else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
        raise wrong
    return int(text)


def bytes_of(text: str) -> int | None:
    """A size as Docker writes it: 64m, 1.5 GiB, 100kb; powers of 1024. None when it is none."""
    rest = text.lower().removesuffix("b").removesuffix("i")
    if rest != text.lower() and not text:
        return None
    factor = FACTORS.get(rest[-1:], 1)
    if factor > 1:
        rest = rest[:-1]
    rest = rest.removesuffix(" ")
    if not (rest.isascii() and rest.replace(".", "", 1).isdigit()) or rest[0] == ".":
        return None
    return int(float(rest) * factor) if "." in rest else int(rest) * factor


def document(path: str) -> dict[str, Any]:
    """The resources in a file, or on stdin for "-"."""
    import posix

    from pycontainer.base import jsonfast
    from pycontainer.base.errors import ConfigError, UsageError

    try:
        fd = 0 if path == "-" else posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        data = b""
        while chunk := posix.read(fd, 65536):
            data += chunk
    except OSError as error:
        raise UsageError.of("read", path, error) from None
    try:
        resources = jsonfast.loads(data)
    except ValueError as error:
        raise ConfigError(f"read resources: {error}", "unreadable") from None
    if not isinstance(resources, dict | None):
        raise ConfigError("must be an object", "wrong-type", "linux.resources")
    return resources or {}
