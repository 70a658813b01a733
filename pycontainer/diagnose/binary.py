"""What kind of program a file is: its format, the machine it is for, the interpreter that it names.

Input: a descriptor of a regular file. Reads a few hundred bytes of it, and trusts none of
them: the file is the image's.
"""

from __future__ import annotations

import os
from struct import Struct
from struct import error as StructError

from pycontainer.linux import image_file

_SCRIPT = 256  # bytes of a #! line that the kernel looks at (BINPRM_BUF_SIZE)
_PT_LOAD, _PT_INTERP = 1, 3
_ET_REL, _ET_CORE = 1, 4
_HEADERS = 256  # program headers that are looked at
_MACHINES = {
    3: "32-bit x86",
    8: "MIPS",
    20: "32-bit PowerPC",
    21: "ppc64le",
    22: "s390x",
    40: "32-bit ARM",
    62: "x86_64",
    183: "aarch64",
    243: "RISC-V",
    258: "loongarch64",
}
_NATIVE = {"x86_64": ("x86_64", "32-bit x86"), "aarch64": ("aarch64", "32-bit ARM")}
# How files begin that are mistaken for a program.
_OTHER_KINDS = (
    (b"MZ", "a program for Windows"),
    (b"\xcf\xfa\xed\xfe", "a program for macOS"),
    (b"\xca\xfe\xba\xbe", "a program for macOS, or a Java class"),
    (b"\0asm", "a WebAssembly module, which needs a WebAssembly runtime to run it"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"!<arch>", "a library archive"),
)


class Program:
    """What is known of it.

    `kind`: "elf", "script", or "other". `fault` is what keeps the kernel from executing it as such,
    with "@" for its path ("" for nothing that can be seen); `interpreter` the file that it names.
    """

    __slots__ = ("fault", "interpreter", "kind", "remedy")

    def __init__(self, kind: str, fault: str = "", remedy: str = "", interpreter: str = "") -> None:
        self.kind = kind
        self.fault = fault
        self.remedy = remedy
        self.interpreter = interpreter


def look(fd: int) -> Program | None:
    """The program in the regular file behind `fd` (which may be of O_PATH); None if it cannot be
    read."""
    try:
        file = image_file.open_file(fd)
    except OSError:
        return None
    try:
        head = os.pread(file, _SCRIPT, 0)
        if head[:4] == b"\x7fELF":
            return _elf(file, head)
        return _script(head) if head[:2] == b"#!" else _other(head)
    except OSError:
        return None
    finally:
        os.close(file)


def _script(head: bytes) -> Program:
    line, newline, _ = head[2:].partition(b"\n")
    line = line.replace(b"\t", b" ").strip(b" ")  # a carriage return is part of the name
    name = line.partition(b" ")[0].decode("utf-8", "replace")
    if not name.strip():
        fault = "the #! line of @ names no interpreter"
        return Program("script", fault, "name one, e.g. #!/bin/sh")
    if not newline and len(head) == _SCRIPT and b" " not in line:
        fault = f"the #! line of @ is longer than the {_SCRIPT} bytes that the kernel reads"
        return Program("script", fault, "shorten the interpreter's path, or use a symlink to it")
    return Program("script", interpreter=name)


def _other(head: bytes) -> Program:
    if not head:
        return Program("other", "@ is an empty file", "copy the program again")
    for magic, words in _OTHER_KINDS:
        if head.startswith(magic):
            return Program("other", f"@ is {words}", "use a program for Linux")
    stripped = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if stripped[:2] == b"#!":
        before = "a byte order mark" if head[:3] == b"\xef\xbb\xbf" else "white space"
        fault = f"@ has {before} in front of its #!"
        return Program("other", fault, "#! must be its first two bytes")
    if b"\0" not in head:
        fault = "@ is a text file without a #! line"
        return Program("other", fault, "if it is a script, add #!/bin/sh as its first line")
    fault = "@ is no program in a format that the kernel knows"
    return Program("other", fault, "see what `file` says about it")


# -- ELF -----------------------------------------------------------------------------------------


def _elf(file: int, head: bytes) -> Program:
    """See elf(5)."""
    bits, order = head[4:6].ljust(2, b"\0")
    end = {1: "<", 2: ">"}.get(order)
    if bits not in (1, 2) or end is None:
        return _damaged("its ELF header is damaged")
    layout = Struct(f"{end}16xHHI{'QQQ' if bits == 2 else 'III'}IHHH")
    try:
        kind, machine, _, _, headers, _, _, _, size, count = layout.unpack_from(head)
    except StructError:
        return _damaged("it ends within its ELF header")
    foreign = _foreign(machine, bits)
    if foreign:
        return foreign
    if kind == _ET_REL:
        return Program("elf", "@ is an object file that has not been linked", "link it")
    if kind == _ET_CORE:
        return Program("elf", "@ is the core dump of a program, not a program", "name the program")
    interpreter, loads = "", 0
    segment = Struct(f"{end}IIQQQQQQ" if bits == 2 else f"{end}IIIIIIII")
    for number in range(min(count, _HEADERS)):
        raw = os.pread(file, segment.size, headers + number * size)
        if len(raw) < segment.size:
            return _damaged("it ends within its program headers")
        fields = segment.unpack(raw)
        offset, length = (fields[2], fields[5]) if bits == 2 else (fields[1], fields[4])
        loads += fields[0] == _PT_LOAD
        if fields[0] == _PT_INTERP and not interpreter:
            text = os.pread(file, min(length, 4096), offset)
            interpreter = text.partition(b"\0")[0].decode("utf-8", "replace")
    if not loads:
        return _damaged("its ELF header names nothing to load")
    return Program("elf", interpreter=interpreter)


def _damaged(how: str) -> Program:
    return Program("elf", f"@ is damaged: {how}", "copy it again")


def _foreign(machine: int, bits: int) -> Program | None:
    here = os.uname().machine
    name = _MACHINES.get(machine, f"an unknown machine (ELF number {machine})")
    if name == "x86_64" and bits == 1:
        name = "x32"
    if name == here:
        return None
    native = _NATIVE.get(here, ())
    lacks = ", and this kernel runs no such programs" if name in native else ""
    return Program(
        "elf",
        f"@ is a program for {name}, this machine is {here}{lacks}",
        f"use an image for {here}, or an emulator (qemu-user-static with binfmt_misc)",
    )
