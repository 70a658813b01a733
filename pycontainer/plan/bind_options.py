"""What crun's options of bind mounts mean: mappings in words, and symbolic links that are bound.

Loaded for a mount that has one of them.
"""

from __future__ import annotations

from _struct import Struct

from pycontainer.base.errors import ConfigError
from pycontainer.tables.mount_options import COPY_SYMLINK, MS_REC, ParsedOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_AT_RECURSIVE = 0x8000
_CHANGE = Struct("<5Q")  # mount_setattr(2)'s flags, and struct mount_attr
_ID_MAX = 0xFFFFFFFF
_FORM = "idmap=uids=FIRST-HOST-SIZE[#...];gids=FIRST-HOST-SIZE[#...]"


def mapping_lines(text: str, linux: dict[str, Any], field: str) -> tuple[str, str]:
    """The lines of uid_map and gid_map that `uids=0-1000-10#20-30-1;gids=...` says.

    A triplet after @ counts host ids as the container's user namespace does. ConfigError for
    everything that is not of that form.
    """
    found: dict[str, str] = {}
    for part in text.split(";"):
        kind, _, triplets = part.partition("=")
        if kind not in ("uids", "gids") or kind in found:
            raise _wrong(part, field)
        mappings = linux.get(f"{kind[:3]}Mappings") or []
        found[kind] = "".join(_line(one, mappings, field) for one in triplets.split("#"))
    if len(found) < 2:
        raise _wrong(text, field)
    return found["uids"], found["gids"]


def _line(triplet: str, mappings: list[dict[str, int]], field: str) -> str:
    numbers = triplet.removeprefix("@").split("-")
    if len(numbers) != 3 or not all(n.isascii() and n.isdigit() and len(n) < 11 for n in numbers):
        raise _wrong(triplet, field)
    first, host, size = map(int, numbers)
    if triplet.startswith("@"):
        host = _absolute(host, triplet, mappings, field)
    if not size or max(first, host) + size > _ID_MAX:
        raise _wrong(triplet, field)
    return f"{first} {host} {size}\n"


def _absolute(host: int, triplet: str, mappings: list[dict[str, int]], field: str) -> int:
    for entry in mappings:
        if entry["containerID"] <= host < entry["containerID"] + entry["size"]:
            return entry["hostID"] + host - entry["containerID"]
    raise ConfigError(
        f'has "{triplet}", which no mapping of the user namespace holds',
        "unmapped-id",
        field,
        value=triplet,
    )


def _wrong(part: str, field: str) -> ConfigError:
    return ConfigError(f'has "{part}", must be {_FORM}', "wrong-form", field, value=part)


def check(options: ParsedOptions, target: str, field: str) -> None:
    """ConfigError for what cannot be bound with an eye on symbolic links."""
    if options.links & COPY_SYMLINK and options.links != COPY_SYMLINK:
        raise ConfigError(
            "has copy-symlink beside src-nofollow or dest-nofollow", "exclusive", field
        )
    if target in ("/", "/proc"):
        raise ConfigError(
            f"has an option for symbolic links, {target} must be none", "wrong-path", field
        )


def changes(options: ParsedOptions) -> bytes:
    """What is changed once it is mounted, of the mount itself: its path may lead elsewhere now."""
    parts = [
        _CHANGE.pack(_AT_RECURSIVE if flags & MS_REC else 0, 0, 0, flags & ~MS_REC, 0)
        for flags in options.propagation
    ]
    if options.rec_attr_set or options.rec_attr_clr:
        rec_set, rec_clr = options.rec_attr_set, options.rec_attr_clr
        parts.append(_CHANGE.pack(_AT_RECURSIVE, rec_set, rec_clr, 0, 0))
    return b"".join(parts)
