"""Where we answer otherwise than runc 1.1 of Debian, on purpose: the one list, with reasons."""

from __future__ import annotations

# (command, status of the container): ((exit status, status afterwards), why)
STATUS_DIFFERENCES: dict[tuple[str, str], tuple[tuple[int, str], str]] = {
    ("kill --all", "paused"): (
        (0, "paused"),
        "runc freezes and thaws around the signals, and so ends a pause that nobody has ended",
    ),
}

# (command, what is wrong with the program): what runc answers: (exit status, words (A|B: one of
# them), why we don't).
_EISDIR = "runc built with a newer Go says EISDIR too; engines map both to 126"
_LATE = "exec failures are 255; runc 1.1 has told its parent by then that all is well"
FAILURE_DIFFERENCES: dict[tuple[str, str], tuple[int, str, str]] = {
    ("run", "directory"): (1, "permission denied|is a directory", _EISDIR),
    ("exec", "directory"): (255, "permission denied|is a directory", _EISDIR),
    ("exec", "exec format error"): (1, "exec format error", _LATE),
    ("exec", "no interpreter"): (1, "no such file or directory", _LATE),
}

# (case of tests/lifecycle/commands/test_exec.py, a line of runc's): (our line, why)
EXEC_DIFFERENCES: dict[tuple[str, str], tuple[str, str]] = {
    ("process document", "0022"): ("0077", "runc 1.1 ignores user.umask in exec"),
    ("process document", "0"): ("100", "runc 1.1 ignores oomScoreAdj in exec"),
}

# section of tests/lifecycle/process/test_inside.py:
# {pattern in runc's line: (what we have there, why)}
INSIDE_DIFFERENCES: dict[str, dict[str, tuple[str, str]]] = {
    "mounts": {
        r"^(/sys/fs/cgroup is / )rw(.* tmpfs)": (r"\1ro\2", "read-only as its option says"),
        r"^(/\w+/\w+ is / ro,relatime  - tmpfs) tmpfs ro": (r"\1 none rw,size=4k", "just a name"),
    },
    "readonly": {
        r"(.*/sys/fs/cgroup/x: ).*": (r"\1Read-only file system", "see mounts"),
        r"^(/sys/fs/cgroup/x) can be written": (
            r"/bin/sh: can't create \1: Read-only file system",
            "see mounts; runc 1.1.15",
        ),
    },
    "cgroup": {"^x$": ("", "what has just been written there")},
}

# case of tests/lifecycle/process/test_process.py: ((exit status, output) of ours, why)
PROCESS_DIFFERENCES: dict[str, tuple[tuple[int, str], str]] = {
    "domainname": ((0, "example.org\n"), "runc 1.1 is older than domainname (spec 1.1)"),
    "personality": ((0, "i686\n"), "runc 1.1 ignores personality"),
}

# (options in tests/lifecycle/mounts/test_mounts.py, a line of runc's): (our line, why)
_MODE = "the mode that the option asks for; runc 1.1 puts that of the directory below in its place"
MOUNT_DIFFERENCES: dict[tuple[str, str], tuple[str, str]] = {
    ("size=64k mode=700", "755 0 0"): ("700 0 0", _MODE),
    ("mode=1777 uid=1000 gid=50", "755 1000 50"): ("1777 1000 50", _MODE),
}
