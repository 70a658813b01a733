"""Where we answer otherwise than Debian's runc 1.1.5, on purpose: the one list, with reasons."""

from __future__ import annotations

# (command, status of the container): ((exit status, status afterwards), why)
STATUS_DIFFERENCES: dict[tuple[str, str], tuple[tuple[int, str], str]] = {
    ("kill --all", "paused"): (
        (0, "paused"),
        "runc freezes and thaws around the signals, and so ends a pause that nobody has ended",
    ),
}
