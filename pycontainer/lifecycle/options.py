"""What a caller asks of `create`, `run` and `exec`: plain values with defaults."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.seccomp.report import Watch


class Streams:
    """A process's descriptors when we are part of another program, whose own are not meant.

    `fds` become its 0, 1, 2 and so on; with a terminal, `master` is set to the other end of it,
    which the caller closes. Nothing of our process's environment ($LISTEN_FDS, $NOTIFY_SOCKET)
    is the container's then.
    """

    __slots__ = ("fds", "master")

    def __init__(self, fds: list[int]) -> None:
        self.fds = fds
        self.master = -1


class CreateOptions:
    """Options of Container.create and Container.run; the names are those of the command line.

    `document` is a config that has been loaded and validated already, with its text; `watch`
    (seccomp/report.py) notes what the seccomp filter refuses; `layer` is a directory of the layer
    store (image/store.py) that goes with the container.
    """

    __slots__ = (
        "bundle",
        "config",
        "console_socket",
        "detach",
        "document",
        "keep",
        "layer",
        "no_new_keyring",
        "no_pivot",
        "no_subreaper",
        "pid_file",
        "pidfd_socket",
        "preserve_fds",
        "record_exit",
        "streams",
        "watch",
    )

    def __init__(
        self,
        *,
        bundle: str = ".",
        config: str | None = None,
        console_socket: str = "",
        pidfd_socket: str = "",
        pid_file: str = "",
        no_pivot: bool = False,
        no_new_keyring: bool = False,
        preserve_fds: int = 0,
        record_exit: bool = False,
        detach: bool = False,
        keep: bool = False,
        no_subreaper: bool = False,
        document: tuple[dict[str, Any], bytes] | None = None,
        streams: Streams | None = None,
    ) -> None:
        self.bundle = bundle
        self.config = config
        self.console_socket = console_socket
        self.pidfd_socket = pidfd_socket
        self.pid_file = pid_file
        self.no_pivot = no_pivot
        self.no_new_keyring = no_new_keyring
        self.preserve_fds = preserve_fds
        self.record_exit = record_exit
        self.detach = detach
        self.keep = keep
        self.no_subreaper = no_subreaper
        self.document = document
        self.streams = streams
        self.watch: Watch | None = None
        self.layer = ""


class ExecOptions:
    """Options of Container.exec. `process` is a whole process document; without it, the other
    options change the container's own process. `no_new_privs` None leaves it as it is."""

    __slots__ = (
        "additional_gids",
        "apparmor",
        "args",
        "caps",
        "cgroup",
        "console_socket",
        "cwd",
        "detach",
        "env",
        "ignore_paused",
        "no_new_privs",
        "pid_file",
        "pidfd_socket",
        "preserve_fds",
        "process",
        "process_label",
        "streams",
        "tty",
        "user",
        "watch",
    )

    def __init__(self, **options: Any) -> None:
        self.additional_gids: list[int] = options.pop("additional_gids", None) or []
        self.apparmor: str = options.pop("apparmor", "")
        self.args: list[str] = options.pop("args", None) or []
        self.caps: list[str] = options.pop("caps", None) or []
        self.cgroup: list[str] = options.pop("cgroup", None) or []
        self.console_socket: str = options.pop("console_socket", "")
        self.cwd: str = options.pop("cwd", "")
        self.detach: bool = options.pop("detach", False)
        self.env: list[str] = options.pop("env", None) or []
        self.ignore_paused: bool = options.pop("ignore_paused", False)
        self.no_new_privs: bool | None = options.pop("no_new_privs", None)
        self.pid_file: str = options.pop("pid_file", "")
        self.pidfd_socket: str = options.pop("pidfd_socket", "")
        self.preserve_fds: int = options.pop("preserve_fds", 0)
        self.process: dict[str, Any] | None = options.pop("process", None)
        self.process_label: str = options.pop("process_label", "")
        self.streams: Streams | None = options.pop("streams", None)
        self.tty: bool = options.pop("tty", False)
        self.user: str = options.pop("user", "")
        self.watch: Watch | None = None
        if options:
            raise TypeError(f"no such option: {', '.join(options)}")
