"""Moves a network device into a container's network namespace: linux.netDevices.

Input: the device's name, the one that it gets, and the namespace as an fd. What the kernel takes
from a device that moves, its addresses and that it is up, is given back to it inside. pyroute2
speaks with the kernel; only a container with such devices loads it.
"""

from __future__ import annotations

import errno
import posix
import sys
from contextlib import contextmanager

from pycontainer._shim import lib
from pycontainer.base import optional_deps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

CLONE_NEWNET = 0x40000000
IFA_F_PERMANENT = 0x80
# What an address keeps beside its number: no detection of duplicates, no route of its own.
KEPT_FLAGS = 0x02 | 0x200  # IFA_F_NODAD, IFA_F_NOPREFIXROUTE
RT_SCOPE_UNIVERSE = 0


class MoveError(Exception):
    """It cannot be moved: an errno, and a few words beside it (or "")."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(number, words)
        self.errno = number
        self.words = words


def move(name: str, new_name: str, namespace: int) -> None:
    """Move, rename, give the addresses back, set up; MoveError says what the kernel did not do."""
    pyroute2 = optional_deps.load("pyroute2")
    try:
        with pyroute2.IPRoute() as outside, _inside(namespace, pyroute2) as inside:
            _move(outside, inside, name, new_name, namespace)
    except pyroute2.NetlinkError as error:
        raise MoveError(error.code, "") from None


def _move(outside: Any, inside: Any, name: str, new_name: str, namespace: int) -> None:
    found = outside.link_lookup(ifname=name)
    if not found:
        raise MoveError(errno.ENODEV, "")
    addresses = [a for a in outside.get_addr(index=found[0]) if _is_kept(a)]
    before = {link["index"]: link.get_attr("IFLA_IFNAME") for link in inside.get_links()}
    # The kernel would move it first, and then refuse the name: it would be lost inside.
    if (new_name or name) in before.values():
        raise MoveError(errno.EEXIST, "")
    # A name with %d is completed by the first free number.
    outside.link("set", index=found[0], net_ns_fd=namespace, ifname=new_name or name)
    after = [link for link in inside.get_links() if link["index"] not in before]
    if len(after) != 1:
        raise MoveError(errno.ENODEV, "not to be found in the container's namespace")
    index, final = after[0]["index"], after[0].get_attr("IFLA_IFNAME")
    for address in addresses:
        _give_back(inside, index, address, name, final)
    inside.link("set", index=index, state="up")


def _is_kept(address: Any) -> bool:
    """Permanent and of global scope: the specification leaves all others behind."""
    flags = address.get_attr("IFA_FLAGS") or address["flags"]
    return bool(flags & IFA_F_PERMANENT) and address["scope"] == RT_SCOPE_UNIVERSE


def _give_back(inside: Any, index: int, address: Any, name: str, final: str) -> None:
    given: dict[str, Any] = {
        "index": index,
        "family": address["family"],
        "prefixlen": address["prefixlen"],
        "flags": (address.get_attr("IFA_FLAGS") or 0) & KEPT_FLAGS,
    }
    for attribute in ("local", "address", "broadcast"):
        value = address.get_attr(f"IFA_{attribute.upper()}")
        if value is not None:
            given[attribute] = value
    label = address.get_attr("IFA_LABEL")
    if label and label.startswith(f"{name}:"):  # eth0:1
        given["label"] = final + label[len(name) :]
    try:
        inside.addr("add", **given)
    except sys.modules["pyroute2"].NetlinkError as error:
        words = f"address {given.get('local') or given.get('address')}/{given['prefixlen']}"
        raise MoveError(error.code, f"give {words} back") from None


@contextmanager
def _inside(namespace: int, pyroute2: Any) -> Iterator[Any]:
    """A netlink socket of that namespace; it keeps it when we are back in ours."""
    ours = posix.open("/proc/thread-self/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        result = lib.shim_setns(namespace, CLONE_NEWNET)
        if result < 0:
            raise MoveError(-result, "enter the container's network namespace")
        try:
            handle = pyroute2.IPRoute()
        finally:
            lib.shim_setns(ours, CLONE_NEWNET)
    finally:
        posix.close(ours)
    with handle:
        yield handle
