"""Containers from Python: one process that makes them all, timed from inside.

Started as a program it takes lines `CASE BUNDLE` on stdin and answers each with the milliseconds
that it took; so it takes turns with the commands that it is compared with.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

CHECKOUT = Path(__file__).resolve().parent.parent
NAME = "pycontainer in-process"


class InProcess:
    """The program, seen from the benchmark."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> InProcess:
        environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(self.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def time(self, case: str, bundle: str) -> float:
        """Milliseconds of one more container."""
        assert self.process is not None
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{case} {bundle}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{case} in-process failed")
        return float(answer)


# -- the program -----------------------------------------------------------------------------------


def main() -> None:
    import pycontainer

    runtime = pycontainer.Runtime(root=sys.argv[1])
    for number, line in enumerate(sys.stdin):
        case, bundle = line.split()
        took = CASES[case](runtime, f"bench-{os.getpid()}-{number}", bundle)
        print(took / 1e6, flush=True)


def run(runtime, name: str, bundle: str) -> int:  # type: ignore[no-untyped-def]
    """`run` of a program that ends at once."""
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    start = time.perf_counter_ns()
    result = runtime.run(name, bundle, **quiet)
    took = time.perf_counter_ns() - start
    if result.exit_status != 0:
        raise SystemExit(f"exit status {result.exit_status}")
    return took


def life(runtime, name: str, bundle: str) -> int:  # type: ignore[no-untyped-def]
    """create, start and delete; its end in between is not timed."""
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    start = time.perf_counter_ns()
    container = runtime.create(name, bundle, **quiet)
    try:
        container.start()
        took = time.perf_counter_ns() - start
        container.kill("KILL")
        container.wait()
        start = time.perf_counter_ns()
        container.delete()
        return took + time.perf_counter_ns() - start
    except BaseException:
        container.delete(force=True)
        raise


CASES: dict[str, Callable[..., int]] = {"run": run, "life": life}


if __name__ == "__main__":
    main()
