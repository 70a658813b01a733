"""Podman, to compare with: the same image, its tree, and what a container of it says."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


class Podman:
    """Podman with a storage of its own, in which each layer is a whole tree (vfs)."""

    def __init__(self, directory: Path) -> None:
        self.base = ["podman", "--root", str(directory / "storage"), "--runroot",
                     str(directory / "runroot"), "--cgroup-manager", "cgroupfs",
                     "--storage-driver", "vfs", "--runtime", "runc"]  # fmt: skip

    def __call__(self, *words: str) -> str:
        argv = [*self.base, *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=100)
        if done.returncode:
            pytest.fail(f"{argv}: {done.stderr[-1000:]}")
        return done.stdout

    def load(self, layout: Path) -> str:
        """Its name for an image."""
        return self("pull", "-q", f"oci:{layout}").strip()

    def run(self, name: str, *words: str) -> str:
        """What a container of it says."""
        # Limits that need no privilege which the tests' machine may not have.
        limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
        options = ("--rm", "--network", "none", *limits)
        return self("run", *options, name, *words)

    def tree(self, name: str) -> Path:
        """Where an image is mounted, until `release`."""
        return Path(self("image", "mount", name).strip())

    def release(self, name: str) -> None:
        self("image", "unmount", name)


def in_a_place_of_its_own() -> Iterator[Podman]:
    """For a fixture."""
    place = Path(tempfile.mkdtemp(prefix="pyt", dir="/tmp"))  # Podman wants a short path
    yield Podman(place)
    shutil.rmtree(place)
