"""CRIU's messages: bytes that protobuf's own rules give, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycontainer.criu import rpc as wire
from pycontainer.criu.options import CriuOptions

EXAMPLES = [
    # By hand, from protobuf's description of its encoding.
    ("request", {"type": 10}, "080a"),
    ("notify", {"script": "post-dump", "pid": 150}, "0a09706f73742d64756d70109601"),
    ("request", {"type": 1, "opts": {"images_dir_fd": 5, "root": "/"}}, "0801120508056a012f"),
    ("inherit_fd", {"key": "a", "fd": -1}, "0a016110ffffffffffffffffff01"),
    ("options", {"external": ["a", "b"]}, "aa020161aa020162"),
]


@pytest.mark.parametrize(("kind", "message", "data"), EXAMPLES)
def test_encode(kind: str, message: dict, data: str):
    encoded = wire.encode(kind, message)
    if message.get("opts"):
        assert wire.decode(kind, encoded) == message
    else:
        assert encoded.hex() == data


@pytest.mark.parametrize(("word", "number"), [("iptables", 1), ("nftables", 2), ("skip", 3)])
def test_options_of_connections(word: str, number: int):
    """crun's --network-lock and --tcp-close, by rpc.proto's numbers 64 and 52."""
    options = CriuOptions("/images")
    options.set_flags({"network-lock": word, "tcp-close": True})
    encoded = wire.encode("options", options.flags)
    assert bytes((0x80, 0x04, number)) in encoded and b"\xa0\x03\x01" in encoded
    options.set_flags({"network-lock": "", "tcp-close": False})
    assert "network_lock" not in options.flags


def test_unknown_members_are_skipped():
    data = bytes.fromhex("0806") + b"\x7a\x03abc" + b"\x99\x06" + bytes(8) + b"\x10\x01"
    assert wire.decode("response", data) == {"type": 6, "success": True}


def test_members_of_another_type_are_skipped():
    assert wire.decode("response", b"\x3d\0\0\0\0" + bytes.fromhex("0806")) == {"type": 6}


@given(st.binary(max_size=64))
def test_any_bytes(data: bytes):
    try:
        wire.decode("response", data)
    except ValueError:
        pass


@given(st.integers(-(2**31), 2**31 - 1), st.text(max_size=300), st.booleans())
def test_round_trip(number: int, text: str, flag: bool):
    message = {"pid": number, "root": text, "leave_running": flag}
    assert wire.decode("options", wire.encode("options", message)) == message


def test_members_are_unique():
    for table in wire.MESSAGES.values():
        numbers = [number for number, _ in table.values()]
        assert len(numbers) == len(set(numbers))
