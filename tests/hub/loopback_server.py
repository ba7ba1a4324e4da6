"""An HTTP server on loopback that can break off, stall and lie on command, and leaves no thread behind."""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.faults import Fault, FaultKind, FaultPlan
from tests.hub.repositories import StoredFile

_BLOCK_BYTES = 64 * 1024
_DRIP_INTERVAL_S = 0.02
_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no patience: closing sends a reset


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request as it came in; names of headers in lower case."""

    server: str  # "hub" or "cdn"
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


class LoopbackServer(ThreadingHTTPServer):
    """One listening port. `close` ends every connection and waits for every thread."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 64

    def __init__(self, name: str, handler: type[FaultyHandler], faults: FaultPlan, seen: list[SeenRequest]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.name = name
        self.faults = faults
        self.seen = seen
        self.bytes_per_second: int | None = None  # of each connection
        self.bugs: list[BaseException] = []  # what went wrong in the server itself
        self.ending = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name=f"loopback-{name}")
        self._thread.start()

    @property
    def url(self) -> str:
        scheme = "https" if isinstance(self.socket, ssl.SSLSocket) else "http"
        return f"{scheme}://127.0.0.1:{self.server_address[1]}"

    def encrypt(self, tls: Path) -> None:
        """From now on only TLS, with the self-signed certificate in this folder; `url` is another then."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "certificate.pem", tls / "key.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def close(self) -> None:
        self.ending.set()
        self.shutdown()
        self.break_connections()
        self._thread.join()
        self.server_close()

    def break_connections(self) -> None:
        """Every open connection ends now, as when a network goes away."""
        with self._open_lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_RESET_ON_CLOSE)) == _RESET_ON_CLOSE:
            request.close()  # a polite shutdown would send an end instead of a reset
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        import sys

        problem = sys.exc_info()[1]
        if problem is not None and not isinstance(problem, (ConnectionError, TimeoutError, ssl.SSLError)):
            self.bugs.append(problem)


class FaultyHandler(BaseHTTPRequestHandler):
    """Answers one connection. A subclass answers in `respond`; planned faults are met before and while it does."""

    protocol_version = "HTTP/1.1"
    server: LoopbackServer
    wbufsize = _BLOCK_BYTES

    def respond(self, path: str, query: dict[str, list[str]]) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query, keep_blank_values=True)
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append(SeenRequest(self.server.name, self.command, path, query, headers))
        self.fault = self.server.faults.take(self.command, path)
        match self.fault:
            case Fault(kind=FaultKind.STATUS) as fault:
                self.send_body(fault.status, fault.body, fault.headers)
            case Fault(kind=FaultKind.EXPIRED_LINK):
                self.send_expired()
            case Fault(kind=FaultKind.REDIRECT) as fault:
                self.send_body(302, b"", {"Location": fault.location})
            case Fault(kind=FaultKind.RESET, at_byte=0):
                self._reset()
            case Fault(kind=FaultKind.STALL, at_byte=0) as fault:
                self.server.ending.wait(fault.seconds)
                self.close_connection = True
            case _:
                self.respond(path, query)

    def send_json(self, data: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(data).encode()
        more = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        if status != 200:
            self.send_body(status, body, more)
            return
        answer = StoredFile.of("answer.json", body)
        more["ETag"] = f'W/"{answer.blob_id}"'
        if self.headers.get("If-None-Match") == more["ETag"]:
            self.send_response(304)
            self.send_header("ETag", more["ETag"])
            self.end_headers()
            self.wfile.flush()
        else:
            self.send_file(answer, more)

    def send_body(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def send_expired(self) -> None:
        body = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>'
        self.send_body(403, body, {"Content-Type": "application/xml"})

    def send_file(self, file: StoredFile, headers: dict[str, str]) -> None:
        """The file, or the part of it that was asked for, with the fault planned for this request."""
        kind = self.fault.kind if self.fault else None
        size = file.size_bytes
        if kind is FaultKind.WRONG_LENGTH and self.fault:
            size -= self.fault.at_byte
        start, end, status = 0, size, 200
        wanted = _RANGE.match(self.headers.get("Range", ""))
        if wanted and kind is not FaultKind.IGNORE_RANGE:
            start = int(wanted[1])
            end = min(size, int(wanted[2]) + 1) if wanted[2] else size
            if start >= end:
                self.send_body(416, b"", {"Content-Range": f"bytes */{size}"})
                return
            status = 206
            if kind is FaultKind.WRONG_RANGE and start:
                start, end = start - 1, end - 1
            headers = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"}
        self.send_response(status)
        for name, value in {**headers, "Accept-Ranges": "bytes", "Content-Length": str(end - start)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send_content(file, start, end)
        self.wfile.flush()

    def _send_content(self, file: StoredFile, start: int, end: int) -> None:
        fault = self.fault
        rate = self.server.bytes_per_second
        if fault and fault.kind is FaultKind.SLOW_DRIP:
            rate = fault.bytes_per_second
        stops_at = end
        may_end = fault is not None and fault.kind is FaultKind.IGNORE_RANGE and fault.at_byte > 0
        if fault and (may_end or fault.kind in (FaultKind.RESET, FaultKind.DROP, FaultKind.STALL)):
            stops_at = min(end, start + fault.at_byte)
        if fault is None and rate is None and not isinstance(file.content, bytes):
            self.wfile.flush()
            with file.content.open("rb") as source:
                self.connection.sendfile(source, start, end - start)
            return
        change = self._flip(fault.at_byte) if fault and fault.kind is FaultKind.WRONG_BYTE else None
        self._send_blocks(file, start, stops_at, rate, change)
        if stops_at == end:
            return
        self.wfile.flush()
        if fault and fault.kind is FaultKind.RESET:
            time.sleep(0.05)  # a reset overtakes bytes that were not read yet
            self._reset()
        elif fault and fault.kind is FaultKind.STALL:
            self.server.ending.wait(fault.seconds)
        self.close_connection = True

    def _send_blocks(
        self, file: StoredFile, start: int, end: int, rate: int | None, change: Callable[[int, bytes], bytes] | None
    ) -> None:
        block_bytes = _BLOCK_BYTES if rate is None else max(1, min(_BLOCK_BYTES, int(rate * _DRIP_INTERVAL_S)))
        began = time.monotonic()
        for position in range(start, end, block_bytes):
            block = _part(file, position, min(position + block_bytes, end))
            self.wfile.write(change(position, block) if change else block)
            if rate is not None:
                self.wfile.flush()
                sent_bytes = position + len(block) - start
                ahead_s = sent_bytes / rate - (time.monotonic() - began)
                if ahead_s > 0 and self.server.ending.wait(ahead_s):
                    self.close_connection = True
                    return

    @staticmethod
    def _flip(at_byte: int) -> Callable[[int, bytes], bytes]:
        def change(position: int, block: bytes) -> bytes:
            inside = at_byte - position
            if not 0 <= inside < len(block):
                return block
            return block[:inside] + bytes([block[inside] ^ 1]) + block[inside + 1 :]

        return change

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        return


def _part(file: StoredFile, start: int, end: int) -> bytes:
    if isinstance(file.content, bytes):
        return file.content[start:end]
    with file.content.open("rb") as source:
        source.seek(start)
        return source.read(end - start)
