"""The state directory: `<root>/<id>/` holds what is known about one container.

    state.json    the facts (class Facts), replaced atomically
    record        the facts for csrc/launcher/front.c, see fast_record.py
    config.json   the bundle's config, byte for byte
    start.sock    the gate: bound by the init that waits for `start`
    exit          with --record-exit: how init ended, see lifecycle/outcome.py
    resources.json  the limits that `update` has changed, see lifecycle/update.py
    notify/       the directory of $NOTIFY_SOCKET, see lifecycle/sd_notify.py

Rules that make every crash harmless, wherever between two system calls it happens:

* A container exists if and only if its state.json does. It is written before anything is made on
  the host (with phase "creating"), and is the first thing that `remove` takes away. So a directory
  without it is the reservation of a command that runs (and holds the lock) or that died: no other
  command sees it, the next `reserve` of that id takes it over, `discard` removes it.
* The lock is flock(2) on the directory itself: no file to make or to leave behind, and the kernel
  drops it with its holder. The holder checks that the directory is still the one at that path.
  create, restore, start, update and delete take it; `state`, `list`, `kill` and `exec` never do, so
  that they cannot hang: a single rename publishes the facts; a reader gets the old or the new ones.
* No fsync: the root is on tmpfs (/run). On a disk, a power cut may leave an unreadable state.json;
  it is reported as that, and removable, and no process survived anyway.
* What another user could have written is not believed: ownership.py.
"""

from __future__ import annotations

import _stat
import errno
import fcntl
import posix
from posix import O_CLOEXEC, O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, O_TRUNC, O_WRONLY
from time import monotonic, sleep

from pycontainer._shim import lib
from pycontainer.base.errors import AlreadyExists, DamagedState, InvalidId, NotFound, StateError
from pycontainer.linux.process import alive
from pycontainer.state.ownership import check_entry, check_root, path_error, read_checked
from pycontainer.state.state import Facts, parse_facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

FACTS, CONFIG, GATE = "state.json", "config.json", "start.sock"
_DIRECTORY = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW
_REPLACE = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW
_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")
_NAME_MAX = 255
_LOCK_WAIT = 10.0  # seconds; longer than any step but a hook's
_DEEPEST = 8  # levels of directories that a removal follows


def check_id(container_id: str) -> str:
    """Return the id; StateError unless it is one or more of [A-Za-z0-9_+.-] and a file name."""
    if (
        not container_id
        or not _ID_CHARACTERS.issuperset(container_id)
        or container_id in (".", "..")
        or len(container_id) > _NAME_MAX
    ):
        raise InvalidId
    return container_id


def status(entry: Entry, facts: Facts, frozen: Callable[[], bool] | None = None) -> str:
    """creating | created | running | paused | stopped (runtime.md#state), as of this moment.

    `frozen` says whether the container's cgroup is frozen; asked only while the init is alive.
    """
    if not alive(facts.pid, facts.start_time):
        # Before there is a pid, only the creator's lock tells its work from its remains.
        working = facts.phase == "creating" and not facts.pid and entry.is_locked()
        return "creating" if working else "stopped"
    if facts.phase == "creating":
        return "creating"
    if frozen is not None and frozen():
        return "paused"
    return "created" if entry.gate_closed() else "running"


class Store:
    """All containers under one root directory."""

    __slots__ = ("root",)

    def __init__(self, root: str) -> None:
        self.root = root

    def check(self) -> None:
        """HostError when the root is not the caller's own; it need not exist."""
        try:
            check_root(self.root)
        except (FileNotFoundError, NotADirectoryError):
            pass  # what follows fails in its own way
        except OSError as error:
            raise path_error("open", self.root, error) from None

    def reserve(self, container_id: str) -> Entry:
        """Make the directory and lock it; StateError when there is such a container already.

        The container comes to be with the first `write_facts`; until then `remove` undoes it.
        """
        path = f"{self.root}/{check_id(container_id)}"
        self.check()
        while True:
            self._make_directory(path)
            try:
                entry = Entry(container_id, path)
            except FileNotFoundError:  # a `remove` was faster
                continue
            except OSError as error:
                raise path_error("open", path, error) from None
            taken = not entry.try_lock()
            if taken or entry.is_current():
                if not taken and not entry.exists():
                    entry.clear()  # what a creator that died may have left
                    return entry
                entry.close()
                raise AlreadyExists
            entry.close()  # it was removed before we had the lock

    def open(self, container_id: str) -> Entry:
        """The container's entry, not locked; StateError when there is no such container."""
        path = f"{self.root}/{check_id(container_id)}"
        self.check()
        try:
            return Entry(container_id, path)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound from None
        except OSError as error:
            raise path_error("open", path, error) from None

    def ids(self) -> list[str]:
        """The ids of all containers, sorted; none when the root does not exist."""
        self.check()
        try:
            names = posix.listdir(self.root)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise path_error("list", self.root, error) from None
        return sorted(name for name in names if _ID_CHARACTERS.issuperset(name) and self.has(name))

    def has(self, container_id: str) -> bool:
        """Whether there is such a container, as of now."""
        return posix.access(f"{self.root}/{container_id}/{FACTS}", posix.F_OK)

    def discard(self, container_id: str) -> bool:
        """Sweep the remains of a create or delete that died; False when there is nothing to do."""
        try:
            with self.open(container_id) as entry:
                if entry.exists() or not entry.try_lock() or not entry.is_current():
                    return False
                if entry.exists():  # a creator finished meanwhile
                    return False
                entry.remove()
                return True
        except StateError:
            return False

    def _make_directory(self, path: str) -> None:
        try:
            posix.mkdir(path, 0o711)
        except FileExistsError:
            pass
        except FileNotFoundError:
            make_directories(self.root, 0o711)
            self._make_directory(path)
        except OSError as error:
            raise path_error("create", path, error) from None


class Entry:
    """One container's directory, held open. Use `with`, or call `close` (which unlocks too)."""

    __slots__ = ("dir_fd", "held", "id", "root_path")

    def __init__(self, container_id: str, root_path: str) -> None:
        self.id = container_id
        self.root_path = root_path
        self.held = False  # whether this entry holds the lock
        self.dir_fd = -1
        self.dir_fd = posix.open(root_path, _DIRECTORY)
        check_entry(self.dir_fd, root_path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()  # a lock that cannot be given up would last as long as the process

    def close(self) -> None:
        """Give up the directory, and the lock with it."""
        fd, self.dir_fd, self.held = self.dir_fd, -1, False
        if fd >= 0:
            try:
                posix.close(fd)
            except OSError:
                pass  # it is closed all the same, and the lock is given up

    def path(self, name: str) -> str:
        """The full path of a file in the directory (may be longer than a socket's 108 bytes)."""
        return f"{self.root_path}/{name}"

    # --- the lock ---

    def lock(self, exclusive: bool = True, wait: float = _LOCK_WAIT) -> None:
        """Lock within so many seconds; StateError when it is in use, NotFound when it is gone."""
        deadline, pause = monotonic() + wait, 0.001
        while not self.try_lock(exclusive):
            if monotonic() >= deadline:
                raise StateError(
                    f"lock container {self.id}: in use by {self._lock_holder()}", "locked"
                )
            sleep(pause)
            pause = min(pause * 2, 0.02)
        if not self.exists() or not self.is_current():
            self.unlock()
            raise NotFound

    def try_lock(self, exclusive: bool = True) -> bool:
        """Lock if that is possible at once."""
        try:
            kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
            fcntl.flock(self.dir_fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.held = True
        return True

    def unlock(self) -> None:
        """Give up the lock; nothing happens when it isn't held."""
        fcntl.flock(self.dir_fd, fcntl.LOCK_UN)
        self.held = False

    def is_locked(self) -> bool:
        """True while this entry holds the lock, or another process holds it exclusively."""
        if self.held or not self.try_lock(exclusive=False):
            return True
        self.unlock()
        return False

    def is_current(self) -> bool:
        """True while the directory is the one at its path, neither removed nor made anew."""
        try:
            there = posix.stat(self.root_path)
        except OSError:
            return False
        here = posix.fstat(self.dir_fd)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def _lock_holder(self) -> str:
        # proc_locks(5): "1: FLOCK  ADVISORY  WRITE 708 00:13:1234 0 EOF"
        suffix = f":{posix.fstat(self.dir_fd).st_ino}"
        with open("/proc/locks") as locks:
            for words in map(str.split, locks):
                if "FLOCK" in words and "->" not in words and words[-3].endswith(suffix):
                    return f"process {words[-4]}"
        return "another process"

    # --- the files ---

    def exists(self) -> bool:
        """True when the container exists: when its facts have been written."""
        return posix.access(FACTS, posix.F_OK, dir_fd=self.dir_fd)

    def read(self, name: str) -> bytes:
        """A file of the directory; OSError as the kernel gives it, HostError if it is not ours."""
        return read_checked(name, self.dir_fd, self.path(name))

    def read_facts(self) -> Facts:
        """The facts; StateError when the container is gone or its file makes no sense."""
        try:
            data = self.read(FACTS)
        except FileNotFoundError:
            raise NotFound from None
        except OSError as error:
            raise path_error("read", self.path(FACTS), error) from None
        try:
            facts = parse_facts(data)
            if facts.id != self.id:
                raise ValueError(f"id is {facts.id[:80]!r}")
            return facts
        except ValueError as error:
            raise DamagedState(f"read {self.path(FACTS)}: {error}") from None

    def write_facts(self, facts: Facts) -> None:
        """Replace the facts, all or nothing. The caller holds the lock."""
        self.write(FACTS, facts.dump(), facts if facts.phase == "created" else None)

    def read_config(self) -> bytes:
        """config.json as the bundle had it when the container was created."""
        try:
            return self.read(CONFIG)
        except OSError as error:
            raise path_error("read", self.path(CONFIG), error) from None

    def write_config(self, raw: bytes) -> None:
        """Keep the bundle's config, byte for byte."""
        self.write(CONFIG, raw)

    def write(self, name: str, data: bytes, recorded: Facts | None = None) -> None:
        """Replace a file, all or nothing; the caller holds the lock. `recorded`: fast_record.py."""
        new = f".{name}.new"  # one name is enough: only the lock's holder writes
        try:
            # Mode 0600: a config's environment may hold secrets.
            fd = posix.open(new, _REPLACE, 0o600, dir_fd=self.dir_fd)
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[posix.write(fd, rest) :]
                if recorded:
                    from pycontainer.state.fast_record import write

                    write(self.dir_fd, recorded, posix.fstat(fd))
            finally:
                posix.close(fd)
            posix.rename(new, name, src_dir_fd=self.dir_fd, dst_dir_fd=self.dir_fd)
        except OSError as error:
            raise path_error("write", self.path(name), error) from None

    def gate_closed(self) -> bool:
        """True while an init waits behind start.sock: status created."""
        return bool(lib.shim_listens_at(self.dir_fd, GATE.encode()))

    # --- the end ---

    def remove(self) -> None:
        """Take the container out of the store. The caller holds the lock; may be repeated.

        The facts go first: from then on the container does not exist, however far this gets.
        """
        try:
            posix.unlink(FACTS, dir_fd=self.dir_fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise path_error("remove", self.path(FACTS), error) from None
        self.clear()
        try:
            posix.rmdir(self.root_path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise path_error("remove", self.root_path, error) from None

    def clear(self) -> None:
        """Remove everything inside; never follows a symlink or enters another file system."""
        try:
            _clear(self.dir_fd, posix.fstat(self.dir_fd).st_dev, _DEEPEST)
        except OSError as error:
            raise path_error("empty", self.root_path, error) from None


def make_directories(path: str, mode: int, again: bool = True) -> None:
    """mkdir -p; `mode` (less the umask) is for the last directory, the ones above get 0755."""
    parent = path.rstrip("/").rpartition("/")[0]
    try:
        posix.mkdir(path, mode)
    except FileExistsError:
        pass
    except FileNotFoundError as error:
        if not parent or not again:  # procfs and its like have no mkdir, even for root
            raise path_error("create", path, error) from None
        make_directories(parent, 0o755)
        make_directories(path, mode, again=False)
    except OSError as error:
        raise path_error("create", path, error) from None


def _clear(dir_fd: int, device: int, levels: int) -> None:
    for name in posix.listdir(dir_fd):
        try:
            posix.unlink(name, dir_fd=dir_fd)
            continue
        except FileNotFoundError:
            continue
        except OSError as error:
            found = posix.stat(name, dir_fd=dir_fd, follow_symlinks=False)
            if not _stat.S_ISDIR(found.st_mode):
                raise
            if found.st_dev != device or levels == 0:
                raise OSError(errno.EBUSY, "") from error
        inner = posix.open(name, _DIRECTORY, dir_fd=dir_fd)
        try:
            _clear(inner, device, levels - 1)
        finally:
            posix.close(inner)
        posix.rmdir(name, dir_fd=dir_fd)
