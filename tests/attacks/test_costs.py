"""Configurations that are made to cost: an answer comes soon, and takes little memory.

Bounds are on processor time, not on the clock, and many times what is needed: a quadratic piece of
work exceeds them by far, a busy machine does not.
"""

from __future__ import annotations

import json
import resource
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle

SECONDS = 8  # of processor time
MEMORY = 512 << 20  # bytes of address space that a process may have
RECORD_MAX = 65536


def masked(count: int) -> Callable[[Bundle], Any]:
    def change(bundle: Bundle) -> None:
        for name in ("maskedPaths", "readonlyPaths"):
            bundle.linux[name] = [f"/nosuch/{number}" for number in range(count)]

    return change


def seccomp(*rules: dict[str, Any]) -> Callable[[Bundle], Any]:
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules)}
    return lambda bundle: bundle.linux.update(seccomp=profile)


def errno(names: list[str], *values: int) -> dict[str, Any]:
    args = [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"} for value in values]
    return {"names": names, "action": "SCMP_ACT_ERRNO", **({"args": args} if args else {})}


def devices(count: int) -> Callable[[Bundle], Any]:
    nothing = [{"allow": False, "access": "rwm"}]
    rules = [
        {"allow": bool(n % 2), "type": "c", "major": n % 4096, "minor": n, "access": "r"}
        for n in range(count)
    ]
    return lambda bundle: bundle.linux.update(resources={"devices": nothing + rules + nothing})


def hook(timeout: int) -> Callable[[Bundle], Any]:
    listed = [{"path": "/bin/true", "timeout": timeout}]
    return lambda b: b.config.update(hooks={"createRuntime": listed, "createContainer": listed})


def policy(nodes: str) -> Callable[[Bundle], Any]:
    return lambda b: b.linux.update(memoryPolicy={"mode": "MPOL_PREFERRED", "nodes": nodes})


def affinity(cpus: str) -> Callable[[Bundle], Any]:
    return lambda b: b.process.update(execCPUAffinity={"initial": cpus})


def nested(levels: int) -> Callable[[Bundle], Any]:
    def change(bundle: Bundle) -> None:
        bundle.config["unknown"] = "LEVELS"
        deep = '{"a":' * levels + "null" + "}" * levels
        text = json.dumps(bundle.config).replace('"LEVELS"', deep)
        (bundle.path / "config.json").write_text(text)
        bundle.write = lambda: bundle  # type: ignore[method-assign]

    return change


def mount(**members: Any) -> Callable[[Bundle], Any]:
    return lambda b: b.config["mounts"].append({"type": "tmpfs", "source": "t", **members})


# What is changed, and what the refusal names; "" when it runs.
CASES: dict[str, tuple[Callable[[Bundle], Any], str]] = {
    "20000 masks": (masked(20_000), ""),
    "a million masks": (masked(10**6), "must have at most 100000"),
    "a mount too many": (
        lambda b: b.config.update(mounts=[{"destination": "/m", "type": "tmpfs"}] * 100_001),
        "mounts: has 100001 entries",
    ),
    "a wrong mount after 90000": (
        lambda b: b.config["mounts"].extend([{"destination": "/m"}] * 90_000 + [{}]),
        ".destination: is required but missing",
    ),
    "many wrong limits": (
        lambda b: b.process.update(rlimits=[{"type": "X", "soft": 1, "hard": 1}] * 10**5),
        "rlimits[0].type",
    ),
    "the same rule 100000 times": (seccomp(*[errno(["getppid"])] * 10**5), ""),
    "100000 unknown names": (seccomp(errno([f"no{n}" for n in range(10**5)])), ""),
    "100000 conditions": (seccomp(errno(["socket"], *range(10**5))), "4096 instructions"),
    "100000 rules": (seccomp(*[errno(["socket"], n) for n in range(10**5)]), "4096 instructions"),
    "rules that one replaces": (
        seccomp(*[errno(["getppid"], n) for n in range(5000)], errno(["getppid"])),
        "",
    ),
    "100000 device rules": (devices(10**5), ""),
    "the longest timeout": (hook(9223372036), ""),
    "a longer timeout": (hook(9223372037), "hooks.createRuntime[0].timeout: is 9223372037"),
    "a timeout of 2^80": (hook(2**80), "hooks.createRuntime[0].timeout"),
    "memory node 1000000": (policy("1000000"), "must be below 1024"),
    "memory node 2^80": (policy(f"0-{2**80}"), "must be memory nodes"),
    "a memory node that is not there": (policy("0-1023"), ""),
    "CPU 100000000": (affinity("0,100000000"), "must be below 8192"),
    "2000 levels": (nested(2000), ""),
    "200000 levels": (nested(200_000), "nested too deeply"),
    "a directory of 10 MB": (lambda b: b.process.update(cwd="/a" * 5_000_000), "[...]"),
    "a program of 10 MB": (lambda b: b.process.update(args=["b" * 10**7]), "[...]"),
    "a search path of 100000 directories": (
        lambda b: b.process.update(args=["nosuch"], env=["PATH=" + ":".join(["/nosuch"] * 10**5)]),
        "not found in $PATH",
    ),
    "an action of 10 MB": (
        seccomp({"names": ["getppid"], "action": "A" * 10**7}),
        "linux.seccomp.syscalls[0].action",
    ),
    "a mount of 10 MB": (mount(destination="/x" * 5_000_000), "[...]"),
    "100000 unknown members": (
        lambda b: b.config.update({f"host{n}": n for n in range(10**5)}),
        "",
    ),
    "an unknown name of 10 MB": (lambda b: b.config.update({"hostname" * 10**6: 1}), ""),
    "a path of 1 MB": (lambda b: b.linux.update(cgroupsPath="/" + "c" * 10**6), "[...]"),
    "a number of 4000 digits": (
        lambda b: b.linux.update(resources={"pids": {"limit": 10**3999}}),
        "linux.resources.pids.limit",
    ),
}


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@pytest.mark.parametrize("case", CASES)
def test_an_answer_comes_soon(box: Box, case: str):
    change, words = CASES[case]
    bundle = box.bundle("/bin/true")
    change(bundle)
    log = box.directory / "log"
    options = ["--debug", "--log", log, "--log-format", "json"]
    done = box.pycontainer(*options, "run", "-b", bundle, box.id(), preexec_fn=limited)
    records = log.read_bytes().splitlines()
    assert max(map(len, records)) < RECORD_MAX
    assert len(done.err.encode()) < RECORD_MAX
    assert "internal error" not in done.err
    if case == "a memory node that is not there":
        return  # the kernel's to say
    if words:
        done.fails(words)
        assert json.loads(records[-1])["level"] == "error"
    else:
        done.ok()


def test_a_signal_ends_it_while_it_computes(box: Box):
    """Nothing is blocked before the process is made, and then there is little to compute."""
    bundle = box.bundle("/bin/sleep", "1000")
    masked(100_000)(bundle)
    process = box.pycontainer.start_process("run", "-b", bundle, box.id())
    time.sleep(0.1)  # it takes half a second of processor time at least
    process.terminate()
    assert process.wait(SECONDS * 5) == -signal.SIGTERM
    box.pycontainer("delete", "--force", box.id()).ok()
