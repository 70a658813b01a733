"""Every member of the features document is true: held to the code that it speaks of."""

from __future__ import annotations

import pytest
from pycontainer._shim import lib

from pycontainer.cgroups.systemd import annotations
from pycontainer.cli.commands import COMMANDS
from pycontainer.hostinfo import features
from pycontainer.plan.ops import TABLE
from pycontainer.tables import mount_options
from pycontainer.tables.annotations import CRIU_CONFIG

LINUX = features.document()["linux"]


def test_all_members_of_the_specification():
    """features-linux.md of runtime-spec 1.3, and nothing else."""
    assert set(LINUX) == {
        "namespaces",
        "capabilities",
        "cgroup",
        "seccomp",
        "apparmor",
        "selinux",
        "memoryPolicy",
        "intelRdt",
        "mountExtensions",
        "netDevices",
    }


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("idmap_tree", LINUX["mountExtensions"]["idmap"]["enabled"]),
        ("net_device", LINUX["netDevices"]["enabled"]),
        ("resctrl", LINUX["intelRdt"]["enabled"]),
        ("memory_policy", bool(LINUX["memoryPolicy"]["modes"])),
        ("seccomp", LINUX["seccomp"]["enabled"]),
    ],
)
def test_what_is_said_has_an_operation(operation, said):
    assert said is (operation in TABLE)


def test_flags_that_the_kernel_has():
    seccomp = LINUX["seccomp"]
    assert set(seccomp["supportedFlags"]) <= set(seccomp["knownFlags"])
    assert ("SECCOMP_FILTER_FLAG_LOG" in seccomp["supportedFlags"]) is bool(
        lib.shim_seccomp_flags_supported(2)
    )


def test_mount_options_are_recognized():
    """None of them reaches a file system as its own."""
    for option in features.document()["mountOptions"]:
        assert mount_options.parse([option]).data == (), option


def test_a_systemd_that_is_said_is_there():
    from pycontainer import cgroups
    from pycontainer.base.errors import ContainerError

    try:
        cgroups.open_driver(systemd=True)
        there = True
    except ContainerError as error:
        there = "not supported yet" not in str(error)
    assert LINUX["cgroup"]["systemd"] is there


def test_checkpoints():
    said = features.document()["annotations"]["org.opencontainers.runc.checkpoint.enabled"]
    assert (said == "true") is ("checkpoint" in COMMANDS)


def test_annotations_that_reach_beyond_the_container():
    """What engines keep from users: a file that root's CRIU reads, properties of a unit, crun's."""
    unsafe = features.document()["potentiallyUnsafeConfigAnnotations"]
    ours = (CRIU_CONFIG, annotations.PREFIX, "run.oci.")
    assert set(ours) <= set(unsafe)
