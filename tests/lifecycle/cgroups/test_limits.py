"""Limits read back from the kernel and from systemd, next to what runc sets from the same config.

Generated from one table, for each driver that this host has.
"""

from __future__ import annotations

import pytest

from tests.support.box import Box
from tests.support.cgroups import DRIVERS, flags, settings, unit_properties, units
from tests.support.limits import CONFIGS, FILE_DIFFERENCES, UNIT_DIFFERENCES
from tests.support.runtimes import has_runc


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_same_as_runc(box: Box, driver: str, name: str) -> None:
    box.needs_root("for an ordinary user, tests/rootless/test_user_systemd.py does the same")
    if not has_runc():
        pytest.skip("needs runc to compare with")
    bundle = box.bundle("/bin/true")
    bundle.linux["resources"] = CONFIGS[name]
    found = {}
    for runtime in (box.runc, box.pycontainer):
        container = box.id(runtime.name)
        if driver == "systemd":
            bundle.linux["cgroupsPath"] = f":test:{container}"
        else:
            bundle.linux["cgroupsPath"] = f"/{container}"
        done = runtime(*flags(driver), "create", "-b", bundle, container)
        found[runtime.name] = [done.status != 0]
        if done.status == 0:
            files = settings(runtime, container)
            if runtime is box.runc:
                files.update(FILE_DIFFERENCES.get(name, {}))
            found[runtime.name].append(files)
            if driver == "systemd":
                properties = unit_properties(f"test-{container}.scope")
                found[runtime.name].append(properties)
                if runtime is box.runc:
                    properties.update(UNIT_DIFFERENCES.get(name, {}))
        runtime("delete", "--force", container)
    assert found["pycontainer"] == found["runc"], done.err
    assert units(box.token) == []
    if found["runc"] == [True]:
        pytest.skip("neither runtime can, with this kernel")
