"""Log records in the formats of logrus, which every engine that calls a runtime reads.

text: `time="2026-01-31T12:00:00Z" level=error msg="..."`
json: `{"level":"error","msg":"...","time":"2026-01-31T12:00:00Z", ...}`, with our own keys after
runc's three. Loaded when there is something to write, or a file to make.
"""

from __future__ import annotations

import posix
import time

from pycontainer.base import jsonfast
from pycontainer.base.errors import HostError, cut
from pycontainer.base.settings import NAME, absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Record = tuple[str, str, dict[str, Any]]  # level, message, further keys

RECORD_MAX = 65536  # bytes of one record; readers of lines stop at longer ones
_APPEND = posix.O_CREAT | posix.O_WRONLY | posix.O_APPEND | posix.O_SYNC | posix.O_CLOEXEC
_BACKENDS = ("journald", "syslog")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+")
# As Go's strconv.Quote.
_ESCAPES = {
    **{code: f"\\x{code:02x}" for code in (*range(32), 127)},
    **{ord(char): "\\" + letter for char, letter in zip("\a\b\f\n\r\t\v", "abfnrtv", strict=True)},
    ord('"'): '\\"',
    ord("\\"): "\\\\",
}


def place(text: str) -> str:
    """What --log names: an absolute path, or journald:ID or syslog:ID as it is."""
    backend, colon, rest = text.partition(":")
    if colon and backend in _BACKENDS:
        return text
    return absolute(rest if colon and backend == "file" else text)


def create(path: str) -> None:
    """Make the log file if it is missing; HostError when it, or the logger, cannot be had."""
    if path[0] != "/":
        from pycontainer.cli import log_backends

        return log_backends.check(path)
    try:
        posix.close(posix.open(path, _APPEND, 0o644))
    except OSError as error:
        raise HostError.of("open", path, error, field="--log") from None


def write(path: str, as_json: bool, record: Record) -> None:
    """Append one record to the file at `path`, or write it to stderr without a path.

    A log that cannot be written any more must not hide what happened: stderr gets the record.
    """
    if path and append(path, as_json, record):
        return
    to_stderr(json_line if as_json else short_line if _isatty(2) else text_line, record)


def append(path: str, as_json: bool, record: Record) -> bool:
    """Append one record to what is at `path`; False when it cannot be opened."""
    if path[0] != "/":
        from pycontainer.cli import log_backends

        return log_backends.send(path, _fitting(json_line if as_json else plain, record), record[0])
    try:
        fd = posix.open(path, _APPEND, 0o644)
    except OSError:
        return False
    try:
        _write(fd, _fitting(json_line if as_json else text_line, record))
    finally:
        posix.close(fd)
    return True


def to_stderr(form: Callable[[Record], str], record: Record) -> None:
    """Write one record in this form; a closed stderr is not an error."""
    _write(2, _fitting(form, record))


def _fitting(form: Callable[[Record], str], record: Record) -> bytes:
    """The record in this form; what would make it too long is cut in the middle."""
    room = RECORD_MAX
    while True:
        data = form(record).encode("utf-8", "surrogateescape")
        if len(data) < RECORD_MAX:
            return data
        room //= 2
        level, message, extra = record
        texts = {key: cut(value, room) for key, value in extra.items() if type(value) is str}
        record = level, cut(message, room), extra | texts


def _write(fd: int, data: bytes) -> None:
    data += b"\n"
    try:
        while data:
            data = data[posix.write(fd, data) :]
    except OSError:
        pass  # a full disk or a closed stderr: there is nowhere left to say it


def _isatty(fd: int) -> bool:
    try:
        return posix.isatty(fd)
    except OSError:
        return False


def json_line(record: Record) -> str:
    """runc's three keys in its order, then ours."""
    level, message, extra = record
    return jsonfast.dumps({"level": level, "msg": message, "time": timestamp(), **extra})


def text_line(record: Record) -> str:
    """logrus' text format when stderr is not a terminal."""
    level, message, _ = record
    return f'time="{timestamp()}" level={level} msg={quoted(message)}'


def plain(record: Record) -> str:
    """The message alone."""
    return record[1]


def plain_line(record: Record) -> str:
    """The message alone, in one line."""
    return one_line(record[1])


def short_line(record: Record) -> str:
    """For a person at a terminal."""
    level, message, _ = record
    mark = "" if level == "error" else f"{level}: "
    return f"{NAME}: {mark}{one_line(message.removeprefix(f'{NAME} '))}"


def one_line(message: str) -> str:
    """The message with its line breaks spelled out."""
    return message.replace("\r", "\\r").replace("\n", "\\n")


def quoted(value: str) -> str:
    """The value as logrus writes it: in quotes only if it needs them."""
    if value and _PLAIN.issuperset(value):
        return value
    return '"' + value.translate(_ESCAPES) + '"'


def timestamp() -> str:
    """Now, RFC 3339, in local time with its offset."""
    now = time.localtime()
    offset = now.tm_gmtoff // 60
    text = time.strftime("%Y-%m-%dT%H:%M:%S", now)
    if not offset:
        return text + "Z"
    hours, minutes = divmod(abs(offset), 60)
    return f"{text}{'+' if offset > 0 else '-'}{hours:02d}:{minutes:02d}"
