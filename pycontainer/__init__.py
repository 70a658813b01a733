"""pycontainer: an OCI container runtime that shows its plan before it acts.

The names of the Python API (docs/python.md) are loaded when one of them is used: the command, which
imports this package as well, needs none of them.
"""

__version__ = "0.2.0"


def _names():
    return set(
        """
        AlreadyExists CaptureArguments Completed ConfigError Container ContainerError Cpu
        CreateArguments DEVNULL DamagedState Event ExecArguments ExitError HostError
        ImageArguments InvalidId Memory NotFound NotRunning Operation OperationError
        OutOfMemory PIPE Pids Plan Process Result RunImageArguments Runtime STDOUT Sandbox
        SandboxError StartError State StateError Stats UsageError create default_config explain list
        load make_host_bundle run run_image sandbox
        """.split()
    )


def __getattr__(name):
    if name not in _names():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pycontainer import api

    value = globals()[name] = getattr(api, name)
    return value


def __dir__():
    return sorted({*globals(), *_names()})
