"""Runs the hooks of the runtime namespace: prestart, createRuntime, poststart, poststop.

A hook gets the state as JSON on stdin (config.md#posix-platform-hooks), its own environment and
nothing else; what it prints is kept (the last 4 KiB of each stream) for the error message. It is
over when its process has ended, even if a grandchild still holds its output open. One loop of
poll(2) feeds stdin, reads both outputs and watches the end and the timeout; there are no threads.
"""

from __future__ import annotations

import _signal
import posix
import select
from time import monotonic

from .errors import OperationError, os_reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_KEPT = 4096  # bytes of each output stream
_BLINK = 10  # ms between looks at a hook's process on kernels without pidfds (before 5.3)
_LONGEST = 3_600_000  # ms of one poll; its argument is an int


class HookResult:
    """How one hook went: `problem` is "" or the reason of its failure, `seconds` what it took."""

    __slots__ = ("index", "path", "problem", "seconds", "stderr", "stdout")

    def __init__(self, index: int, path: str) -> None:
        self.index = index
        self.path = path
        self.problem = ""
        self.seconds = 0.0
        self.stdout = b""
        self.stderr = b""

    def message(self, stage: str) -> str:
        """The line for the user, worded as runc's."""
        return f"error running {stage} hook #{self.index}: {self.problem}"


def run_hooks(
    stage: str,
    hooks: Sequence[dict[str, Any]],
    state: bytes,
    *,
    field: str = "",
    cwd: str | None = None,
) -> list[HookResult]:
    """Run hooks in order; OperationError at the first that fails, and no later one is run.

    `state` is what they read on stdin, `field` the JSON path of the list, `cwd` their working
    directory (ours when None).
    """
    results = []
    for index, hook in enumerate(hooks):
        result = _run(index, hook, state, cwd)
        if result.problem:
            where = f"{field or 'hooks.' + stage}[{index}]"
            raise OperationError(result.message(stage), field=where, kind="hook")
        results.append(result)
    return results


def run_hooks_tolerant(
    stage: str, hooks: Sequence[dict[str, Any]], state: bytes, *, cwd: str | None = None
) -> list[str]:
    """Run all hooks whatever happens (poststop, runtime.md#lifecycle); the failures as lines."""
    results = [_run(index, hook, state, cwd) for index, hook in enumerate(hooks)]
    return [result.message(stage) for result in results if result.problem]


def _run(index: int, hook: dict[str, Any], state: bytes, cwd: str | None) -> HookResult:
    result = HookResult(index, hook["path"])
    began = monotonic()
    try:
        process = _Process(hook, state, cwd)
    except OSError as error:
        what = f"chdir {cwd}" if cwd and error.filename == cwd else f"fork/exec {result.path}"
        result.problem = f"{what}: {os_reason(error.errno or 0)}"
    except ValueError as error:  # a NUL byte
        result.problem = f"fork/exec {result.path}: {error}"
    else:
        timeout = hook.get("timeout")
        try:
            ended = process.run(began + timeout if timeout else None)
        finally:
            status = process.close()
        result.stdout, result.stderr = process.output()
        result.problem = (
            _problem(status)
            if ended
            else (f"hook ran past specified timeout of {float(timeout or 0):.1f}s")
        )
        if result.problem:
            result.problem += f", stdout: {_text(result.stdout)}, stderr: {_text(result.stderr)}"
    result.seconds = monotonic() - began
    return result


def _problem(status: int) -> str:
    if posix.WIFSIGNALED(status):
        number = posix.WTERMSIG(status)
        dumped = " (core dumped)" if posix.WCOREDUMP(status) else ""
        name = _signal.strsignal(number) or f"signal {number}"
        return f"signal: {name.lower()}{dumped}"
    code = posix.WEXITSTATUS(status)
    return f"exit status {code}" if code else ""


def _text(output: bytes) -> str:
    return output.decode(errors="replace").rstrip()


class _Process:
    """One hook's process with our ends of its three pipes."""

    __slots__ = ("_grouped", "_open", "_outputs", "_pid", "_pidfd", "_poller", "_rest", "_stdin")

    def __init__(self, hook: dict[str, Any], state: bytes, cwd: str | None) -> None:
        if _signal.getsignal(_signal.SIGPIPE) != _signal.SIG_IGN:
            _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)  # a hook need not read its stdin
        theirs: list[int] = []
        ours: list[int] = []
        try:
            for stream in range(3):
                reading, writing = posix.pipe()  # close-on-exec, as all of Python's
                theirs.append(writing if stream else reading)
                ours.append(reading if stream else writing)
            self._grouped = bool(hook.get("timeout"))
            self._pid = _spawn(hook, theirs, cwd, self._grouped)
        except BaseException:
            for fd in ours:
                posix.close(fd)
            raise
        finally:
            for fd in theirs:
                posix.close(fd)
        self._stdin, self._rest = ours[0], memoryview(state)
        self._outputs = {ours[1]: b"", ours[2]: b""}
        self._open = set(self._outputs)  # those that may still bring something
        self._pidfd = _pidfd(self._pid)
        self._poller = select.poll()
        self._poller.register(self._stdin, select.POLLOUT)
        for fd in (ours[1], ours[2], self._pidfd):
            if fd >= 0:
                self._poller.register(fd, select.POLLIN)
        for fd in ours:
            posix.set_blocking(fd, False)

    def run(self, deadline: float | None) -> bool:
        """Serve the pipes until the process has ended (True) or `deadline` has come (False)."""
        while not self._ended():
            left = _LONGEST
            if deadline is not None:
                left = min(left, int((deadline - monotonic()) * 1000) + 1)
                if left <= 0:
                    return False
            for fd, events in self._poller.poll(left if self._pidfd >= 0 else min(left, _BLINK)):
                if fd == self._stdin:
                    self._feed(events)
                elif fd in self._outputs:
                    self._collect(fd)
        for fd in self._outputs:  # what it wrote before it ended
            while self._collect(fd):
                pass
        return True

    def close(self) -> int:
        """Make sure that the process is over, reap it, close the pipes; its wait status."""
        if not self._ended():
            if self._grouped:
                posix.killpg(self._pid, _signal.SIGKILL)
            else:
                posix.kill(self._pid, _signal.SIGKILL)
        status = posix.waitpid(self._pid, 0)[1]
        for fd in (self._stdin, self._pidfd, *self._outputs):
            if fd >= 0:
                posix.close(fd)
        return status

    def output(self) -> tuple[bytes, bytes]:
        """The ends of stdout and stderr."""
        stdout, stderr = self._outputs.values()
        return stdout, stderr

    def _ended(self) -> bool:
        flags = posix.WEXITED | posix.WNOHANG | posix.WNOWAIT
        return posix.waitid(posix.P_PID, self._pid, flags) is not None

    def _feed(self, events: int) -> None:
        try:
            if not events & select.POLLERR:
                self._rest = self._rest[posix.write(self._stdin, self._rest) :]
                if self._rest:
                    return
        except BlockingIOError:
            return
        except BrokenPipeError:
            pass
        self._poller.unregister(self._stdin)  # all written, or nobody reads any more
        posix.close(self._stdin)
        self._stdin = -1

    def _collect(self, fd: int) -> bool:
        try:
            data = posix.read(fd, 65536)
        except BlockingIOError:
            return False
        if not data:
            if fd in self._open:
                self._open.remove(fd)
                self._poller.unregister(fd)
            return False
        self._outputs[fd] = (self._outputs[fd] + data)[-_KEPT:]
        return True


def _pidfd(pid: int) -> int:
    try:
        return posix.pidfd_open(pid, 0)
    except OSError:
        return -1


def _spawn(hook: dict[str, Any], fds: list[int], cwd: str | None, grouped: bool) -> int:
    path = hook["path"]
    env = posix.environ  # as with runc: ours when the hook has none, exactly its own otherwise
    if hook.get("env") is not None:
        env = dict(entry.partition("=")[::2] for entry in hook["env"])
    options: dict[str, Any] = {"setpgroup": 0} if grouped else {}
    back = -1
    if cwd is not None:
        back = posix.open(".", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        if cwd is not None:
            posix.chdir(cwd)
        return posix.posix_spawn(
            path,
            hook.get("args") or [path],
            env,
            file_actions=[(posix.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(fds)],
            setsigmask=(),  # `run` has every signal blocked
            setsigdef=(_signal.SIGPIPE, _signal.SIGXFSZ),  # Python ignores these
            **options,
        )
    finally:
        if back >= 0:
            posix.fchdir(back)
            posix.close(back)
