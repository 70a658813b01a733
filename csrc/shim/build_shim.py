"""Write the C glue between Python and csrc/shim/: `build_shim.py OUTPUT.c`.

Input: the headers beside it, which are at the same time C and cffi's declarations (their
preprocessor lines are dropped here). Output: one C file for the module `pycontainer._shim` in
cffi's API mode, which needs `_cffi_backend` at run time and neither cffi nor pycparser.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cffi import FFI

SHIM = Path(__file__).resolve().parent


# Functions that Python has; see snapshot/preload.py.
CALLED_FROM_C = 'extern "Python+C" void shim_resumed(char **argv, char **env);'


def declarations(header: Path) -> str:
    """Return a header without its preprocessor lines; line numbers stay, for cffi's errors."""
    lines = header.read_text().split("\n")
    return "\n".join("" if line.lstrip().startswith("#") else line for line in lines)


def glue() -> FFI:
    """Describe the module; every header belongs to it."""
    headers = sorted(SHIM.glob("*.h"))
    ffi = FFI()
    for header in headers:
        ffi.cdef(declarations(header))
    ffi.cdef(CALLED_FROM_C)
    ffi.set_source("pycontainer._shim", "".join(f'#include "{h.name}"\n' for h in headers))
    return ffi


if __name__ == "__main__":
    glue().emit_c_code(sys.argv[1])
