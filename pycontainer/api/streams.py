"""The stdin, stdout and stderr of a process, given as subprocess takes them.

None is our own, PIPE makes a pipe, DEVNULL is /dev/null, STDOUT (of stderr) is where stdout goes;
anything else is a descriptor or a file that has one. What we open is ours to close, and
close-on-exec; what the caller opened stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from subprocess import DEVNULL as DEVNULL
from subprocess import PIPE as PIPE
from subprocess import STDOUT as STDOUT
from typing import IO, Any, BinaryIO, TypedDict

from pycontainer.base.errors import UsageError
from pycontainer.lifecycle.options import Streams

Stream = int | IO[Any] | None


class StreamArguments(TypedDict, total=False):
    """How a process is connected: `stdin`, `stdout`, `stderr` as for subprocess (None: our own),
    `pass_fds`: descriptors that become its 3, 4 and so on."""

    stdin: Stream
    stdout: Stream
    stderr: Stream
    pass_fds: Sequence[int]


class Ends:
    """The process's ends (`theirs`, numbered as in the process) and ours (`files`)."""

    __slots__ = ("_opened", "files", "streams")

    def __init__(self, given: StreamArguments) -> None:
        self._opened: list[int] = []
        self.files: list[BinaryIO | None] = [None, None, None]
        try:
            fds = [self._stdin(given.get("stdin"))]
            fds.append(self._output(1, given.get("stdout")))
            stderr = given.get("stderr")
            fds.append(fds[1] if stderr == STDOUT else self._output(2, stderr))
            self.streams = Streams([*fds, *(given.get("pass_fds") or ())])
        except BaseException:
            self.close()
            raise

    def _stdin(self, given: Stream) -> int:
        if given != PIPE:
            return self._plain(0, given)
        reading, writing = os.pipe()
        self._opened.append(reading)
        self.files[0] = open(writing, "wb")
        return reading

    def _output(self, number: int, given: Stream) -> int:
        if given != PIPE:
            return self._plain(number, given)
        reading, writing = os.pipe()
        self._opened.append(writing)
        self.files[number] = open(reading, "rb")
        return writing

    def _plain(self, number: int, given: Stream) -> int:
        if given is None:
            try:
                os.fstat(number)
                return number
            except OSError:  # closed, as a daemon's may be
                given = DEVNULL
        if given == DEVNULL:
            self._opened.append(os.open(os.devnull, os.O_RDWR))
            return self._opened[-1]
        fd = given if isinstance(given, int) else given.fileno()
        if fd < 0:
            raise UsageError(f"no such stream: {fd}", "no-such-stream")
        return fd

    def started(self) -> None:
        """The process has its ends now."""
        opened, self._opened = self._opened, []
        for fd in opened:
            os.close(fd)

    def close(self) -> None:
        """Close all that we opened, after a failure."""
        self.started()
        for file in self.files:
            if file is not None:
                file.close()
        streams = getattr(self, "streams", None)
        if streams is not None and streams.master >= 0:
            os.close(streams.master)
            streams.master = -1
