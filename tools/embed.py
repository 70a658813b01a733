"""What csrc/launcher/interpreter.c is made of: frozen modules, BOOT, paths of one installation."""

from __future__ import annotations

import importlib.util
import marshal
import sys
import sysconfig
from pathlib import Path

# Imported by the interpreter's own start, from files otherwise.
EARLY = ("encodings", "encodings.aliases", "encodings.utf_8")
# The hot path's extension modules, where they are files.
EXTENSIONS = ("_json", "_cffi_backend", "pycontainer._shim", "termios")


def array(name: str, data: bytes) -> str:
    """A C array of bytes."""
    return f"static const unsigned char {name}[] = {{{','.join(map(str, data))}}};\n"


def frozen() -> str:
    """The table of frozen modules, and their code."""
    text, rows = "", ""
    for number, name in enumerate(EARLY):
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None
        source = Path(spec.origin).read_bytes()
        code = compile(source, f"<frozen {name}>", "exec", dont_inherit=True, optimize=2)
        text += array(f"frozen_{number}", marshal.dumps(code))
        package = int(spec.submodule_search_locations is not None)
        rows += f'{{"{name}", frozen_{number}, sizeof(frozen_{number}), {package}, NULL}}, '
    return text + f"static const struct _frozen FROZEN[] = {{{rows}{{0, 0, 0, 0, 0}}}};\n"


def extensions(directories: list[str], destdir: str) -> str:
    """Module names and files, as C initialisers; the files are looked for below `destdir`."""
    sys.path[:0] = [destdir + directory for directory in directories]
    rows = []
    for name in EXTENSIONS:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin and spec.origin.endswith(".so"):
            rows.append(f'{{"{name}", "{spec.origin.removeprefix(destdir)}"}}')
    return ", ".join(rows)


def wide(text: str) -> str:
    """A wide C string."""
    return f'L"{text}"'


def header(directories: list[str], destdir: str = "") -> str:
    """The whole file."""
    boot = compile((Path(__file__).parent / "boot.py").read_text(), "<boot>", "exec", optimize=2)
    library = sysconfig.get_path("stdlib")
    paths = [*directories, library, f"{library}/lib-dynload"]
    lines = [
        "/* Written by tools/embed.py: do not edit. */\n",
        frozen(),
        array("BOOT", marshal.dumps(boot)),
        f"#define SEARCH_PATHS {', '.join(map(wide, paths))}\n",
        f"#define EXECUTABLE {wide(sys._base_executable)}\n",  # type: ignore[attr-defined]
        f"#define PREFIX {wide(sys.base_prefix)}\n",
        f'#define DIRECTORY "{directories[0]}"\n',
        f'#define ENCODINGS "{library}/encodings"\n',
        f"#define EXTENSIONS {extensions(directories, destdir)}\n",
    ]
    return "".join(lines)
