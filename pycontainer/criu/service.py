"""CRIU as a service: one process `criu swrk 3` that serves one request of ours over a socket.

    us                              criu
    request (DUMP, RESTORE ...)  ─►
                                 ◄─ notify "post-dump", "setup-namespaces" ...
    notify_success               ─►
                                 ◄─ response: success, or errno (and its log has the reasons)

Descriptors of ours are named by number in a request (CRIU opens them through /proc); those that
a restored process shall inherit are passed on to CRIU itself.
"""

from __future__ import annotations

import _socket
import posix
from sys import byteorder

from pycontainer.base.errors import HostError, OperationError, os_reason
from pycontainer.criu import rpc as wire
from pycontainer.linux.spawn import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycontainer.base.settings import Settings

    # Called with the script's name, the pid that comes with it, and the descriptors.
    Listener = Callable[[str, int, list[int]], None]

OLDEST = 30000  # CRIU 3.0: the first that tells its version here
_SERVICE_FD = 3
_ROOM = 65536
_ERRORS_SHOWN = 3
_KINDS = {wire.DUMP: "dump", wire.RESTORE: "restore", wire.PRE_DUMP: "pre-dump"}


class Criu:
    """The CRIU of this machine."""

    __slots__ = ("_version", "debug", "path")

    def __init__(self, settings: Settings) -> None:
        self.path = _find(settings.criu)
        self.debug = settings.log.debug
        self._version = 0

    def version(self) -> int:
        """30171 for 3.17.1."""
        if not self._version:
            found = Service(self, []).ask({"type": wire.VERSION}).get("version") or {}
            self._version = (
                found.get("major_number", 0) * 10000
                + found.get("minor_number", 0) * 100
                + found.get("sublevel", 0)
            )
        return self._version

    def require(self, version: int, what: str) -> None:
        """HostError when this CRIU is too old for `what`."""
        if self.version() < version:
            oldest = f"{version // 10000}.{version // 100 % 100}"
            raise HostError(
                f"{what}: criu {oldest} or newer is needed, not {self.version()}", "old-criu"
            )

    def require_feature(self, name: str) -> None:
        """HostError when the kernel does not have what CRIU needs for it."""
        answer = Service(self, []).ask({"type": wire.FEATURE_CHECK, "features": {name: True}})
        if not (answer.get("features") or {}).get(name):
            raise HostError(f"criu: this kernel does not support {name}", "old-kernel")


class CriuError(OperationError):
    """CRIU itself has failed: its log tells more."""

    category = "criu"


class Service:
    """One CRIU process; `fds` are what it (and what it restores) has as 4, 5 and so on."""

    __slots__ = ("_socket", "criu", "pid")

    def __init__(self, criu: Criu, fds: list[int]) -> None:
        self.criu = criu
        kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, kind)
        self._socket = ours
        argv = [criu.path, "swrk", str(_SERVICE_FD)]
        try:
            self.pid = spawn(criu.path, argv, [0, 1, 2, theirs.fileno(), *fds])
        except OSError as error:
            ours.close()
            raise HostError.of("start", criu.path, error) from None
        finally:
            theirs.close()

    def ask(self, request: dict[str, Any], listener: Listener | None = None) -> dict[str, Any]:
        """Send it, serve the notifications, and return the last response when CRIU has ended.

        OperationError when CRIU says no, or nothing at all.
        """
        try:
            self._send(request)
            while True:
                response, fds = self._receive()
                if not response.get("success"):
                    raise CriuError(_refusal(response), errno=response.get("cr_errno", 0))
                if response["type"] != wire.NOTIFY:
                    return response
                notice = response.get("notify") or {}
                self.criu.debug(f"criu: {notice.get('script', '')}")
                try:
                    if listener is not None:
                        listener(notice.get("script", ""), notice.get("pid", 0), fds)
                finally:
                    for fd in fds:
                        posix.close(fd)
                self._send({"type": wire.NOTIFY, "notify_success": True})
        finally:
            self._end()

    def _send(self, request: dict[str, Any]) -> None:
        try:
            self._socket.send(wire.encode("request", request), _socket.MSG_NOSIGNAL)
        except OSError as error:
            raise OperationError(
                f"send to criu: {os_reason(error.errno or 0)}", "os-error"
            ) from None

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        try:
            room = _socket.CMSG_SPACE(4 * 16)
            data, ancillary, _, _ = self._socket.recvmsg(_ROOM, room, _socket.MSG_CMSG_CLOEXEC)
        except OSError as error:
            raise OperationError(
                f"receive from criu: {os_reason(error.errno or 0)}", "os-error"
            ) from None
        fds = [
            int.from_bytes(rights[at : at + 4], byteorder)
            for level, kind, rights in ancillary
            if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS)
            for at in range(0, len(rights) - 3, 4)
        ]
        if not data:
            raise CriuError("criu: ended without an answer")
        try:
            return wire.decode("response", data), fds
        except ValueError as error:
            raise CriuError(f"criu: answer does not parse: {error}") from None

    def _end(self) -> None:
        self._socket.close()
        try:
            posix.waitpid(self.pid, 0)
        except ChildProcessError:
            pass  # SIGCHLD is ignored here: the kernel has reaped it


def explained(error: OperationError, log: str) -> OperationError:
    """The same failure with the last errors of CRIU's log, and where the log is."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file if "Error" in line]
    except OSError:
        lines = []
    # "(00.012345)     42: Error (criu/files.c:3): why" to what can be read
    message = error.message
    for line in lines[-_ERRORS_SHOWN:]:
        said = line.partition("): ")[2] or line
        if said not in message:  # CRIU's answer has one of them already
            message += f": {said}"
    params = {"log": log} if lines else error.params
    return CriuError(message, errno=error.errno, **params)


def _refusal(response: dict[str, Any]) -> str:
    kind = _KINDS.get(response.get("type", 0), "request")
    text = f"criu {kind} failed"
    if response.get("cr_errno"):
        text += f": errno {response['cr_errno']} ({os_reason(response['cr_errno'])})"
    if response.get("cr_errmsg"):
        text += f": {response['cr_errmsg'].strip()}"
    return text


def _find(name: str) -> str:
    if "/" in name:
        return name
    for directory in posix.environ.get(b"PATH", b"").decode().split(":"):
        path = f"{directory or '.'}/{name}"
        if posix.access(path, posix.X_OK):
            return path
    raise HostError(f"{name}: executable file not found in $PATH", "no-criu")
