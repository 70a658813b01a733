"""What is done to the processes of a container's cgroup: freeze, signal, wait, remove.

SIGKILL goes through cgroup.kill where there is a v2 directory (kernel 5.14, hybrid hosts
included), which misses no process, however fast they fork. Otherwise the cgroup is frozen while
it is signalled. Nothing waits without a deadline, nor longer than it has to: for exits by pidfd,
else with a delay that starts at 0.2 ms.
"""

from __future__ import annotations

import posix
from errno import EBUSY, ENODEV, ENOENT, ENOTEMPTY, EOPNOTSUPP, ESRCH
from time import monotonic, sleep

from pycontainer.base.errors import ContainerError, OperationError, os_reason
from pycontainer.base.steps import attempt, attempt_each
from pycontainer.cgroups.files import processes, subdirectories
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.linux.files import read_text, write_text

SIGKILL = 9
FIRST_DELAY_S = 0.0002
LAST_DELAY_S = 0.02
GONE = (ENOENT, ENODEV)


def main_directory(paths: CgroupPaths) -> str:
    """The directory whose members are the container's processes ("" without a cgroup).

    v1 hierarchies can differ; `devices` decides as in runc, between which none is moved.
    """
    for name in ("devices", "freezer"):
        if directory := paths.directories.get(name, ""):
            return directory
    directories = paths.all_directories()
    return directories[-1] if directories else ""


def members(paths: CgroupPaths) -> list[int]:
    """The container's processes, without ourselves."""
    directory = main_directory(paths)
    found = set(processes(directory)) if directory else set()
    found.discard(posix.getpid())
    return sorted(found)


# -- freezer -------------------------------------------------------------------------------


def frozen(paths: CgroupPaths) -> bool:
    """Whether the cgroup was frozen itself (not by an ancestor); a freeze under way counts."""
    directory = paths.directories.get("freezer", "")
    try:
        if directory:
            if read_text(directory + "/freezer.state").startswith("THAWED"):
                return False
            return read_text(directory + "/freezer.self_freezing").strip() == "1"
        if paths.unified:
            return read_text(paths.unified + "/cgroup.freeze").strip() == "1"
    except OSError as error:
        if error.errno not in GONE:  # gone, or a kernel without a freezer
            raise
    return False


def freeze(paths: CgroupPaths, deadline_s: float) -> None:
    """Freeze, or thaw again and raise OperationError when it takes longer than the deadline."""
    try:
        if directory := paths.directories.get("freezer", ""):
            done = _freeze_v1(directory + "/freezer.state", deadline_s)
        elif paths.unified:
            done = _freeze_v2(paths.unified, deadline_s)
        else:
            raise OperationError(
                "freeze container: it has no cgroup with a freezer",
                "no-freezer",
                operation="cgroup_freeze",
            )
    except OSError as error:
        raise _failed("freeze", error) from None
    if not done:
        thaw(paths)
        raise OperationError(
            f"freeze container: not all processes stopped within {deadline_s:g} s",
            "timeout",
            operation="cgroup_freeze",
        )


def _freeze_v1(path: str, deadline_s: float) -> bool:
    """The v1 freezer can stay FREEZING when processes appear meanwhile; insisting helps."""
    end = monotonic() + deadline_s
    delay = FIRST_DELAY_S
    attempt = 0
    while True:
        write_text(path, "FROZEN")
        if read_text(path).startswith("FROZEN"):
            return True
        if monotonic() >= end:
            return False
        attempt += 1
        if attempt % 50 == 0:
            write_text(path, "THAWED")
            sleep(0.01)
        elif attempt > 5:
            sleep(delay)
            delay = min(delay * 2, 0.002)


def _freeze_v2(directory: str, deadline_s: float) -> bool:
    write_text(directory + "/cgroup.freeze", "1")
    return _wait_event(directory, "frozen 1", deadline_s)


def thaw(paths: CgroupPaths) -> None:
    """Undo `freeze`; harmless when nothing is frozen."""
    try:
        if directory := paths.directories.get("freezer", ""):
            write_text(directory + "/freezer.state", "THAWED")
        elif paths.unified:
            write_text(paths.unified + "/cgroup.freeze", "0")
    except OSError as error:
        if error.errno not in GONE:
            raise _failed("thaw", error) from None


def _wait_event(directory: str, line: str, deadline_s: float) -> bool:
    """Wait until cgroup.events of a v2 cgroup has the line; the kernel notifies by poll(2)."""
    from select import POLLPRI, poll

    end = monotonic() + deadline_s
    fd = posix.open(directory + "/cgroup.events", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        poller = poll()
        poller.register(fd, POLLPRI)
        while True:
            text = posix.pread(fd, 4096, 0).decode()
            if line in text.splitlines():
                return True
            left = end - monotonic()
            if left <= 0:
                return False
            poller.poll(min(left, 1.0) * 1000)
    finally:
        posix.close(fd)


# -- signals -------------------------------------------------------------------------------


def signal_all(paths: CgroupPaths, signal: int) -> int:
    """Send the signal to every process once; how many were there."""
    pids = members(paths)
    if signal == SIGKILL:
        _, failures = _kill_everything(paths, pids)
        if failures:
            raise failures[0]
        return len(pids)
    thaw_after = False
    if len(pids) > 1 and not frozen(paths):
        # So that no child escapes between the look and the signal.
        thaw_after = _try_freeze(paths)
        pids = members(paths)
    try:
        _signal(pids, signal)
    finally:
        if thaw_after:
            thaw(paths)
    return len(pids)


def _kill_everything(paths: CgroupPaths, pids: list[int]) -> tuple[bool, list[ContainerError]]:
    """SIGKILL; whether the kernel did it for the whole v2 directory at once, and what failed.

    Nothing here depends on what was refused before: there are several ways to the same end.
    """
    at_once = False
    failures: list[ContainerError] = []
    if paths.unified:
        try:
            write_text(paths.unified + "/cgroup.kill", "1")
            at_once = True
        except OSError as error:
            if error.errno not in (*GONE, EOPNOTSUPP):  # before kernel 5.14; a threaded one
                failures.append(_failed("kill", error))
    if not at_once and len(pids) > 1 and _try_freeze(paths):
        pids = members(paths)
    # What v1 lists beyond the v2 directory was moved there by someone; it is ours to end too.
    if not at_once or paths.mode != "v2":
        failures += attempt([lambda: _signal(pids, SIGKILL)])
    # A process that the v1 freezer holds does not even die.
    failures += attempt([lambda: thaw(paths)])
    return at_once, failures


def _try_freeze(paths: CgroupPaths) -> bool:
    """Freeze for a moment; signalling one by one is better than not at all."""
    try:
        freeze(paths, 0.1)
    except OperationError:
        return False
    return True


def _signal(pids: list[int], signal: int) -> None:
    """To each; the first refusal is raised once all have been tried."""
    if failures := attempt_each(lambda pid: _signal_one(pid, signal), pids):
        raise failures[0]


def _signal_one(pid: int, signal: int) -> None:
    try:
        posix.kill(pid, signal)
    except OSError as error:
        if error.errno != ESRCH:
            raise OperationError(
                f"signal process {pid}: {os_reason(error.errno or 0)}",
                "os-error",
                errno=error.errno,
                operation="cgroup_kill",
            ) from None


def kill(paths: CgroupPaths, signal: int, deadline_s: float) -> list[int]:
    """Signal all and wait for an empty cgroup; SIGKILL is repeated for processes that appear.

    Returns the pids that are still there at the deadline; raises what was refused, if anything was.
    """
    end = monotonic() + deadline_s
    delay = FIRST_DELAY_S
    failures: list[ContainerError] = []
    if signal != SIGKILL:
        signal_all(paths, signal)
    else:
        at_once, failures = _kill_everything(paths, members(paths))
        if at_once:
            failures += attempt([lambda: _wait_until_empty(paths.unified, deadline_s)])
    while pids := members(paths):
        left = end - monotonic()
        if left <= 0:
            if failures:
                raise failures[0]
            return pids
        if not _wait_exits(pids, min(left, 0.5)):
            sleep(delay)  # gone as processes, and about to leave the cgroup
            delay = min(delay * 2, LAST_DELAY_S)
        if signal == SIGKILL:
            _, failures = _kill_everything(paths, members(paths))
    return []


def _wait_until_empty(directory: str, deadline_s: float) -> None:
    try:
        _wait_event(directory, "populated 0", deadline_s)
    except OSError as error:
        if error.errno not in GONE:
            raise _failed("kill", error) from None


def _wait_exits(pids: list[int], timeout_s: float) -> bool:
    """Wait until the processes have exited; False when there was none to wait for."""
    from select import POLLIN, poll

    poller = poll()
    fds: set[int] = set()
    end = monotonic() + timeout_s
    try:
        for pid in pids[:200]:  # stay far from the limit of open files
            try:
                fd = posix.pidfd_open(pid, 0)
            except OSError:
                continue
            fds.add(fd)
            poller.register(fd, POLLIN)
        waited = bool(fds)
        while fds and (left := end - monotonic()) > 0:
            for fd, _ in poller.poll(left * 1000):
                poller.unregister(fd)
                posix.close(fd)
                fds.discard(fd)
        return waited
    finally:
        for fd in fds:
            posix.close(fd)


# -- removal -------------------------------------------------------------------------------


def delete(paths: CgroupPaths, deadline_s: float) -> None:
    """Remove every directory, within the deadline for all; the first failure is raised after all
    were tried."""
    end = monotonic() + deadline_s
    failures = attempt_each(
        lambda directory: remove_directory(directory, max(0.0, end - monotonic()), recursive=True),
        paths.all_directories(),
    )
    if failures:
        raise failures[0]


def remove_directory(directory: str, deadline_s: float, recursive: bool) -> None:
    """rmdir, with the cgroups below it first. A process that just exited keeps it busy shortly."""
    end = 0.0
    delay = FIRST_DELAY_S
    while True:
        try:
            posix.rmdir(directory)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            number = error.errno or 0
        if number not in (EBUSY, ENOTEMPTY):
            # A read-only mount says so even when there is nothing to remove.
            if not posix.access(directory, posix.F_OK):
                return
            raise _stuck(directory, number)
        now = monotonic()
        end = end or now + deadline_s
        children = subdirectories(directory) if recursive else []
        for child in children:
            remove_directory(child, max(0.0, end - monotonic()), recursive)
        if children:
            continue
        if now >= end:
            raise _stuck(directory, number)
        sleep(delay)
        delay = min(delay * 2, LAST_DELAY_S)


def _stuck(directory: str, number: int) -> OperationError:
    """Who keeps the cgroup: pid, name, state and the kernel function it waits in."""
    return OperationError.of(
        "remove cgroup",
        directory,
        number,
        code="cgroup-busy" if number == EBUSY else "os-error",
        operation="cgroup_delete",
        processes=[describe(pid) for pid in processes(directory)[:3]],
    )


def describe(pid: int) -> str:
    """A process in words: `process 12 (cat) is in state D (disk sleep), waiting in nfs_wait`."""
    facts = {}
    try:
        for line in read_text(f"/proc/{pid}/status").splitlines():
            name, _, value = line.partition(":")
            facts[name] = value.strip()
        text = f"process {pid} ({facts.get('Name', '?')}) is in state {facts.get('State', '?')}"
        waiting = read_text(f"/proc/{pid}/wchan").strip()
        return text if waiting in ("", "0") else f"{text}, waiting in {waiting}"
    except OSError:
        return f"process {pid} is exiting"


def _failed(verb: str, error: OSError) -> OperationError:
    number = error.errno or 0
    return OperationError(
        f"{verb} container: {error.filename or 'cgroup'}: {os_reason(number)}",
        "os-error",
        errno=number,
        operation=f"cgroup_{verb}",
    )
