"""The code runner of docs/python.md: requests a second, and the processor time of one.

    runner.py [--requests 200] [--threads 4] [--image IMAGE]

Each request runs a small Python program in a sandbox of its own. On a machine that does other work
at the same time the processor time counts: one second of a core has room for 1 / that many.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import pycontainer  # noqa: E402

PROGRAM = b"print(sum(range(101)))"


def processor_ms() -> tuple[float, float]:
    """Milliseconds so far: of this process, and of the children that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    own, children = (resource.getrusage(kind) for kind in kinds)
    return 1000 * (own.ru_utime + own.ru_stime), 1000 * (children.ru_utime + children.ru_stime)


def measured(title: str, count: int, serve_all: Callable[[int], None]) -> None:
    """One line of the report."""
    before, start = processor_ms(), time.monotonic()
    serve_all(count)
    took, after = time.monotonic() - start, processor_ms()
    own, children = ((b - a) / count for a, b in zip(before, after, strict=True))
    room = 1000 * (os.cpu_count() or 1) / (own + children)
    print(f"{title:28} {count / took:5.0f}/s; processor time of the service {own:.1f} ms, of the "
          f"program {children:.1f} ms: room for {room:.0f}/s here")  # fmt: skip


def main(count: int, threads: int, image: str) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="pycontainer-runner-") as place,
        pycontainer.sandbox(
            image, memory="64M", pids=8, timeout=60, runtime=pycontainer.Runtime(f"{place}/root")
        ) as box,
        ThreadPoolExecutor(threads) as pool,
    ):

        def serve(_: int) -> None:
            result = box.run(["python3", "-IS", "-"], input=PROGRAM)
            assert result.text == "5050\n", result

        def empty(_: int) -> None:
            assert box.run(["true"]).ok

        async def gathered(number: int) -> None:
            loop = asyncio.get_running_loop()
            tasks = [loop.run_in_executor(pool, serve, n) for n in range(number)]
            await asyncio.gather(*tasks)

        serve(0)  # what is loaded once
        measured("true, one after the other", count, lambda n: list(map(empty, range(n))) and None)
        measured(
            f"python, {threads} threads", count, lambda n: list(pool.map(serve, range(n))) and None
        )
        measured(f"python, asyncio, {threads} at once", count, lambda n: asyncio.run(gathered(n)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--image", default="", help="instead of this machine's own /usr")
    arguments = parser.parse_args()
    main(arguments.requests, arguments.threads, arguments.image)
