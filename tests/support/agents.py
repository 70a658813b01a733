"""A seccomp agent of a test's own: what listens at linux.seccomp.listenerPath."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import struct
import threading

NOTIF = struct.Struct("<QIIiIQ6Q")  # struct seccomp_notif
RESPONSE = struct.Struct("<QqiI")  # struct seccomp_notif_resp
RECEIVE = 0xC0502100  # SECCOMP_IOCTL_NOTIF_RECV
SEND = 0xC0182101  # SECCOMP_IOCTL_NOTIF_SEND
CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE


class Agent:
    """A seccomp agent: takes every connection, and answers each call with `error` (0: allow)."""

    def __init__(self, path, error: int = errno.EXDEV) -> None:
        self.path = path
        self.error = error
        self.documents: list[dict] = []
        self.connections: list[int] = []  # how many descriptors each one brought
        self.calls: list[tuple[int, int]] = []  # (pid, number)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            data, fds, _, _ = socket.recv_fds(connection, 65536, 8)
            while more := connection.recv(65536):
                data += more
            connection.close()
            self.documents.append(json.loads(data))
            self.connections.append(len(fds))
            for fd in fds:
                threading.Thread(target=self._answer, args=(fd,), daemon=True).start()

    def _answer(self, fd: int) -> None:
        with contextlib.closing(os.fdopen(fd, "rb", buffering=0)):
            while True:
                room = bytearray(NOTIF.size)
                try:
                    fcntl.ioctl(fd, RECEIVE, room)
                except OSError:
                    return  # nobody has the filter any more
                notif = NOTIF.unpack(room)
                self.calls.append((notif[1], notif[3]))
                error, flags = (-self.error, 0) if self.error else (0, CONTINUE)
                with contextlib.suppress(OSError):  # the caller may be dead by now
                    fcntl.ioctl(fd, SEND, RESPONSE.pack(notif[0], 0, error, flags))

    def close(self) -> None:
        self.listener.close()
