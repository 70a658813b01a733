"""What `tools/test-vm` runs in the virtual machine, as root: vm_suite.py [PYTEST-ARGUMENT...].

Parts of the suite side by side, each as root or as the machine's ordinary user, inside of that
user's own systemd, and then what changes the machine for everybody. $SUITE_PARTS names the only
parts to run. With arguments pytest gets those alone, as the user that $SUITE_USER names. What fails
is tried once more, when nothing runs beside it. Leaves $OUT/vm.xml, a JUnit report with each test
as it ended, and exit status 1 when one failed.

With $PYCONTAINER_ROOTLESS (tests/support/unprivileged.py) lifecycle tests run as after a login over
ssh, in a cgroup of root's: SUITE_USER=tester PYCONTAINER_ROOTLESS=ranges,systemd, and the files.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

USER = "tester"
ROOTLESS, THROW_AWAY = "PYCONTAINER_ROOTLESS", "PYCONTAINER_THROW_AWAY"
# A few minutes of the lifecycle tests as an ordinary user's; all of them take half an hour.
OF_A_USER = [
    "cgroups/test_systemd",
    "cgroups/test_update",
    "process/test_hooks",
    "process/test_namespaces",
    "process/test_terminal",
]
# What needs a user who has logged in, and root to stand in the way.
OBSTACLES = ["test_obstacles", "test_kernel_says_no", "test_delegation"]
# name: (user, what is run, variables)
Row = tuple[str, list[str], dict[str, str]]
PARTS: dict[str, Row] = {
    "cgroups": ("root", ["tests/lifecycle/cgroups"], {}),
    "life": (
        "root",
        ["tests/lifecycle/commands/test_life.py", "tests/lifecycle/fields/test_apparmor.py"],
        {},
    ),
    "monitor": ("root", ["tests/monitor/test_metrics_of_files.py"], {}),
    "rootless": (USER, ["tests/rootless"], {}),
    "user": (
        USER,
        [f"tests/lifecycle/{name}.py" for name in OF_A_USER],
        {ROOTLESS: "ranges,systemd"},
    ),
}
# Settings of the kernel and of systemd are changed: when all others are over, and with
# $SUITE_AFTERWARDS alone, since it takes minutes.
AFTERWARDS: dict[str, Row] = {
    "obstacle": ("root", [f"tests/rootless/{name}.py" for name in OBSTACLES], {THROW_AWAY: "1"}),
}
PYTEST = "/usr/bin/python3 -m pytest -q -p pytest_timeout -o timeout=600 --durations=8".split()
FAILED = 1  # pytest's exit status for failed tests; others are about pytest itself
KEPT = ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LANG", "TERM")


class Part:
    """One pytest run, and the second one if that fails."""

    def __init__(self, name: str, row: Row) -> None:
        self.name = name
        self.user, self.arguments, self.variables = row
        self.place = Path(tempfile.mkdtemp(prefix=f"suite-{name}-"))
        os.chown(self.place, pwd.getpwnam(self.user).pw_uid, -1)
        self.reports: list[Path] = []
        self.status = 0
        self.began = time.monotonic()

    def run(self, *more: str) -> None:
        """Run it, and pass on what it says, line by line and with its name."""
        report = self.place / f"{len(self.reports) + 1}.xml"
        self.reports.append(report)
        options = [f"--junitxml={report}", "-o", f"cache_dir={self.place}/cache", *more]
        process = subprocess.Popen(
            [*as_user(self.user, self.variables), *PYTEST, *options, *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **self.variables},
        )
        for line in process.stdout or ():
            seconds = time.monotonic() - self.began
            print(f"{self.name:8} {seconds:4.0f} | {line}", end="", flush=True)
        self.status = process.wait()

    def cases(self) -> list[xml.Element]:
        """Each test case as it ended: the later report has the last word."""
        found: dict[tuple[str | None, str | None], xml.Element] = {}
        for report in self.reports:
            if report.exists():
                for case in xml.parse(report).getroot().iter("testcase"):
                    found[case.get("classname"), case.get("name")] = case
        return list(found.values())


def as_user(user: str, variables: dict[str, str]) -> list[str]:
    """What makes a command line the user's, as after a login: in the cgroup that is theirs, or
    for lifecycle tests in root's, where none can be made without asking systemd."""
    if user == "root":
        return []
    entry = pwd.getpwnam(user)
    runtime = f"/run/user/{entry.pw_uid}"
    environ = {name: os.environ[name] for name in KEPT if name in os.environ}
    environ |= {name: v for name, v in os.environ.items() if name.startswith("PYCONTAINER_")}
    environ |= {"HOME": entry.pw_dir, "USER": user, "LOGNAME": user, "XDG_RUNTIME_DIR": runtime}
    environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={runtime}/bus"
    words = ["env", *(f"{name}={value}" for name, value in (environ | variables).items())]
    become = ["setpriv", "--reuid", user, "--regid", str(entry.pw_gid), "--init-groups"]
    if (environ | variables).get(ROOTLESS):
        return [*become, *words]
    manager = ["systemd-run", "--user", "--quiet", "--pipe", "--wait", "--collect"]
    place = ["-p", "Delegate=yes", f"--working-directory={os.getcwd()}"]
    return [*become, *words, *manager, *place, *words]


def run(parts: list[Part]) -> bool:
    """Run them all at once, and what fails once more; whether all is well in the end."""
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(Part.run, parts))
    for part in parts:
        if part.status == FAILED:
            part.run("--last-failed", "--last-failed-no-failures", "none")
    return not any(part.status for part in parts)


def write_report(path: Path, parts: list[Part]) -> None:
    """All parts' cases in one suite."""
    suite = xml.Element("testsuite", name="vm", timestamp=time.strftime("%Y-%m-%dT%H:%M:%S"))
    for part in parts:
        suite.extend(part.cases())
    xml.ElementTree(suite).write(path, encoding="unicode")


def main(arguments: list[str]) -> int:
    """The command."""
    only = os.environ.get("SUITE_PARTS", "").split() or PARTS
    plans = [{name: PARTS[name] for name in only}]
    if os.environ.get("SUITE_AFTERWARDS"):
        plans.append(AFTERWARDS)
    if arguments:
        plans = [{"chosen": (os.environ.get("SUITE_USER", "root"), arguments, {})}]
    parts: list[Part] = []
    good = True
    for plan in plans:
        now = [Part(name, row) for name, row in plan.items()]
        good = run(now) and good
        parts += now
    if out := os.environ.get("OUT"):
        write_report(Path(out) / "vm.xml", parts)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
