"""linux.seccomp to a program for seccomp(2), from the cache where there is one.

Input: the `linux.seccomp` object of a validated config. Output: a Filter, or None when there is
nothing to filter. compiler.py knows what the words mean; this file, which every create loads,
only finds what was compiled before: one hash, one small file.

An entry of the cache is named after its content's hash and holds a checksum, then a marshalled
tuple. It is believed only when the directory is ours and closed to others, the file is ours, the
checksum is right and libseccomp is still the same file; anything else means compiling again.
"""

from __future__ import annotations

import marshal
import posix
from _blake2 import blake2b

from pycontainer.base.errors import os_reason

# Part of the key: raise it with every change of what compiles to what.
COMPILER = "pycontainer seccomp 4"
ENTRIES = 128  # in the cache; engines use one profile or a few

_DIGEST = 20
_MODE_OTHERS = 0o077
_DIR_FLAGS = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_FILE_FLAGS = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC | posix.O_NONBLOCK
_NEW_FLAGS = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
# The kernel takes 4096 instructions of 8 bytes (BPF_MAXINSNS); what stands around them is small.
_ENTRY_MAX = 1 << 18


class Filter:
    """A compiled filter; a value.

    - `bpf`: struct sock_filter[], in this machine's byte order.
    - `flags`: SECCOMP_FILTER_FLAG_* for seccomp(SECCOMP_SET_MODE_FILTER).
    - `notify`: the call returns a listener's descriptor (then flags has NEW_LISTENER).
    - `lets_enter`: what `exec` still has to do passes it (simulate.py); `lets_wait`: what `create`
      has to do, too.
    - `warnings`: what the user should know; `debug`: what was passed over, as runc's debug log.
    """

    __slots__ = ("bpf", "debug", "flags", "lets_enter", "lets_wait", "notify", "warnings")

    def __init__(
        self,
        bpf: bytes,
        flags: int,
        notify: bool,
        warnings: tuple[str, ...],
        debug: tuple[str, ...],
        lets_enter: bool = False,
        lets_wait: bool = False,
    ) -> None:
        self.bpf = bpf
        self.flags = flags
        self.notify = notify
        self.warnings = warnings
        self.debug = debug
        self.lets_enter = lets_enter
        self.lets_wait = lets_wait

    @property
    def instructions(self) -> int:
        """How many instructions the kernel gets to see."""
        return len(self.bpf) // 8

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Filter):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Filter({self.instructions} instructions, flags={self.flags:#x})"


def compile(seccomp: dict, cache_dir: str | None = None) -> Filter | None:
    """Return the filter that `seccomp` describes; None when it describes none (as in runc).

    `cache_dir` is made (0700) if its parent exists; a cache that cannot be used costs time only,
    and a word in `debug`. ConfigError for what the object must not say, HostError for what the
    kernel or libseccomp cannot do. config-linux.md#seccomp of runtime-spec 1.3.
    """
    if not seccomp.get("defaultAction") and not seccomp.get("syscalls"):
        return None
    key = _key(seccomp)
    cache = -1
    notes: tuple[str, ...] = ()
    if cache_dir:
        cache, reason = _open_cache(cache_dir)
        if cache < 0:
            notes = (f"not using the seccomp cache {cache_dir}: {reason}",)
    try:
        if cache >= 0:
            found = _read(cache, key)
            if found is not None:
                return Filter(*found)
        from pycontainer.seccomp import compiler

        library, parts = compiler.build(seccomp)
        if cache >= 0:
            reason = _write(cache, key, library, parts)
            if reason:
                notes = (f"not writing to the seccomp cache {cache_dir}: {reason}",)
    finally:
        if cache >= 0:
            posix.close(cache)
    bpf, flags, notify, warnings, debug, *lets = parts
    return Filter(bpf, flags, notify, warnings, debug + notes, *lets)


def _key(seccomp: dict) -> str:
    """Name what the filter depends on; the listener's address is not among it.

    marshal's version 2 has neither references nor interning marks, so equal objects have equal
    bytes. Which flags there are, and what default they have, is the kernel's: hence its release.
    """
    get = seccomp.get
    kernel = posix.uname()
    facts = (
        COMPILER,
        kernel.release,
        kernel.machine,
        get("defaultAction"),
        get("defaultErrnoRet"),
        get("architectures"),
        get("flags"),
        get("syscalls"),
    )
    return blake2b(marshal.dumps(facts, 2), digest_size=_DIGEST).hexdigest()


def _library_facts(path: str) -> tuple[str, int, int, int]:
    """What tells one build of libseccomp from the next without loading it. OSError if gone."""
    facts = posix.stat(path)
    return path, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _open_cache(path: str) -> tuple[int, str]:
    """Open our directory, (descriptor, ""), or say why not, (-1, reason)."""
    try:
        try:
            fd = posix.open(path, _DIR_FLAGS)
        except FileNotFoundError:
            try:
                posix.mkdir(path, 0o700)
            except FileExistsError:
                pass  # another create was quicker
            fd = posix.open(path, _DIR_FLAGS)
    except OSError as error:
        return -1, os_reason(error.errno or 0)
    facts = posix.fstat(fd)
    if facts.st_uid != posix.geteuid() or facts.st_mode & _MODE_OTHERS:
        posix.close(fd)
        return -1, "it is not ours alone"
    return fd, ""


def _read(cache: int, key: str) -> tuple | None:
    """Return a Filter's parts from the cache, None when there is nothing that can be believed."""
    try:
        fd = posix.open(key, _FILE_FLAGS, dir_fd=cache)
    except OSError:
        return None
    try:
        facts = posix.fstat(fd)
        if (
            facts.st_mode & 0o170000 != 0o100000
            or facts.st_uid != posix.geteuid()
            or facts.st_mode & 0o022
            or not _DIGEST < facts.st_size <= _ENTRY_MAX
        ):
            return None
        entry = posix.read(fd, facts.st_size)
    except OSError:
        return None
    finally:
        posix.close(fd)
    body = entry[_DIGEST:]
    if blake2b(body, digest_size=_DIGEST).digest() != entry[:_DIGEST]:
        return None
    named, library, parts = marshal.loads(body)
    try:
        if named != key or _library_facts(library[0]) != library:
            return None
    except OSError:
        return None
    return parts


def _write(cache: int, key: str, library: str, parts: tuple) -> str:
    """Keep a Filter's parts; return "" or the reason why that failed.

    No fsync: a torn entry fails its checksum, and the usual place is a tmpfs anyway.
    """
    name = f".{key}.{posix.getpid()}"
    try:
        body = marshal.dumps((key, _library_facts(library), parts), 2)
        _make_room(cache)
        try:
            fd = posix.open(name, _NEW_FLAGS, 0o600, dir_fd=cache)
        except FileExistsError:
            # Left by a crash, or another pid namespace's twin is at it; the next create will do.
            posix.unlink(name, dir_fd=cache)
            return "a leftover was in the way"
        try:
            left = blake2b(body, digest_size=_DIGEST).digest() + body
            while left:
                left = left[posix.write(fd, left) :]
            posix.rename(name, key, src_dir_fd=cache, dst_dir_fd=cache)
        except OSError:
            posix.unlink(name, dir_fd=cache)
            raise
        finally:
            posix.close(fd)
    except OSError as error:
        return os_reason(error.errno or 0)
    return ""


def _make_room(cache: int) -> None:
    """Drop the oldest half of a full cache; leftovers of crashes go the same way."""
    names = posix.listdir(cache)
    if len(names) < ENTRIES:
        return
    ages = []
    for name in names:
        try:
            ages.append((posix.stat(name, dir_fd=cache, follow_symlinks=False).st_mtime_ns, name))
        except FileNotFoundError:
            continue  # dropped by another create meanwhile
    ages.sort()
    for _, name in ages[: len(ages) // 2]:
        try:
            posix.unlink(name, dir_fd=cache)
        except FileNotFoundError:
            continue
