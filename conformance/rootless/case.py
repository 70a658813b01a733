"""One runtime, run by an ordinary user in one setup: what the checks work with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.support.bundles import Bundle
from tests.support.runtimes import Done, Runtime
from tests.support.unprivileged import UnprivilegedBox, ranges


class Case:
    """Calling it runs a command of the runtime."""

    def __init__(self, box: UnprivilegedBox, runtime: str) -> None:
        self.box = box
        self.runtime: Runtime = box.runtime(runtime)
        self.one_id = box.mapping == "own"
        self.limited = box.cgroups != "none"

    def __call__(self, *arguments: Any, **options: Any) -> Done:
        return self.runtime(*arguments, **options)

    def id(self, name: str = "c") -> str:
        """A container's id."""
        return self.box.id(name)

    def bundle(self, script: str = "sleep 1000") -> Bundle:
        """A new bundle that runs this shell script."""
        bundle = self.box.bundle().script(script)
        bundle.config["ociVersion"] = "1.0.2"  # an older runtime refuses a newer one
        return bundle

    def run(self, what: Bundle | str, *flags: str, **options: Any) -> Done:
        """Run a bundle, or a script, in the foreground."""
        bundle = what if isinstance(what, Bundle) else self.bundle(what)
        return self("run", *flags, "-b", bundle, self.id("run"), **options)

    def running(self, what: Bundle | str = "sleep 1000", name: str = "c") -> str:
        """The id of a container that runs in the background."""
        bundle = what if isinstance(what, Bundle) else self.bundle(what)
        self("run", "-d", "-b", bundle, self.id(name)).ok()
        return self.id(name)

    def pid(self, name: str) -> int:
        """Its init."""
        return self.runtime.state(name)["pid"]

    def processes(self, name: str) -> list[int]:
        """What `ps` lists."""
        return json.loads(self("ps", "--format", "json", name).ok().out)

    def cgroup(self, name: str) -> Path:
        """Its cgroup, as the kernel says."""
        line = Path(f"/proc/{self.pid(name)}/cgroup").read_text().splitlines()[-1]
        return Path("/sys/fs/cgroup" + line.split(":", 2)[2])

    def host_id(self, inside: int) -> int:
        """The id of the host that this one is mapped to."""
        return os.getuid() if inside == 0 else ranges()[0] + inside - 1
