"""A task in a child process that may change what belongs to a process: ids, mounts, the umask.

For an ordinary user the child is root of a user namespace with the ids that the containers have
(newuidmap writes them, as for containers). It has a mount namespace of its own, so that what it
mounts ends with it.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from typing import Any

from pycontainer._shim import lib
from pycontainer.base.errors import ContainerError, HostError, check
from pycontainer.linux import idmap
from pycontainer.linux.process import reap

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18


class Ids:
    """The ids of an ordinary user's containers: the own one is root, a range of subuid(5) the rest.

    `squash`: there is no such range, and everything belongs to the one.
    """

    def __init__(self) -> None:
        ranges = [_range("/etc/subuid", os.geteuid()), _range("/etc/subgid", os.geteuid())]
        self.squash = not (all(ranges) and idmap.find("newuidmap") and idmap.find("newgidmap"))
        own = (os.geteuid(), os.getegid())
        self.uids, self.gids = (
            [(0, me, 1)] if self.squash else [(0, me, 1), (1, *span)]
            for me, span in zip(own, ranges, strict=True)
        )

    def mappings(self) -> dict[str, Any]:
        """For `linux` of a config.json."""
        keys = ("containerID", "hostID", "size")
        return {
            "uidMappings": [dict(zip(keys, row, strict=True)) for row in self.uids],
            "gidMappings": [dict(zip(keys, row, strict=True)) for row in self.gids],
        }


def ids_of_caller() -> Ids | None:
    """None for root, who needs no user namespace."""
    return None if os.geteuid() == 0 else Ids()


def _range(path: str, uid: int) -> tuple[int, int]:
    """The first range of a user in subuid(5) or subgid(5); () without one."""
    import pwd

    try:
        names = {str(uid), pwd.getpwuid(uid).pw_name}
    except KeyError:
        names = {str(uid)}
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            rows = [line.strip().split(":") for line in file]
        return next((int(r[1]), int(r[2])) for r in rows if len(r) == 3 and r[0] in names)
    except (OSError, ValueError, StopIteration):
        return ()  # type: ignore[return-value]


def run(
    task: Callable[[], Any],
    ids: Ids | None,
    *,
    mounts: bool = False,
    failure: type[ContainerError] = HostError,
) -> Any:
    """What `task` returns, a JSON value, in a child process; its error is raised here as `failure`.

    `mounts`: it needs a mount namespace of its own.
    """
    reader, writer = os.pipe()
    ready, go = os.pipe(), os.pipe()
    with warnings.catch_warnings():  # of threads: the child only does what is said here
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            os.close(go[1])  # it ends when its parent does, or gives up
            _answer(writer, task, ids, mounts, ready[1], go[0])
        finally:
            os._exit(1)
    for fd in (writer, ready[1], go[0]):
        os.close(fd)
    try:
        if ids is not None and os.read(ready[0], 1):
            if problem := _write_maps(pid, ids):
                raise HostError(problem, "no-id-map")
            os.write(go[1], b"g")
        with open(reader, "rb", closefd=False) as answers:
            data = answers.read()
    finally:
        for fd in (reader, ready[0], go[1]):
            os.close(fd)
        reap(pid)
    answer = json.loads(data or '{"error": "the child process has been killed"}')
    if "error" in answer:
        raise failure(answer["error"], answer.get("code", ""), **answer.get("params", {}))
    return answer["value"]


def _answer(
    writer: int, task: Callable[[], Any], ids: Ids | None, mounts: bool, ready: int, go: int
) -> None:
    try:
        if ids is not None:
            check(lib.shim_unshare(CLONE_NEWUSER), "make a user namespace")
            os.write(ready, b"r")
            if not os.read(go, 1):
                os._exit(1)
        if mounts:
            check(lib.shim_unshare(CLONE_NEWNS), "make a mount namespace")
            private = lib.shim_mount(b"none", b"/", b"none", MS_REC | MS_PRIVATE, b"")
            check(private, "make the mounts private")
        os.umask(0)
        answer = {"value": task()}
    except ContainerError as error:
        answer = {"error": error.message, "code": error.code, "params": error.params}
    except OSError as error:
        answer = {"error": str(error), "code": "os-error"}
    except Exception as error:  # the parent tells, whatever it is
        answer = {"error": f"internal error: {error!r}", "code": "internal"}
    data = json.dumps(answer).encode()
    while data:
        data = data[os.write(writer, data) :]
    os._exit(0)


def _write_maps(pid: int, ids: Ids) -> str:
    """What went wrong, or ""."""
    if ids.squash:
        try:
            for name, text in (
                ("setgroups", "deny"),
                ("uid_map", f"0 {ids.uids[0][1]} 1"),
                ("gid_map", f"0 {ids.gids[0][1]} 1"),
            ):
                with open(f"/proc/{pid}/{name}", "w") as file:
                    file.write(text)
        except OSError as error:
            return f"write /proc/PID/{name}: {error.strerror}"
        return ""
    for name, rows in (("uid_map", ids.uids), ("gid_map", ids.gids)):
        lines = "\n".join(" ".join(map(str, row)) for row in rows)
        if said := idmap.write(pid, name, lines):
            return said
    return ""
