"""The native part of the package; everything else is in pyproject.toml.

csrc/Makefile knows how to compile and generate; here it is told where setuptools wants the results.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
DESCRIBE = ["git", "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]


def write_commit(package: Path) -> None:
    """Leave what --version says where the package is; an sdist has brought it along."""
    if (ROOT / ".git").exists():
        done = subprocess.run(DESCRIBE, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            (package / "COMMIT").write_text(done.stdout)


class SourceArchive(sdist):
    """With the commit that it was made of."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        write_commit(Path(base_dir, "pycontainer"))


class BuildNative(build_py):
    """Copies the modules, then has the executor, the shim and the generated files built there."""

    def run(self) -> None:
        super().run()
        base = ROOT if getattr(self, "editable_mode", False) else Path(self.build_lib).resolve()
        temp = Path(self.get_finalized_command("build").build_temp).resolve()
        csrc = ROOT / "csrc"
        out, build = (os.path.relpath(path, csrc) for path in (base / "pycontainer", temp))
        command = ["make", "-C", str(csrc), f"PYTHON={sys.executable}"]
        subprocess.run([*command, f"OUT={out}", f"BUILD={build}"], check=True)
        write_commit(base / "pycontainer")
        if base != ROOT:
            self.distribution.data_files = share(base, temp / "share")


def share(package: Path, made: Path) -> list[tuple[str, list[str]]]:
    """Man pages and completion scripts, made by the built package, as data_files wants them."""
    command = [sys.executable, str(ROOT / "tools" / "share.py"), str(made)]
    # Bytecode would go into the wheel, with the time of each file.
    environ = {**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, check=True, env=environ)
    files = [file for file in sorted(made.rglob("*")) if file.is_file()]
    return [(str(Path("share", file.relative_to(made).parent)), [str(file)]) for file in files]


class NativeWheel(bdist_wheel):
    """Says which C library the wheel needs: the youngest symbol of it that the shim uses.

    The shim links nothing else, and all programs are static: that is what PEP 600 asks for.
    """

    def get_tag(self) -> tuple[str, str, str]:
        python, abi, platform = super().get_tag()
        shim = Path(self.bdist_dir, "pycontainer", "_shim.abi3.so").read_bytes()
        used = [int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", shim)]
        if used:
            platform = platform.replace("linux_", f"manylinux_2_{max(used)}_", 1)
        return python, abi, platform


class NativeDistribution(Distribution):
    """Marks the wheel as one for this machine; setuptools sees no extension of its own."""

    def has_ext_modules(self) -> bool:
        return True


setup(
    cmdclass={"build_py": BuildNative, "bdist_wheel": NativeWheel, "sdist": SourceArchive},
    distclass=NativeDistribution,
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
    scripts=["tools/pycontainer"],
)
