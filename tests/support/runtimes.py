"""Runtimes behind one face: `pycontainer` of this checkout, and Debian's `runc` to compare with.

A runtime writes to files, not to pipes: a detached container keeps its stdout open, and reading a
pipe to its end would wait for it.
"""

from __future__ import annotations

import functools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
# The script is always fresh; where nothing changes while tests run, it may be the fast command.
COMMAND = CHECKOUT / os.environ.get("PYCONTAINER_COMMAND", "build/pycontainer")
# Built beside the fast command, as `make install` puts it.
SHIM = CHECKOUT / "build/fast/containerd-shim-pycontainer-v2"
# An emulated processor takes its time: all that is waited for may take so many times as long.
SLOWNESS = float(os.environ.get("PYCONTAINER_SLOWNESS", "1"))
PATIENCE = 60 * SLOWNESS  # seconds for one command; one that hangs is a failure, not a hang


class Done:
    """How a command ended."""

    def __init__(self, argv: list[str], status: int, out: str, err: str) -> None:
        self.argv = argv
        self.status = status
        self.out = out
        self.err = err

    def __repr__(self) -> str:
        return f"{' '.join(self.argv)}: status {self.status}\nout: {self.out}\nerr: {self.err}"

    def ok(self) -> Done:
        """Itself, when the status is 0."""
        assert self.status == 0, repr(self)
        return self

    def fails(self, *words: str, status: int = 1) -> Done:
        """Itself, when it failed with `status`, in one line that has all `words`."""
        assert self.status == status, repr(self)
        assert "Traceback" not in self.err, repr(self)
        for word in words:
            assert word.lower() in self.err.lower(), f"{word!r} is not in\n{self!r}"
        return self


class Runtime:
    """One runtime with a state directory of its own below `directory`."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.root = directory / f"{name}-root"
        self.root.mkdir(parents=True, exist_ok=True)
        self.command = str(COMMAND) if name == "pycontainer" else name
        self._count = 0

    def argv(self, *arguments: Any) -> list[str]:
        """The command line, with global options from `arguments` first."""
        return [self.command, "--root", str(self.root), *map(str, arguments)]

    def __call__(self, *arguments: Any, **options: Any) -> Done:
        """Run a command; `input` is given on stdin, which is /dev/null without."""
        self._count += 1
        argv = self.argv(*arguments)
        out = self.directory / f"{self.name}-{self._count}.out"
        err = self.directory / f"{self.name}-{self._count}.err"
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        with out.open("wb") as stdout, err.open("wb") as stderr:
            options = {"stdout": stdout, "stderr": stderr, "timeout": PATIENCE, **options}
            status = _run(argv, **options)
        return Done(argv, status, _text(out), _text(err))

    def start_process(self, *arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        """Run a command in the background; the caller reaps it."""
        return subprocess.Popen(self.argv(*arguments), **options)

    def state(self, container: str) -> dict[str, Any]:
        """The state document."""
        return json.loads(self("state", container).ok().out)

    def status(self, container: str) -> str:
        """created, running, ...; "gone" when there is no such container."""
        done = self("state", container)
        return json.loads(done.out)["status"] if done.status == 0 else "gone"

    def wait_for(self, container: str, status: str, seconds: float = 10) -> None:
        """Until the container has this status."""
        eventually(lambda: self.status(container) == status, f"{container} {status}", seconds)

    def sweep(self) -> None:
        """Delete every container there is."""
        for entry in sorted(self.root.iterdir()):
            if not entry.name.startswith("~"):
                self("delete", "--force", entry.name)


def _run(argv: list[str], timeout: float, **options: Any) -> int:
    """As subprocess.run, which looks every now and then whether the command has ended: up to 50 ms
    too late, which is more than most commands take."""
    if "input" in options:
        return subprocess.run(argv, check=False, timeout=timeout, **options).returncode
    with subprocess.Popen(argv, **options) as process:
        pidfd = os.pidfd_open(process.pid)
        try:
            ended, _, _ = select.select([pidfd], [], [], timeout)
        except BaseException:
            ended = []
            raise
        finally:
            os.close(pidfd)
            if not ended:
                process.kill()
        if not ended:
            raise subprocess.TimeoutExpired(argv, timeout)
        return process.wait()


def eventually(condition: Any, what: str, seconds: float = 10) -> None:
    """Wait until `condition()` holds; AssertionError with `what` when it doesn't in time."""
    deadline = time.monotonic() + seconds * SLOWNESS
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


# Those that tests compare with. Later ones answer some questions otherwise.
VERSIONS = {"runc": "1.1.", "crun": "1.8."}


@functools.cache
def is_there(name: str) -> bool:
    """Whether this user can compare with that runtime, in the version that the tests know."""
    if os.geteuid() != 0 or not shutil.which(name):
        return False
    told = subprocess.run([name, "--version"], capture_output=True, text=True, check=True).stdout
    return f"version {VERSIONS[name]}" in told.splitlines()[0] + "."


def has_runc() -> bool:
    """Whether there is something to compare with."""
    return is_there("runc")


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")
