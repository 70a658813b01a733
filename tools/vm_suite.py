"""What `tools/test-vm` runs in the virtual machine, as root: vm_suite.py [PYTEST-ARGUMENT...].

Parts of the suite side by side, each as root or as the machine's ordinary user, inside of that
user's own systemd. With arguments pytest gets those alone, as the user that $SUITE_USER names. What
fails is tried once more, when nothing runs beside it. Leaves $OUT/vm.xml, a JUnit report with each
test as it ended, and exit status 1 when one failed.
"""

from __future__ import annotations

import glob
import os
import pwd
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from pathlib import Path

USER = "tester"
# name: (user, what is run)
PARTS = {
    "cgroups": ("root", sorted(glob.glob("tests/lifecycle/test_cgroup_*.py"))),
    "life": ("root", ["tests/lifecycle/test_life.py"]),
    "rootless": (USER, ["tests/rootless"]),
}
PYTEST = "/usr/bin/python3 -m pytest -q -p pytest_timeout -o timeout=600".split()
FAILED = 1  # pytest's exit status for failed tests; others are about pytest itself
KEPT = ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LANG", "TERM")


class Part:
    """One pytest run, and the second one if that fails."""

    def __init__(self, name: str, user: str, arguments: list[str]) -> None:
        self.name, self.user, self.arguments = name, user, arguments
        self.place = Path(tempfile.mkdtemp(prefix=f"suite-{name}-"))
        os.chown(self.place, pwd.getpwnam(user).pw_uid, -1)
        self.reports: list[Path] = []
        self.began = time.monotonic()

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        """Run it; its output goes to `log`."""
        report = self.place / f"{len(self.reports) + 1}.xml"
        self.reports.append(report)
        options = [f"--junitxml={report}", "-o", f"cache_dir={self.place}/cache", *more]
        with (self.place / "log").open("ab") as log:
            return subprocess.Popen(
                [*as_user(self.user), *PYTEST, *options, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def cases(self) -> list[xml.Element]:
        """Each test case as it ended: the later report has the last word."""
        found: dict[tuple[str | None, str | None], xml.Element] = {}
        for report in self.reports:
            if report.exists():
                for case in xml.parse(report).getroot().iter("testcase"):
                    found[case.get("classname"), case.get("name")] = case
        return list(found.values())


def as_user(user: str) -> list[str]:
    """What makes a command line the user's, as after a login, in the cgroup that is theirs."""
    if user == "root":
        return []
    entry = pwd.getpwnam(user)
    runtime = f"/run/user/{entry.pw_uid}"
    environ = {name: os.environ[name] for name in KEPT if name in os.environ}
    environ |= {name: v for name, v in os.environ.items() if name.startswith("PYCONTAINER_")}
    environ |= {"HOME": entry.pw_dir, "USER": user, "LOGNAME": user, "XDG_RUNTIME_DIR": runtime}
    environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={runtime}/bus"
    words = ["env", *(f"{name}={value}" for name, value in environ.items())]
    become = ["setpriv", "--reuid", user, "--regid", str(entry.pw_gid), "--init-groups"]
    manager = ["systemd-run", "--user", "--quiet", "--pipe", "--wait", "--collect"]
    place = ["-p", "Delegate=yes", f"--working-directory={os.getcwd()}"]
    return [*become, *words, *manager, *place, *words]


def run(parts: list[Part]) -> bool:
    """Run them all at once, and what fails once more; whether all is well in the end."""
    going = [(part, part.start()) for part in parts]
    statuses = {}
    for part, process in going:
        statuses[part.name] = process.wait()
    for part in parts:
        if statuses[part.name] == FAILED:
            with (part.place / "log").open("a") as log:
                print("--- what failed, once more:", file=log)
            again = part.start("--last-failed", "--last-failed-no-failures", "none")
            statuses[part.name] = again.wait()
    for part in parts:
        print(f"--- in the virtual machine, as {part.user}: {' '.join(part.arguments)}", flush=True)
        print((part.place / "log").read_text(errors="replace"), flush=True)
    return not any(statuses.values())


def write_report(path: Path, parts: list[Part]) -> None:
    """All parts' cases in one suite."""
    suite = xml.Element("testsuite", name="vm", timestamp=time.strftime("%Y-%m-%dT%H:%M:%S"))
    for part in parts:
        suite.extend(part.cases())
    xml.ElementTree(suite).write(path, encoding="unicode")


def main(arguments: list[str]) -> int:
    """The command."""
    plan = PARTS
    if arguments:
        plan = {"chosen": (os.environ.get("SUITE_USER", "root"), arguments)}
    parts = [Part(name, *row) for name, row in plan.items()]
    good = run(parts)
    if out := os.environ.get("OUT"):
        write_report(Path(out) / "vm.xml", parts)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
