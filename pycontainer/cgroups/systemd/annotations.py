"""`org.systemd.property.NAME` annotations: properties for the container's unit, as runc has them.

The value is GVariant's text form. Engines may pass annotations on from people whom the host does
not trust, and a property can reach far beyond the unit: Conflicts= stops services of the host,
FailureAction= restarts it. So only what concerns the unit itself is set, unless annotations are
trusted.
"""

from __future__ import annotations

from pycontainer.base.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Value = tuple[str, Any]  # signature of D-Bus, value

PREFIX = "org.systemd.property."
INFINITY = 2**64 - 1
OURS = ("PIDs", "Slice", "Delegate")  # without these the container would not be in its cgroup
# Property and its type. All concern the resources of the unit, how it ends, and its record.
SAFE = {
    **dict.fromkeys(
        "CPUAccounting MemoryAccounting TasksAccounting IOAccounting BlockIOAccounting IPAccounting"
        " DefaultDependencies SendSIGHUP SendSIGKILL".split(),
        "b",
    ),
    **dict.fromkeys(
        "MemoryMax MemoryHigh MemoryLow MemoryMin MemorySwapMax MemoryZSwapMax MemoryLimit TasksMax"
        " CPUWeight StartupCPUWeight CPUShares StartupCPUShares CPUQuotaPerSecUSec"
        " CPUQuotaPeriodUSec IOWeight StartupIOWeight BlockIOWeight StartupBlockIOWeight"
        " TimeoutStopUSec RuntimeMaxUSec RuntimeRandomizedExtraUSec".split(),
        "t",
    ),
    **dict.fromkeys(
        "CollectMode KillMode OOMPolicy ManagedOOMSwap ManagedOOMMemoryPressure".split(), "s"
    ),
    **dict.fromkeys("AllowedCPUs AllowedMemoryNodes".split(), "ay"),
    **dict.fromkeys("KillSignal FinalKillSignal RestartKillSignal".split(), "i"),
    "ManagedOOMMemoryPressureLimit": "u",
}
# Integers of D-Bus and their range: a number without a type is taken for what is wanted.
_INTEGERS = {
    "y": (0, 2**8 - 1),
    "n": (-(2**15), 2**15 - 1),
    "q": (0, 2**16 - 1),
    "i": (-(2**31), 2**31 - 1),
    "u": (0, 2**32 - 1),
    "x": (-(2**63), 2**63 - 1),
    "t": (0, INFINITY),
}


def of_annotations(annotations: dict[str, str], trusted: bool = False) -> list[tuple[str, Value]]:
    """The properties that they name; ConfigError for one that is broken, or not safe.

    A number for a NAMESec becomes NAMEUSec, which is what systemd calls it on D-Bus.
    """
    return [
        _property(key, text, trusted) for key, text in annotations.items() if key.startswith(PREFIX)
    ]


def _property(key: str, text: str, trusted: bool) -> tuple[str, Value]:
    from pycontainer.cgroups.systemd.gvariant import parse

    name, field = key[len(PREFIX) :], f"annotations[{key!r}]"
    if name in OURS:
        raise ConfigError("cannot be set", "not-allowed", field)
    if len(name) < 3 or not (name.isascii() and name.isalpha()):
        raise ConfigError("not a name of a systemd property", "wrong-name", field)
    try:
        value = parse(text)
    except ValueError as error:
        raise ConfigError(str(error), "wrong-form", field) from None
    if name.endswith("Sec") and name[-4:-3].islower():
        if value[0] not in (*_INTEGERS, "d") or abs(value[1]) > INFINITY:
            raise ConfigError("is not a number of seconds", "wrong-form", field)
        name, value = name[:-3] + "USec", ("t", int(value[1] * 1_000_000) & INFINITY)
    if name in SAFE:
        return name, _typed(value, SAFE[name], field)
    if not trusted:
        raise ConfigError("is no property that concerns the container alone", "not-trusted", field)
    return name, value


def _typed(value: Value, wanted: str, field: str) -> Value:
    kind, content = value
    if kind == wanted:
        return value
    if kind in _INTEGERS and wanted in _INTEGERS:
        lowest, highest = _INTEGERS[wanted]
        if lowest <= content <= highest:
            return wanted, content
    raise ConfigError(f"is of type {kind!r}, must be {wanted!r}", "wrong-type", field)
