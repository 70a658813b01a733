"""sd_notify(3) through the container's wall: a socket inside, and READY passed on to systemd's.

    runtime                               container
    NOTIFY_SOCKET=HOST         create     /run/notify, bound read-only from the state directory
    binds notify/notify.sock   start      NOTIFY_SOCKET=/run/notify/notify.sock
    READY=1, MAINPID=, BARRIER=1 to HOST  <- READY=1

Only READY goes through, as with runc: whatever else a program says is not for the host's manager.
It is loaded only when NOTIFY_SOCKET is set. `run` and `start` return when the program is ready, or
gone; a foreground `run` listens in a thread.
"""

from __future__ import annotations

import _socket
import posix
import select
from sys import byteorder

from pycontainer.base.errors import HostError, os_reason
from pycontainer.linux.process import open_pidfd, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.base.settings import Settings

VARIABLE = b"NOTIFY_SOCKET"
DIRECTORY = "notify"
_NAME = "notify.sock"
_INSIDE = "/run/notify"
_LONGEST = 4096  # bytes of a notification
_BARRIER_MS = 30_000  # for a manager that does not know about barriers
_TYPE = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC


def added(config: dict[str, Any], state_dir: str) -> dict[str, Any]:
    """A config with the mount and the variable that the program needs."""
    mount = {
        "destination": _INSIDE,
        "type": "bind",
        "source": f"{state_dir}/{DIRECTORY}",
        "options": ["bind", "nosuid", "noexec", "nodev", "ro"],
    }
    process = config["process"]
    env = [*(process.get("env") or ()), f"NOTIFY_SOCKET={_INSIDE}/{_NAME}"]
    mounts = [*(config.get("mounts") or ()), mount]
    return {**config, "mounts": mounts, "process": {**process, "env": env}}


def make_directory(state_fd: int) -> None:
    """What is bound into the container; the socket comes with `start`."""
    try:
        posix.mkdir(DIRECTORY, 0o755, dir_fd=state_fd)
        posix.chmod(DIRECTORY, 0o755, dir_fd=state_fd)  # whatever the umask
    except OSError as error:
        raise HostError(f"make directory for notifications: {_reason(error)}", "os-error") from None


class Proxy:
    """The socket inside, until READY has been passed on."""

    __slots__ = ("host", "settings", "socket")

    def __init__(self, settings: Settings, state_fd: int) -> None:
        self.settings = settings
        self.host = posix.environ[VARIABLE]
        self.socket = _socket.socket(_socket.AF_UNIX, _TYPE)
        flags = posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
        try:
            directory = posix.open(DIRECTORY, flags, dir_fd=state_fd)
            try:
                path = f"/proc/self/fd/{directory}/{_NAME}"  # an address holds 108 bytes
                self.socket.bind(path)
                posix.chmod(path, 0o777)  # any user of the container may notify
            finally:
                posix.close(directory)
        except OSError as error:
            self.socket.close()
            raise HostError(f"bind {DIRECTORY}/{_NAME}: {_reason(error)}", "os-error") from None

    def serve(self, pid: int, main_pid: int = 0) -> None:
        """Wait until the process is ready, or gone; tell the manager that `main_pid` is it.

        A manager that cannot be told is a warning: the container runs all the same.
        """
        try:
            if self._wait(pid):
                self._tell(main_pid or pid)
        except OSError as error:
            host = self.host.decode("utf-8", "replace")
            self.settings.log.warning(f"notify {host}: {_reason(error)}")
        finally:
            self.socket.close()

    def serve_in_background(self, pid: int) -> None:
        """The same in a thread: we stay, and are what the manager watches."""
        import _thread

        _thread.start_new_thread(self.serve, (pid, posix.getpid()))

    def _wait(self, pid: int) -> bool:
        pidfd = open_pidfd(pid, start_time(pid) or 0)
        poller = select.poll()
        poller.register(self.socket.fileno(), select.POLLIN)
        if pidfd >= 0:
            poller.register(pidfd, select.POLLIN)
        try:
            while True:
                ready = [fd for fd, _ in poller.poll(-1 if pidfd >= 0 else 0)]
                if self.socket.fileno() not in ready:
                    return False  # it has ended and left nothing to read
                lines = self.socket.recv(_LONGEST).split(b"\n")
                if b"READY=1" in lines:
                    return True
        finally:
            if pidfd >= 0:
                posix.close(pidfd)

    def _tell(self, main_pid: int) -> None:
        client = _socket.socket(_socket.AF_UNIX, _TYPE)
        try:
            address = b"\0" + self.host[1:] if self.host[:1] == b"@" else self.host
            client.connect(address)
            client.send(b"READY=1\n")
            client.send(b"MAINPID=%d\n" % main_pid)
            self._barrier(client)
        finally:
            client.close()

    def _barrier(self, client: _socket.socket) -> None:
        """Until the manager has read what we said, sd_notify_barrier(3): it closes the pipe."""
        ours, theirs = posix.pipe2(posix.O_CLOEXEC)
        try:
            rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, theirs.to_bytes(4, byteorder))
            try:
                client.sendmsg([b"BARRIER=1"], [rights])
            finally:
                posix.close(theirs)
            poller = select.poll()
            poller.register(ours, 0)
            if not poller.poll(_BARRIER_MS):
                self.settings.log.warning("notify: no answer to BARRIER=1 within 30 s; ignored")
        finally:
            posix.close(ours)


def _reason(error: OSError) -> str:
    return os_reason(error.errno or 0)
