"""`restore`: a container as `checkpoint` has saved it; the exit status is the container's."""

from __future__ import annotations

from pycontainer.cli.options import FLAG, TEXT, TEXTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "run a container that was saved by checkpoint"
USAGE = "restore [options] CONTAINER"
WORDS = (1, 1)
OPTIONS = (
    ("bundle", "b", TEXT, "DIR", "the bundle (default: the current directory)"),
    ("image-path", "", TEXT, "DIR", "where the images are (default: ./checkpoint)"),
    ("work-path", "", TEXT, "DIR", "where CRIU's log goes (default: to the images)"),
    ("console-socket", "", TEXT, "PATH", "unix socket that receives the terminal's master end"),
    ("detach", "d", FLAG, "", "run in the background: do not wait"),
    ("pid-file", "", TEXT, "FILE", "write the process id to FILE"),
    ("no-subreaper", "", FLAG, "", "do not adopt the container's orphaned processes"),
    ("no-pivot", "", FLAG, "", "accepted, and of no effect: CRIU makes the root"),
    ("tcp-established", "", FLAG, "", "restore open TCP connections, too"),
    ("tcp-close", "", FLAG, "", "restore TCP connections as closed ones"),
    ("network-lock", "", TEXT, "METHOD", "how to hold connections: iptables, nftables or skip"),
    ("ext-unix-sk", "", FLAG, "", "allow unix sockets to outside of the container"),
    ("shell-job", "", FLAG, "", "allow processes of a shell's terminal"),
    ("file-locks", "", FLAG, "", "restore file locks"),
    ("manage-cgroups-mode", "", TEXT, "MODE", "soft, full, strict or ignore"),
    ("empty-ns", "", TEXTS, "TYPE", "make this namespace, but leave it empty (network)"),
    ("auto-dedup", "", FLAG, "", "punch holes into the images where memory has been read"),
    ("lazy-pages", "", FLAG, "", "get memory on demand, from criu lazy-pages"),
    ("lsm-profile", "", TEXT, "TYPE:NAME", "another LSM profile than it had"),
    ("lsm-mount-context", "", TEXT, "CONTEXT", "another SELinux context for its mounts"),
)
HELP = """\
Needs CRIU, and the bundle as it was.

   pycontainer restore -d --image-path saved -b mybundle mybox
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.base.settings import absolute
    from pycontainer.cli import named
    from pycontainer.cli.commands.checkpoint import criu_options, warn_rootless
    from pycontainer.criu.restore import restore
    from pycontainer.lifecycle.options import CreateOptions

    name = named(arguments)
    warn_rootless(settings, "restore")
    create = CreateOptions(
        bundle=arguments["bundle"] or ".",
        console_socket=arguments["console-socket"],
        pid_file=absolute(arguments["pid-file"]) if arguments["pid-file"] else "",
        detach=arguments["detach"],
        no_subreaper=arguments["no-subreaper"],
    )
    options = criu_options(arguments)
    options.lsm_profile = arguments["lsm-profile"]
    options.lsm_mount_context = arguments["lsm-mount-context"]
    return restore(settings, name, create, options)
