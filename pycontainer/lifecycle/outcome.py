"""How a container has ended: the status of its init, and when; as far as that was recorded.

Who is its parent learns that from the kernel: `run` in the foreground, an engine, a program with
the API. For all others: since Linux 6.15 the kernel tells everybody who held a pidfd while the
process lived. So `wait` and `events` need nothing but that; for a later look, a tiny program holds
the pidfd and writes the file `exit` of the state directory (csrc/waiter/waiter.c), if asked to.
docs/decisions/exit-status.md has the alternatives.
"""

from __future__ import annotations

import fcntl
import posix
import select
from _struct import Struct
from time import time_ns

from pycontainer.base.errors import HostError, StateError, os_reason
from pycontainer.linux.host import kernel
from pycontainer.linux.process import start_time
from pycontainer.state.state import rfc3339_nano

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.lifecycle.container import Container
    from pycontainer.state.state import Facts
    from pycontainer.state.store import Entry

FILE = "exit"
_CREATE = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC | posix.O_NOFOLLOW
_INFO = Struct("=QQ11Ii")  # struct pidfd_info, 64 bytes
_GET_INFO = 0xC040FF0B
_INFO_EXIT = 8


def watch(entry: Entry, pidfd: int) -> None:
    """Start the program that records the end of this process."""
    from pycontainer.linux.spawn import spawn

    if not _tells():
        raise HostError("record the exit status: Linux 6.15 is needed", "old-kernel")
    program = __file__.rpartition("/")[0] + "/waiter.bin"
    fd = posix.open(FILE, _CREATE, 0o600, dir_fd=entry.dir_fd)
    try:
        spawn(program, ["pycontainer-end"], [pidfd, fd], env=[])
    except OSError as error:
        raise HostError(f"start {program}: {os_reason(error.errno or 0)}", "os-error") from None
    finally:
        posix.close(fd)


def record(entry: Entry, exit_status: int) -> None:
    """Write down the end of our own child, which has just been seen; 128 + n is signal n."""
    status = exit_status - 128 if exit_status > 128 else exit_status << 8
    if entry.exists():  # it has not been deleted meanwhile
        seconds, fraction = divmod(time_ns(), 1_000_000_000)
        entry.write(FILE, b"%d %d %d\n" % (seconds, fraction, status))


def known(container: Container) -> dict[str, Any]:
    """What the state of a stopped container has beyond others: `exit` and `oom`, if known."""
    oom = container.cgroup.oom_report() if container.facts.cgroup else {}
    found = {"exit": recorded(container.entry), "oom": oom}
    return {name: value for name, value in found.items() if value}


def recorded(entry: Entry) -> dict[str, Any]:
    """What the file says, for `state`; empty when it is not recorded, or not yet."""
    try:
        seconds, fraction, status = map(int, entry.read(FILE).split())
    except (OSError, ValueError):
        return {}
    return _document(status, seconds * 1_000_000_000 + fraction)


def await_end(container: Container) -> dict[str, Any]:
    """Wait until it has ended; how, or StateError when there is no way to know."""
    pidfd = _pidfd(container.facts)
    end = {}
    if pidfd >= 0:
        try:
            end = of_pidfd(pidfd)
        finally:
            posix.close(pidfd)
    if "status" not in end:
        end = recorded(container.entry)
    if "status" not in end:
        text = f"container {container.id} has stopped: exit status unknown"
        raise StateError(text, "exit-unknown")
    return end


def _pidfd(facts: Facts) -> int:
    """Of init, also while it has ended and is not reaped; -1 when it is gone."""
    try:
        pidfd = posix.pidfd_open(facts.pid, 0) if facts.pid > 0 else -1
    except ProcessLookupError:
        return -1
    if pidfd >= 0 and start_time(facts.pid) != facts.start_time:
        posix.close(pidfd)
        return -1
    return pidfd


def of_pidfd(pidfd: int, patience_ms: int = -1) -> dict[str, Any]:
    """Wait for the end of a process, and until its parent has reaped it, or patience ends."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll()
    ended = time_ns()
    poller.modify(pidfd, 0)
    if _tells():
        poller.poll(patience_ms)  # POLLHUP
    return _document(_told(pidfd), ended)


def _tells() -> bool:
    """Whether this kernel says POLLHUP, and the status, of a process that has been reaped."""
    return kernel() >= (6, 15)


def _told(pidfd: int) -> int:
    """The wait status of a process that has been reaped; -1 when the kernel does not tell it."""
    data = bytearray(_INFO.pack(_INFO_EXIT, *[0] * 13))
    try:
        fcntl.ioctl(pidfd, _GET_INFO, data)
    except OSError:
        return -1
    mask, *_, status = _INFO.unpack(data)
    return int(status) if mask & _INFO_EXIT else -1


def _document(status: int, moment: int) -> dict[str, Any]:
    """The member `exit` of a state document."""
    document: dict[str, Any] = {}
    if status >= 0:
        number = status & 0x7F
        document["status"] = 128 + number if number else status >> 8
        if number:
            from pycontainer.tables.signals import NUMBERS

            names = [name for name, value in NUMBERS.items() if value == number]
            document["signal"] = names[0] if names else f"SIG{number}"
    return document | {"time": rfc3339_nano(moment)}
