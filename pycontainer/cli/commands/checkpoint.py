"""`checkpoint`: the processes of a container go to a directory, and may come back from there."""

from __future__ import annotations

import posix

from pycontainer.cli.options import FLAG, NUMBER, TEXT, TEXTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments
    from pycontainer.criu.options import CriuOptions

SUMMARY = "save a running container to a directory"
USAGE = "checkpoint [options] CONTAINER"
WORDS = (1, 1)
OPTIONS = (
    ("image-path", "", TEXT, "DIR", "where the images go (default: ./checkpoint)"),
    ("work-path", "", TEXT, "DIR", "where CRIU's log goes (default: to the images)"),
    ("parent-path", "", TEXT, "DIR", "images of an earlier --pre-dump, relative to --image-path"),
    ("leave-running", "", FLAG, "", "let the container go on"),
    ("pre-dump", "", FLAG, "", "save memory only, to make the checkpoint after it shorter"),
    ("tcp-established", "", FLAG, "", "save open TCP connections, too"),
    ("tcp-skip-in-flight", "", FLAG, "", "leave out TCP connections that are being made"),
    ("link-remap", "", FLAG, "", "link files that have been deleted but are still open"),
    ("network-lock", "", TEXT, "METHOD", "how to hold connections: iptables, nftables or skip"),
    ("ext-unix-sk", "", FLAG, "", "allow unix sockets to outside of the container"),
    ("shell-job", "", FLAG, "", "allow processes of a shell's terminal"),
    ("lazy-pages", "", FLAG, "", "serve memory on demand, through --page-server"),
    ("status-fd", "", NUMBER, "FD", "gets a zero byte when the lazy pages are served"),
    ("page-server", "", TEXT, "ADDRESS:PORT", "send memory there, or serve it there"),
    ("file-locks", "", FLAG, "", "save file locks"),
    ("manage-cgroups-mode", "", TEXT, "MODE", "soft, full, strict or ignore"),
    ("empty-ns", "", TEXTS, "TYPE", "leave out what is in this namespace (network)"),
    ("auto-dedup", "", FLAG, "", "remove from --parent-path what these images have again"),
)
HELP = """\
Needs CRIU. The container is deleted afterwards unless it is to go on.

   pycontainer checkpoint --image-path saved mybox
   pycontainer restore --image-path saved -b mybundle mybox
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.cli import find
    from pycontainer.criu.checkpoint import check_status, checkpoint
    from pycontainer.state.store import make_directories

    container = find(settings, arguments)
    warn_rootless(settings, "checkpoint")
    check_status(container)  # before any directory is made
    options = criu_options(arguments)
    make_directories(options.images, 0o700)
    options.pre_dump = arguments["pre-dump"]
    if "status-fd" in arguments:
        options.status_fd = arguments["status-fd"]
    if arguments["page-server"]:
        options.set_page_server(arguments["page-server"])
    options.parent = _parent(arguments["parent-path"], options.images)
    checkpoint(container, options)
    return 0


def criu_options(arguments: Arguments) -> CriuOptions:
    """What checkpoint and restore have in common."""
    from pycontainer.base.settings import absolute
    from pycontainer.criu.options import CriuOptions

    images = absolute(arguments["image-path"] or "checkpoint")
    options = CriuOptions(
        images, absolute(arguments["work-path"]) if arguments["work-path"] else ""
    )
    options.set_flags({row[0]: arguments[row[0]] for row in arguments.table})
    return options


def warn_rootless(settings: Settings, command: str) -> None:
    """CRIU needs root, all but never says why it fails without."""
    if posix.geteuid() != 0:
        settings.log.warning(f"{command} without root: CRIU is not likely to manage")


def _parent(path: str, images: str) -> str:
    if not path:
        return ""
    from _stat import S_ISDIR

    from pycontainer.base.errors import UsageError, os_reason

    if path.startswith("/"):
        raise UsageError("--parent-path must be relative", "wrong-path")
    try:
        directory = S_ISDIR(posix.stat(f"{images}/{path}").st_mode)
    except OSError as error:
        raise UsageError(
            f"invalid --parent-path: {images}/{path}: {os_reason(error.errno or 0)}", "os-error"
        ) from None
    if not directory:
        raise UsageError(f"invalid --parent-path: {images}/{path}: not a directory", "wrong-path")
    return path
