"""Many containers of one image, and an eye on all of them: disk, memory, time.

    many.py [--containers 100] [--size 200] [--watched 1000]

Makes an image of so many megabytes, which each container reads whole; then starts as many small
ones and samples them all. Everything is below a temporary directory, and goes with it. As root.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pycontainer.base.settings import Settings  # noqa: E402
from pycontainer.monitor.fleet import Fleet  # noqa: E402
from tests.support.images import busybox, entry, image, layer  # noqa: E402

COMMAND = str(ROOT / "build/fast/pycontainer")


def run(*words: object) -> None:
    """No pipes: a container in the background would keep them open."""
    nothing = subprocess.DEVNULL
    subprocess.run([COMMAND, *map(str, words)], check=True, stdin=nothing, stdout=nothing)


def disk(path: Path) -> float:
    """MB that are allocated."""
    blocks = sum(entry.lstat().st_blocks for entry in path.rglob("*"))
    return blocks * 512 / 1e6


def everywhere(work, names: list[str]) -> float:
    """Seconds for all, two at a time."""
    start = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, names))
    return time.monotonic() - start


def one_image(place: Path, count: int, megabytes: int) -> None:
    root, store = place / "root", place / "store"
    files = [entry(f"data/{n}", os.urandom(1 << 20)) for n in range(megabytes)]
    source = image(place / "image", busybox(), layer(*files), compress="")
    options = ("--layers", store, "--image", source)
    start = time.monotonic()
    run("--root", root, "run", *options, "first", "true")
    print(f"unpack {megabytes} MB: {time.monotonic() - start:.2f} s, on disk {disk(store):.0f} MB")
    names = [f"c{n}" for n in range(count)]
    script = "cat /data/* > /dev/null; echo mine > /mine; exec sleep 10000"
    took = everywhere(
        lambda n: run("--root", root, "run", "-d", *options, n, "sh", "-c", script), names
    )
    print(f"start {count}: {took:.1f} s, {1000 * took / count:.0f} ms each (two at a time)")
    time.sleep(15)  # all have read it
    rows = Fleet(Settings(str(root))).sample()
    charged = sum(row.sample.memory for row in rows if row.sample) / 1e6
    print(f"on disk {disk(store):.0f} MB; memory of all, page cache included: {charged:.0f} MB")
    took = everywhere(lambda n: run("--root", root, "delete", "--force", n), names)
    print(f"delete {count}: {took:.1f} s; on disk {disk(store):.0f} MB")


def watched(place: Path, count: int) -> None:
    root, store = place / "root", place / "store"
    source = image(place / "small", busybox(), compress="")
    options = ("--layers", store, "--image", source)
    names = [f"w{n}" for n in range(count)]
    everywhere(lambda n: run("--root", root, "run", "-d", *options, n, "sleep", "10000"), names)
    try:
        fleet = Fleet(Settings(str(root)))
        fleet.sample()
        before = time.process_time()
        for _ in range(10):
            fleet.sample()
        each = (time.process_time() - before) / 10
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"sample {count}: {1000 * each:.0f} ms of CPU, {20 * each:.1f} % of a core at one "
              f"in 5 s; {rss:.0f} MiB of memory")  # fmt: skip
    finally:
        everywhere(lambda n: run("--root", root, "delete", "--force", n), names)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--containers", type=int, default=100)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--watched", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pycontainer-many-", dir="/var/tmp") as name:
        if arguments.containers:
            one_image(Path(name), arguments.containers, arguments.size)
        if arguments.watched:
            watched(Path(name), arguments.watched)
