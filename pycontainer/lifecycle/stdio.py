"""What connects a container's process with its caller: stdio, terminal, descriptors, pid file.

The same for `create`, `run` and `exec`: where the terminal goes, which descriptors are handed
down, and who is told the pid.
"""

from __future__ import annotations

import posix

from pycontainer.base.errors import HostError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pycontainer.executor.engine import Started
    from pycontainer.lifecycle.foreground import Signals
    from pycontainer.lifecycle.options import CreateOptions, ExecOptions
    from pycontainer.lifecycle.terminal import Terminal

_CONSOLE_NAME = b"/dev/ptmx"


class Attachment:
    """One process's connections. `stays` says that we wait for it in the foreground."""

    __slots__ = ("listen_fds", "options", "preserve", "signals", "stays", "terminal", "tty")

    def __init__(self, options: CreateOptions | ExecOptions, tty: bool, stays: bool) -> None:
        self.options = options
        self.tty = tty
        self.stays = stays
        self.terminal: Terminal | None = None
        self.signals: Signals | None = None
        self.listen_fds = 0
        if options.streams is None:
            _check_terminal(tty, stays, options.console_socket)
            self.listen_fds = _listen_fds()
        self.preserve = _open_among(self.listen_fds + options.preserve_fds)

    def environment(self) -> list[str]:
        """What sd_listen_fds(3) wants in the program's environment, but for LISTEN_PID."""
        if not self.listen_fds:
            return []
        env = posix.environ
        names = (b"LISTEN_FDS", b"LISTEN_FDNAMES")
        return [f"{n.decode()}={env[n].decode(errors='replace')}" for n in names if n in env]

    @property
    def fds(self) -> list[int] | None:
        """What the process has at 0, 1, 2 and so on; None: what we have there."""
        return None if self.options.streams is None else self.options.streams.fds

    def prepare(self) -> None:
        """Before the clone: from here on no signal is lost."""
        if self.stays:
            from pycontainer.lifecycle.foreground import block_signals

            self.signals = block_signals()

    def take_console(self, master: int) -> None:
        """The terminal's master end: to the console socket, to our caller, or to us."""
        if self.options.streams is not None:
            self.options.streams.master = posix.dup(master)
            return
        if self.options.console_socket:
            from pycontainer.linux.fd_passing import send_fd

            send_fd(self.options.console_socket, master, _CONSOLE_NAME, "console socket")
            return
        from pycontainer.lifecycle.terminal import Terminal

        self.terminal = Terminal(posix.dup(master))

    def announce(self, started: Started, kind: bytes) -> None:
        """Tell the pid to the caller, as asked for, even when the process has ended by now. `kind`
        is runc's word for it: "standard" is a container's init, "setns" what joins one."""
        if self.options.pidfd_socket:
            from pycontainer.linux.fd_passing import send_fd

            send_fd(self.options.pidfd_socket, started.pidfd, kind, "pidfd socket")
        if self.options.pid_file:
            write_pid_file(self.options.pid_file, started.pid)

    def wait(self, pid: int, reap_all: bool, leave: Callable[[], None] | None = None) -> int:
        """In the foreground until it ends; its exit status. See wait_foreground."""
        from pycontainer.lifecycle.foreground import wait_foreground

        assert self.signals is not None
        if self.terminal is not None:
            self.terminal.make_raw()
            self.terminal.resize()
        return wait_foreground(pid, self.signals, self.terminal, reap_all=reap_all, leave=leave)

    def close(self) -> None:
        """Give back our terminal and our signals."""
        if self.terminal is not None:
            self.terminal.restore()
        if self.signals is not None:
            self.signals.release()


def _check_terminal(tty: bool, stays: bool, console_socket: str) -> None:
    if tty and not stays and not console_socket:
        raise UsageError(
            "cannot allocate tty if pycontainer will detach without setting console socket",
            "needs-console-socket",
        )
    if console_socket and (stays or not tty):
        raise UsageError(
            "cannot use console socket if pycontainer will not detach or allocate tty",
            "unneeded-console-socket",
            terminal=tty,
        )
    if tty and stays:
        from pycontainer.lifecycle.terminal import find_console

        try:
            posix.close(find_console(0, 1))
        except OSError as error:
            raise UsageError.of("open", "/dev/tty", error, code="stdio-no-terminal") from None


def _open_among(count: int) -> int:
    """How many of so many descriptors from 3 on there are up to the last open one.

    Those between that are closed leave gaps, as with crun: Podman's --preserve-fd names single
    ones. Ours in their places have O_CLOEXEC, and are closed in the executor.
    """
    if not count:
        return 0
    last = max(map(int, posix.listdir("/proc/self/fd")))
    return max(0, min(count, last - 2))


def _listen_fds() -> int:
    """How many descriptors systemd's socket activation has passed to us, sd_listen_fds(3). Where
    nobody says to which process, they are for us, as with crun."""
    env, own = posix.environ, str(posix.getpid()).encode()
    if env.get(b"LISTEN_PID", own) != own:
        return 0
    count = env.get(b"LISTEN_FDS", b"")
    return int(count) if count.isdigit() else 0


def write_pid_file(path: str, pid: int) -> None:
    """All or nothing: a reader of the file sees the whole number."""
    directory, _, name = path.rpartition("/")
    new = f"{directory}/.{name}" if directory else f".{name}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_TRUNC | posix.O_CLOEXEC
    try:
        try:
            fd = posix.open(new, flags, 0o666)
        except FileExistsError:
            posix.unlink(new)  # left by a crash
            fd = posix.open(new, flags, 0o666)
        try:
            posix.write(fd, str(pid).encode())
        finally:
            posix.close(fd)
        posix.rename(new, path)
    except OSError as error:
        raise HostError.of("write pid file", path, error) from None
