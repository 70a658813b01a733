"""Metrics over HTTP: on a loopback address, or on a unix socket that belongs to the caller."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from errno import ENAMETOOLONG
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any, NoReturn

from pycontainer.base.errors import HostError, UsageError, os_reason
from pycontainer.base.settings import Settings
from pycontainer.monitor import activity, metrics
from pycontainer.monitor.fleet import Fleet

TYPE = "text/plain; version=0.0.4; charset=utf-8"
FRESH = 1.0  # seconds in which several scrapes get the same text
PATIENCE = 10  # seconds for one request to arrive


class Source:
    """The text, at most FRESH seconds old; one thread at a time samples."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fleet = Fleet(settings)
        self._lock = threading.Lock()
        self._text, self._made = b"", -FRESH

    def text(self) -> bytes:
        with self._lock:
            if time.monotonic() - self._made >= FRESH:
                rows = self._fleet.sample()
                activity.look(self._settings, rows)
                self._text, self._made = metrics.text(rows).encode(), time.monotonic()
            return self._text


class Handler(BaseHTTPRequestHandler):
    """GET / and /metrics."""

    timeout = PATIENCE
    server: Server

    def do_GET(self) -> None:
        """One scrape."""
        if self.path.partition("?")[0] not in ("/", "/metrics"):
            self.send_error(404)
            return
        data = self.server.source.text()
        self.send_response(200)
        self.send_header("Content-Type", TYPE)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a scrape every few seconds is no news."""

    def address_string(self) -> str:
        """A unix socket's peer has no address."""
        return "local"


class Server(ThreadingHTTPServer):
    """Bound to what `address` says, see `forever`."""

    daemon_threads = True

    def __init__(self, source: Source, address: str) -> None:
        self.source = source
        path = address.removeprefix("unix:")
        self.unix = path != address
        if self.unix:
            self.address_family = socket.AF_UNIX
            _clear(path)
            super().__init__(path, Handler, bind_and_activate=False)  # type: ignore[arg-type]
        else:
            host, port = _loopback(address)
            self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            super().__init__((host, port), Handler, bind_and_activate=False)
        try:
            self.server_bind()
            self.server_activate()
        except OSError as error:
            self.server_close()
            reason = os_reason(error.errno or ENAMETOOLONG)  # Python's own: without a number
            raise HostError(f"listen on {address}: {reason}", "os-error") from None

    def server_bind(self) -> None:
        """HTTPServer's would ask for the host's name."""
        if not self.unix:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mask = os.umask(0o077)
        try:
            self.socket.bind(self.server_address)
        finally:
            os.umask(mask)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", 0


def forever(settings: Settings, address: str) -> NoReturn:
    """Serve until the process is told to end."""
    import signal
    import sys

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Server(Source(settings), address) as server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            if server.unix:
                os.unlink(address.removeprefix("unix:"))
    raise SystemExit(0)


def _loopback(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    host = "127.0.0.1" if host == "localhost" else host
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local or not port.isdigit() or int(port) > 65535:
        raise UsageError(
            f"--listen {address}: must be a loopback address with a port, or unix:PATH",
            "not-loopback",
        )
    return host, int(port)


def _clear(path: str) -> None:
    """A socket without a listener."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise HostError(f"listen on {path}: file exists", "file-exists")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            os.unlink(path)
            return
    raise HostError(f"listen on {path}: address already in use", "in-use")
