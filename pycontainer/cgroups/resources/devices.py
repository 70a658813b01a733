"""Device rules: the config's in their order, then the devices that every container has.

Input: `linux.resources.devices`. Output: a list of `Rule`, and for v1 the writes that produce
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
    parsed = [_parse(entry, f"{ROOT}.devices[{index}]") for index, entry in enumerate(entries)]
    result = [rule for rule in parsed if rule.access]
    own = set(device_paths)
    for path, kind, major, minor, access in DEFAULTS:
        if not path or path not in own:
            result.append(Rule(True, kind, major, minor, access))
    return result


def _parse(entry: dict, field: str) -> Rule:
    kind = entry.get("type") or "a"
    access = entry.get("access") or ""
    if kind not in ("a", "b", "c"):
        raise ConfigError(f"invalid cgroup device type {kind!r}", "not-one-of", field, value=kind)
    ordered = "".join(letter for letter in ALL if letter in access)
    if not access or (entry["allow"] and not ordered):
        raise ConfigError(
            f"invalid device access {access!r}: must be one or more of r, w, m",
            "not-one-of",
            field,
            value=access,
        )
    numbers = [ANY if entry.get(name) is None else int(entry[name]) for name in ("major", "minor")]
    if any(not ANY <= number < 2**32 for number in numbers):
        raise ConfigError("invalid device number", "out-of-range", field)
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
    exceptions = _Exceptions()
    for rule in ordered:
        if rule.total:
            default, exceptions = rule.allow, _Exceptions()
            continue
        for kind in ("b", "c") if rule.kind == "a" else (rule.kind,):
            node = (kind, rule.major, rule.minor)
            if rule.allow != default:
                exceptions.add(node, rule.access)
            else:
                exceptions.withdraw(node, rule)
    return default, exceptions.nodes


class _Exceptions:
    """Nodes with the access that is an exception, found by what overlaps with them.

    `_by_number` has the nodes of each (letter, kind, major, minor), where either number may be
    None, which stands for any: to look at all exceptions for each rule takes quadratic time. It is
    made when a rule takes something away, which few configs have.
    """

    __slots__ = ("_by_number", "_indexed", "nodes")

    def __init__(self) -> None:
        self.nodes: dict[Node, str] = {}
        self._by_number: dict[tuple[str, str, int | None, int | None], dict[Node, None]] = {}
        self._indexed = False

    def add(self, node: Node, access: str) -> None:
        """One more exception, or more access to one."""
        if node in self.nodes:
            merged = self.nodes[node] + access
            access = "".join([letter for letter in ALL if letter in merged])
        self.nodes[node] = access
        if self._indexed:
            self._note(node, access)

    def _note(self, node: Node, access: str) -> None:
        for letter in access:
            for key in self._keys(letter, node):
                self._by_number.setdefault(key, {})[node] = None

    def withdraw(self, node: Node, rule: Rule) -> None:
        """Take `rule.access` away from every exception that the node covers."""
        if not self._indexed:
            self._indexed = True
            for one, access in self.nodes.items():
                self._note(one, access)
        for letter in rule.access:
            for other in self._overlapping(letter, node):
                if not _covers(node, other):
                    raise ConfigError(
                        f"rule {rule_text(node, rule.access)!r} cuts a hole into "
                        f"{rule_text(other, self.nodes[other])!r}, which cgroup v1 cannot do",
                        "not-allowed",
                        rule.field or ROOT + ".devices",
                    )
                self._drop(letter, other)

    def _drop(self, letter: str, node: Node) -> None:
        for key in self._keys(letter, node):
            del self._by_number[key][node]
        self.nodes[node] = self.nodes[node].replace(letter, "")
        if not self.nodes[node]:
            del self.nodes[node]

    def _overlapping(self, letter: str, node: Node) -> list[Node]:
        """The exceptions with this access that have a device in common with the node."""
        kind, major, minor = node
        found: dict[Node, None] = {}
        for one in (None,) if major == ANY else (major, ANY):
            for other in (None,) if minor == ANY else (minor, ANY):
                found |= self._by_number.get((letter, kind, one, other), {})
        return list(found)

    @staticmethod
    def _keys(letter: str, node: Node) -> Iterable[tuple[str, str, int | None, int | None]]:
        kind, major, minor = node
        return [(letter, kind, one, other) for one in (major, None) for other in (minor, None)]


def _covers(wide: Node, narrow: Node) -> bool:
    return all(wide[index] in (ANY, narrow[index]) for index in (1, 2))


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
