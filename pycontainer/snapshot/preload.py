"""Runs in the interpreter that a snapshot is made of: imports the package, waits, later goes on.

What is imported here no command has to import. Nothing may be known of the machine or the process
before `shim_resumed`, which each process that is started from the snapshot calls: no module here
asks the kernel anything that may have another answer then.
"""

from __future__ import annotations

import _signal
import gc
import posix
import sys

from pycontainer import _shim
from pycontainer.cli import main
from pycontainer.executor import binary
from pycontainer.lifecycle import attendant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

SIGINT = 2
# Modules of ours that do not belong to the command, or look at files beside them.
LEFT_OUT = ("__main__", "api", "snapshot", "spec.compiler", "plan.generate_header")
# What the commands that engines call import: together in memory, so that few pages of it
# are written. What else these modules import comes with them.
HOT = """
    cli.commands.run cli.commands.exec lifecycle.options lifecycle.container lifecycle.create
    lifecycle.exec lifecycle.exec_process lifecycle.foreground lifecycle.attendant spec.load
    spec.rules
    spec.rules.resources spec._compiled_spec plan._checksum cgroups.cgroup cgroups.create
    cgroups.placement cgroups.owner_xattr cgroups.processes cgroups.resources.v1
    cgroups.resources.v2 cgroups.resources.devices cgroups.stats.oom state.fast_record
    cli.commands.state cli.commands.delete
""".split()
# Of the standard library, what functions of ours import when they are called, and encodings: files
# may have changed by then. tests/unit/test_imports.py holds this list to be all.
LATER = """
    binascii encodings.ascii encodings.latin_1 importlib json.decoder math os pwd re resource select
    signal subprocess textwrap
""".split()
# Python takes objects of up to LARGEST bytes from pools of one size each, a multiple of STEP.
POOL, LARGEST, STEP = 16384 - 48, 512, 16
# They ask the machine when they are imported, hold what no two processes should have in common, or
# bring libraries that few commands need.
# A module that wants one of them is imported when a command needs it.
KEPT_OUT = frozenset(
    """_hashlib _random _ssl hashlib http jsonschema pyroute2 random socket ssl tarfile tempfile
    urllib uuid""".split()
)


class NotForASnapshot(ImportError):
    """A module of KEPT_OUT was asked for."""


class Refuse:
    """A finder: KEPT_OUT cannot be imported while a snapshot is made."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in KEPT_OUT:
            raise NotForASnapshot(name)


class Unchanged:
    """A finder that finds nothing: before a module is read from its file, it makes sure that files
    and memory still belong together."""

    def __init__(self, files: dict[str, tuple[int, int]], directory: str) -> None:
        self.files = files
        self.directory = directory

    @property
    def fix(self) -> str:
        """What to do about changed files: without their Python nothing can be made of them."""
        there = posix.access(sys.executable, posix.X_OK)
        return f"run {self.directory}/make-snapshot" if there else "install pycontainer anew"

    def changed(self) -> str:
        """The first file that is not the one which is in memory; "" when there is none."""
        return next((path for path, seen in self.files.items() if stamp(path) != seen), "")

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        file = self.changed()
        if file:
            raise ImportError(f"{name}: {file} has changed since; {self.fix}")


def stamp(path: str) -> tuple[int, int]:
    """What is different when a file has been replaced."""
    try:
        found = posix.stat(path)
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def mapped() -> dict[str, tuple[int, int]]:
    """The files that this process has in its memory, and one of the standard library."""
    fd = posix.open("/proc/self/maps", posix.O_RDONLY)
    text = b""
    while data := posix.read(fd, 65536):
        text += data
    posix.close(fd)
    paths = {line.partition("/")[1:] for line in text.decode().splitlines() if "/" in line}
    return {path: stamp(path) for path in sorted(map("".join, paths)) if path.startswith("/")}


def modules(directory: str, package: str) -> Iterator[str]:
    """The names of the modules below a package's directory."""
    for entry in sorted(posix.listdir(directory)):
        name = f"{package}.{entry.removesuffix('.py')}"
        if name.removeprefix("pycontainer.") in LEFT_OUT:
            continue
        if entry.endswith(".py") and entry != "__init__.py":
            yield name
        elif posix.access(f"{directory}/{entry}/__init__.py", posix.F_OK):
            yield name
            yield from modules(f"{directory}/{entry}", name)


def load_all() -> None:
    """Import every module of ours that can do without KEPT_OUT; those of HOT have to."""
    sys.meta_path.insert(0, Refuse)
    for name in HOT:
        __import__(f"pycontainer.{name}")
    for name in modules(__file__.rpartition("/snapshot/")[0], "pycontainer"):
        try:
            __import__(name)
        except NotForASnapshot:
            continue  # for what is rare
    for name in LATER:
        __import__(name)
    sys.meta_path.remove(Refuse)


def fill_pools() -> list[bytes]:
    """Use up what is free between objects: later ones then come to lie together, on new pages.

    A page that is written costs a command more than all that it does with it.
    """
    filling = []
    empty = sys.getsizeof(b"")
    for size in range(-(-empty // STEP) * STEP, LARGEST + 1, STEP):
        row = before = 0
        while row + 1 < POOL // size:  # then the last ones have had a pool to themselves
            filling.append(bytes(size - empty))
            address = id(filling[-1])
            row = row + 1 if address - before == size else 0
            before = address
    return filling


def keep(fd: int, directory: str) -> None:
    """Load everything, tell make.py by `fd` where to go on, and wait. Does not return."""
    gc.disable()  # no command lives long enough to need it
    load_all()
    binary.load()
    attendant.load()
    _shim.lib.shim_seccomp_open()  # where there is none, commands say so
    disk = Unchanged(mapped(), directory)
    sys.pycontainer_snapshot = disk  # type: ignore[attr-defined]
    sys.meta_path.insert(0, disk)
    gc.collect()
    gc.freeze()
    filling = fill_pools()  # noqa: F841
    _shim.lib.shim_snapshot_wait(fd)


@_shim.ffi.def_extern()  # type: ignore[untyped-decorator]
def shim_resumed(argv: Any, env: Any) -> NoReturn:
    """Go on with the command line and the environment of the process that this is now."""
    environ = posix.environ  # the same object as os.environ's
    environ.clear()
    for entry in strings(env):
        name, equals, value = entry.partition(b"=")
        if equals:
            environ.setdefault(name, value)
    sys.argv = [word.decode("utf-8", "surrogateescape") for word in strings(argv)]
    ignored = _shim.lib.shim_signal_ignored(SIGINT)
    _signal.signal(SIGINT, _signal.SIG_IGN if ignored else _signal.default_int_handler)
    main()


def strings(array: Any) -> list[bytes]:
    """The strings of a C array that ends with NULL."""
    found: list[bytes] = []
    while array[len(found)] != _shim.ffi.NULL:
        found.append(_shim.ffi.string(array[len(found)]))
    return found
