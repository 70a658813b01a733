"""systemd's manager over D-Bus: transient units started, changed and stopped, each to its end.

A job is over when JobRemoved says so; nothing here returns before, or waits beyond a deadline.
The manager's private socket is preferred: no bus daemon in between, and it works before one runs.
"""

from __future__ import annotations

import posix

from pycontainer.base.errors import HostError, OperationError
from pycontainer.cgroups.systemd.dbus import Connection, DBusError, parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Property = tuple[str, tuple[str, Any]]  # name, (signature, value)

DESTINATION = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = DESTINATION + ".Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
SYSTEM_PRIVATE = "/run/systemd/private"
SYSTEM_BUSES = ("/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket")
DEADLINE_S = 30.0
NO_UNIT = (DESTINATION + ".NoSuchUnit", DESTINATION + ".NotLoaded")
UNIT_EXISTS = DESTINATION + ".UnitExists"
MATCH = f"type='signal',interface='{MANAGER}',member='JobRemoved'"


class Manager:
    """A connection to the system's manager, or (`user`) to that of the calling user."""

    __slots__ = ("_connection", "_version", "user")

    def __init__(self, user: bool, deadline_s: float = DEADLINE_S) -> None:
        self.user = user
        self._version = 0
        self._connection = _connect(user, deadline_s)
        if not self._connection.peer:
            self._connection.call(
                "org.freedesktop.DBus",
                "/org/freedesktop/DBus",
                "org.freedesktop.DBus",
                "AddMatch",
                "s",
                MATCH,
            )
            self._call("Subscribe")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what it is ----------------------------------------------------------------------------

    def version(self) -> int:
        """systemd's version as one number, 252; 0 when it says none."""
        if not self._version:
            digits = ""
            for letter in self._property("Version").lstrip("v"):
                if not letter.isdigit():
                    break
                digits += letter
            self._version = int(digits or 0)
        return self._version

    def control_group(self) -> str:
        """The manager's own cgroup, below which its units are ("" for the top)."""
        return self._property("ControlGroup").rstrip("/")

    def _property(self, name: str) -> str:
        ((_, value),) = self._connection.call(
            DESTINATION, PATH, PROPERTIES, "Get", "ss", MANAGER, name
        )
        return str(value)

    # -- units ---------------------------------------------------------------------------------

    def start(self, unit: str, properties: Iterable[Property]) -> None:
        """Start a transient unit; OperationError when systemd refuses or its job fails.

        A failed unit of that name, which an earlier container may have left, is cleared away.
        """
        listed = list(properties)
        try:
            job = self._start(unit, listed)
        except DBusError as error:
            if error.name != UNIT_EXISTS:
                raise _refused("start", unit, error) from None
            self.reset_failed(unit)
            try:
                job = self._start(unit, listed)
            except DBusError as second:
                raise _refused("start", unit, second) from None
        result = self._wait(job)
        if result != "done":
            self.reset_failed(unit)
            raise OperationError(
                f"start systemd unit {unit}: its job ended as {result!r}",
                "job-failed",
                operation="systemd_unit",
                unit=unit,
            )

    def _start(self, unit: str, properties: list[Property]) -> str:
        self._connection.renew()
        (job,) = self._call(
            "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "replace", properties, []
        )
        return str(job)

    def stop(self, unit: str) -> str:
        """Stop a unit and forget that it failed; returns how the job ended, "" without one."""
        self._connection.renew()
        result = ""
        try:
            (job,) = self._call("StopUnit", "ss", unit, "replace")
            result = self._wait(str(job))
        except DBusError as error:
            if error.name not in NO_UNIT:
                raise _refused("stop", unit, error) from None
        self.reset_failed(unit)
        return result

    def reset_failed(self, unit: str) -> None:
        """Forget that the unit has failed, so that its name is free again."""
        try:
            self._call("ResetFailedUnit", "s", unit)
        except DBusError as error:
            if error.name not in NO_UNIT:
                raise _refused("reset", unit, error) from None

    def set_properties(self, unit: str, properties: Iterable[Property]) -> None:
        """Change a running unit, until it is gone; OperationError when systemd refuses."""
        self._connection.renew()
        try:
            self._call("SetUnitProperties", "sba(sv)", unit, True, list(properties))
        except DBusError as error:
            raise _refused("change", unit, error) from None

    def attach(self, unit: str, pids: list[int], below: str = "/") -> None:
        """Let systemd move processes into the unit's cgroup, or one below it (v238)."""
        self._connection.renew()
        try:
            self._call("AttachProcessesToUnit", "ssau", unit, below, pids)
        except DBusError as error:
            raise _refused("move a process into", unit, error) from None

    def units(self, pattern: str) -> list[tuple[str, str]]:
        """Loaded units whose names match a glob, as (name, description)."""
        (found,) = self._call("ListUnitsByPatterns", "asas", [], [pattern])
        return [(row[0], row[1]) for row in found]

    def unit_properties(self, unit: str, kind: str = "Scope") -> dict[str, Any]:
        """All properties of a unit that concern its type; names to (signature, value)."""
        try:
            (path,) = self._call("GetUnit", "s", unit)
        except DBusError:
            return {}
        (found,) = self._connection.call(
            DESTINATION, str(path), PROPERTIES, "GetAll", "s", f"{DESTINATION}.{kind}"
        )
        return dict(found)

    def _call(self, method: str, *arguments: Any) -> tuple[Any, ...]:
        return self._connection.call(DESTINATION, PATH, MANAGER, method, *arguments)

    def _wait(self, job: str) -> str:
        """How the job ended: done, canceled, timeout, failed, dependency or skipped."""
        while True:
            _, path, _, result = self._connection.signal("JobRemoved")
            if path == job:
                return str(result)


def is_the_users() -> bool:
    """Whether units without privilege are made by the calling user's systemd, or the system's.

    Root of a user namespace may be a user who became it (podman unshare, RootlessKit), or root of
    a whole system in there (LXC); the systemd that the environment names tells, if it names one.
    """
    from pycontainer.base.settings import in_user_namespace

    if posix.geteuid() != 0 or not in_user_namespace():
        return True
    if not (_variable(b"XDG_RUNTIME_DIR") or _variable(b"DBUS_SESSION_BUS_ADDRESS")):
        return False
    try:
        with Manager(True) as manager:
            return not manager.control_group().endswith("/user@0.service")
    except (HostError, DBusError):
        return False


def _refused(verb: str, unit: str, error: DBusError) -> OperationError:
    code = "unit-exists" if error.name == UNIT_EXISTS else "unit-refused"
    if error.name.endswith((".AccessDenied", ".InteractiveAuthorizationRequired")):
        code = "not-authorized"
    text = error.message.rstrip(".")
    text = f"{verb} systemd unit {unit}: {text[:1].lower()}{text[1:]}"
    return OperationError(text, code, operation="systemd_unit", unit=unit)


def _connect(user: bool, deadline_s: float) -> Connection:
    """The first of the manager's sockets that lets us in; HostError with the reason of each."""
    if not user and not posix.access("/run/systemd/system", posix.F_OK):
        raise HostError("use the systemd cgroup driver: systemd does not run here", "no-systemd")
    reasons = []
    for address, peer in _user_addresses() if user else _system_addresses():
        try:
            return Connection(address, peer, deadline_s)
        except HostError as error:
            if error.code == "timeout":
                raise
            reasons.append(error.message)
    where, code = ("the user's systemd", "no-user-bus") if user else ("systemd", "no-bus")
    text = f"reach {where} over D-Bus: {'; '.join(reasons) or 'no address is known'}"
    raise HostError(text, code)


def _system_addresses() -> list[tuple[bytes | str, bool]]:
    found: list[tuple[bytes | str, bool]] = []
    if text := _variable(b"DBUS_SYSTEM_BUS_ADDRESS"):
        found.append((parse_address(text), False))
    elif posix.geteuid() == 0:
        found.append((SYSTEM_PRIVATE, True))
    return found + [(path, False) for path in SYSTEM_BUSES if posix.access(path, posix.F_OK)]


def _user_addresses() -> list[tuple[bytes | str, bool]]:
    runtime = _variable(b"XDG_RUNTIME_DIR") or f"/run/user/{posix.getuid()}"
    found: list[tuple[bytes | str, bool]] = []
    private = runtime + "/systemd/private"
    if posix.access(private, posix.F_OK):
        found.append((private, True))
    if text := _variable(b"DBUS_SESSION_BUS_ADDRESS"):
        found.append((parse_address(text), False))
    if posix.access(runtime + "/bus", posix.F_OK):
        found.append((runtime + "/bus", False))
    return found


def _variable(name: bytes) -> str:
    return posix.environ.get(name, b"").decode("utf-8", "surrogateescape")
