"""The Python API: what `import pycontainer` offers, loaded when it is used (docs/python.md).

The same code as the command, in the caller's own process: no interpreter is started for a
container, and of the process nothing is touched: not its working directory, its umask, its signal
handlers and masks, its environment, nor its other children. Every function may be called from any
thread.
"""

from __future__ import annotations

from os import PathLike
from typing import Any, Unpack, overload

from pycontainer.api.container import CaptureArguments as CaptureArguments
from pycontainer.api.container import Container as Container
from pycontainer.api.container import ExecArguments as ExecArguments
from pycontainer.api.images import ImageArguments as ImageArguments
from pycontainer.api.images import RunImageArguments as RunImageArguments
from pycontainer.api.images import run_image as run_image
from pycontainer.api.models import Cpu as Cpu
from pycontainer.api.models import Event as Event
from pycontainer.api.models import Memory as Memory
from pycontainer.api.models import Operation as Operation
from pycontainer.api.models import OutOfMemory as OutOfMemory
from pycontainer.api.models import Pids as Pids
from pycontainer.api.models import Plan as Plan
from pycontainer.api.models import State as State
from pycontainer.api.models import Stats as Stats
from pycontainer.api.process import Completed as Completed
from pycontainer.api.process import ExitError as ExitError
from pycontainer.api.process import Process as Process
from pycontainer.api.runtime import Bundle, Config, RunArguments, States
from pycontainer.api.runtime import CreateArguments as CreateArguments
from pycontainer.api.runtime import Runtime as Runtime
from pycontainer.api.runtime import default_config as default_config
from pycontainer.api.runtime import make_host_bundle as make_host_bundle
from pycontainer.api.sandbox import Result as Result
from pycontainer.api.sandbox import Sandbox as Sandbox
from pycontainer.api.sandbox import SandboxError as SandboxError
from pycontainer.api.sandbox import sandbox as sandbox
from pycontainer.api.streams import DEVNULL as DEVNULL
from pycontainer.api.streams import PIPE as PIPE
from pycontainer.api.streams import STDOUT as STDOUT
from pycontainer.base.errors import AlreadyExists as AlreadyExists
from pycontainer.base.errors import ConfigError as ConfigError
from pycontainer.base.errors import ContainerError as ContainerError
from pycontainer.base.errors import DamagedState as DamagedState
from pycontainer.base.errors import HostError as HostError
from pycontainer.base.errors import InvalidId as InvalidId
from pycontainer.base.errors import NotFound as NotFound
from pycontainer.base.errors import NotRunning as NotRunning
from pycontainer.base.errors import OperationError as OperationError
from pycontainer.base.errors import StartError as StartError
from pycontainer.base.errors import StateError as StateError
from pycontainer.base.errors import UsageError as UsageError
from pycontainer.lifecycle import explain_errors

__all__ = [
    "AlreadyExists",
    "CaptureArguments",
    "Completed",
    "ConfigError",
    "Container",
    "ContainerError",
    "Cpu",
    "CreateArguments",
    "DEVNULL",
    "DamagedState",
    "Event",
    "ExecArguments",
    "ExitError",
    "HostError",
    "ImageArguments",
    "InvalidId",
    "Memory",
    "NotFound",
    "NotRunning",
    "Operation",
    "OperationError",
    "OutOfMemory",
    "PIPE",
    "Pids",
    "Plan",
    "Process",
    "Result",
    "RunImageArguments",
    "Runtime",
    "STDOUT",
    "Sandbox",
    "SandboxError",
    "StartError",
    "State",
    "StateError",
    "Stats",
    "UsageError",
    "create",
    "default_config",
    "explain",
    "list",
    "load",
    "make_host_bundle",
    "run",
    "run_image",
    "sandbox",
]

explain_errors()
ListOfArgs = list[str] | tuple[str, ...]  # `list` is a function below


def create(
    container_id: str, bundle: Bundle = ".", **options: Unpack[CreateArguments]
) -> Container:
    """Runtime.create where the command keeps its containers."""
    return Runtime().create(container_id, bundle, **options)


@overload
def run(container_id: str, bundle: Bundle = ".", **options: Unpack[RunArguments]) -> Completed: ...
@overload
def run(image: Bundle, args: ListOfArgs, **options: Unpack[RunImageArguments]) -> Completed: ...
def run(*words: Any, **options: Any) -> Completed:
    """Runtime.run where the command keeps its containers; with a list of arguments, `run_image`.

    `pycontainer.run("web", "/bundle")`, `pycontainer.run("app.tar", ["ls", "-l"])`
    """
    args = options.get("args", words[1] if len(words) > 1 else ".")
    if isinstance(args, (str, PathLike)):
        return Runtime().run(*words, **options)
    return run_image(*words, **options)


def load(container_id: str) -> Container:
    """Runtime.load where the command keeps its containers."""
    return Runtime().load(container_id)


def list() -> States:
    """Runtime.list where the command keeps its containers."""
    return Runtime().list()


def explain(bundle: Bundle = ".", *, config: Config | None = None) -> Plan:
    """Runtime.explain: what `create` would do with this bundle."""
    return Runtime().explain(bundle, config=config)
