"""Make everything that a release consists of, and check it: `release.py DIRECTORY`.

The sdist is made from the checkout, the wheel and the Debian package from the unpacked sdist, so
that nothing in them comes from elsewhere. All are made twice, in directories of other names, and
have to be the same, byte for byte. The wheel is installed in an environment of its own, and has to
work there.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# pip's, of an index that is absent; setuptools', of a clean checkout, and of COMMIT.
EXPECTED = ("Location '", "no previously-included files matching")
HOOK = (
    "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
)


def run(*argv: object, cwd: Path = ROOT, **env: str) -> str:
    """The output of a program; its complaints and the end, when it fails."""
    words = list(map(str, argv))
    environ = os.environ | env
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # setuptools warns that it obeys
    done = subprocess.run(words, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}status {done.returncode}")
    warnings = re.findall(r".*\bwarning\b.*", done.stdout + done.stderr, re.IGNORECASE)
    if [line for line in warnings if not any(text in line for text in EXPECTED)]:
        sys.exit("\n".join([*words, *warnings]))
    return done.stdout


def plain(sdist: Path, epoch: int) -> None:
    """Write the archive anew, without what only says who made it, and when."""
    output = io.BytesIO()
    with (
        tarfile.open(sdist) as old,
        gzip.GzipFile("", "wb", fileobj=output, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for item in sorted(old.getmembers(), key=lambda item: item.name):
            item.mtime, item.uid, item.gid, item.uname, item.gname = epoch, 0, 0, "", ""
            item.mode = 0o755 if item.isdir() or item.mode & 0o100 else 0o644
            item.pax_headers = {}
            new.addfile(item, old.extractfile(item) if item.isfile() else None)
    sdist.write_bytes(output.getvalue())


def build(work: Path, epoch: str) -> dict[str, Path]:
    """One of each kind: name, file."""
    output = work / "out"
    clone = work / "checkout"
    run("git", "clone", "-q", ROOT, clone)
    run(sys.executable, "-c", HOOK, "build_sdist", output, cwd=clone, SOURCE_DATE_EPOCH=epoch)
    (sdist,) = output.glob("*.tar.gz")
    plain(sdist, int(epoch))
    run("tar", "-xf", sdist, "-C", work)
    (source,) = work.glob("pycontainer-*")
    run(sys.executable, "-c", HOOK, "build_wheel", output, cwd=source, SOURCE_DATE_EPOCH=epoch)
    run("make", "deb", cwd=source, SOURCE_DATE_EPOCH=epoch)
    shutil.copytree(source / "dist", output, dirs_exist_ok=True)
    return {file.name: file for file in sorted(output.iterdir())}


def try_wheel(wheel: Path, work: Path) -> None:
    """It installs and answers where there is no compiler."""
    environment = work / "environment"
    run(sys.executable, "-m", "venv", environment)
    pip = [environment / "bin/python", "-m", "pip", "-q", "--disable-pip-version-check"]
    run(*pip, "install", "--root-user-action=ignore", wheel, PATH="/nonexistent")
    run(environment / "bin/pycontainer", "--version", cwd=work)


def main(directory: Path) -> None:
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or run("git", "log", "-1", "--format=%ct").strip()
    if run("git", "status", "--porcelain"):
        sys.exit("what is not committed would not be in it")
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        print("building the sdist, the wheel and the Debian package, twice")
        made, again = build(Path(first), epoch), build(Path(second, "other"), epoch)
        for name, file in made.items():
            if file.read_bytes() != again[name].read_bytes():
                sys.exit(f"{name}: another build gives other bytes")
        (wheel,) = Path(first, "out").glob("*.whl")
        print(f"installing {wheel.name} in an environment of its own")
        try_wheel(wheel, Path(first))
        directory.mkdir(exist_ok=True)
        sums = ""
        for name, file in made.items():
            shutil.copy(file, directory / name)
            sums += f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {name}\n"
        (directory / "SHA256SUMS").write_text(sums)
        print(f"in {directory}:\n{sums}", end="")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
