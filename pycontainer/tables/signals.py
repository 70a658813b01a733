"""Signal names and numbers, as x86 and arm have them, without the signal module's 3 ms.

Real-time signals are counted as the C library counts them: it keeps 32 and 33 to itself, so
SIGRTMIN is 34 for everyone who says that word.
"""

from __future__ import annotations

from pycontainer.base.errors import UsageError

SIGKILL = 9
SIGTERM = 15
RTMIN = 34
RTMAX = 64

NUMBERS = {
    "SIGHUP": 1,
    "SIGINT": 2,
    "SIGQUIT": 3,
    "SIGILL": 4,
    "SIGTRAP": 5,
    "SIGABRT": 6,
    "SIGBUS": 7,
    "SIGFPE": 8,
    "SIGKILL": 9,
    "SIGUSR1": 10,
    "SIGSEGV": 11,
    "SIGUSR2": 12,
    "SIGPIPE": 13,
    "SIGALRM": 14,
    "SIGTERM": 15,
    "SIGSTKFLT": 16,
    "SIGCHLD": 17,
    "SIGCONT": 18,
    "SIGSTOP": 19,
    "SIGTSTP": 20,
    "SIGTTIN": 21,
    "SIGTTOU": 22,
    "SIGURG": 23,
    "SIGXCPU": 24,
    "SIGXFSZ": 25,
    "SIGVTALRM": 26,
    "SIGPROF": 27,
    "SIGWINCH": 28,
    "SIGIO": 29,
    "SIGPWR": 30,
    "SIGSYS": 31,
}
ALIASES = {"SIGIOT": 6, "SIGCLD": 17, "SIGPOLL": 29, "SIGRTMIN": RTMIN, "SIGRTMAX": RTMAX}


def parse_signal(text: str) -> int:
    """Return the number of a signal: "KILL", "sigkill", "9", "SIGRTMIN+3", "SIGRTMAX-1".

    0 is accepted, as runc does: kill(2) then only asks whether the process is there. UsageError
    for any other word, with runc's text, and for numbers that the kernel has no signal for.
    """
    number = _decimal(text)
    if number is None:
        name = text.upper()
        if not name.startswith("SIG"):
            name = "SIG" + name
        number = NUMBERS.get(name) or ALIASES.get(name) or _realtime(name)
    if number is not None and not 0 <= number <= RTMAX:
        # What the kernel would say.
        raise UsageError("unable to signal init: invalid argument", "out-of-range")
    if number is None:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        raise UsageError(f'unknown signal "{quoted}"', "unknown-signal", value=text)
    return number


def name(number: int) -> str:
    """Return "SIGKILL" for 9, "SIGRTMIN+3" for 37; a number without a name comes back as text."""
    for text, value in NUMBERS.items():
        if value == number:
            return text
    if number == RTMIN:
        return "SIGRTMIN"
    if RTMIN < number <= RTMAX:
        return f"SIGRTMIN+{number - RTMIN}"
    return str(number)


def described(number: int) -> str:
    """Return "killed" for 9, as runc has it from Go's names, which are those of strsignal(3)."""
    from _signal import strsignal

    return (strsignal(number) or f"signal {number}").lower()


def _decimal(text: str) -> int | None:
    """A decimal number with an optional sign, and nothing of what int() accepts beyond it."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits.isascii() and digits.isdigit() and len(digits) < 10:
        return int(text)
    return None


def _realtime(name: str) -> int | None:
    """SIGRTMIN+n or SIGRTMAX-n, n within the range of real-time signals."""
    digits = name[9:]
    if not (digits.isascii() and digits.isdigit() and len(digits) < 3):
        return None
    if name.startswith("SIGRTMIN+"):
        number = RTMIN + int(digits)
    elif name.startswith("SIGRTMAX-"):
        number = RTMAX - int(digits)
    else:
        return None
    return number if RTMIN <= number <= RTMAX else None
