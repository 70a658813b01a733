"""Build the fast command: `fast.py OUTPUT [--destdir DIR] DIRECTORY...`.

An interpreter with the package inside (csrc/launcher/interpreter.c), linked with the static
libpython of the interpreter that runs this. The first DIRECTORY holds the package as it will be
found at run time (below --destdir while it is being installed), the others what else belongs on
the path.
Where that cannot be done, one sentence says why, and OUTPUT is the launcher script.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from embed import header
from image import image
from launcher import launcher

CSRC = Path(__file__).resolve().parent.parent / "csrc" / "launcher"
SOURCES = (CSRC / "interpreter.c", CSRC / "snapshot_write.c")


def static_library() -> Path | None:
    """libpython as an archive; Debian keeps it in libpython3-dev."""
    names = sysconfig.get_config_vars("LIBPL", "LIBDIR", "LIBRARY")
    if not all(names):
        return None
    found = [Path(directory, names[2]) for directory in names[:2]]
    return next((path for path in found if path.is_file()), None)


def library(name: str) -> str:
    """What to give the linker: the archive if there is one, as each shared library costs time."""
    compiler = os.environ.get("CC", "cc")
    archive = subprocess.check_output(
        [compiler, f"-print-file-name=lib{name}.a"], text=True
    ).strip()
    return archive if "/" in archive else f"-l{name}"


def command_line(archive: Path, work: Path, output: Path) -> list[str]:
    """The compiler call; extension modules need the interpreter's symbols (-export-dynamic)."""
    libraries = f"{sysconfig.get_config_var('LIBS')} {sysconfig.get_config_var('SYSLIBS')}"
    return [
        os.environ.get("CC", "cc"),
        *"-std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -no-pie -s".split(),
        f"-I{sysconfig.get_path('include')}",
        f"-I{work}",
        f'-DIMAGE="{work}/image"',
        "-o",
        str(output),
        *map(str, SOURCES),
        str(archive),
        *shlex.split(libraries),
        *map(library, ("z", "expat")),
        "-Wl,-export-dynamic,-z,noexecstack,-z,relro",
    ]


def link(output: Path, directories: list[str], destdir: str) -> str:
    """Write the interpreter to `output`. Returns why that is not possible, or an empty string."""
    archive = static_library()
    if archive is None:
        return "this Python has no static library"
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        work.joinpath("image").write_bytes(image(Path(destdir + directories[0])))
        work.joinpath("interpreter_data.h").write_text(header(directories, destdir))
        done = subprocess.run(
            command_line(archive, work, output), stderr=subprocess.PIPE, text=True, check=False
        )
    if done.returncode:
        cause = re.search("undefined reference to .*|error: .*", done.stderr)
        return f"{archive.name} cannot be linked ({cause[0] if cause else 'compiler failed'})"
    sys.stderr.write(done.stderr)
    return ""


def build(output: Path, directories: list[str], destdir: str) -> None:
    """Write `output`."""
    new = output.with_suffix(".new")
    output.parent.mkdir(parents=True, exist_ok=True)
    error = link(new, directories, destdir)
    if error:
        print(f"no fast start: {error}; the ordinary start is used", file=sys.stderr)
        new.write_text(launcher(os.path.realpath(sys.executable), directories))
        new.chmod(0o755)
    new.rename(output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("directories", nargs="+")
    parser.add_argument("--destdir", default="")
    arguments = parser.parse_args()
    build(arguments.output, arguments.directories, arguments.destdir)
