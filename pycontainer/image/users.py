"""A user and group by name or number, looked up in the image's own passwd(5) and group(5)."""

from __future__ import annotations

from typing import Any

from pycontainer.image import ImageError

ID_MAX = 2**31 - 1


def lookup(user: str, etc: dict[str, str]) -> tuple[dict[str, Any], str]:
    """`process.user` for USER[:GROUP], and the home directory.

    Without a group it is the user's own, and those that list the user come along; a number that
    passwd does not know has group 0.
    """
    name, colon, group = user.partition(":")
    name = name or "0"
    row = _find(etc["passwd"], name, 7)
    if row is not None:
        uid, gid, login, home = _number(row[2]), _number(row[3]), row[0], row[5]
    elif name.isdigit():
        uid, gid, login, home = _number(name), 0, "", "/"
    else:
        raise ImageError(f"no user {name} in the image's /etc/passwd")
    result: dict[str, Any] = {"uid": uid, "gid": gid}
    if group:
        found = _find(etc["group"], group, 3)
        if found is None and not group.isdigit():
            raise ImageError(f"no group {group} in the image's /etc/group")
        result["gid"] = _number(found[2] if found else group)
    elif login:
        others = [_number(row[2]) for row in _rows(etc["group"], 4) if login in row[3].split(",")]
        if others:
            result["additionalGids"] = sorted(set(others))
    return result, home or "/"


def _find(text: str, name: str, fields: int) -> list[str] | None:
    """The first row with this name, or else with this number."""
    rows = _rows(text, fields)
    named = (row for row in rows if row[0] == name)
    numbered = (row for row in rows if name.isdigit() and row[2] == name)
    return next(named, None) or next(numbered, None)


def _rows(text: str, fields: int) -> list[list[str]]:
    rows = [line.strip().split(":") for line in text.splitlines() if not line.startswith("#")]
    return [row for row in rows if len(row) >= fields and row[2].isdigit()]


def _number(text: str) -> int:
    if not text.isdigit() or int(text) > ID_MAX:
        raise ImageError(f"{text!r} is no user or group id")
    return int(text)
