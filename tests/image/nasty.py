"""Layers as no tool should write them, each case in a directory of its own of one image."""

from __future__ import annotations

import copy
import struct
import tarfile
from collections.abc import Sequence

from tests.support.images import Entry, entry, hard_link, layer, symlink

CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, permission, number)
    for tag, permission, number in (
        (1, 6, 0xFFFFFFFF), (2, 4, 7), (4, 4, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF), (32, 4, 0xFFFFFFFF)
    )
)  # fmt: skip


def pax(made: Entry, **headers: str | bytes) -> Entry:
    """With extended headers; `user__x` is the extended attribute user.x."""
    for key, value in headers.items():
        name = "SCHILY.xattr." + key.replace("__", ".") if "__" in key else key
        text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
        made[0].pax_headers = {**made[0].pax_headers, name: text}
    return made


def typed(kind: bytes, name: str, data: bytes) -> Entry:
    """A file of another type than tarfile gives it."""
    info, content = entry(name, data, mtime=9)
    info.type, info.size = kind, len(data)
    return info, content


LOWER = [
    entry("d/", mode=0o700, uid=5, gid=6, mtime=100),
    pax(entry("d/f", "lower", mtime=200, mode=0o4755, uid=9), user__a="1"),
    pax(hard_link("d/g", "d/f", mtime=200, mode=0o4755, uid=9), user__a="1"),
    entry("e/", mtime=5),
    entry("e/x", "x", mtime=6),
    symlink("l", "d", mtime=7),
    entry("only", "o", mtime=8),
    entry("sticky/", mode=0o1777, mtime=9),
]
CHR, BLK, FIFO = tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE

# One layer.
SINGLE: dict[str, list[Entry]] = {
    "kinds": [
        *LOWER,
        entry("null", type=CHR, devmajor=1, devminor=3, mode=0o666, mtime=9),
        entry("disk", type=BLK, devmajor=7, devminor=300, mode=0o640, uid=3, mtime=9),
        entry("pipe", type=FIFO, mode=0o622, mtime=9),
        hard_link("null2", "null", mode=0o666, mtime=9),
        hard_link("l2", "l", mtime=7),
        hard_link("pipe2", "pipe", mode=0o622, mtime=9),
    ],
    "attributes": [
        pax(entry("ping", "x", uid=7, mode=0o755, mtime=9), security__capability=CAPABILITY),
        pax(entry("inner/", uid=7, mtime=9), user__d="1", trusted__t="2"),
        pax(entry("suid", "x", mode=0o6755, uid=7, gid=8, mtime=9), user__n="v"),
        pax(symlink("link", "x", mtime=9), trusted__t="1"),
        pax(entry("acl", "x", mtime=9), system__posix_acl_access=ACL),
    ],
    "hard links": [
        entry("a", "a", mtime=9), hard_link("./e/../h", "./a", mtime=9),
        hard_link("changed", "a", mode=0o4711, uid=3, gid=4, mtime=99),
        pax(entry("ping", "x", uid=7, mode=0o755, mtime=9), security__capability=CAPABILITY),
        hard_link("ping2", "ping", uid=7, mode=0o755, mtime=9),
    ],
    "types": [typed(b"\0", "old", b"data"), typed(b"\0", "olddir/", b""),
              typed(b"0", "slash/", b"data")],
    "times": [
        entry("before", "x", mtime=-5), entry("late", "x", mtime=2**33),
        pax(entry("nano", "x"), mtime="1.999999999"), pax(entry("negative", "x"), mtime="-1.5"),
        pax(entry("inner/"), mtime="12.000000001"), pax(symlink("link", "x"), mtime="13.5"),
    ],
    "ids": [entry("u", "x", uid=3000000000, gid=4294967294, mtime=9),
            entry("n", "x", uid=4, gid=5, uname="root", gname="root", mtime=9)],
    "modes": [entry("m", "x", mode=0, mtime=9), entry("md/", mode=0, mtime=9),
              entry("md/in", "x", mode=0o7777, mtime=9),
              entry("high", "x", mode=0o100644, mtime=9)],
    "names": [
        entry(name, "x", mtime=9) for name in (
            "a\nb", "ü", "x" * 255, "-rf", "..a", "...", "a\\b", "tab\t", "wh.x", "x.wh.y", "*",
            ".WH.x", "//twice//x", "./a/./b/../c", "/".join(["y" * 200] * 10),
        )
    ] + [symlink("long", "z" * 1000, mtime=9)],
    "implicit": [entry("deep/er/file", "x", mtime=9)],
    "links within": [
        entry("real/", mtime=9), symlink("to", "real", mtime=9), entry("to/file", "x", mtime=9),
        symlink("out", "../../../../real", mtime=9), symlink("nowhere", "/no/such", mtime=9),
    ],
}  # fmt: skip
# What a second layer, and a third one, do to LOWER.
LAYERED: dict[str, list[list[Entry]]] = {
    "dir again": [[entry("d/", mode=0o711, uid=1, mtime=300)]],
    "attributes again": [[pax(entry("d/f", "x", mtime=3), user__b="2")],
                         [entry("d/f", "y", mtime=4)]],
    "file again": [[entry("d/f", "upper", mtime=400)]],
    "hard link across": [[hard_link("new", "d/f", mtime=200, mode=0o4755, uid=9)]],
    "hard link, then the file": [[hard_link("new", "only", mtime=8),
                                  entry("only", "two", mtime=3)]],
    "hard link through a link": [[hard_link("new", "l/f", mtime=200, mode=0o4755, uid=9)]],
    "hard link to a link": [[hard_link("new", "l", mtime=7)]],
    "hard link over a file": [[hard_link("e/x", "only", mtime=8)]],
    "whiteout": [[entry("d/.wh.f")]],
    "whiteout, again": [[entry(".wh.d"), entry("d/", mtime=9), entry("d/new", "n", mtime=9)]],
    "whiteout, later again": [[entry(".wh.d")], [entry("d/z", "third", mtime=9)]],
    "whiteout of a link": [[entry(".wh.l")]],
    "whiteout through a link": [[entry("l/.wh.f")]],
    "whiteout, then a directory": [[entry("e/", mtime=9), entry("e/.wh.x"),
                                    entry("e/x/", mtime=9)]],
    "opaque": [[entry("d/", mtime=9), entry("d/.wh..wh..opq"), entry("d/new", "n", mtime=9)]],
    "opaque last": [[entry("d/", mtime=9), entry("d/new", "n", mtime=9), entry("d/.wh..wh..opq")]],
    "opaque, implicit": [[entry("d/.wh..wh..opq"), entry("d/new", "n", mtime=9)]],
    "opaque, then more": [[entry("d/", mtime=9), entry("d/.wh..wh..opq")],
                          [entry("d/f", "third", mtime=9)]],
    "through a link": [[entry("l/new", "n", mtime=9)]],
    "directory over a link": [[entry("l/", mtime=9), entry("l/new", "n", mtime=9)]],
    "file over a directory": [[entry("d", "f", mtime=9)]],
    "link over a directory": [[symlink("d", "e", mtime=9), entry("d/new", "n", mtime=9)]],
    "directory over a file": [[entry("only/", mtime=9)]],
    "link over a link": [[symlink("l", "e", mtime=9)]],
    "device over a file": [[entry("only", type=CHR, devmajor=1, devminor=5, mode=0o600, mtime=9)]],
    "below what it does not mention": [[entry("sticky/new", "x", mtime=9)]],
}  # fmt: skip


def _below(directory: str, entries: Sequence[Entry]) -> list[Entry]:
    made = []
    for info, data in copy.deepcopy(list(entries)):
        info.name = f"{directory}/{info.name}"
        if info.islnk():
            info.linkname = f"{directory}/{info.linkname}"
        made.append((info, data))
    return made


def one_layer() -> list[bytes]:
    """What a single layer can have."""
    entries = [
        entry("./", mode=0o751, uid=3, mtime=77),
        entry("/absolute", "x", mtime=9),
        entry("./dotted/../moved", "x", mtime=9),
    ]
    for name, below in SINGLE.items():
        entries += _below(name, below)
    return [layer(*entries)]


def four_layers() -> list[bytes]:
    """What layers do to those below them; the last one is empty."""
    lower = [entry("./", mode=0o751, uid=3, mtime=77)]
    upper: list[list[Entry]] = [[], []]
    for name, above in LAYERED.items():
        lower += _below(name, LOWER)
        for number, entries in enumerate(above):
            upper[number] += _below(name, entries)
    upper[1].append(entry("after a global header", "x", mtime=9, uid=4))
    headers = tarfile.TarInfo.create_pax_global_header({"comment": "x", "uid": "77"})
    return [layer(*lower), headers + layer(*upper[0]), headers + layer(*upper[1]), layer()]


IMAGES = {"one layer": one_layer, "four layers": four_layers}
