"""`make fuzz`: inputs for each target (tests/fuzz/targets.py), as many as there is time for.

The same seed gives the same inputs. One that fails is kept in build/fuzz, and INPUT=FILE gives it
again.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.targets import TARGETS, Target, available, keep
from tests.support.box import open_box


def fuzz(target: Target, name: str, seed: int, count: int, seconds: float) -> tuple[int, list[str]]:
    """Feed up to so many inputs, for so long; their number, and what went wrong."""
    end, done, wrong = time.monotonic() + seconds, 0, []
    while done < count and time.monotonic() < end:
        data = target.make(random.Random(f"{name} {seed} {done}"))
        done += 1
        if found := target.feed(data):
            file = keep(name, data)
            wrong.append(f"{name}: {found[:2000]}\nagain: make fuzz INPUT={file}")
    return done, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=60, help="for all of them together")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--input", type=Path, help="only this one; its name begins with the target")
    options = parser.parse_args()
    targets = options.targets or available()
    if options.input:
        targets = [options.input.name.partition("-")[0]]
    print(f"seed {options.seed}")
    failed = 0
    for name in targets:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="fuzz") as directory:
            box = open_box(Path(directory))
            target = TARGETS[name](box)
            if options.input:
                found = target.feed(options.input.read_bytes())
                count, wrong = 1, [found] if found else []
            else:
                share = options.seconds / len(targets)
                count, wrong = fuzz(target, name, options.seed, sys.maxsize, share)
            box.close()
        spent = time.monotonic() - began
        print(f"{name:8}{count:8} inputs  {len(wrong):4} failed  {spent:6.0f} s", flush=True)
        print("\n".join(wrong[:5]), end="\n" if wrong else "", flush=True)
        failed += len(wrong)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
