"""A user and group by name or number, looked up in the image's own passwd(5) and group(5)."""

from __future__ import annotations

from typing import Any

from pycontainer.image import ImageError

ID_MAX = 2**31 - 1
DIGITS_MAX = 20
PASSWD_FIELDS, GROUP_FIELDS = 7, 4


def lookup(user: str, etc: dict[str, str], cwd: str = "/") -> tuple[dict[str, Any], str]:
    """`process.user` for USER[:GROUP], and the home directory, as Podman has them.

    A number is an id, never a name. Without ":GROUP" the group is the user's own, and the groups
    that list the user come along; an id that passwd does not know has group 0, and is at home in
    the working directory. The group of a user
    who was asked for is among the additional groups, too: a program that changes its group must not
    lose the restrictions of the first (CVE-2022-2989).
    """
    name, colon, group = user.partition(":")
    row = _find(_rows(etc["passwd"], PASSWD_FIELDS), name or "0")
    login, home = "", cwd if user else "/"
    if row is not None:
        uid, gid, login, home = _number(row[2]), _number(row[3] or "0"), row[0], row[5]
    elif _is_number(name or "0"):
        uid, gid = _number(name or "0"), 0
    else:
        raise ImageError(f"no user {name} in the image's /etc/passwd", "no-user")
    groups = _rows(etc["group"], GROUP_FIELDS)
    others = set()
    if group:
        found = _find(groups, group)
        if found is None and not _is_number(group):
            raise ImageError(f"no group {group} in the image's /etc/group", "no-user")
        gid = _number(found[2] if found else group)
    elif login and not colon:
        others = {_number(row[2]) for row in groups if login in row[3].split(",")}
    if user:
        others.add(gid)
    result: dict[str, Any] = {"uid": uid, "gid": gid}
    if others:
        result["additionalGids"] = sorted(others)
    return result, home or "/"


def _find(rows: list[list[str]], name: str) -> list[str] | None:
    """The first row with this number, if it is one, or else with this name."""
    if _is_number(name):
        return next((row for row in rows if int(row[2]) == int(name)), None)
    return next((row for row in rows if row[0] == name), None)


def _rows(text: str, fields: int) -> list[list[str]]:
    """The lines whose third field is a number; fields that a line does not have are empty."""
    rows = [line.strip().split(":") for line in text.splitlines() if not line.startswith("#")]
    padded = [row + [""] * (fields - len(row)) for row in rows]
    return [row for row in padded if _is_number(row[2])]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX


def _number(text: str) -> int:
    if not _is_number(text) or int(text) > ID_MAX:
        raise ImageError(f"{text!r} is no user or group id", "no-user")
    return int(text)
