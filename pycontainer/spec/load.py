"""Reads config.json and process.json: from a path or a descriptor to a dict and the raw bytes."""

from __future__ import annotations

import errno
import posix

from pycontainer.base import jsonfast
from pycontainer.base.errors import ConfigError, ContainerError, os_reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONFIG = "config.json"
_CHUNK = 1 << 16
_MOST = 64 << 20  # bytes; what is longer is not a configuration


class MissingConfig(ContainerError):
    """There is no file to read; the text is runc's."""

    category = "config"


def load_config(source: str | int = CONFIG) -> tuple[dict[str, Any], bytes]:
    """Read a container's configuration: the object, and the file as it is.

    `source` is a path or an open descriptor, which stays open. MissingConfig when there is no such
    file, ConfigError when it cannot be read, is no JSON or is not an object. Of a repeated name
    the last value counts, and null is as good as nothing, as with Go's decoder.
    """
    name = source if isinstance(source, str) else f"descriptor {source}"
    raw = _read(source, name)
    config = _parse(raw, name)
    if raw.count(b"null") > raw.count(b"/null") and _drop_nulls(config):
        raw = jsonfast.dumps(config).encode()
    return config, raw


def _drop_nulls(config: dict[str, Any]) -> int:
    """Take members that are null out of it, and say how many there were."""
    rest: list[Any] = [config]
    count = 0
    while rest:
        item = rest.pop()
        if type(item) is dict:
            for name in [name for name, value in item.items() if value is None]:
                del item[name]
                count += 1
            item = item.values()
        rest += [value for value in item if type(value) in (dict, list)]
    return count


def load_process(source: str | int) -> dict[str, Any]:
    """Read a process.json (exec --process); errors as of `load_config`."""
    return load_config(source)[0]


def _parse(raw: bytes, name: str) -> dict[str, Any]:
    try:
        value = jsonfast.loads(raw)
    except ValueError as error:
        text, _, hint = f"read {name}: {error}".partition("; ")
        clause = "config.md#configuration"
        raise ConfigError(text, "unreadable", clause=clause, hint=hint) from None
    if type(value) is not dict:
        raise ConfigError(
            f"read {name}: holds {_word(value)}, must be an object",
            "wrong-type",
            clause="config.md#configuration",
        )
    return value


def _word(value: object) -> str:
    if value is None:
        return "null"
    return {list: "an array", str: "a string", bool: "a boolean"}.get(type(value), "a number")


def _read(source: str | int, name: str) -> bytes:
    if isinstance(source, int):
        return _read_all(source, name)
    try:
        fd = posix.open(source, posix.O_RDONLY | posix.O_CLOEXEC)
    except ValueError:  # a NUL byte in the path
        raise MissingConfig(f"JSON specification file {source!r} not found") from None
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise _missing(source) from None
        raise ConfigError.of("open", name, error) from None
    try:
        return _read_all(fd, name)
    finally:
        posix.close(fd)


def _missing(path: str) -> MissingConfig:
    directory, slash, name = path.rpartition("/")
    try:
        posix.stat(directory or "/")
    except OSError as error:
        if slash:
            text = f"chdir {directory}: {os_reason(error.errno or 0)}"
            return MissingConfig(text, "os-error", errno=error.errno, path=directory)
    place = f" (in {directory or slash})" if slash else ""
    return MissingConfig(f"JSON specification file {name} not found{place}", "no-config")


def _read_all(fd: int, name: str) -> bytes:
    chunks = []
    size = 0
    try:
        while chunk := posix.read(fd, _CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > _MOST:
                raise ConfigError(f"read {name}: longer than {_MOST >> 20} MiB", "too-large")
    except OSError as error:
        raise ConfigError.of("read", name, error) from None
    return b"".join(chunks)
