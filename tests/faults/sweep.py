"""`make sweep`: every fault at every system call of every command; tests/faults/points.py.

Arguments: commands, all without. The last line says how many points there were.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.points import COMMANDS, FAULTS, Victim, points
from tests.support.box import open_box


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="*", default=COMMANDS, metavar="COMMAND")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--sample", type=int, help="points of each command, chosen at random")
    parser.add_argument("--seed", default="", help="for another choice of them")
    parser.add_argument("--systemd", action="store_true", help="cgroups are systemd's")
    options = parser.parse_args()
    begun, count, failed = time.monotonic(), 0, 0
    for command in options.commands:
        found, wrong, seconds = sweep(command, options)
        print(f"{command:8}{found:7} points  {len(wrong):4} failed  {seconds:6.0f} s", flush=True)
        count += found
        failed += len(wrong)
    seconds = time.monotonic() - begun
    what = f"{len(FAULTS)} faults at the system calls of {len(options.commands)} commands"
    print(f"{count} points, {failed} failed: {what}, in {seconds:.0f} s")
    return int(failed > 0)


def sweep(command: str, options: argparse.Namespace) -> tuple[int, list[str], float]:
    """The number of points, what went wrong, and how long it took."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sweep") as directory:
        boxes = [open_box(Path(directory)) for _ in range(options.jobs)]
        victims = [Victim(box, options.systemd) for box in boxes]
        todo = list(points(victims[0].calls(command)))
        for victim in victims[1:]:
            victim.calls(command)  # fills its caches
        if options.sample is not None and options.sample < len(todo):
            todo = random.Random(command + options.seed).sample(todo, options.sample)
        reached: list[bool] = []
        wrong: list[str] = []

        def work(victim: Victim) -> None:
            while True:
                try:
                    call, fault = todo.pop()
                except IndexError:
                    return
                found = victim.fault(command, call, fault)
                reached.append(found is not None)
                if found:
                    wrong.append(found)
                    print(found, file=sys.stderr, flush=True)

        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(work, victims))
        for box in boxes:
            box.close()
    return sum(reached), wrong, time.monotonic() - begun


if __name__ == "__main__":
    sys.exit(main())
