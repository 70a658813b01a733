"""An engine of the field on a runtime, alone: its own root, state, socket, cgroups; no network.

Podman and Docker have one command line, which `Engine` is the face of; the words for an engine's
own ways are in its subclass. Everything that an engine makes has its `token` in the name or lies
below its `home`, and `close` asserts that nothing of it is left.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import tempfile
import termios
import time
import uuid
from pathlib import Path
from typing import Any

from tests.support.bundles import busybox_bundle
from tests.support.leftovers import CGROUPS, leftovers, processes
from tests.support.runtimes import COMMAND, SLOWNESS, Done, eventually
from tests.support.runtimes import SHIM as CONTAINERD_SHIM

IMAGE = "localhost/box"
PATIENCE = 60 * SLOWNESS  # seconds for one command
SYSTEMD = Path("/run/systemd/system").is_dir()


SHIM = "shim"  # as a runtime's name: pycontainer below its own containerd shim


def runtime_path(name: str) -> str:
    """The file of `pycontainer` (of this checkout), or of another runtime of the machine."""
    if name not in ("pycontainer", SHIM):
        return str(shutil.which(name))
    installed = COMMAND.parent / "fast" / "pycontainer"  # what `make install` installs
    return str(installed if installed.exists() else COMMAND)


class Engine:
    """One engine on one runtime."""

    name = ""
    rootless = False
    needs: tuple[str, ...] = ()  # programs
    at_once: tuple[str, ...] = ()  # option of `rm` for not waiting

    def __init__(self, runtime: str, home: str = "") -> None:
        self.runtime = runtime
        self.runtime_path = runtime_path(runtime)
        self.token = f"pye{uuid.uuid4().hex[:8]}"
        self.home = Path(tempfile.mkdtemp(prefix=f"{self.token}-", dir=home or None))
        self.home.chmod(0o711)  # user namespaces go through it
        self._numbers = itertools.count()
        self.start()

    @property
    def title(self) -> str:
        """The id of its tests, and its column in the report."""
        return f"{'rootless' if self.rootless else self.name}-{self.runtime}"

    # -- what a subclass says ---------------------------------------------------------------------

    def start(self) -> None:
        """Write the configuration, start the daemon if there is one, make the image."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop the daemon, unmount."""

    def argv(self) -> list[str]:
        """The command line up to the engine's own command."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """What the command finds in its environment."""
        return {}

    def flags(self) -> list[str]:
        """What every `run` needs on this machine."""
        return [f"--cgroup-parent={self.parent}", "--network=none"]

    @property
    def parent(self) -> str:
        """The cgroup that its containers are in: a slice where systemd runs."""
        return f"{self.token}.slice" if SYSTEMD else f"/{self.token}"

    def states(self) -> list[str]:
        """What is in the runtime's state directory."""
        raise NotImplementedError

    def healthy(self, container: str) -> bool:
        """What the container's health check says."""
        raise NotImplementedError

    def init_flags(self) -> list[str]:
        """What makes it run an init of its own in the container."""
        return ["--init"]

    def swap_too(self, total: str) -> list[str]:
        """Options of `update` that a limit of memory needs next to it."""
        return []

    def wrapper(self, name: str, options: str = "") -> Path:
        """A command of this name that is the runtime with these options."""
        file = self.home / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'#!/bin/sh\nexec {self.runtime_path} {options} "$@"\n')
        file.chmod(0o755)
        return file

    # -- the command line -------------------------------------------------------------------------

    def __call__(self, *arguments: Any, timeout: float = PATIENCE, **options: Any) -> Done:
        """Run a command of the engine; `input` is given on stdin, /dev/null without it."""
        argv = [*self.argv(), *map(str, arguments)]
        number = next(self._numbers)
        out, err = self.home / f"{number}.out", self.home / f"{number}.err"
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        env = {**os.environ, **self.environment(), **options.pop("env", {})}
        with out.open("wb") as stdout, err.open("wb") as stderr:
            ended = subprocess.run(
                argv,
                stdout=stdout,
                stderr=stderr,
                timeout=timeout,
                env=env,
                cwd=self.home,
                check=False,
                **options,
            )
        texts = [path.read_bytes().decode("utf-8", "replace") for path in (out, err)]
        out.unlink()
        err.unlink()
        return Done(argv, ended.returncode, *texts)

    def run(self, *words: Any, **options: Any) -> Done:
        """`run --rm FLAGS IMAGE COMMAND`: flags up to the first word without a dash."""
        return self("run", "--rm", *self._with_image(words), **options)

    def create(self, *words: Any) -> str:
        """The id of a new container that has not been started."""
        return self("create", *self._with_image(words)).ok().out.split()[-1]

    def running(self, *words: Any) -> str:
        """The id of a new container in the background; it sleeps unless told otherwise."""
        done = self("run", "--detach", *self._with_image(words, ("sleep", "1000")))
        return done.ok().out.split()[-1]

    def script(self, *words: Any, **options: Any) -> str:
        """What a shell script in a new container prints; it must end well."""
        *flags, text = words
        return self.run(*flags, "sh", "-c", text, **options).ok().out

    def sh(self, container: str, text: str) -> str:
        """What a shell script prints in a running container; it must end well."""
        return self("exec", container, "sh", "-c", text).ok().out

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine knows about it."""
        return json.loads(self("inspect", "--type=container", container).ok().out)[0]

    def status(self, container: str) -> str:
        """running, paused, exited ..."""
        return self.inspect(container)["State"]["Status"]

    def pid(self, container: str) -> int:
        """Of the container's init."""
        return self.inspect(container)["State"]["Pid"]

    def wait_for(self, container: str, status: str, seconds: float = 20) -> None:
        """Until the engine has noticed."""
        eventually(lambda: self.status(container) == status, f"{container} {status}", seconds)

    def logs(self, container: str) -> str:
        """What it has printed on stdout."""
        return self("logs", container).ok().out

    def wait_for_log(self, container: str, text: str, seconds: float = 20) -> None:
        """Until it has printed this."""
        eventually(lambda: text in self.logs(container), f"{text!r} in the log", seconds)

    def popen(self, *arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        """A command of the engine in the background; the caller reaps it."""
        argv = [*self.argv(), *map(str, arguments)]
        env = {**os.environ, **self.environment()}
        return subprocess.Popen(argv, env=env, cwd=self.home, **options)

    def terminal(
        self, *arguments: Any, keys: bytes = b"", until: bytes = b""
    ) -> tuple[int | None, bytes]:
        """Run a command on a terminal of 99 by 33; its status, and what appeared there.

        `keys` are pressed when `until` has appeared. The command is ended when nothing more comes
        for 3 seconds (of a fast machine); its status is None then.
        """
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 33, 99, 0, 0))
        process = self.popen(
            *arguments, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        seen = b""
        try:
            time.sleep(0 if until else 0.5)
            while True:
                if keys and until in seen:
                    os.write(master, keys)
                    keys = b""
                data = _read(master)
                if not data:
                    break
                seen += data
            return _status(process), seen
        finally:
            os.close(master)

    def _with_image(self, words: tuple[Any, ...], default: tuple[str, ...] = ()) -> list[Any]:
        at = 0
        while at < len(words) and str(words[at]).startswith("-"):
            at += 1
        return [*self.flags(), *words[:at], IMAGE, *(words[at:] or default)]

    # -- the host's side --------------------------------------------------------------------------

    def cgroup(self, container: str, controller: str) -> Path:
        """The container's cgroup directory on the host; `controller` counts on v1 only."""
        lines = Path(f"/proc/{self.pid(container)}/cgroup").read_text().splitlines()
        places = {
            name: path
            for _, names, path in (ln.split(":", 2) for ln in lines)
            for name in names.split(",")
        }
        if controller in places and (CGROUPS / controller).is_dir():
            return CGROUPS / controller / places[controller].lstrip("/")
        return CGROUPS / places[""].lstrip("/")

    # -- the end ----------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Remove all containers; AssertionError when the runtime still knows one."""
        listed = self("ps", "--all", "--no-trunc", "--format={{.ID}} {{.State}}").ok().out
        states = dict(line.split(maxsplit=1) for line in listed.splitlines())
        for name, state in states.items():
            if "paused" in state.lower():
                self("unpause", name).ok()
        names = list(states)
        if names:
            self("rm", "--force", "--volumes", *self.at_once, *names).ok()
        eventually(lambda: not self.states(), f"{self.states()} removed")

    def close(self) -> None:
        """Stop everything and remove it; AssertionError when something stays."""
        try:
            self.sweep()
        finally:
            self.stop()
            self._remove_parents()
            left = leftovers(self.token, [])
            for pid in processes(self.token):
                os.kill(pid, 9)
            shutil.rmtree(self.home, ignore_errors=True)
        assert left == [], "the engine has left something behind"

    def _remove_parents(self) -> None:
        """The empty cgroups that were made for this engine's containers to be in."""
        if SYSTEMD:
            whose = ["--user"] if os.geteuid() else []
            subprocess.run(["systemctl", *whose, "stop", self.parent], check=False)
        for parent in (*CGROUPS.glob(f"*/{self.token}"), *CGROUPS.glob(self.token)):
            for path, _, _ in os.walk(parent, topdown=False):
                try:
                    os.rmdir(path)
                except OSError:
                    pass  # not empty: leftovers() tells


def root_archive(directory: Path) -> Path:
    """A tar archive of a root file system with busybox."""
    rootfs = busybox_bundle(directory / "image").rootfs
    archive = directory / "image.tar"
    subprocess.run(["tar", "-C", rootfs, "--numeric-owner", "-cf", archive, "."], check=True)
    shutil.rmtree(directory / "image")
    return archive


def shim_of(token: str, container: str) -> int:
    """The pid of a container's shim: one of containerd's of this token."""
    for pid in processes(token):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if "containerd-shim" in words[0] and container in words:
            return pid
    raise AssertionError(f"{container} has no shim")


def shim_is_right(runtime: str, pid: int) -> bool:
    """Whether a shim is the one that the checks of this runtime are about."""
    ours = os.readlink(f"/proc/{pid}/exe") == str(CONTAINERD_SHIM)
    return ours == (runtime == SHIM)


def terminate(process: subprocess.Popen[bytes], seconds: float = 20 * SLOWNESS) -> None:
    """End a daemon that we have started."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def unmount_below(directory: Path) -> None:
    """Unmount what a storage driver has left mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    for path in sorted((line.split()[4] for line in lines), reverse=True):
        if path.startswith(f"{directory}/"):
            subprocess.run(["umount", "-l", path], check=False)


def _read(fd: int, seconds: float = 3 * SLOWNESS) -> bytes:
    """What comes next from a terminal; nothing at its end, or when nothing comes."""
    if not select.select([fd], [], [], seconds)[0]:
        return b""
    try:
        return os.read(fd, 65536)
    except OSError:  # EIO: the other side is closed
        return b""


def _status(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(SLOWNESS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None
