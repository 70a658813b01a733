"""A program that is not trusted, run where it can do no harm: a container for each call.

    with pycontainer.sandbox() as box:
        result = box.run(["python3", "-c", "print(6 * 7)"])

What it has: this machine's programs (or an image's), read-only; an empty /tmp of its own; standard
streams. What it has not: a network, capabilities, more memory, processes, time and output than it
is given, or a way to leave anything behind.
"""

from __future__ import annotations

import json
import marshal
import os
import pickle
import secrets
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import attrs

from pycontainer.api.images import image_options
from pycontainer.api.models import OutOfMemory
from pycontainer.api.process import Conversation
from pycontainer.api.runtime import Runtime
from pycontainer.api.streams import DEVNULL, PIPE
from pycontainer.base.errors import ContainerError, StateError, UsageError
from pycontainer.image import seccomp_profile
from pycontainer.monitor.sample import Reader, Sample
from pycontainer.monitor.units import size
from pycontainer.spec import default_config

NOBODY = 65534
WORK = "/tmp"
CPU_PERIOD = 100_000
CALLED = """
import json, marshal, pickle, sys, types
code, args, kwargs = pickle.load(sys.stdin.buffer)
answers, sys.stdout = sys.stdout, sys.stderr
function = types.FunctionType(marshal.loads(code), {"__builtins__": __builtins__})
try:
    answer = {"value": function(*args, **kwargs)}
except BaseException as error:
    answer = {"error": f"{type(error).__name__}: {error}"}
json.dump(answer, answers)
"""


class SandboxError(ContainerError):
    """A function in a sandbox raised, was stopped, or returned no JSON; `result` has the rest."""

    category = "sandbox"

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


@attrs.frozen
class Result:
    """How a program in a sandbox ended.

    `exit_status`: 128 + n when signal n ended it. `stopped`: "timeout" or "output" when it was
    killed for that, else "". `oom`: when it was for memory. `time` and `cpu_time` are seconds,
    `peak_memory` bytes; None where there is no cgroup that tells.
    """

    args: tuple[str, ...]
    exit_status: int | None
    stdout: bytes
    stderr: bytes
    stopped: str
    oom: OutOfMemory | None
    time: float
    cpu_time: float | None
    peak_memory: int | None

    @property
    def ok(self) -> bool:
        """It ended by itself, with status 0."""
        return self.exit_status == 0 and not self.stopped

    @property
    def text(self) -> str:
        """stdout as text; what is not UTF-8 is replaced."""
        return self.stdout.decode("utf-8", "replace")


@attrs.define(eq=False)
class Sandbox:
    """Made by `sandbox`. Several threads may use it at once: each call has its own container."""

    runtime: Runtime
    timeout: float
    output_limit: int
    config: dict[str, Any] = attrs.field(repr=False)
    _directory: tempfile.TemporaryDirectory[str] = attrs.field(repr=False)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what the containers share."""
        self._directory.cleanup()

    def run(
        self,
        args: Sequence[str],
        *,
        input: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Run a program until it ends or is stopped; `timeout` is this call's own."""
        if isinstance(args, str):
            raise UsageError("args must be a list, not a string", "not-a-list")
        given = self._given(args, env or {}, input)
        start = monotonic()
        name = f"sandbox-{secrets.token_hex(6)}"
        with self.runtime._launch(name, self._directory.name, given, gated=False) as container:
            init = container.init
            assert init is not None
            talk = Conversation(init, input, self.output_limit)
            stopped = talk.run(self.timeout if timeout is None else timeout)
            if stopped:
                with suppress(StateError):  # it has ended by itself meanwhile
                    init.kill("KILL")
                init.child.wait(10)
            sample = self._used(container)
            out, err = talk.outputs()
            return Result(
                args=tuple(args),
                exit_status=init.child.status,
                stdout=out[: self.output_limit],
                stderr=err[: self.output_limit],
                stopped=stopped,
                oom=container._oom(0),
                time=monotonic() - start,
                cpu_time=sample.cpu if sample else None,
                peak_memory=(sample.memory_peak or None) if sample else None,
            )

    def _given(self, args: Sequence[str], env: Mapping[str, str], input: bytes) -> dict[str, Any]:
        """For Runtime._launch."""
        process = {**self.config["process"], "args": list(args)}
        process["env"] = [*process["env"], *(f"{k}={v}" for k, v in env.items())]
        return {
            "config": {**self.config, "process": process},
            "stdin": PIPE if input else DEVNULL,
            "stdout": PIPE,
            "stderr": PIPE,
        }

    @staticmethod
    def _used(container: Any) -> Sample | None:
        with container._opened() as core:
            return Reader(core.cgroup.paths).read() if core.facts.cgroup else None

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What a function returns, in a Python of its own; SandboxError if it does not.

        Of the function only its code goes in: it must import what it uses, and have no closure.
        What it returns comes back as JSON: nothing from inside is executed outside.
        """
        code = function.__code__
        if code.co_freevars:
            raise UsageError(
                f"{function.__name__} uses variables from around it: pass them",
                "not-self-contained",
            )
        program = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
        data = pickle.dumps((marshal.dumps(code), args, kwargs))
        result = self.run([program, "-IS", "-c", CALLED], input=data)
        try:
            answer = json.loads(result.stdout)
            if "error" in answer:
                raise SandboxError(str(answer["error"]), result)
            return answer["value"]
        except (ValueError, KeyError, TypeError, RecursionError):
            why = result.stopped or ("out of memory" if result.oom else "")
            why = why or result.stderr.decode("utf-8", "replace").strip()[-200:] or "no answer"
            raise SandboxError(f"{function.__name__}: {why}", result) from None


def sandbox(
    image: str | os.PathLike[str] = "",
    *,
    memory: str = "256M",
    pids: int = 64,
    cpus: float = 1.0,
    timeout: float = 10.0,
    output_limit: int = 1 << 20,
    tmpfs: str = "64M",
    runtime: Runtime | None = None,
    layers: str = "",
) -> Sandbox:
    """A place for untrusted programs: this machine's own /usr, or an image, read-only.

    `timeout`: seconds; `output_limit`: bytes of stdout and stderr together, over which the program
    is killed; `tmpfs`: the size of /tmp, which counts as memory, too.
    """
    runtime = runtime or Runtime()
    directory = tempfile.TemporaryDirectory(prefix="pycontainer-sandbox-")
    try:
        config = _of_image(image, directory.name, layers) if image else _of_host(directory.name)
        _restrict(config, size(tmpfs))
        config["linux"]["resources"] = {
            **(config["linux"].get("resources") or {}),
            "memory": {"limit": size(memory), "swap": size(memory)},
            "pids": {"limit": pids},
            "cpu": {"quota": int(cpus * CPU_PERIOD), "period": CPU_PERIOD},
        }
        return Sandbox(runtime, timeout, output_limit, config, directory)
    except BaseException:
        directory.cleanup()
        raise


def _of_host(directory: str) -> dict[str, Any]:
    from pycontainer.spec import host_bundle

    bundle = host_bundle.plan(terminal=False, rootless=os.geteuid() != 0)
    host_bundle.write(bundle, directory)
    return bundle.config


def _of_image(image: str | os.PathLike[str], directory: str, layers: str) -> dict[str, Any]:
    from pycontainer.image.bundle import read_only
    from pycontainer.image.streams import Budget

    options = image_options([], {"read_only": True, "hostname": "sandbox"})
    return read_only(os.fspath(image), directory, options, store=layers, budget=Budget())


def _restrict(config: dict[str, Any], tmpfs_size: int) -> None:
    process, linux = config["process"], config["linux"]
    if os.geteuid() == 0 and not any(s["type"] == "user" for s in linux["namespaces"]):
        process["user"] = {"uid": NOBODY, "gid": NOBODY}
    else:
        process["user"] = {"uid": 0, "gid": 0}
    names = ("bounding", "effective", "inheritable", "permitted", "ambient")
    process["capabilities"] = {name: [] for name in names}
    process |= {"cwd": WORK, "noNewPrivileges": True, "terminal": False}
    process["env"] = [e for e in process["env"] if not e.startswith(("HOME=", "TERM="))]
    process["env"].append(f"HOME={WORK}")
    words = f"nosuid nodev mode=1777 size={tmpfs_size}"
    kept = [mount for mount in config["mounts"] if mount["destination"] not in (WORK, "/home")]
    config["mounts"] = [*kept, default_config.mount(WORK, "tmpfs", "tmpfs", words)]
    linux["seccomp"] = seccomp_profile.profile([])
    if not any(space["type"] == "network" for space in linux["namespaces"]):
        linux["namespaces"] = [*linux["namespaces"], {"type": "network"}]
