"""Device rules: the config's in their order, then the devices that every container has.

Enters: `linux.resources.devices`. Leaves: a list of `Rule`, and for v1 the writes that produce
their effect. v1 knows one default and a list of exceptions to it, so rules that cut a hole into
an earlier, wider one cannot be expressed there and are refused, instead of being ignored as the
kernel would. On v2 the compiled program follows the order exactly (device_bpf.py).
"""

from __future__ import annotations

from pycontainer.base.errors import ConfigError
from pycontainer.cgroups.resources.writes import ROOT, Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ANY = -1
ALL = "rwm"
CLAUSE = "config-linux.md#allowed-device-list"

# What runc lets every container have, after the config's own rules: making any node (which alone
# opens nothing) and the devices of a terminal. (path, type, major, minor, access); one with a path
# is left out when `linux.devices` defines that path itself.
DEFAULTS = (
    ("", "c", ANY, ANY, "m"),
    ("", "b", ANY, ANY, "m"),
    ("/dev/null", "c", 1, 3, ALL),
    ("/dev/random", "c", 1, 8, ALL),
    ("/dev/full", "c", 1, 7, ALL),
    ("/dev/tty", "c", 5, 0, ALL),
    ("/dev/zero", "c", 1, 5, ALL),
    ("/dev/urandom", "c", 1, 9, ALL),
    ("", "c", 136, ANY, ALL),  # /dev/pts/*
    ("", "c", 5, 2, ALL),  # /dev/ptmx
    ("", "c", 10, 200, ALL),  # /dev/net/tun, which users of runc rely on
)


class Rule:
    """One rule: `kind` is "a", "b" or "c", numbers may be ANY, `access` is a subset of "rwm"."""

    __slots__ = ("allow", "kind", "major", "minor", "access", "field")

    def __init__(
        self, allow: bool, kind: str, major: int, minor: int, access: str, field: str = ""
    ) -> None:
        self.allow = allow
        self.kind = kind
        self.major = major
        self.minor = minor
        self.access = access
        self.field = field

    def __repr__(self) -> str:
        word = "allow" if self.allow else "deny"
        return f"<{word} {rule_text((self.kind, self.major, self.minor), self.access)}>"

    @property
    def total(self) -> bool:
        """Whether it decides about every access to every device."""
        return self.kind == "a" and self.major == self.minor == ANY and len(self.access) == 3


def rules(entries: Sequence[dict], device_paths: Iterable[str] = ()) -> list[Rule]:
    """The config's rules followed by the default ones; ConfigError for a malformed entry."""
    result = [_parse(entry, f"{ROOT}.devices[{index}]") for index, entry in enumerate(entries)]
    own = set(device_paths)
    for path, kind, major, minor, access in DEFAULTS:
        if not path or path not in own:
            result.append(Rule(True, kind, major, minor, access))
    return result


def _parse(entry: dict, field: str) -> Rule:
    kind = entry.get("type") or "a"
    access = entry.get("access") or ""
    if kind not in ("a", "b", "c"):
        raise ConfigError(f"invalid cgroup device type {kind!r}", field=field, clause=CLAUSE)
    if not access or access.strip(ALL):
        raise ConfigError(
            f"invalid device access {access!r}: must be one or more of r, w, m",
            field=field,
            clause=CLAUSE,
        )
    numbers = [ANY if entry.get(name) is None else int(entry[name]) for name in ("major", "minor")]
    if any(not ANY <= number < 2**32 for number in numbers):
        raise ConfigError("invalid device number", field=field, clause=CLAUSE)
    ordered = "".join(letter for letter in ALL if letter in access)
    return Rule(bool(entry["allow"]), kind, numbers[0], numbers[1], ordered, field)


Node = tuple[str, int, int]


def rule_text(node: Node, access: str) -> str:
    """The kernel's notation, e.g. `c 136:* rwm`."""
    kind, *numbers = node
    return f"{kind} {':'.join('*' if n == ANY else str(n) for n in numbers)} {access}"


def reduce(ordered: Iterable[Rule]) -> tuple[bool, dict[Node, str]]:
    """The rules as (default verdict, exceptions to it), the form of the v1 controller.

    Without a first rule for everything the default is to deny. ConfigError for a hole.
    """
    default = False
    exceptions: dict[Node, str] = {}
    for rule in ordered:
        if rule.total:
            default, exceptions = rule.allow, {}
            continue
        for kind in ("b", "c") if rule.kind == "a" else (rule.kind,):
            node = (kind, rule.major, rule.minor)
            if rule.allow != default:
                merged = exceptions.get(node, "") + rule.access
                exceptions[node] = "".join(letter for letter in ALL if letter in merged)
            else:
                _withdraw(exceptions, node, rule)
    return default, exceptions


def _withdraw(exceptions: dict[Node, str], node: Node, rule: Rule) -> None:
    """Take `rule.access` away from every exception that the node covers."""
    for other, access in list(exceptions.items()):
        left = "".join(letter for letter in access if letter not in rule.access)
        if left == access:
            continue
        if _covers(node, other):
            if left:
                exceptions[other] = left
            else:
                del exceptions[other]
        elif _overlaps(node, other):
            raise ConfigError(
                f"rule {rule_text(node, rule.access)!r} cuts a hole into "
                f"{rule_text(other, access)!r}, which cgroup v1 cannot do",
                field=rule.field or ROOT + ".devices",
                clause=CLAUSE,
            )


def _covers(wide: Node, narrow: Node) -> bool:
    return wide[0] == narrow[0] and all(wide[index] in (ANY, narrow[index]) for index in (1, 2))


def _overlaps(one: Node, other: Node) -> bool:
    return one[0] == other[0] and all(
        ANY in (one[index], other[index]) or one[index] == other[index] for index in (1, 2)
    )


def v1_writes(ordered: Iterable[Rule]) -> list[Write]:
    """First the default for everything, then each exception."""
    default, exceptions = reduce(ordered)
    field = ROOT + ".devices"
    files = ("devices.allow", "devices.deny")
    writes = [Write("devices", files[not default], "a *:* rwm", field)]
    writes += [
        Write("devices", files[default], rule_text(node, access), field)
        for node, access in exceptions.items()
    ]
    return writes
