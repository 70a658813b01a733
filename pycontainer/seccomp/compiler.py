"""Compile linux.seccomp with libseccomp; loaded only when the cache has no answer.

Input: the object of the config. Output: the parts of a Filter and which libseccomp made them.
Rules are what runc makes of the same profile: one for each name, those that repeat the default
action left out, unknown names passed over, conditions on the same argument split into rules of
their own.
"""

from __future__ import annotations

import errno

from pycontainer._shim import ffi, lib
from pycontainer.base.errors import ConfigError, HostError, os_reason
from pycontainer.seccomp import enosys, simulate
from pycontainer.tables import seccomp_names as words

FIELD = "linux.seccomp"
ARGUMENTS = 6
UINT64_MAX = 0xFFFFFFFFFFFFFFFF
INSTRUCTIONS_MAX = 4096  # BPF_MAXINSNS
# A binary tree is smaller to walk for a long list; for an empty one libseccomp 2.5 gets it wrong.
TREE_FROM = 32
UNKNOWN_SYSCALL = -1  # __NR_SCMP_ERROR

Chain = tuple[tuple[int, ...], ...]  # conditions that all have to hold

_ARCH_REASONS = {
    errno.EINVAL: "this libseccomp does not know it",
    errno.EDOM: "its byte order is not this machine's",
}


class Rule:
    """What to do with one system call under conditions; `field` is where the config says so."""

    __slots__ = ("action", "conditions", "field", "name", "word")

    def __init__(
        self, name: str, word: str, action: int, conditions: list[tuple[int, ...]], field: str
    ) -> None:
        self.name = name
        self.word = word
        self.action = action
        self.conditions = conditions
        self.field = field


def build(seccomp: dict) -> tuple[str, tuple]:
    """Return (libseccomp's file, (bpf, flags, notify, warnings, debug, lets_enter, lets_wait)).

    ConfigError, or HostError when libseccomp or the kernel cannot do it.
    """
    warnings: list[str] = []
    debug: list[str] = []
    default_word = seccomp.get("defaultAction") or ""
    default = _action(
        default_word, seccomp.get("defaultErrnoRet"), "defaultAction", "defaultErrnoRet"
    )
    rules = _rules(seccomp)
    if default == words.ACT_NOTIFY:
        raise _bad("SCMP_ACT_NOTIFY cannot be used as default action", "defaultAction")
    notify = any(rule.action == words.ACT_NOTIFY for rule in rules)
    _open_library()
    flags = _flags(seccomp.get("flags"), notify, warnings)
    archs = _archs(seccomp.get("architectures") or [])
    bpf = _compile(default, archs, rules, debug)
    if enosys.wanted(default):
        bpf = enosys.program(_highest(archs, rules, debug)) + bpf
    if len(bpf) > 8 * INSTRUCTIONS_MAX:
        raise _too_long()
    library = ffi.string(lib.shim_seccomp_path()).decode()

    def passes(calls: simulate.Calls) -> bool:
        arch: int = lib.shim_seccomp_native_arch()
        return simulate.passes(bpf, arch, lambda name: resolve(0, name), calls)

    lets_enter = not notify and passes(simulate.CALLS)
    lets_wait = lets_enter and passes(simulate.WAITING)
    return library, (bpf, flags, notify, tuple(warnings), tuple(debug), lets_enter, lets_wait)


def _bad(message: str, where: str) -> ConfigError:
    field = f"{FIELD}.{where}" if where else FIELD
    return ConfigError(message, "wrong-value", field)


def _too_long() -> ConfigError:
    return _bad(
        f"compiles to more than the {INSTRUCTIONS_MAX} instructions that the kernel takes", ""
    )


def _action(word: str, errno_ret: int | None, where: str, errno_where: str) -> int:
    """Return SCMP_ACT_* with its errno, EPERM where the action takes one and none is given."""
    action = words.ACTIONS.get(word)
    if action is None:
        raise _bad(f"string {word} is not a valid action for seccomp", where)
    limit = words.DATA_LIMITS.get(word)
    if errno_ret is None:
        return action if limit is None else action | errno.EPERM
    if limit is None:
        raise _bad(f"{word} does not take an errno", errno_where)
    return action | _number(errno_ret, limit, errno_where)


def _number(value: int, limit: int, where: str) -> int:
    """Check an integer of the config; 1.0, an integer to JSON's schemas, is none to us or runc."""
    if not isinstance(value, int) or not 0 <= value <= limit:
        raise _bad(f"{value} is not a number from 0 to {limit}", where)
    return value


def _rules(seccomp: dict) -> list[Rule]:
    """Read `syscalls`: one Rule for each name."""
    rules = []
    for index, entry in enumerate(seccomp.get("syscalls") or ()):
        where = f"syscalls[{index}]"
        word = entry.get("action") or ""
        action = _action(word, entry.get("errnoRet"), f"{where}.action", f"{where}.errnoRet")
        conditions = [
            _condition(arg, f"{where}.args[{place}]")
            for place, arg in enumerate(entry.get("args") or ())
        ]
        for place, name in enumerate(entry.get("names") or ()):
            field = f"{where}.names[{place}]"
            if not name:
                raise _bad("empty string is not a valid syscall", field)
            if name == "write" and action == words.ACT_NOTIFY:
                # The process that hands the listener over must be able to send before that.
                raise _bad("SCMP_ACT_NOTIFY cannot be used for the write syscall", field)
            rules.append(Rule(name, word, action, conditions, field))
    return rules


def _condition(arg: dict, where: str) -> tuple[int, ...]:
    """Return (argument, operator, value, value two) as libseccomp takes them."""
    word = arg.get("op") or ""
    operator = words.OPERATORS.get(word)
    if operator is None:
        raise _bad(f"string {word} is not a valid operator for seccomp", f"{where}.op")
    return (
        _number(arg.get("index") or 0, ARGUMENTS - 1, f"{where}.index"),
        operator,
        _number(arg.get("value") or 0, UINT64_MAX, f"{where}.value"),
        _number(arg.get("valueTwo") or 0, UINT64_MAX, f"{where}.valueTwo"),
    )


def _open_library() -> None:
    code = lib.shim_seccomp_open()
    if code == -errno.ENOENT:
        raise HostError("load libseccomp.so.2: not found", "no-libseccomp")
    if code < 0:
        raise HostError("load libseccomp.so.2: it is older than 2.5", "no-libseccomp")


def _flags(names: list[str] | None, notify: bool, warnings: list[str]) -> int:
    """Return SECCOMP_FILTER_FLAG_* for seccomp(2).

    Without a list (an empty one is a list), runc's default is SPEC_ALLOW where the kernel has it:
    the mitigation that it turns off costs much, and is of no use to most.
    """
    supported = lib.shim_seccomp_flags_supported
    if not supported(0):
        raise HostError(
            "use seccomp: the kernel is built without filters", "no-seccomp", field=FIELD
        )
    flags = words.FLAG_NEW_LISTENER if notify else 0
    if notify and not supported(flags):
        raise HostError("use SCMP_ACT_NOTIFY: it needs Linux 5.0", "old-kernel", field=FIELD)
    if names is None:
        return flags | (words.FLAG_SPEC_ALLOW if supported(words.FLAG_SPEC_ALLOW) else 0)
    for index, name in enumerate(names):
        where = f"flags[{index}]"
        flag = words.FLAGS.get(name)
        if flag is None:
            raise _bad(f"seccomp flag {name} is not known", where)
        if flag == words.FLAG_WAIT_KILLABLE_RECV and not notify:
            warnings.append(f"{FIELD}.{where}: {name} says nothing without SCMP_ACT_NOTIFY")
        elif not supported(flag | flags & words.FLAG_NEW_LISTENER):
            raise HostError(
                f"use seccomp flag {name}: this kernel lacks it",
                "old-kernel",
                field=f"{FIELD}.{where}",
            )
        else:
            flags |= flag
    return flags


def _archs(names: list[str]) -> dict[int, str]:
    """Return architecture numbers and names, this machine's first: it is always in a filter."""
    native = lib.shim_seccomp_native_arch()
    archs = {native: words.arch_name(native)}
    for index, name in enumerate(names):
        arch = words.ARCHS.get(name)
        if arch is None:
            raise _bad(f"string {name} is not a valid arch for seccomp", f"architectures[{index}]")
        archs[arch] = name
    return archs


def _compile(default: int, archs: dict[int, str], rules: list[Rule], debug: list[str]) -> bytes:
    """Let libseccomp do its part; returns struct sock_filter[]."""
    context = lib.shim_seccomp_begin(default)
    if context == ffi.NULL:
        raise HostError(
            f"begin a seccomp filter: libseccomp refuses {default:#x} as default", "filter-refused"
        )
    try:
        for arch, name in archs.items():
            code = lib.shim_seccomp_add_arch(context, arch)
            if code < 0 and code != -errno.EEXIST:
                reason = _ARCH_REASONS.get(-code) or os_reason(-code)
                raise HostError(
                    f"add {name} to a seccomp filter: {reason}", "filter-refused", field=FIELD
                )
        if len(rules) > TREE_FROM and lib.shim_seccomp_optimize(context) < 0:
            debug.append("seccomp binary tree optimization not available")
        unknown = _add_all(context, default, rules)
        if unknown:
            debug.append(words.UNKNOWN + " ".join(unknown))
        out = ffi.new("unsigned char[]", 8 * INSTRUCTIONS_MAX)
        size = lib.shim_seccomp_export(context, out, len(out))
        if size == -errno.E2BIG:
            raise _too_long()
        if size < 0:
            raise HostError(
                f"export a seccomp filter: {os_reason(-size)}", "filter-refused", field=FIELD
            )
        return bytes(ffi.buffer(out, size))
    finally:
        lib.shim_seccomp_end(context)


def _add_all(context: object, default: int, rules: list[Rule]) -> list[str]:
    """Add the rules, but for those that change nothing; returns the names that are unknown.

    libseccomp takes quadratic time, and a chain of conditions is one instruction at least. So what
    it has is not added a second time, and what is too long for the kernel is refused before.
    """
    numbers = {name: resolve(0, name) for name in {rule.name for rule in rules}}
    effective: dict[tuple[object, ...], tuple[Rule, Chain]] = {}
    for rule in rules:
        number = numbers[rule.name]
        if rule.action == default or number == UNKNOWN_SYSCALL:
            continue
        for chain in _chains(rule):
            effective.setdefault((number, rule.action, *chain), (rule, chain))
    # A rule without conditions replaces all others of its system call.
    whole = {key[0] for key, (_, chain) in effective.items() if not chain}
    if sum(key[0] not in whole for key in effective) > INSTRUCTIONS_MAX:
        raise _too_long()
    for rule, chain in effective.values():
        _add(context, rule, numbers[rule.name], chain)
    return [
        rule.name
        for rule in rules
        if rule.action != default and numbers[rule.name] == UNKNOWN_SYSCALL
    ]


def _chains(rule: Rule) -> list[Chain]:
    """The conditions as libseccomp takes them: in one rule, one for each argument.

    Profiles rely on runc's answer to several: each by itself, so that any of them is enough.
    """
    conditions = rule.conditions
    if len({condition[0] for condition in conditions}) < len(conditions):
        return [(condition,) for condition in conditions]
    return [tuple(conditions)]


def _add(context: object, rule: Rule, number: int, chain: Chain) -> None:
    args = ffi.new("struct shim_seccomp_arg[]", chain) if chain else ffi.NULL
    code = lib.shim_seccomp_add_rule(context, rule.action, number, args, len(chain))
    if code == -errno.EEXIST:
        raise _bad(
            f"{rule.word} for {rule.name}: a rule before says otherwise for the same",
            rule.field,
        )
    if code < 0:
        raise HostError(
            f"add {rule.word} for {rule.name} to a seccomp filter: {os_reason(-code)}",
            "filter-refused",
            field=f"{FIELD}.{rule.field}",
        )


def resolve(arch: int, name: str) -> int:
    """The number of a system call; a name that C would cut short has none."""
    if "\0" in name:
        return UNKNOWN_SYSCALL
    number: int = lib.shim_seccomp_resolve(arch, name.encode("utf-8", "surrogatepass"))
    return number


def _highest(archs: dict[int, str], rules: list[Rule], debug: list[str]) -> dict[int, int]:
    """The highest system call that the profile names, for each architecture it is for."""
    names = {rule.name for rule in rules}
    found = {}
    for arch, arch_name in archs.items():
        number = max((resolve(arch, name) for name in names), default=0)
        if number > 0:
            found[arch] = number
        else:
            debug.append(f"could not find any syscalls for arch {arch_name}")
    return found
