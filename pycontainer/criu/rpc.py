"""CRIU's RPC messages as bytes: the few of protobuf's rules that rpc.proto needs.

A message is a dict. MESSAGES says each member's number and kind; a kind that is the name of
another message nests, a list repeats. What is not in the table is not sent, and ignored when it
is received. Numbers are those of CRIU's images/rpc.proto, which never change.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

INT = "int"  # int32, uint32, enum: a varint
BOOL = "bool"
TEXT = "text"

# Types of requests and of responses.
DUMP, RESTORE, PRE_DUMP, NOTIFY, FEATURE_CHECK, VERSION = 1, 2, 4, 6, 9, 10
# --manage-cgroups-mode
CGROUP_MODES = {"": 6, "ignore": 0, "soft": 3, "full": 4, "strict": 5}
# --network-lock: how TCP connections are held while they are saved
NETWORK_LOCKS = {"iptables": 1, "nftables": 2, "skip": 3}

MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "request": {
        "type": (1, INT),
        "opts": (2, "options"),
        "notify_success": (3, BOOL),
        "features": (5, "features"),
    },
    "response": {
        "type": (1, INT),
        "success": (2, BOOL),
        "restore": (4, "restored"),
        "notify": (5, "notify"),
        "cr_errno": (7, INT),
        "features": (8, "features"),
        "cr_errmsg": (9, TEXT),
        "version": (10, "version"),
    },
    "options": {
        "images_dir_fd": (1, INT),
        "pid": (2, INT),
        "leave_running": (3, BOOL),
        "ext_unix_sk": (4, BOOL),
        "tcp_established": (5, BOOL),
        "evasive_devices": (6, BOOL),
        "shell_job": (7, BOOL),
        "file_locks": (8, BOOL),
        "log_level": (9, INT),
        "log_file": (10, TEXT),
        "ps": (11, "page_server"),
        "notify_scripts": (12, BOOL),
        "root": (13, TEXT),
        "parent_img": (14, TEXT),
        "track_mem": (15, BOOL),
        "auto_dedup": (16, BOOL),
        "work_dir_fd": (17, INT),
        "link_remap": (18, BOOL),
        "ext_mnt": (23, "pair"),
        "manage_cgroups": (24, BOOL),
        "cg_root": (25, "cgroup_root"),
        "rst_sibling": (26, BOOL),
        "inherit_fd": (27, "inherit_fd"),
        "manage_cgroups_mode": (34, INT),
        "external": (37, TEXT),
        "empty_ns": (38, INT),
        "join_ns": (39, "join_ns"),
        "freeze_cgroup": (44, TEXT),
        "tcp_skip_in_flight": (46, BOOL),
        "lazy_pages": (48, BOOL),
        "orphan_pts_master": (50, BOOL),
        "config_file": (51, TEXT),
        "tcp_close": (52, BOOL),
        "lsm_profile": (53, TEXT),
        "lsm_mount_context": (63, TEXT),
        "network_lock": (64, INT),
    },
    "page_server": {"address": (1, TEXT), "port": (2, INT)},
    "pair": {"key": (1, TEXT), "val": (2, TEXT)},
    "cgroup_root": {"ctrl": (1, TEXT), "path": (2, TEXT)},
    "inherit_fd": {"key": (1, TEXT), "fd": (2, INT)},
    "join_ns": {"ns": (1, TEXT), "ns_file": (2, TEXT)},
    "features": {"mem_track": (1, BOOL), "lazy_pages": (2, BOOL)},
    "restored": {"pid": (1, INT)},
    "notify": {"script": (1, TEXT), "pid": (2, INT)},
    "version": {"major_number": (1, INT), "minor_number": (2, INT), "sublevel": (4, INT)},
}

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIGN = 1 << 63
_WRAP = 1 << 64


def encode(kind: str, message: dict[str, Any]) -> bytes:
    """The bytes of a message; KeyError for a member that the table does not have."""
    table = MESSAGES[kind]
    data = bytearray()
    for name, value in message.items():
        number, member = table[name]
        for one in value if isinstance(value, list) else [value]:
            if member in (INT, BOOL):
                data += _varint(number << 3 | _VARINT) + _varint(int(one) % _WRAP)
            else:
                body = one.encode() if member == TEXT else encode(member, one)
                data += _varint(number << 3 | _BYTES) + _varint(len(body)) + body
    return bytes(data)


def decode(kind: str, data: bytes) -> dict[str, Any]:
    """The members that the table has; of a repeated one, the last. ValueError when cut off."""
    names = {number: (name, member) for name, (number, member) in MESSAGES[kind].items()}
    message: dict[str, Any] = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        value, at = _read_value(data, at, key & 7)
        name, member = names.get(key >> 3, ("", ""))
        if not name or isinstance(value, int) != (member in (INT, BOOL)):
            continue  # unknown, or of another type than we know: skipped, as protobuf's readers do
        if isinstance(value, int):
            message[name] = bool(value) if member == BOOL else value
        else:
            text = member == TEXT
            message[name] = value.decode("utf-8", "replace") if text else decode(member, value)
    return message


def _read_value(data: bytes, at: int, wire: int) -> tuple[int | bytes, int]:
    if wire == _VARINT:
        value, at = _read_varint(data, at)
        return (value - _WRAP if value >= _SIGN else value), at
    if wire == _BYTES:
        size, at = _read_varint(data, at)
    elif wire in (_FIXED32, _FIXED64):
        size = 4 if wire == _FIXED32 else 8
    else:
        raise ValueError(f"unknown wire type {wire}")
    if at + size > len(data):
        raise ValueError("message is cut off")
    return data[at : at + size], at + size


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("number is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
