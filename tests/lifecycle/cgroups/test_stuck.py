"""A process that no signal ends: `delete --force` says which, in what state, and where it hangs."""

from __future__ import annotations

import pytest

from tests.support.box import Box
from tests.support.cgroups import DRIVERS, flags, units
from tests.support.hanging import Hanging
from tests.support.runtimes import SLOWNESS

SCRIPTS = {
    "init": "exec cat /hanging/x",
    "a child": "cat /hanging/x & wait; sleep 1000",
    "a child, and init has gone": "cat /hanging/x & sleep 0.1",
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("who", SCRIPTS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_it_is_named(box: Box, driver: str, who: str) -> None:
    pyc, name = box.pycontainer, box.id()
    bundle = box.bundle().script(SCRIPTS[who])
    if "gone" in who:
        bundle.drop_namespace("pid")
    with Hanging(bundle.rootfs / "hanging") as hanging:
        pyc(*flags(driver), "run", "-d", "-b", bundle, name).ok()
        assert hanging.asked.wait(20 * SLOWNESS)
        if "gone" in who:
            pyc.wait_for(name, "stopped")
        done = pyc("delete", "--force", name)
        done.fails("container still running", "(cat) is in state D", "request_wait_answer")
        assert pyc.status(name) != "gone"
        hanging.release()
        pyc("delete", "--force", name).ok()
    assert units(name) == []
    box.empty()
