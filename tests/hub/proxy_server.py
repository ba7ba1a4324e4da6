"""A real HTTP proxy on loopback: forwards requests, opens tunnels, and may ask for a password."""

from __future__ import annotations

import base64
import select
import socket
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

_BLOCK_BYTES = 64 * 1024
_KEPT_FOR_THE_PROXY = {"proxy-authorization", "proxy-connection", "connection"}


class ProxyServer(ThreadingHTTPServer):
    """Forwards to loopback addresses. `targets` lists what it was asked for, such as "CONNECT host:443"."""

    daemon_threads = False

    def __init__(self, name: str = "", password: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.targets: list[str] = []
        self.credentials = base64.b64encode(f"{name}:{password}".encode()).decode() if name else ""
        self.ending = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="loopback-proxy")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.ending.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


class _ProxyHandler(BaseHTTPRequestHandler):
    server: ProxyServer
    timeout = 0.2  # an idle connection ends soon, so that the server can

    def do_GET(self) -> None:
        self.server.targets.append(f"{self.command} {self.path}")
        if not self._may_pass():
            return
        parts = urlsplit(self.path)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        sent = {name: value for name, value in self.headers.items() if name.lower() not in _KEPT_FOR_THE_PROXY}
        try:
            connection.request(self.command, self.path.removeprefix(f"http://{parts.netloc}"), headers=sent)
            answer = connection.getresponse()
            body = answer.read()
        except OSError:
            self.send_error(502)
            return
        finally:
            connection.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_CONNECT(self) -> None:
        self.server.targets.append(f"CONNECT {self.path}")
        if not self._may_pass():
            return
        host, _, port = self.path.rpartition(":")
        try:
            target = socket.create_connection((host, int(port)), timeout=5)
        except OSError:
            self.send_error(502)
            return
        self.send_response(200, "Connection established")
        self.end_headers()
        with target:
            self._pass_on(target)
        self.close_connection = True

    def _pass_on(self, target: socket.socket) -> None:
        ends = [self.connection, target]
        while not self.server.ending.is_set():
            for end in select.select(ends, [], [], 0.1)[0]:
                data = end.recv(_BLOCK_BYTES)
                if not data:
                    return
                (target if end is self.connection else self.connection).sendall(data)

    def _may_pass(self) -> bool:
        given = self.headers.get("Proxy-Authorization", "")
        if not self.server.credentials or given == f"Basic {self.server.credentials}":
            return True
        self.send_response(407, "Proxy Authentication Required")
        self.send_header("Proxy-Authenticate", 'Basic realm="tests"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def log_message(self, format: str, *args: Any) -> None:
        return
