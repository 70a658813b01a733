"""What the executor tells of a failure beyond its errno: a code, and facts, most often a path.

`generate_header.py` numbers the codes for C from this table, and a plan's checksum covers them; the
sentences are ours alone.
"""

from __future__ import annotations

DETAILS = {
    "runtime-gone": "the runtime is gone",
    "other-build": "plan and executor are of different builds",
    "kernel": "{0}",  # what the kernel itself says of a mount
    "open": "open {0}",
    "no-answer": "the file system of {0} does not answer",
    "exec": "exec {0}",
    "copy-up": "copy up {0}",
    "too-deep": "directories deeper than 256 levels",
    "file-there": "another file is there already: {0}",
    "open-host": "open the host's {0}",
    "needs-devpts": "a terminal needs a devpts at {0}",
    "not-null": "/dev/null is not the null device",
    "fds-not-ours": "/proc/self/fd is not ours",
    "no-filesystem": "the kernel has no such file system",
    "no-plain-directory": "must be mounted on ordinary directory: {0}",
    "nothing-to-bind": "no new one is possible, and there is none to bind at {0}",
    "root-options": "options iversion and silent are not for the root",
    "locked-flag": "cannot clear locked flags: {0}",
    "locked-flags": "cannot change locked flags",
    "locked-atime": "cannot change locked atime flags",
    "target-is-file": "the source is a directory, the target is a file: {0}",
    "target-is-directory": "the source is a file, the target is a directory: {0}",
    "one-is-directory": "only one of source and target is a directory: {0}",
    "mount-point": "prepare the mount point {0}",
    "not-proc": "cannot be mounted because it is not of type proc: {0}",
    "inside-proc": "cannot be mounted because it is inside /proc: {0}",
    "open-source": "open the source {0}",
    "attributes": "set the mount's attributes of {0}",
    "no-such-link": "there is something else than that symbolic link at {0}",
    "open-nofollow": "open what dest-nofollow takes as it is, {0}",
    "kernel-filesystem": "it must not lie in a file system of the kernel's: {0}",
    "not-a-mount": "nothing is mounted there",
    "keyring-exists": "another process has made it before",
    "too-many-mounts": "too many mounts on this host",
    "no-mountinfo": "cannot read {0}",
    "climbs": "the path climbs out of a directory that does not exist: {0}",
    "link-to-root": "is a symlink to the root itself: {0}",
    "no-file-name": "no file name in {0}",
    "name-climbs": "a file name must not climb: {0}",
    "no-procfs": "/proc is no procfs",
    "other-procfs": "/proc is that of another pid namespace",
    "groups": "set the additional groups",
    "cwd-outside": "current working directory is outside of container mount namespace root",
    "filter-thread": "make a thread that the filter does not concern",
    "hook-not-executed": "#{1}: fork/exec {0}",
    "hook-exit": "#{1}: exit status {2}, stdout: {3}, stderr: {4}",
    "hook-signal": "#{1}: signal: {2}, stdout: {3}, stderr: {4}",
    "hook-timeout": ("#{1}: hook ran past specified timeout of {2}s, stdout: {3}, stderr: {4}"),
}
CODES = ("", *DETAILS)


class Detail:
    """A code from DETAILS and its facts, or with the code "" a sentence."""

    __slots__ = ("code", "facts")

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        self.facts = text.split("\0")

    def __str__(self) -> str:
        padding = [""] * 4  # for what did not fit into the message
        facts = [*self.facts, *padding]
        if self.code == "hook-signal" and facts[2].isdigit():
            from pycontainer.tables.signals import described

            facts[2] = described(int(facts[2]))
        return DETAILS.get(self.code, "{0}").format(*facts)
