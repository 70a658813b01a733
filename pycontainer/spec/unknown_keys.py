"""Members of a document that its schema does not have: a runtime ignores them, a person misspells
them. Loaded when the compiled validator has met one.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from pycontainer.base.nearest import did_you_mean
from pycontainer.spec import schema as schemas
from pycontainer.spec.rules import OTHER_PLATFORMS
from pycontainer.spec.schema import Node, field_path

_SHOWN = 8  # of a document, in the log


class Unknown(NamedTuple):
    """A member that is ignored: the way to it, and the members that the object may have."""

    path: tuple[str | int, ...]
    siblings: list[str]

    @property
    def hint(self) -> str:
        """What was perhaps meant, as a sentence."""
        return _hint(str(self.path[-1]), self.siblings, self.path[:-1])


def warnings(name: str, document: Any, prefix: str = "") -> list[str]:
    """One line for each; fields begin with `prefix`."""
    found = find(name, document)
    lines = []
    for one in found[:_SHOWN]:
        hint = one.hint
        lines.append(
            f"{field_path(list(one.path), prefix)}: unknown, ignored{hint and '; ' + hint}"
        )
    if len(found) > _SHOWN:
        lines.append(f"{len(found) - _SHOWN} more unknown members; see `check`")
    return lines


def find(name: str, document: Any) -> list[Unknown]:
    """All of them, in the order of the document; `name` is the schema's file."""
    found: list[Unknown] = []
    _search(Node(schemas.load(name), name), document, (), found)
    return found


def _search(node: Node, value: Any, path: tuple[str | int, ...], found: list[Unknown]) -> None:
    known = schemas.children(node)
    members = enumerate(value) if type(value) is list else ()
    for key, member in value.items() if type(value) is dict else members:
        if known and key not in known:
            if type(value) is dict:  # a list in place of an object is of the wrong type
                found.append(Unknown((*path, key), list(known)))
            continue
        below = schemas.step(node, key)
        if below is not None and type(member) in (dict, list):
            _search(below, member, (*path, key), found)


# What members are called elsewhere: in other tools, in cgroup v2, in the kernel.
_ELSEWHERE = {
    "target": "destination",
    "dest": "destination",
    "dst": "destination",
    "mountPath": "destination",
    "command": "args",
    "cmd": "args",
    "entrypoint": "args",
    "workingDir": "cwd",
    "workdir": "cwd",
    "environment": "env",
    "max": "limit",
    "high": "reservation",
    "weight": "shares",
    "readOnly": "readonly",
    "rootfs": "path",
    "name": "path",
}


def _hint(key: str, siblings: list[str], path: tuple[str | int, ...]) -> str:
    """A sibling of nearly the same name, or the object that has a member of exactly that name."""
    meant = _ELSEWHERE.get(key, "")
    if meant in siblings:
        return f"did you mean {meant}?"
    if near := did_you_mean(key, siblings):
        return near
    here = field_path([step for step in path if isinstance(step, str)])
    homes = [home for home in _homes().get(key, ()) if home != here]
    # Those further in, or else the outermost.
    below = [home for home in homes if here and home.startswith(f"{here}.")]
    depth = min((home.count(".") for home in homes), default=0)
    homes = below or [home for home in homes if home.count(".") == depth]
    if 0 < len(homes) <= 3:
        return f"it belongs in {' or '.join(home or 'the top level' for home in homes)}"
    return ""


@cache
def _homes() -> dict[str, list[str]]:
    """Member name -> the objects of config.json that have it (indices left out)."""
    homes: dict[str, list[str]] = {}
    pending = [("", Node(schemas.load(schemas.CONFIG), schemas.CONFIG))]
    while pending:
        place, node = pending.pop()
        node = schemas.follow(node)
        if "items" in node.schema:
            pending.append((place, Node(node.schema["items"], node.file)))
        for name, child in schemas.children(node).items():
            if place or name not in OTHER_PLATFORMS:
                homes.setdefault(name, []).append(place)
                pending.append((f"{place}.{name}" if place else name, child))
    return homes
