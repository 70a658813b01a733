"""What the engine does rarely: loaded when a plan has one of these operations.

Each handler gets the run and the operation, like the engine's own methods, and fails as they do.
"""

from __future__ import annotations

import _socket
import posix
from errno import ECANCELED

from pycontainer._shim import ffi, lib
from pycontainer.base.errors import ConfigError, HostError, OperationError, StartError
from pycontainer.executor.channel import MSG_CHILD, MSG_LISTENER, ExecutorFailed, program_of
from pycontainer.linux.files import read_text
from pycontainer.linux.process import UNKNOWN_STATUS, end_child, reap
from pycontainer.plan.details import Detail
from pycontainer.plan.ops import TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pycontainer.executor.engine import _Run as Run
    from pycontainer.plan.ops import Op

EXECUTOR = "pycontainer"  # its name (csrc/executor/main.c)
SETTLED_S = 0.1
_NAMES = ("path", "source", "target", "fstype", "name", "file", "type", "unit")
ENDING_MS = 500  # for an executor that is told nothing more


def hand_listener_on(run: Run) -> None:
    """A filter that notifies: its agent gets the descriptor before the program runs, or a hook that
    is restricted in the same way."""
    if run.op.kind == "hook" and not run.op["as_program"]:
        return
    fd = run._talk().expect(MSG_LISTENER)
    try:
        if run.context.listener is not None:
            run.context.listener(fd, run.pid)
    finally:
        posix.close(fd)
    run.waits = True


def executed(pid: int) -> bool:
    """Whether init, which closed its channel, has become the program, dead though that may be.

    A process takes its new name when the old program is gone. One that the kernel killed inside
    execve(2) keeps the executor's name; soon it is a zombie.
    """
    from time import monotonic, sleep

    deadline = monotonic() + SETTLED_S
    while True:
        try:
            text = read_text(f"/proc/{pid}/stat")
        except OSError:
            return False
        if text[text.index("(") + 1 : text.rindex(")")] != EXECUTOR:
            return True
        if text[text.rindex(")") + 2] in "ZX":
            return False
        if monotonic() > deadline:
            return True  # a program of that name
        sleep(0.001)


def init_died(run: Run) -> OperationError:
    """The executor is gone without a word: killed, most likely for its memory."""
    try:
        posix.kill(run.pid, 9)
    except ProcessLookupError:
        pass  # reaped by the kernel, where SIGCHLD is ignored
    status = reap(run.pid)
    if status is None:
        status, reason = 0, UNKNOWN_STATUS
    else:
        reason = f"killed by signal {status & 0x7F}" if status & 0x7F else f"exit {status >> 8}"
    facts: dict[str, object] = {}
    cgroup = run.context.cgroup
    # Without memory the kernel may fail execve(2) of the executor, and kills no process.
    found = cgroup.oom_report(refused=status >> 8 == 126) if cgroup is not None else {}
    if found:
        from pycontainer.cgroups.stats.oom import words

        reason += ", " + words(found)
        facts = {"oom": found}
    elif status & 0x7F == 9 and cgroup is not None and not cgroup.exists():
        # systemd has removed it already, and with it the kernel's counters.
        facts = {"cgroup": "removed"}
    run.pid = 0
    return StartError(f"the container's init died ({reason})", "init-died", **facts)


def wrong_namespace(run: Run, op: Op) -> OperationError:
    """The file is of another type of namespace, or of none."""
    from pycontainer.tables.namespaces import FILES, NAMES_OF_FLAGS

    name = NAMES_OF_FLAGS[op["nstype"]]
    path = op["path"].decode()
    found = NAMES_OF_FLAGS.get(lib.shim_namespace_type(run.slots[op["slot"]]))
    where = {"step": run.step, "total": len(run.plan.ops), "field": op.field, "path": path}
    facts = {"found": found or "", "file": FILES[name]}
    problem = f"{path} is not {'an' if name[0] == 'i' else 'a'} {name} namespace"
    return StartError(problem, "wrong-namespace", **where, **facts)


def abandon(run: Run) -> None:
    """After a failure: no process of the run may stay, not even as a zombie of ours."""
    if run.pid and any(op.kind == "respawn" for op in run.plan.ops[run.step - 1 :]):
        _end_child(run)
    if run.pid:
        end_child(run.pid)


def _end_child(run: Run) -> None:
    """The executor may have a child that we have not heard of: ours to reap. Nothing more comes
    from us, so both end; what they still say tells of it."""
    import select

    from pycontainer.executor import binary

    ours, caught = run._talk().ours, run._talk().caught
    pidfds = [caught] if caught >= 0 else []
    end = _socket.socket(fileno=posix.dup(ours))
    poller = select.poll()
    poller.register(ours, select.POLLIN)
    kind = -1
    end.shutdown(_socket.SHUT_WR)
    end.close()
    while kind and poller.poll(ENDING_MS):
        try:
            kind, fd = run._talk().receive()
        except ExecutorFailed:
            continue
        if kind == MSG_CHILD:
            pidfds.append(fd)
        elif fd >= 0:
            posix.close(fd)
    for pidfd in pidfds:
        try:
            end_child(binary.pid_of(pidfd))
        except HostError:
            pass  # a descriptor of another kind
        posix.close(pidfd)


def _idmap_tree(run: Run, op: Op) -> None:
    """A source that is attached nowhere yet gets its ids mapped, by a namespace made for it."""
    slot, recursive = op.ints
    uids, gids, namespace, _ = op.texts
    if namespace:
        space = run._open(namespace, posix.O_RDONLY)
    else:
        space = run._check(lib.shim_user_namespace(uids, gids))
    try:
        run._check(lib.shim_idmap(run.slots[slot], space, recursive))
    finally:
        posix.close(space)


def _open_tree(run: Run, op: Op) -> None:
    slot, recursive, nofollow = op.ints
    how = recursive | nofollow << 1
    tree = run.slots[slot] = run._check(lib.shim_open_tree(op.texts[0], how))
    # The copy of a shared mount is its peer: what is mounted there would be so on the host, and
    # pivot_root(2) refuses it as the root.
    run._check(lib.shim_slave(tree))


def _open_inside(run: Run, op: Op) -> None:
    """In the mount namespace of the container's process."""
    root = run._open(f"/proc/{run.pid}/root".encode(), posix.O_PATH | posix.O_DIRECTORY)
    try:
        space = run._open(f"/proc/{run.pid}/ns/mnt".encode(), posix.O_RDONLY)
        _open_there(run, op, space, root)
    finally:
        posix.close(root)


def _open_locked(run: Run, op: Op) -> None:
    """In a mount namespace like ours that belongs to the container's user namespace."""
    user = run._open(op["user"], posix.O_RDONLY)
    root = ffi.new("int *", -1)
    try:
        _open_there(run, op, run._check(lib.shim_locked_mounts(user, root)), root[0])
    finally:
        posix.close(user)
        if root[0] >= 0:
            posix.close(root[0])


def _open_there(run: Run, op: Op, space: int, root: int) -> None:
    slot, recursive, nofollow = op.ints
    try:
        tree = lib.shim_open_tree_in(space, root, op.texts[0], recursive | nofollow << 1)
        run.slots[slot] = run._check(tree)
    finally:
        posix.close(space)


def _net_device(run: Run, op: Op) -> None:
    """A network device of ours becomes the container's."""
    from pycontainer.linux import net_devices

    space = run._open(f"/proc/{run.pid}/ns/net".encode(), posix.O_RDONLY)
    try:
        net_devices.move(op.texts[0].decode(), op.texts[1].decode(), space)
    except net_devices.MoveError as error:
        raise run.failure(run.step - 1, error.errno, Detail("", error.words)) from None
    finally:
        posix.close(space)


def failure(run: Run, index: int, errno: int, detail: Detail | None = None) -> OperationError:
    """The error for an operation, by its number from 0; where the cause lies on the host, the hint
    comes from a look at it."""
    from pycontainer import diagnose
    from pycontainer.diagnose.hints import hint
    from pycontainer.plan import describe

    if index >= len(run.plan.ops):
        words = f"protocol error: no operation {index}"
        return OperationError(words, "protocol", operation="channel")
    op = run.plan.ops[index]
    code, words = (detail.code, str(detail)) if detail else ("", "")
    return StartError(
        describe.failure(op, errno, words),
        code,
        field=op.field,
        operation=op.kind,
        errno=0 if errno == ECANCELED else errno,
        step=index + 1,
        total=len(run.plan.ops),
        hint=diagnose.cause(run.plan.ops, op, errno, code)
        or (_of_program(run, op, errno, detail) if detail else "")
        or hint(op, errno, words),
        **_facts(op, detail),
    )


def locate(run: Run, error: OperationError) -> None:
    """Give the error the number of its operation.

    The limits of a cgroup are written together, at the first of their operations or in a unit: the
    number is then that of the refused value.
    """
    if error.total:
        return
    error.step, error.total = run.step, len(run.plan.ops)
    for number, op in enumerate(run.plan.ops, 1):
        if op.kind == error.operation == "cgroup_write" and op.field == error.field:
            if op["value"].decode() == error.params.get("value"):
                error.step = number


def _facts(op: Op, detail: Detail | None) -> dict[str, str]:
    """What the error tells of its operation: paths and names."""
    found = {n: op[n].decode("utf-8", "replace") for n in TABLE[op.kind][2] if n in _NAMES}
    if op.kind == "mount":
        found["source"] = found["source"] or found["fstype"]
    if detail and detail.code and detail.facts[0]:
        found.setdefault("path" if detail.facts[0][0] == "/" else "about", detail.facts[0])
    return found


def _of_program(run: Run, op: Op, errno: int, detail: Detail) -> str:
    """The executor has sent its root directory, and waits until it has been looked at."""
    if run.channel is None or run.channel.root < 0:
        return ""
    from pycontainer.diagnose.program import explain

    program = program_of(detail)
    found = explain(run.plan.config, run.channel.root, op.kind, errno, program)
    return found if run.channel.still_open() else ""


def _open_output(run: Run, op: Op) -> None:
    from pycontainer.linux.spawn import OUTPUT_FLAGS, OUTPUT_MODE

    try:
        run.slots[op.ints[0]] = posix.open(op.texts[0], OUTPUT_FLAGS, OUTPUT_MODE)
    except OSError as error:
        raise run.failure(run.step - 1, error.errno or 0) from None


def _setgroups_deny(run: Run, op: Op) -> None:
    run._write(f"/proc/{run.pid}/setgroups", b"deny")


def _check_map(run: Run, op: Op) -> None:
    """The kernel shows ids of the reader's own user namespace, which the config names, too."""
    file, lines = (text.decode() for text in op.texts)
    try:
        shown = read_text(f"/proc/{run.pid}/{file}")
    except OSError as error:
        raise run.failure(run.step - 1, error.errno or 0) from None
    if sorted(map(str.split, shown.splitlines())) != sorted(map(str.split, lines.splitlines())):
        raise ConfigError(
            "is not what the user namespace that is joined has",
            "differs",
            op.field,
            clause="config-linux.md#user-namespace-mappings",
        )


def _id_map(run: Run, op: Op) -> None:
    """The maps of a new user namespace: written here, or by the programs that may."""
    file, lines = op.texts
    if not op["helper"]:
        run._write(f"/proc/{run.pid}/{file.decode()}", lines)
        return
    from pycontainer.linux import idmap

    problem = idmap.write(run.pid, file.decode(), lines.decode())
    if problem:
        raise run.failure(run.step - 1, ECANCELED, Detail("", problem))


def _cgroup_operation(run: Run, op: Op) -> None:
    from pycontainer.executor import cgroup_handlers

    cgroup_handlers.HANDLERS[op.kind](run, op)


def _resctrl(run: Run, op: Op) -> None:
    if run.context.resctrl is not None:
        run.context.resctrl(run.pid)


HANDLERS: dict[str, Callable[[Run, Op], None]] = {
    "id_map": _id_map,
    "check_map": _check_map,
    "setgroups_deny": _setgroups_deny,
    "idmap_tree": _idmap_tree,
    "net_device": _net_device,
    "open_tree": _open_tree,
    "open_inside": _open_inside,
    "open_locked": _open_locked,
    "resctrl": _resctrl,
    "unit_start": _cgroup_operation,
    "unit_settle": _cgroup_operation,
    "cgroup_owner": _cgroup_operation,
    "cgroup_delegate": _cgroup_operation,
    "open_output": _open_output,
}
