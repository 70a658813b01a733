"""What `create` and `run` share: their options, and these as the value that Container takes."""

from __future__ import annotations

from pycontainer.base.settings import absolute
from pycontainer.cli.options import FLAG, NUMBER, TEXT, TEXTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cli.options import Arguments
    from pycontainer.lifecycle.container import CreateOptions
    from pycontainer.seccomp.report import Watch

OPTIONS = (
    ("bundle", "b", TEXT, "DIR", "the bundle (default: the current directory)"),
    ("config", "f", TEXT, "FILE", "read FILE instead of the bundle's config.json"),
    ("console-socket", "", TEXT, "PATH", "unix socket that receives the terminal's master end"),
    ("pidfd-socket", "", TEXT, "PATH", "unix socket that receives a pidfd of the container's init"),
    ("pid-file", "", TEXT, "FILE", "write the process id to FILE"),
    ("no-pivot", "", FLAG, "", "move the root filesystem instead of pivot_root (for ramdisks)"),
    ("no-new-keyring", "", FLAG, "", "keep the caller's session keyring"),
    ("record-exit", "", FLAG, "", "leave a process of 80 kB that records when and how it ends"),
    ("preserve-fds", "", NUMBER, "N", "pass N more descriptors, from 3 (after $LISTEN_FDS) on"),
)

# What `bundle` and `run --image` make of an image.
IMAGE_OPTIONS = (
    ("env", "e", TEXTS, "NAME=VALUE", "set a variable; without a value, the caller's"),
    ("volume", "v", TEXTS, "SRC:DIR[:ro]", "bind a directory or file of the host's"),
    ("net", "", TEXT, "NETWORK", "none (default) or host"),
    ("memory", "m", TEXT, "SIZE", "memory limit, like 64M"),
    ("cpus", "", TEXT, "N", "limit of CPU time, like 1.5"),
    ("pids", "", NUMBER, "N", "most processes (default 2048; 0: no limit)"),
    ("user", "u", TEXT, "USER[:GROUP]", "run as this user, by name or number"),
    ("workdir", "w", TEXT, "DIR", "working directory"),
    ("hostname", "", TEXT, "NAME", "host name (default: the container's or bundle's name)"),
    ("entrypoint", "", TEXT, "PROGRAM", "instead of the image's entrypoint and command"),
    ("read-only", "", FLAG, "", "a read-only root; volumes of the image become tmpfs"),
    ("tty", "t", FLAG, "", "give it a terminal"),
    ("cap-add", "", TEXTS, "CAP", "add a capability (ALL: every one)"),
    ("cap-drop", "", TEXTS, "CAP", "drop a capability (ALL: every one)"),
    ("no-new-privs", "", FLAG, "", "set-user-ID programs give no privileges"),
    ("platform", "", TEXT, "OS/ARCH", "which image of several (default: this machine's)"),
    ("max-size", "", TEXT, "SIZE", "refuse an image that unpacks to more (default 32G)"),
)
LAYERS = ("layers", "", TEXT, "DIR", "where shared layers are kept (default: /var/lib/pycontainer)")


def seccomp_watch(arguments: Arguments) -> Watch:
    """What writes the report, the patch, or both."""
    from pycontainer.seccomp.report import Watch

    report, patch = arguments["seccomp-report"], arguments["seccomp-patch"]
    if arguments["detach"]:
        from pycontainer.base.errors import UsageError

        name = "--seccomp-report" if report else "--seccomp-patch"
        raise UsageError(f"{name} needs a process in the foreground, without --detach", "exclusive")
    return Watch(report or "-", patch)


def create_options(arguments: Arguments) -> CreateOptions:
    """The value for Container.create and Container.run."""
    from pycontainer.lifecycle.container import CreateOptions

    return CreateOptions(
        bundle=arguments["bundle"] or ".",
        config=absolute(arguments["config"]) if arguments["config"] else None,
        console_socket=arguments["console-socket"],
        pidfd_socket=arguments["pidfd-socket"],
        pid_file=absolute(arguments["pid-file"]) if arguments["pid-file"] else "",
        no_pivot=arguments["no-pivot"],
        no_new_keyring=arguments["no-new-keyring"],
        preserve_fds=arguments["preserve-fds"],
        record_exit=arguments["record-exit"],
    )
