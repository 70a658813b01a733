"""What the library or the kernel cannot do is an error of the host, with the field's name."""

from __future__ import annotations

import platform

import pytest

from pycontainer.base.errors import ConfigError, HostError
from pycontainer.seccomp import cache
from pycontainer.tables import seccomp_names


@pytest.mark.skipif(platform.machine() != "x86_64", reason="foreign is relative")
@pytest.mark.parametrize("arch", ["SCMP_ARCH_MIPS", "SCMP_ARCH_S390X", "SCMP_ARCH_PARISC"])
def test_architecture_of_another_byte_order(arch: str) -> None:
    with pytest.raises(HostError, match=f"{arch}.*byte order"):
        cache.compile({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [arch]})


@pytest.mark.skipif(platform.machine() != "x86_64", reason="foreign is relative")
def test_every_architecture_of_the_spec_is_taken_or_refused_with_its_name() -> None:
    for arch in seccomp_names.ARCHS:
        try:
            cache.compile({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [arch]})
        except HostError as error:
            assert arch in str(error)


@pytest.mark.parametrize("count", [1020, 1500, 4000])
def test_filter_that_the_kernel_would_not_take(count: int) -> None:
    many = [
        {
            "names": ["kill"],
            "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": value << 32 | value}],
        }
        for value in range(count)
    ]
    with pytest.raises(ConfigError, match="more than the 4096 instructions"):
        cache.compile({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": many})
