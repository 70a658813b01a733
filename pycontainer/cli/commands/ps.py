"""`ps`: the container's processes, as host pids or as what ps(1) says about them."""

from __future__ import annotations

from pycontainer.cli.options import NO_LIMIT, TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "list the processes of a container"
USAGE = "ps [options] CONTAINER [ps options]"
WORDS = (1, NO_LIMIT)
STOP = 1  # what follows the container is for ps(1)
OPTIONS = (("format", "f", TEXT, "FORMAT", "table (default), or json for the bare process ids"),)
HELP = """\
The table is what ps(1) prints (by default "ps -ef"), less the processes of others.

   pycontainer ps mybox
   pycontainer ps mybox -o pid,rss,args
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.base.errors import UsageError
    from pycontainer.cli import find
    from pycontainer.cli.output import emit

    pids = find(settings, arguments).pids()
    if arguments["format"] == "json":
        from pycontainer.base import jsonfast

        emit(jsonfast.dumps(pids or None) + "\n")
    elif arguments["format"] in ("", "table"):
        lines = _ps(arguments.words[1:] or ["-ef"])
        emit("".join(line + "\n" for line in only(lines, frozenset(pids))))
    else:
        raise UsageError(
            "invalid format option", "not-one-of", kind="formats", choices=["table", "json"]
        )
    return 0


def _ps(options: list[str]) -> list[str]:
    import subprocess

    from pycontainer.base.errors import HostError

    try:
        done = subprocess.run(
            ["ps", *options], capture_output=True, check=False, encoding="utf-8", errors="replace"
        )
    except FileNotFoundError:
        raise HostError("run ps: no such file or directory", "no-ps") from None
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().partition("\n")[0]
        raise HostError(f"run ps: exit status {done.returncode}: {reason}", "ps-failed")
    return done.stdout.splitlines()


def only(lines: list[str], pids: frozenset[int]) -> list[str]:
    """The header and the lines of these processes; HostError without a PID column."""
    from pycontainer.base.errors import HostError

    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise HostError("couldn't find PID field in ps output", "ps-failed")
    column = titles.index("PID")
    kept = [lines[0]]
    for line in lines[1:]:
        fields = line.split()
        if len(fields) > column and fields[column].isdigit() and int(fields[column]) in pids:
            kept.append(line)
    return kept
