"""Resource groups of resctrl: linux.intelRdt, config-linux.md#intelrdt.

A group is a directory of the resctrl file system; processes enter it by their pid in `tasks`, and
their children start in it. Input: the object of the config. Output: a Group, which the engine
lets processes join, and what `delete` has to remove. Loaded only where a config has the field.
"""

from __future__ import annotations

import errno
import posix

from pycontainer.base.errors import ConfigError, HostError, OperationError, StateError, os_reason
from pycontainer.base.steps import attempt_each
from pycontainer.linux.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.base.steps import Transaction

FIELD = "linux.intelRdt"
_WRITE = posix.O_WRONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW


class Group:
    """Where a container belongs.

    `path` is the directory, `monitor` the one for its own counters or ""; `lines` go to schemata;
    `made` are the directories that are ours to make, and later to remove.
    """

    __slots__ = ("closed", "lines", "made", "monitor", "path", "root", "wanted")

    def __init__(self, root: str, path: str, monitor: str, rdt: dict[str, Any]) -> None:
        self.root = root
        self.path = path
        self.monitor = monitor
        schemes = [rdt.get("l3CacheSchema"), rdt.get("memBwSchema")]
        self.wanted = tuple(line for line in schemes if line)
        self.lines = (*self.wanted, *(rdt.get("schemata") or ()))
        named = bool(rdt.get("closID"))
        # A named group without rules of ours has to be there already.
        self.closed = named and not self.lines
        self.made = tuple(
            directory
            for directory, ours in ((path, not named), (monitor, bool(monitor)))
            if ours and not _exists(directory)
        )

    def facts(self) -> dict[str, Any]:
        """What exec and delete need to know, for the state file."""
        joined = [self.path, *([self.monitor] if self.monitor else [])]
        return {"groups": joined, "made": list(self.made)}

    def enter(self, pid: int) -> None:
        """Make what is missing, set the rules, and let the process in; OperationError."""
        existed = _exists(self.path)
        if not existed and self.closed:
            raise ConfigError(
                f"names the group {self.path}, which is not there, and no schemata to make it of",
                "no-group",
                f"{FIELD}.closID",
            )
        self._make(self.path)
        if existed and self.path not in self.made:
            self._compare()
        if self.lines:
            self._write("schemata", "".join(f"{line}\n" for line in self.lines), "schemata")
        self._write("tasks", str(pid))
        if self.monitor:
            self._make(self.monitor)
            _put(f"{self.monitor}/tasks", str(pid), self.root, "enableMonitoring")

    def _make(self, directory: str) -> None:
        try:
            make(directory)
        except FileExistsError:
            return
        except OSError as error:
            raise _failed("make", directory, error, self.root, "closID") from None

    def _write(self, name: str, text: str, member: str = "") -> None:
        _put(f"{self.path}/{name}", text, self.root, member)

    def _compare(self) -> None:
        """A group that is not ours must have the rules that the config expects."""
        if not self.wanted:
            return
        has = parse(read_text(f"{self.path}/schemata").splitlines())
        for line in self.wanted:
            for resource, values in parse([line]).items():
                if any(has.get(resource, {}).get(k) != v for k, v in values.items()):
                    raise ConfigError(
                        f"is {line}, and {self.path} has other rules",
                        "differs",
                        f"{FIELD}.{'memBwSchema' if resource == 'MB' else 'l3CacheSchema'}",
                    )


def group(rdt: dict[str, Any], container_id: str, root: str | None = None) -> Group:
    """The group that `rdt` asks for; HostError where there is no resctrl file system."""
    found = find_root() if root is None else root
    if not found:
        raise HostError("use intelRdt: no resctrl file system is mounted", "no-resctrl", FIELD)
    name = rdt.get("closID") or container_id
    path = found if name == "/" else f"{found}/{name}"
    monitor = f"{path}/mon_groups/{container_id}" if rdt.get("enableMonitoring") else ""
    return Group(found, path, monitor, rdt)


def join(facts: dict[str, Any], pid: int) -> None:
    """Let one more process in, by the facts of the container's group."""
    for directory in facts["groups"]:
        _put(f"{directory}/tasks", str(pid), directory, "closID")


def remove(facts: dict[str, Any]) -> None:
    """Remove what was made: counters before the group that they are in. OperationError."""
    if failures := attempt_each(_remove, reversed(facts["made"])):
        raise failures[0]


def _remove(directory: str) -> None:
    try:
        posix.rmdir(directory)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _failed("remove", directory, error, "", "closID") from None


_FEATURES = {
    "l3CacheSchema": ("L3", "CAT: l3 cache"),
    "memBwSchema": ("MB", "MBA: memory bandwidth"),
}


def check(facts: dict[str, Any] | None, schemas: dict[str, str]) -> None:
    """HostError where the CPU or the kernel has no such control, StateError without a group."""
    root = find_root()
    for name in schemas:
        resource, words = _FEATURES[name]
        if not root or not _exists(f"{root}/info/{resource}"):
            raise HostError(f"Intel RDT/{words} schema is not enabled", "no-resctrl-schema")
    if facts is None:
        raise StateError(
            "updating a non-existent Intel RDT configuration is not supported", "no-group"
        )


def change(facts: dict[str, Any], schemas: dict[str, str], undo: Transaction) -> None:
    """New schemata for the container's group, in one write: the kernel takes all or none.

    OperationError when it refuses.
    """
    path = f"{facts['groups'][0]}/schemata"
    resources = [_FEATURES[name][0] for name in schemas]
    lines = [line.strip() for line in read_text(path).splitlines()]
    before = [line for line in lines if line.partition(":")[0] in resources]
    root = find_root()
    if before:
        undo(lambda: _put(path, "".join(f"{line}\n" for line in before), root, ""))
    _put(path, "".join(f"{line}\n" for line in schemas.values()), root, "")


def parse(lines: list[str]) -> dict[str, dict[int, int]]:
    """Rules as numbers: {"L3": {cache: mask}, "MB": {cache: share}}; what is none is left out.

    Masks are hexadecimal, with any number of leading zeros; shares are decimal.
    """
    rules: dict[str, dict[int, int]] = {}
    for line in lines:
        resource, colon, rest = line.strip().partition(":")
        values = rules.setdefault(resource, {}) if colon else {}
        for part in rest.split(";"):
            cache, equals, value = part.strip().partition("=")
            try:
                values[int(cache)] = int(value, 10 if resource == "MB" else 16)
            except ValueError:
                continue
    return rules


def find_root() -> str:
    """Where the resctrl file system is mounted, "" if nowhere; proc_pid_mountinfo(5)."""
    for line in read_text("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        if right.startswith("resctrl "):
            return left.split(" ")[4]
    return ""


make = posix.mkdir  # tests have a tree that does not fill itself


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def _put(path: str, text: str, root: str, member: str) -> None:
    try:
        fd = posix.open(path, _WRITE)
        try:
            posix.write(fd, text.encode())
        finally:
            posix.close(fd)
    except OSError as error:
        raise _failed("write to", path, error, root, member) from None


def _failed(verb: str, what: str, error: OSError, root: str, member: str) -> OperationError:
    """The kernel's reason, and its own words for it, which resctrl keeps."""
    number = error.errno or errno.EIO
    message = f"{verb} {what}: {os_reason(number)}"
    try:
        status = read_text(f"{root}/info/last_cmd_status").strip()
    except OSError:
        status = ""
    if status and status != "ok":
        message += f": {status}"
    return OperationError(
        message, "os-error", errno=number, field=f"{FIELD}.{member}" if member else FIELD
    )
