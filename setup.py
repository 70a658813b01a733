"""The native part of the package; everything else is in pyproject.toml.

csrc/Makefile knows how to compile and generate; here it is told where setuptools wants the results.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildNative(build_py):
    """Copies the modules, then has the executor, the shim and the generated files built there."""

    def run(self) -> None:
        super().run()
        base = ROOT if getattr(self, "editable_mode", False) else Path(self.build_lib).resolve()
        temp = Path(self.get_finalized_command("build").build_temp).resolve()
        command = ["make", "-C", str(ROOT / "csrc"), f"PYTHON={sys.executable}"]
        subprocess.run([*command, f"OUT={base / 'pycontainer'}", f"BUILD={temp}"], check=True)


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
    cmdclass={"build_py": BuildNative, "bdist_wheel": NativeWheel},
    distclass=NativeDistribution,
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
    scripts=["tools/pycontainer"],
)
