"""What `create` and `run` share: their options, and these as the value that Container takes."""

from __future__ import annotations

from pycontainer.base.settings import absolute
from pycontainer.cli.options import FLAG, NUMBER, TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cli.options import Arguments
    from pycontainer.lifecycle.container import CreateOptions

OPTIONS = (
    ("bundle", "b", TEXT, "DIR", "the bundle (default: the current directory)"),
    ("config", "f", TEXT, "FILE", "read FILE instead of the bundle's config.json"),
    ("console-socket", "", TEXT, "PATH", "unix socket that receives the terminal's master end"),
    ("pidfd-socket", "", TEXT, "PATH", "unix socket that receives a pidfd of the container's init"),
    ("pid-file", "", TEXT, "FILE", "write the process id to FILE"),
    ("no-pivot", "", FLAG, "", "move the root filesystem instead of pivot_root (for ramdisks)"),
    ("no-new-keyring", "", FLAG, "", "keep the caller's session keyring"),
    ("preserve-fds", "", NUMBER, "N", "pass N more descriptors, from 3 (after $LISTEN_FDS) on"),
)


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
    )
