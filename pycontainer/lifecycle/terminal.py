"""The container's terminal, seen from outside, while `run -t` or `exec -t` is in the foreground.

We hold the master of the container's pseudo terminal and carry bytes: our stdin to it, it to our
stdout. Our own terminal, if stdin is one, is raw meanwhile: each key, Ctrl-C too, is the
container's. Invariants: nothing ever blocks but poll(2), in `foreground`; no more than `_FULL`
bytes wait in either direction, then we stop reading (the writer gets the back-pressure); what the
container wrote before its end reaches stdout; our terminal gets its old modes back.

Newlines: the container's terminal gets ONLCR cleared and ours keeps OPOST, as with runc: so
`run -t ... | cat` prints plain newlines, and a person's terminal makes CR LF of them itself.
"""

from __future__ import annotations

import _stat
import errno
import fcntl
import posix
import select
import termios
from time import monotonic

from pycontainer.base.errors import OperationError, os_reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FULL = 65536  # bytes waiting in one direction
_PIECE = 4096  # PIPE_BUF: what poll(2) promises to fit into a writable pipe
_PAUSE = 0.1  # seconds until we look again at a master whose other side no process has open
_NO_SIZE = bytes(8)  # struct winsize: rows, columns, two unused; all zero means unknown
_LOST = (errno.EIO, errno.EPIPE, errno.EBADF, errno.ENXIO)

# What cfmakeraw(3) switches off, but for OPOST.
_RAW_INPUT = (
    termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
    | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
)  # fmt: skip
_RAW_LOCAL = termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN


class Terminal:
    """Carries bytes between our stdio and the container's terminal.

    Make it when the master has arrived and before the process runs: then the process finds its
    terminal with the right size. Call `restore` at the end, whatever happens.
    """

    def __init__(self, master: int, stdin: int = 0, stdout: int = 1) -> None:
        """Takes over `master` (closed by `restore`); OperationError when that is no terminal."""
        self._master = master
        self._stdin = stdin
        self._stdout, self._piece = _nonblocking(stdout)
        self._close_stdout = self._stdout != stdout
        self._to_master = b""
        self._to_stdout = b""
        self._reading = True  # stdin may still bring something
        self._writing = True  # stdout still takes something
        self._quiet_until = 0.0
        self._saved: list[Any] | None = None
        try:
            self._console = find_console(stdin, stdout)
        except OSError:
            self._console = -1
        try:
            posix.set_blocking(master, False)
            modes = termios.tcgetattr(master)
            modes[1] &= ~termios.ONLCR
            termios.tcsetattr(master, termios.TCSANOW, modes)
        except (OSError, termios.error) as error:
            self.restore()
            raise OperationError(
                f"set up terminal: {os_reason(error.args[0])}", "os-error"
            ) from None
        self.resize()
        self.make_raw()

    def make_raw(self) -> None:
        """Make our terminal raw, if stdin is one (again after SIGCONT: shells reset the modes)."""
        try:
            modes = termios.tcgetattr(self._stdin)
        except termios.error:
            return  # stdin is not a terminal
        if self._saved is None:
            self._saved = [*modes[:6], list(modes[6])]
        modes[0] &= ~_RAW_INPUT
        modes[2] = modes[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        modes[3] &= ~_RAW_LOCAL
        modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
        _set_modes(self._stdin, modes)

    def resize(self) -> None:
        """Give the container's terminal the size of ours, if we have one that knows its size."""
        if self._console < 0:
            return
        try:
            size = fcntl.ioctl(self._console, termios.TIOCGWINSZ, _NO_SIZE)
            if size[:4] != _NO_SIZE[:4]:
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
        except OSError:
            return  # it was hung up; the signal for that is on its way

    def restore(self) -> None:
        """Give our terminal its modes back and close the master. May be called twice."""
        if self._saved is not None:
            _set_modes(self._stdin, self._saved)
            self._saved = None
        for fd in (self._master, self._stdout if self._close_stdout else -1, self._console):
            if fd >= 0:
                posix.close(fd)
        self._master = self._console = -1
        self._close_stdout = False

    def interest(self) -> tuple[dict[int, int], int]:
        """What to poll for: descriptor to events; and the timeout in ms, -1 for none."""
        wanted = {}
        timeout = -1
        if self._quiet_until:
            timeout = max(0, int((self._quiet_until - monotonic()) * 1000) + 1)
        events = select.POLLOUT if self._to_master else 0
        if len(self._to_stdout) < _FULL:
            events |= select.POLLIN
        if events and not self._quiet_until:  # not even for POLLHUP when we would not read
            wanted[self._master] = events
        if self._reading and len(self._to_master) < _FULL:
            wanted[self._stdin] = select.POLLIN
        if self._to_stdout and self._writing:
            wanted[self._stdout] = select.POLLOUT
        return wanted, timeout

    def serve(self, ready: list[tuple[int, int]]) -> None:
        """Move bytes where poll(2) said that some can be moved."""
        if self._quiet_until and monotonic() >= self._quiet_until:
            self._quiet_until = 0.0
        for fd, events in ready:
            if fd == self._master:
                if events & select.POLLOUT:
                    self._write_master()
                if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
                    self._read_master()
            elif fd == self._stdin:
                self._read_stdin()
        if self._to_stdout and any(fd == self._stdout for fd, _ in ready):
            self._write_stdout()

    def drain(self, abort: int) -> None:
        """The process has ended: bring what it wrote to stdout, however slow that takes it.

        Gives up when `abort` becomes readable. An empty master is really empty: the kernel's
        read flushes the terminal's queues before it says EAGAIN (n_tty, Linux 4.5). And those
        hold some 12 KiB; after `_FULL` bytes we read what others write who survived the process.
        """
        poller = select.poll()
        poller.register(self._stdout, select.POLLOUT)
        poller.register(abort, select.POLLIN)
        left = _FULL
        while True:
            before = len(self._to_stdout)
            more = left > 0 and (before >= _FULL or self._read_master())
            left -= len(self._to_stdout) - before
            if not self._to_stdout:
                if not more:
                    return
                continue
            ready = poller.poll()
            if any(fd == abort for fd, _ in ready):
                return
            self._write_stdout()

    def _read_master(self) -> bool:
        try:
            data = posix.read(self._master, _FULL)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            # No process has the other side open; but one may yet open /dev/console (an init
            # that starts its gettys does), so look again a little later.
            self._quiet_until = monotonic() + _PAUSE
            return False
        if self._writing:
            self._to_stdout += data
        return bool(data)

    def _write_master(self) -> None:
        try:
            self._to_master = self._to_master[posix.write(self._master, self._to_master) :]
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in _LOST:
                raise
            self._to_master = b""

    def _read_stdin(self) -> None:
        try:
            data = posix.read(self._stdin, _PIECE)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in _LOST:  # EIO: hung up, or read by a background job
                raise
            data = b""
        self._to_master += data
        if not data:
            self._reading = False

    def _write_stdout(self) -> None:
        try:
            sent = posix.write(self._stdout, self._to_stdout[: self._piece])
            self._to_stdout = self._to_stdout[sent:]
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in (*_LOST, errno.ECONNRESET):
                raise
            # Our reader is gone; the container goes on, and must not block.
            self._writing = False
            self._to_stdout = b""


def find_console(stdin: int, stdout: int) -> int:
    """A descriptor of its own for the terminal whose size is the container's; OSError, as the
    kernel gives it for /dev/tty, without one."""
    for fd in (stdin, stdout, 2):
        if posix.isatty(fd):
            return posix.dup(fd)
    return posix.open("/dev/tty", posix.O_RDONLY | posix.O_NOCTTY | posix.O_CLOEXEC)


def _nonblocking(fd: int) -> tuple[int, int]:
    """Our own non-blocking opening of a terminal or pipe, so that a full one never stops us.

    O_NONBLOCK on `fd` itself would hit the shell and everybody who shares it. Second: how many
    bytes to write at once.
    """
    try:
        mode = posix.fstat(fd).st_mode
        if _stat.S_ISFIFO(mode) or posix.isatty(fd):
            flags = posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
            return posix.open(f"/proc/self/fd/{fd}", flags), _FULL
        return fd, _FULL if _stat.S_ISREG(mode) else _PIECE
    except OSError:  # after su, the terminal belongs to another user
        return fd, _PIECE


def _set_modes(fd: int, modes: list[Any]) -> None:
    try:
        termios.tcsetattr(fd, termios.TCSANOW, modes)
    except termios.error as error:
        if error.args[0] not in _LOST:  # a terminal that was hung up needs no modes
            raise
