"""Many containers at once, of the kinds that are hard to end; and nothing is left of them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.box import Box
from tests.support.cgroups import DRIVERS, flags, units

COUNT = int(os.environ.get("PYCONTAINER_MASSES", "300"))
AT_ONCE = 8
# Each ignores what can be ignored.
KINDS = {
    "sleeps": "trap '' TERM INT; sleep 1000",
    "forks": "while :; do (sleep 0.05; sleep 0.05) & (sleep 0.05) & wait %1; done",
    "stopped": "kill -STOP $$; sleep 1000",
    "frozen": "sleep 1000",
    "detached": "(setsid sleep 1000 &) ; (setsid sleep 1000 &) ; exit 0",
    "nested": "mkdir /sys/fs/cgroup/x 2>/dev/null; sleep 1000",
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.alone
def test_nothing_is_left(box: Box, driver: str) -> None:
    box.needs_a_cgroup()
    pyc = box.pycontainer
    bundles = {}
    for kind, script in KINDS.items():
        bundles[kind] = box.bundle().script(script).write()
        bundles[kind].linux["resources"]["pids"] = {"limit": 50}
        if kind == "detached":
            bundles[kind].drop_namespace("pid")
        bundles[kind].write()

    def live_and_die(number: int) -> None:
        kind = list(KINDS)[number % len(KINDS)]
        name = box.id(f"{kind}{number}")
        bundle = bundles[kind].path
        pyc_command = [*flags(driver), "create", "-b", bundle, name]
        outcome(box, number, *pyc_command)
        outcome(box, number, "start", name)
        if kind == "frozen":
            outcome(box, number, "pause", name)
        outcome(box, number, "delete", "--force", name)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(live_and_die, range(COUNT)))
    assert units(box.token) == []
    assert [entry for entry in os.listdir(pyc.root) if not entry.startswith("~")] == []
    box.empty()


def outcome(box: Box, number: int, *arguments: object) -> None:
    """Run a command with files of its own for what it says."""
    import subprocess

    err = box.directory / f"err{number}"
    with err.open("wb") as stderr:
        done = subprocess.run(
            box.pycontainer.argv(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0, f"{arguments}: {err.read_text()}"


@pytest.mark.parametrize("driver", DRIVERS)
def test_kill_all(box: Box, driver: str) -> None:
    """`kill --all` reaches every process, also of a container without a pid namespace."""
    pyc, name = box.pycontainer, box.id()
    bundle = box.bundle().script("sleep 1000 & setsid sleep 1000 & (sleep 1000 &) ; sleep 1000")
    bundle.drop_namespace("pid")
    pyc(*flags(driver), "run", "-d", "-b", bundle, name).ok()
    pyc("kill", "--all", name, "KILL").ok()
    pyc.wait_for(name, "stopped")
    assert pyc("ps", "-f", "json", name).out.strip() in ("[]", "null")
    pyc("delete", name).ok()
    box.empty()
