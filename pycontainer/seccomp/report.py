"""What a container's seccomp profile refuses, written down: `--seccomp-report FILE` of run, exec.

Input: the filter of the profile. Wherever that refuses a call, the watched filter asks us instead
(SECCOMP_RET_USER_NOTIF, Linux 5.0), and we answer what the profile says, after a note of it. So the
program sees the same answers, somewhat later; but what the profile kills is killed by SIGKILL, not
SIGSYS. A thread of the waiting `run` or `exec` does it; for what outlives an `exec`, nobody does,
and the kernel says ENOSYS.
"""

from __future__ import annotations

import _thread
import errno
import posix
import select
from _struct import Struct
from time import monotonic

from pycontainer.base.errors import ConfigError, HostError
from pycontainer.base.jsonfast import dumps
from pycontainer.seccomp.cache import Filter
from pycontainer.seccomp.simulate import data_of, is_let_through, verdict
from pycontainer.seccomp.strings import of_call
from pycontainer.tables import seccomp_names as words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FIELD = "linux.seccomp"
_DEFAULT = f"{FIELD}.defaultAction"
_NOTIFICATION = Struct("=QIIiIQ6Q")  # struct seccomp_notif
_RESPONSE = Struct("=QqiI")  # struct seccomp_notif_resp
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_*
_INSTRUCTION = Struct("=HBBI")
_RETURN = 0x06
_NOTIFY = 0x7FC00000
_ACTION, _DATA = 0xFFFF0000, 0xFFFF
_KILLS = (0x80000000, 0x00000000)  # SECCOMP_RET_KILL_PROCESS and _THREAD
_TRAP, _ERRNO = 0x00030000, 0x00050000
_SIGKILL, _SIGSYS = 9, 31
_EXAMPLES = 4  # strings of one argument that are kept
_PATIENCE_S = 5.0  # for what has the filter still, when the container has been deleted

# SCMP_CMP_*: does the argument meet the condition?
_MEETS = {
    "SCMP_CMP_NE": lambda value, one, two: value != one,
    "SCMP_CMP_LT": lambda value, one, two: value < one,
    "SCMP_CMP_LE": lambda value, one, two: value <= one,
    "SCMP_CMP_EQ": lambda value, one, two: value == one,
    "SCMP_CMP_GE": lambda value, one, two: value >= one,
    "SCMP_CMP_GT": lambda value, one, two: value > one,
    "SCMP_CMP_MASKED_EQ": lambda value, one, two: value & one == two,
}


class Watch:
    """From before the process is made until it is gone; `file` gets JSON, "-" is text on stderr.

    `patch` is a file for a JSON Patch (RFC 6902) of config.json, which allows what is refused.
    HostError when the file cannot be written, ConfigError for a profile with an agent of its
    own: a process has one listener.
    """

    def __init__(self, file: str, patch: str = "") -> None:
        self.file = file
        self._patch = patch
        self._fd = self._patch_fd = -1
        self._bpf = b""
        self._profile: dict[str, Any] = {}
        self._found: dict[tuple[int, int, int], dict[str, Any]] = {}
        self._busy: list[_thread.LockType] = []  # one for each listener that is served

    def __enter__(self) -> Watch:
        if self.file != "-":
            self._fd = _create(self.file, "--seccomp-report")
        if self._patch:
            self._patch_fd = _create(self._patch, "--seccomp-patch")
        return self

    def __exit__(self, *_: object) -> None:
        deadline = monotonic() + _PATIENCE_S
        for busy in self._busy:
            busy.acquire(True, max(0, deadline - monotonic()))
        document = self.document()
        if self._fd >= 0:
            _finish(self._fd, dumps(document))
        else:
            posix.write(2, "".join(f"{line}\n" for line in _text(document)).encode())
        if self._patch_fd >= 0:
            _finish(self._patch_fd, dumps(self.patch(document), 2))

    def filter(self, given: Filter | None, config: dict[str, Any]) -> Filter:
        """The filter to load instead of that of the profile."""
        if given is None:
            raise ConfigError("there is no profile to report about", "required", FIELD)
        if given.notify:
            raise ConfigError(
                "a profile with SCMP_ACT_NOTIFY has an agent already", "exclusive", FIELD
            )
        self._bpf = given.bpf
        self._profile = config["linux"]["seccomp"]
        bpf = b"".join(
            _INSTRUCTION.pack(code, yes, no, _watched(k) if code == _RETURN else k)
            for code, yes, no, k in _INSTRUCTION.iter_unpack(given.bpf)
        )
        flags = given.flags | words.FLAG_NEW_LISTENER
        return Filter(bpf, flags, True, given.warnings, given.debug)

    def take(self, listener: int, pid: int) -> None:
        """The engine's word that the program, or a startContainer hook, has loaded the filter; its
        descriptor stays the engine's."""
        own, busy = posix.dup(listener), _thread.allocate_lock()
        busy.acquire()
        self._busy.append(busy)
        _thread.start_new_thread(self._serve, (own, busy))

    # -- the thread ------------------------------------------------------------------------------

    def _serve(self, listener: int, busy: _thread.LockType) -> None:
        from fcntl import ioctl

        poller = select.poll()
        poller.register(listener, select.POLLIN)
        try:
            while not poller.poll()[0][1] & select.POLLHUP:  # no process has the filter any more
                room = bytearray(_NOTIFICATION.size)
                try:
                    ioctl(listener, _RECEIVE, room)
                    id, pid, _, number, arch, _, *arguments = _NOTIFICATION.unpack(room)
                    error = self._note(pid, number, arch, arguments)
                    ioctl(listener, _SEND, bytearray(_RESPONSE.pack(id, 0, -error, 0)))
                except OSError as gone:
                    if gone.errno not in (errno.ENOENT, errno.EINTR):
                        raise
        finally:
            posix.close(listener)
            busy.release()

    def _note(self, pid: int, number: int, arch: int, arguments: list[int]) -> int:
        """The error that the profile answers with; a signal that it wants is sent."""
        answer = verdict(self._bpf, data_of(number, arch, dict(enumerate(arguments))))
        found = self._found.setdefault(
            (arch, number, answer),
            {
                "syscall": number,
                "arch": arch,
                "times": 0,
                "answer": answer,
                "arguments": arguments,
                "programs": [],
                "strings": {},
            },
        )
        found["times"] += 1
        for place, text in of_call(pid, _name(arch, number), arguments).items():
            seen = found["strings"].setdefault(place, [])
            if text not in seen and len(seen) < _EXAMPLES:
                seen.append(text)
        name = _command(pid)
        if name not in found["programs"]:
            found["programs"].append(name)
        if answer & _ACTION in _KILLS:
            _signal(pid, _SIGKILL)
        elif answer & _ACTION == _TRAP:
            _signal(pid, _SIGSYS)
        # Without a tracer SECCOMP_RET_TRACE says ENOSYS, too.
        return answer & _DATA if answer & _ACTION == _ERRNO else errno.ENOSYS

    # -- what it comes to ------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """What has been refused, most often first, and the rule that would allow what no other
        rule names."""
        rows = sorted(self._found.values(), key=lambda row: -row["times"])
        refused = [self._row(row) for row in rows]
        names = sorted({row["syscall"] for row in refused if row["field"] == _DEFAULT})
        document: dict[str, Any] = {"refused": refused}
        if names:
            document["toAllow"] = {"names": names, "action": "SCMP_ACT_ALLOW"}
        return document

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        name = _name(row["arch"], row["syscall"])
        return {
            "syscall": name,
            "number": row["syscall"],
            "arch": words.arch_name(row["arch"]),
            "times": row["times"],
            "answer": _answer(row["answer"]),
            "field": _field(self._profile, name, row["arguments"]),
            "programs": row["programs"],
            "arguments": [hex(value) for value in row["arguments"]],
            "strings": {str(place): texts for place, texts in sorted(row["strings"].items())},
        }

    def patch(self, document: dict[str, Any]) -> list[dict[str, Any]]:
        """The operations that add the rule of `document` to the profile."""
        rule = document.get("toAllow")
        if not rule:
            return []
        if self._profile.get("syscalls"):
            return [{"op": "add", "path": "/linux/seccomp/syscalls/-", "value": rule}]
        return [{"op": "add", "path": "/linux/seccomp/syscalls", "value": [rule]}]


def _create(path: str, option: str) -> int:
    try:
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
        return posix.open(path, flags, 0o644)
    except OSError as error:
        raise HostError.of("open", path, error, field=option) from None


def _finish(fd: int, text: str) -> None:
    posix.write(fd, f"{text}\n".encode("utf-8", "replace"))
    posix.close(fd)


def answer_to(profile: dict[str, Any], syscall: str) -> tuple[str, int]:
    """What a profile says to a call, whatever its arguments: (field, errno), EPERM for a signal.
    ("", 0) when it lets it through, asks an agent, or looks at arguments."""
    from pycontainer._shim import lib
    from pycontainer.seccomp.cache import compile
    from pycontainer.seccomp.compiler import resolve

    filter = compile(profile)
    if filter is None:
        return "", 0
    known = data_of(resolve(0, syscall), lib.shim_seccomp_native_arch(), {})
    answer = verdict(filter.bpf, known)
    if answer < 0 or answer & _ACTION not in (*_KILLS, _TRAP, _ERRNO):
        return "", 0
    number = answer & _DATA if answer & _ACTION == _ERRNO else 0
    return _field(profile, syscall, [0] * 6), number or errno.EPERM


def _field(profile: dict[str, Any], name: str, arguments: list[int]) -> str:
    """Which part of the profile has refused it: the last rule of that name that is met."""
    field = _DEFAULT
    for index, rule in enumerate(profile.get("syscalls") or ()):
        refuses = rule["action"] not in ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")
        if refuses and name in rule["names"] and _meets(rule.get("args") or (), arguments):
            field = f"{FIELD}.syscalls[{index}]"
    return field


def _watched(answer: int) -> int:
    return answer if is_let_through(answer) else _NOTIFY


def _meets(conditions: Any, arguments: list[int]) -> bool:
    return all(
        _MEETS[c["op"]](arguments[c["index"]], c["value"], c.get("valueTwo") or 0)
        for c in conditions
    )


def _name(arch: int, number: int) -> str:
    from pycontainer._shim import ffi, lib

    room = ffi.new("char[]", 64)
    if lib.shim_seccomp_open() < 0 or lib.shim_seccomp_name(arch, number, room, 64) < 0:
        return str(number)
    return ffi.string(room).decode()


def _answer(answer: int) -> str:
    action = answer & _ACTION
    if action in _KILLS:
        return "killed"
    if action == _TRAP:
        return "SIGSYS"
    number = answer & _DATA if action == _ERRNO else errno.ENOSYS
    return errno.errorcode.get(number, str(number))


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return "?"


def _signal(pid: int, number: int) -> None:
    try:
        posix.kill(pid, number)
    except ProcessLookupError:
        pass


def _shown(row: dict[str, Any]) -> list[str]:
    """The arguments, strings in quotes: the first of each."""
    values = list(row["arguments"])
    for place, texts in row["strings"].items():
        values[int(place)] = dumps(texts[0])
    return values


def _text(document: dict[str, Any]) -> list[str]:
    """For stderr."""
    refused = document["refused"]
    if not refused:
        return ["seccomp has refused nothing"]
    lines = ["seccomp has refused:"]
    for row in refused:
        times = "once" if row["times"] == 1 else f"{row['times']} times"
        by = ", ".join(row["programs"])
        arguments = ", ".join(_shown(row)[:4])
        lines.append(
            f"  {row['syscall']}({arguments}, ...) {times}, to {by}: {row['answer']}, "
            f"from {row['field']}"
        )
    if "toAllow" in document:
        rule = dumps(document["toAllow"])
        lines.append(f"to allow what is from defaultAction, add to {FIELD}.syscalls: {rule}")
    return lines
