"""What a container looks like from inside, with the default config and with changes; beside runc.

One look at everything in each runtime; the tests compare section by section.
"""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from tests.support.box import Box, open_box
from tests.support.bundles import Bundle
from tests.support.differences import INSIDE_DIFFERENCES

SECTIONS = {
    "identity": "id; hostname; pwd; umask; cat /proc/sys/kernel/domainname",
    "environment": "env | sort",
    "status": "cd /proc/self; "
    "grep -E '^(Cap|NoNewPrivs|Seccomp|Groups|Uid|Gid|SigBlk|SigCgt|Threads)' status",
    "init": "cut -d' ' -f4-8 /proc/1/stat; cat /proc/1/comm; head -c 12 /proc/1/cmdline; echo",
    "limits": "cat /proc/self/limits; cat /proc/self/oom_score_adj",
    "dev": "ls -lnR /dev | sed 's/ [A-Z][a-z][a-z] .[0-9] .....  */ /'",
    "dev nodes": "cd /dev; stat -c '%n %F %a %u %g %t:%T' * | sort",
    "links": "for f in /dev/*; do readlink $f && echo $f; done",
    "mounts": "cat /proc/self/mountinfo",
    "masked": """
for f in /proc/acpi /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/scsi \
    /sys/firmware; do echo "$f: $(ls -ld $f 2>&1 | cut -c1-10) $(ls -A $f 2>&1 | wc -l)"; done
cat /proc/keys /proc/timer_list | wc -c
""",
    "readonly": """
for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/bus/x /proc/fs/x /sys/x \
    /sys/fs/cgroup/x; do echo x 2>&1 > $f && echo "$f can be written"; done 2>&1 | sort
""",
    "root": "touch /made && echo writable; rm -f /made; ls -A / | sort",
    "network": "ip addr; ip route",
    "descriptors": "ls -l /proc/self/fd | grep -c -- '->'; ls /proc/1/fd",
    "cgroup": "ls /sys/fs/cgroup | sort; readlink /sys/fs/cgroup/cpu",
    "processes": "ps -o comm",
    "session": "tty; cut -d' ' -f6 /proc/self/stat",
}
SCRIPT = "".join(f"echo '@@ {name}'\n( {text}\n) 2>&1\n" for name, text in SECTIONS.items())


def look(box: Box, runtime: str, bundle: Bundle, *flags: Any) -> dict[str, str]:
    """Each section's output."""
    out = box.run(bundle.script(SCRIPT), *flags, runtime=runtime).ok().out
    parts = re.split(r"^@@ (.*)\n", out, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory):
    box = open_box(tmp_path_factory.mktemp("inside"))
    yield {runtime.name: look(box, runtime.name, box.bundle()) for runtime in box.both()}
    box.close()


def mount_lines(text: str) -> list[str]:
    """mountinfo without what differs by chance: ids, device numbers, the host's own paths."""
    lines = []
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        _, _, _, root, target, options, *tags = fields.split(" ")
        tags = [tag.partition(":")[0] for tag in tags]
        root = re.sub(r"^/(.*/)?(bundle\d+|pyt[0-9a-f]{12}[^/]*)", "OWN", root)
        fstype, source, super_options = rest.split(" ", 2)
        super_options = re.sub(r",(inode64|size=\d\d+k|nr_inodes=\d+)", "", super_options)
        kind = f"{fstype} {source} {super_options}"
        if root in ("/null", "/mask"):  # ours is read-only, and of another file system
            root = options = kind = "hidden by a null device"
        lines.append(f"{target} is {root} {options} {' '.join(tags)} - {kind}")
    return sorted(lines)


def normal(section: str, text: str) -> list[str]:
    if section == "mounts":
        return mount_lines(text)
    return [line for line in text.splitlines() if line]


@pytest.mark.parametrize("section", SECTIONS)
def test_the_default_config(looks: dict[str, dict[str, str]], section: str):
    ours = normal(section, looks["pycontainer"][section])
    assert ours or (section == "cgroup" and os.geteuid() != 0)  # who may have none
    for name in looks.keys() - {"pycontainer"}:
        theirs = normal(section, looks[name][section])
        for line, (replacement, _) in INSIDE_DIFFERENCES.get(section, {}).items():
            theirs = [re.sub(line, replacement, each) for each in theirs]
        if section == "readonly":
            theirs.sort()  # as its script does
        assert ours == [line for line in theirs if line]
