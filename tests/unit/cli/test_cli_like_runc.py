"""Every command and every option of runc's is one of ours: of its sources, and of the one here."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from pycontainer.cli.commands import COMMANDS, load
from pycontainer.cli.options import FLAG, GLOBALS

# runc 1.5: name, or name|short name. Those in HIDDEN are accepted by runc but not shown.
CREATE = "bundle|b console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds"
SAVED = "console-socket image-path work-path tcp-established ext-unix-sk shell-job file-locks"
OPTIONS = {
    "checkpoint": "image-path work-path parent-path leave-running tcp-established"
    " tcp-skip-in-flight link-remap ext-unix-sk shell-job lazy-pages status-fd page-server"
    " file-locks pre-dump manage-cgroups-mode empty-ns auto-dedup",
    "create": CREATE,
    "delete": "force|f",
    "events": "interval stats",
    "exec": "console-socket pidfd-socket cwd env|e tty|t user|u additional-gids|g process|p"
    " detach|d pid-file process-label apparmor no-new-privs cap|c preserve-fds cgroup"
    " ignore-paused",
    "features": "",
    "kill": "all|a",
    "list": "format|f quiet|q",
    "pause": "",
    "ps": "format|f",
    "restore": f"{SAVED} manage-cgroups-mode bundle|b detach|d pid-file no-subreaper no-pivot"
    " empty-ns auto-dedup lazy-pages lsm-profile lsm-mount-context",
    "resume": "",
    "run": f"{CREATE} detach|d keep no-subreaper",
    "spec": "bundle|b rootless",
    "start": "",
    "state": "",
    "update": "resources|r blkio-weight cpu-period cpu-quota cpu-burst cpu-share cpu-rt-period"
    " cpu-rt-runtime cpuset-cpus cpuset-mems kernel-memory kernel-memory-tcp memory"
    " memory-reservation memory-swap pids-limit l3-cache-schema mem-bw-schema cpu-idle",
}
GLOBAL = "debug log log-format root criu systemd-cgroup rootless help|h version|v"


def ours(command: str) -> dict[str, tuple]:
    """Our options of a command by name and short name; "" for the global ones."""
    table = load(command).OPTIONS if command else GLOBALS
    return {name: row for row in table for name in row[:2] if name}


@pytest.mark.parametrize("command", ["", *OPTIONS])
def test_options_of_the_sources(command: str):
    assert not command or command in COMMANDS
    named = OPTIONS[command] if command else GLOBAL
    wanted = {name for word in named.split() for name in word.split("|")}
    assert wanted - set(ours(command)) == set()


@pytest.mark.skipif(shutil.which("runc") is None, reason="needs runc to compare with")
def test_commands_of_the_runc_here():
    text = _help()
    listed = text[text.index("COMMANDS:") : text.index("GLOBAL OPTIONS:")]
    commands = set(re.findall(r"^   ([a-z]+) ", listed, re.MULTILINE)) - {"help"}
    assert commands - set(COMMANDS) == set()


@pytest.mark.skipif(shutil.which("runc") is None, reason="needs runc to compare with")
@pytest.mark.parametrize("command", ["", *OPTIONS])
def test_options_of_the_runc_here(command: str):
    mine = ours(command)
    missing, different = [], []
    for line in _help(command).splitlines():
        found = re.match(r"   --([a-z0-9-]+)( value)?(, -([a-z])( value)?)?\s", line)
        if found is None or found[1] == "help":
            continue
        for name in (found[1], found[4]):
            if name and name not in mine:
                missing.append(name)
            elif name and (mine[name][2] == FLAG) == bool(found[2]):
                different.append(name)
    assert (missing, different) == ([], [])


def _help(*command: str) -> str:
    words = [word for word in command if word]
    done = subprocess.run(["runc", *words, "--help"], capture_output=True, text=True, check=True)
    return done.stdout
