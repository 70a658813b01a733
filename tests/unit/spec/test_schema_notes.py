"""Every property of oci-spec/ has a description and a clause of the specification that exists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from pycontainer.spec import schema

# The headings of runtime-spec 1.3.0 that our schemas cite.
HEADINGS = {
    "config.md": """configuration specification-version root mounts linux-mount-options
        posix-platform-mounts process posix-process linux-process user posix-platform-user
        windows-user hostname domainname platform-specific-configuration posix-platform-hooks
        prestart createruntime-hooks createcontainer-hooks startcontainer-hooks poststart poststop
        annotations""",
    "config-linux.md": """linux-container-configuration namespaces user-namespace-mappings
        offset-for-time-namespace devices network-devices control-groups cgroups-path
        allowed-device-list memory cpu block-io huge-page-limits network pids rdma unified intelrdt
        memory-policy sysctl seccomp rootfs-mount-propagation masked-paths readonly-paths
        mount-label personality""",
    "config-windows.md": """windows-specific-container-configuration layerfolders devices resources
        memory cpu storage network credential-spec servicing ignoreflushesduringboot hyperv""",
    "config-vm.md": """virtual-machine-specific-container-configuration hypervisor-object
        kernel-object image-object hwconfig-object""",
    "config-solaris.md": """solaris-application-container-configuration milestone limitpriv
        maxshmmemory cappedcpu cappedmemory automatic-network-anet""",
    "config-zos.md": "zos-container-configuration namespaces",
    "config-freebsd.md": "freebsd-container-configuration devices jail",
    "runtime.md": "state",
    "features.md": """features-structure specification-version hooks mount-options
        platform-specific-features annotations unsafe-annotations-in-configjson""",
    "features-linux.md": """linux-features-structure namespaces capabilities cgroup seccomp apparmor
        selinux memorypolicy intel-rdt mountextensions netdevices""",
}
CLAUSES = {f"{file}#{name}" for file, text in HEADINGS.items() for name in text.split()}


def _schemas(value: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema that describes a property, by its place."""
    if isinstance(value, list):
        for item in value:
            yield from _schemas(item, where)
    elif isinstance(value, dict):
        for name, member in value.get("properties", {}).items():
            yield f"{where}.{name}", member
        for key, member in value.items():
            inside = member.values() if key in ("properties", "$defs") else [member]
            for item in inside:
                yield from _schemas(item, f"{where}/{key}")


@pytest.mark.parametrize("file", schema.names())
def test_every_property_is_described(file: str) -> None:
    found = list(_schemas(schema.load(file), file))
    for where, member in found:
        assert member.get("description", "").endswith("."), where
        assert member["x-clause"] in CLAUSES, where
    if file != "defs.schema.json":
        assert found


@pytest.mark.parametrize("file", schema.names())
def test_is_draft_2020_12(file: str) -> None:
    text = schema.load(file)
    assert text["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(text)


def test_every_heading_is_cited() -> None:
    cited = {
        member["x-clause"]
        for file in schema.names()
        for _, member in _schemas(schema.load(file), file)
    }
    assert len(CLAUSES - cited) <= 10  # those at the top of a file


def test_clause_of_a_path() -> None:
    assert schema.clause(schema.CONFIG, []) == "config.md#configuration"
    path = ["process", "rlimits", 3, "type"]
    assert schema.clause(schema.CONFIG, path) == "config.md#posix-process"
    path = ["linux", "resources", "rdma", "mlx5_1", "hcaHandles"]
    assert schema.clause(schema.CONFIG, path) == "config-linux.md#rdma"
    assert schema.clause(schema.CONFIG, ["unknown", 3, "x"]) == "config.md#configuration"
