"""Runs the hooks of the runtime namespace: prestart, createRuntime, poststart, poststop.

A hook gets the state as JSON on stdin (config.md#posix-platform-hooks), its own environment and
nothing else; what it prints is kept (the last 4 KiB of each stream) for the error message. It is
over when its process has ended, even if a grandchild still holds its output open. One loop of
poll(2) reads both outputs and watches the end and the timeout; there are no threads.

stdin is a file in memory: a hook need not read it, and no process has to feed it. Nothing of the
calling process is touched (its directory, its signal handlers): it may be a foreign program.
"""

from __future__ import annotations

import _signal
import posix
import select
from time import monotonic

from pycontainer._shim import lib
from pycontainer.base import jsonfast
from pycontainer.base.errors import OperationError, check, os_reason
from pycontainer.linux.process import UNKNOWN_STATUS, reap
from pycontainer.linux.spawn import OUTPUT_FLAGS, OUTPUT_MODE, spawn
from pycontainer.tables.signals import described

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pycontainer.base.settings import Settings

# crun's annotations: files that hooks write to, in place of us. Made if missing.
OUTPUTS = ("run.oci.hooks.stdout", "run.oci.hooks.stderr")
_KEPT = 4096  # bytes of each output stream
_BLINK = 10  # ms between looks at a hook's process on kernels without pidfds (before 5.3)
_LONGEST = 3_600_000  # ms of one poll; its argument is an int


class HookResult:
    """How one hook went: `problem` is "" or the reason of its failure (which has a `code`), `hint`
    what to do about it, `seconds` what it took."""

    __slots__ = ("code", "hint", "index", "path", "problem", "seconds", "stderr", "stdout")

    def __init__(self, index: int, path: str) -> None:
        self.index = index
        self.path = path
        self.problem = ""
        self.code = "hook-not-executed"
        self.hint: str | None = None
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
    cwd: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> list[HookResult]:
    """Run hooks in order; OperationError at the first that fails, and no later one is run.

    `state` is what they read on stdin, `cwd` their working directory (ours when None); the
    config's `annotations` may name files for what they write (OUTPUTS).
    """
    results = []
    for index, hook in enumerate(hooks):
        result = _run(index, hook, state, cwd, annotations)
        if result.problem:
            where = f"hooks.{stage}[{index}]"
            text = result.message(stage)
            raise OperationError(
                text,
                result.code,
                field=where,
                operation="hook",
                path=result.path,
                hint=result.hint,
            )
        results.append(result)
    return results


def run_hooks_tolerant(
    stage: str,
    hooks: Sequence[dict[str, Any]],
    state: bytes,
    *,
    cwd: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> list[str]:
    """Run all hooks whatever happens (poststop, runtime.md#lifecycle); the failures as lines."""
    results = [_run(index, hook, state, cwd, annotations) for index, hook in enumerate(hooks)]
    return [result.message(stage) for result in results if result.problem]


def run_poststop(
    config: dict[str, Any], state: dict[str, Any], bundle: str, settings: Settings
) -> None:
    """poststop hooks: a failure is a warning, runtime.md#lifecycle. In the bundle as the others, or
    where we are if that is gone."""
    hooks = (config.get("hooks") or {}).get("poststop")
    if not hooks:
        return
    document = jsonfast.dumps(state).encode()
    cwd = bundle if posix.access(bundle, posix.X_OK) else None
    annotations = config.get("annotations")
    lines = run_hooks_tolerant("poststop", hooks, document, cwd=cwd, annotations=annotations)
    for line in lines:
        settings.log.warning(line)


def _run(
    index: int,
    hook: dict[str, Any],
    state: bytes,
    cwd: str | None,
    annotations: Mapping[str, str] | None,
) -> HookResult:
    result = HookResult(index, hook["path"])
    began = monotonic()
    files = [(annotations or {}).get(name, "") for name in OUTPUTS]
    try:
        process = _Process(hook, state, cwd, files)
    except OSError as error:
        _not_started(result, error, cwd, files)
    except ValueError as error:  # a NUL byte
        result.problem = f"fork/exec {result.path}: {error}"
    else:
        timeout = hook.get("timeout")
        try:
            ended = process.run(began + timeout if timeout else None)
        finally:
            status = process.close()
        result.stdout, result.stderr = process.output()
        result.code, result.problem = _problem(status)
        if not ended:
            limit = float(timeout or 0)
            result.code = "hook-timeout"
            result.problem = f"hook ran past specified timeout of {limit:.1f}s"
        if result.problem:
            result.problem += f", stdout: {_text(result.stdout)}, stderr: {_text(result.stderr)}"
    result.seconds = monotonic() - began
    return result


def _not_started(result: HookResult, error: OSError, cwd: str | None, files: list[str]) -> None:
    if cwd and error.filename == cwd:
        what = f"chdir {cwd}"
    elif error.filename in files:
        what = f"open {error.filename}"
    else:
        from pycontainer.diagnose.program import of_host

        what = f"fork/exec {result.path}"
        result.hint = of_host(result.path, error.errno or 0)
    result.problem = f"{what}: {os_reason(error.errno or 0)}"


def _problem(status: int | None) -> tuple[str, str]:
    """The code and the words for a status, or two empty ones."""
    if status is None:
        return "hook-exit", UNKNOWN_STATUS
    if posix.WIFSIGNALED(status):
        number = posix.WTERMSIG(status)
        dumped = " (core dumped)" if posix.WCOREDUMP(status) else ""
        return "hook-signal", f"signal: {described(number)}{dumped}"
    code = posix.WEXITSTATUS(status)
    return ("hook-exit", f"exit status {code}") if code else ("", "")


def _text(output: bytes) -> str:
    return output.decode(errors="replace").rstrip()


class _Process:
    """One hook's process with our ends of its two pipes, less those that a file stands for."""

    __slots__ = ("_files", "_grouped", "_open", "_outputs", "_pid", "_pidfd", "_poller")

    def __init__(
        self, hook: dict[str, Any], state: bytes, cwd: str | None, files: Sequence[str]
    ) -> None:
        theirs: list[int] = []
        ours: list[int] = []
        try:
            name = b"pycontainer-state"
            theirs.append(check(lib.shim_memfd(name, state, len(state), 0), "keep the state"))
            posix.lseek(theirs[0], 0, 0)
            for path in files:
                if path:
                    theirs.append(posix.open(path, OUTPUT_FLAGS, OUTPUT_MODE))
                    continue
                reading, writing = posix.pipe()  # close-on-exec, as all of Python's
                theirs.append(writing)
                ours.append(reading)
            self._grouped = bool(hook.get("timeout"))
            self._pid = _spawn(hook, theirs, cwd, self._grouped)
        except BaseException:
            for fd in ours:
                posix.close(fd)
            raise
        finally:
            for fd in theirs:
                posix.close(fd)
        self._files = files
        self._outputs = dict.fromkeys(ours, b"")
        self._open = set(ours)  # those that may still bring something
        self._pidfd = _pidfd(self._pid)
        self._poller = select.poll()
        for fd in (*ours, self._pidfd):
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
            for fd, _ in self._poller.poll(left if self._pidfd >= 0 else min(left, _BLINK)):
                if fd in self._outputs:
                    self._collect(fd)
        for fd in self._outputs:  # what it wrote before it ended
            while self._collect(fd):
                pass
        return True

    def close(self) -> int | None:
        """End the process if it runs, reap it, close the pipes; its wait status, if known."""
        if not self._ended():
            if self._grouped:
                posix.killpg(self._pid, _signal.SIGKILL)
            else:
                posix.kill(self._pid, _signal.SIGKILL)
        status = reap(self._pid)
        if status is None:
            from pycontainer.linux.exit_info import lost_status

            status = lost_status(self._pidfd)
        for fd in (self._pidfd, *self._outputs):
            if fd >= 0:
                posix.close(fd)
        return status

    def output(self) -> tuple[bytes, bytes]:
        """The ends of stdout and stderr, as far as we have seen them."""
        seen = iter(self._outputs.values())
        stdout, stderr = (b"" if path else next(seen) for path in self._files)
        return stdout, stderr

    def _ended(self) -> bool:
        flags = posix.WEXITED | posix.WNOHANG | posix.WNOWAIT
        try:
            return posix.waitid(posix.P_PID, self._pid, flags) is not None
        except ChildProcessError:  # SIGCHLD is ignored, and the kernel has reaped it
            return True

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
    path, env = hook["path"], hook.get("env")
    if env is not None:  # the last of two equal names
        given = dict(entry.partition("=")[::2] for entry in env)
        env = [f"{name}={value}" for name, value in given.items()]
    return spawn(path, hook.get("args") or [path], fds, env=env, cwd=cwd, group=grouped)
