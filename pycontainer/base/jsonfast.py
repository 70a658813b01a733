"""JSON on CPython's C scanner and encoder, without the `json` package (which loads `re`).

Enters text or UTF-8 bytes, leaves plain dicts, lists, strings and numbers; and back. Stricter
than `json`: no byte order mark, no NaN or Infinity, no float that overflows, no lone surrogate.
Every failure is a plain ValueError that says line and column; nothing else gets out, however the
input looks (`json` is loaded by the C scanner itself, but only to describe a syntax error).
"""

from __future__ import annotations

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

_LEVELS = 10_000  # of Go's decoder
_STACK = 4 << 20  # bytes; twice of what so many levels take
_SPACE = " \t\n\r"  # RFC 8259, section 2


class _NumberError(ValueError):
    """Of a number; what `int` itself raises is not."""


def _constant(name: str) -> NoReturn:
    raise _NumberError(f"{name} is not a JSON number")


def _float(text: str) -> float:
    value = float(text)
    if value - value != 0.0:  # an infinity: what Go's decoder calls out of range
        raise _NumberError(f"number {text[:40]} is out of range")
    return value


class _Context:
    """What the C scanner reads its options from."""

    strict = True  # no control characters inside strings
    object_hook = None
    object_pairs_hook = None
    parse_float = staticmethod(_float)
    parse_int = int  # more than 4300 digits: ValueError (CVE-2020-10735)
    parse_constant = staticmethod(_constant)
    memo: dict[str, str] = {}


_scan: Any = _json.make_scanner(_Context())  # type: ignore[arg-type]


def loads(data: bytes | str, *, surrogates: bool = False) -> Any:
    """Parse one JSON document; ValueError (one line, with line and column) when it is not one.

    `surrogates` lets lone surrogates through: our own files hold paths that are not UTF-8 so.
    """
    text = data if isinstance(data, str) else _decode(data)
    if text[:1] == "\ufeff":
        raise ValueError("unexpected byte order mark at the start; fix: save it without one")
    start = 0 if text[:1] == "{" else len(text) - len(text.lstrip(_SPACE))
    try:
        value, end = _recursive(_scanned, text, start)
    except StopIteration as stop:
        raise ValueError(_explained("expecting a value", text, stop.value)) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        raise ValueError(_syntax_error(error, text)) from None
    if end != len(text) and text[end:].strip(_SPACE):
        end = len(text) - len(text[end:].lstrip(_SPACE))
        hint = "; fix: remove it, or the bracket before it, which ends the document too early"
        raise ValueError(_located("unexpected text after the document", text, end) + hint)
    # Only an escape can make one: the decoder refuses encoded surrogates.
    if not surrogates and ("\\ud" in text or "\\uD" in text):
        _refuse_surrogates(value, text)
    return value


def _recursive(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of C's; with Go's limit of levels, if it runs into Python's."""
    try:
        return function(*arguments)
    except RecursionError:
        import resource
        import sys
        from _thread import get_native_id
        from posix import getpid

        stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
        if 0 <= stack < _STACK or get_native_id() != getpid():  # a thread's may be small
            raise
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + _LEVELS)
        try:
            return function(*arguments)
        finally:
            sys.setrecursionlimit(limit)


def _scanned(text: str, start: int) -> tuple[Any, int]:
    try:
        return _scan(text, start)
    except SystemError:  # before 3.13 the scanner cannot raise its error unless json is loaded
        import json.decoder  # noqa: F401

        return _scan(text, start)


def _decode(data: bytes) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ValueError(f"not UTF-8: line {line} column {column}") from None


def _located(message: str, text: str, at: int) -> str:
    line = text.count("\n", 0, at) + 1
    return f"{message}: line {line} column {at - text.rfind(chr(10), 0, at)}"


def _syntax_error(error: ValueError, text: str) -> str:
    at = getattr(error, "pos", -1)  # a JSONDecodeError has it; our own number errors do not
    if at < 0:
        told = str(error) if isinstance(error, _NumberError) else "number is out of range"
        return _offence(told, text)
    message = str(getattr(error, "msg", error)).removesuffix(" at")
    return _explained(message[:1].lower() + message[1:], text, at)


def _explained(message: str, text: str, at: int) -> str:
    from pycontainer.base.json_errors import remedy

    return _located(message, text, at) + remedy(text, at)


def _offence(message: str, text: str) -> str:
    from pycontainer.base.json_errors import position

    at = position(text)
    return message if at < 0 else _located(message, text, at)


def _refuse_surrogates(value: object, text: str) -> None:
    try:
        dumped = "".join(_recursive(_encoder(_json.encode_basestring), value, 0))
        dumped.encode()
    except UnicodeEncodeError:
        raise ValueError(_offence("a string holds a lone surrogate", text)) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unknown(value: object) -> NoReturn:
    raise ValueError(f"{type(value).__name__} has no JSON form")


def _encoder(quote: Any) -> Any:
    # markers, default, encoder, indent, key and item separator, sort_keys, skipkeys, allow_nan
    return _json.make_encoder(None, _unknown, quote, None, ":", ",", False, False, False)


def dumps(obj: Any, indent: int | str | None = None) -> str:
    """One JSON document, compact, or indented by so many spaces (or by the string given).

    The result can always be encoded as UTF-8: when a string holds lone surrogates (a path that
    is not UTF-8), everything beyond ASCII is escaped. ValueError for values without JSON form.
    """
    text = _dumps(obj, indent, _json.encode_basestring)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return _dumps(obj, indent, _json.encode_basestring_ascii)
    return text


def _dumps(obj: Any, indent: int | str | None, quote: Any) -> str:
    try:
        if indent is None:
            return "".join(_recursive(_encoder(quote), obj, 0))
        parts: list[str] = []
        unit = indent if isinstance(indent, str) else " " * indent
        _indented(obj, "\n", (unit, quote, _encoder(quote)), parts)
        return "".join(parts)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _indented(obj: Any, newline: str, style: tuple[str, Any, Any], out: list[str]) -> None:
    """Append `obj` as Go's MarshalIndent lays it out; `newline` carries the current indent."""
    unit, quote, encode = style
    if not obj or not isinstance(obj, (dict, list, tuple)):
        out.extend(encode(obj, 0))
        return
    inner = newline + unit
    before = inner
    if isinstance(obj, dict):
        out.append("{")
        for key, value in obj.items():
            out.append(f"{before}{quote(key)}: ")
            _indented(value, inner, style, out)
            before = "," + inner
        out.append(newline + "}")
        return
    out.append("[")
    for value in obj:
        out.append(before)
        _indented(value, inner, style, out)
        before = "," + inner
    out.append(newline + "]")
