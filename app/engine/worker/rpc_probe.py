"""Asks an RPC server what it is and has, before llama.cpp may: that ends the process where it finds none.

The protocol is that of ggml-rpc.cpp, version 7: a request is one byte for the command, its length in 8 bytes, and data;
a response its length in 8 bytes, and data; little-endian. A connection begins with HELLO. A server serves one
connection at a time: while another program has it, ours is accepted and nobody answers.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass

from app.core.remote import host_and_port

PROBE_LIMIT_S = 3.0
"""For everything that is asked of one server, once its name is resolved."""

PROTOCOL = (7, 0)  # ggml-rpc.h: RPC_PROTO_MAJOR_VERSION, RPC_PROTO_MINOR_VERSION

UNREACHABLE = "unreachable"
SILENT = "silent"
FOREIGN = "foreign"  # it answers, but is no RPC server
OTHER_VERSION = "other_version"
NO_DEVICE = "no_device"

_HELLO, _DEVICE_COUNT, _DEVICE_MEMORY = 14, 15, 11  # ggml-rpc.cpp: enum rpc_cmd
_CAPABILITIES = bytes(24)  # none: plain TCP
_HELLO_RESPONSE_BYTES, _OLD_HELLO_RESPONSE_BYTES = 28, 3  # the latter before version 4
_MAX_DEVICES = 64


class ServerProblemError(Exception):
    """A server cannot be used: a problem of those above, and what the system or the server says of it."""

    def __init__(self, problem: str, detail: str = "") -> None:
        super().__init__(problem, detail)
        self.problem = problem
        self.detail = detail


@dataclass(frozen=True, slots=True)
class RemoteMemory:
    """The memory of one device of a server."""

    free_bytes: int
    total_bytes: int


def probe(server: str, limit_s: float = PROBE_LIMIT_S) -> tuple[RemoteMemory, ...]:
    """The devices of a server ("host:port"), in its order. Raises ServerProblemError after `limit_s` at the latest."""
    connection = _Connection(server, limit_s)
    try:
        hello = _ask_hello(connection, server, limit_s)
        _check_version(hello)
        count = _numbers("<I", connection.ask(_DEVICE_COUNT))[0]
        if not count:
            raise ServerProblemError(NO_DEVICE)
        wanted = range(min(count, _MAX_DEVICES))
        answers = [connection.ask(_DEVICE_MEMORY, struct.pack("<I", index)) for index in wanted]
        return tuple(RemoteMemory(*_numbers("<QQ", answer)) for answer in answers)
    except _ClosedError as error:
        raise ServerProblemError(UNREACHABLE, str(error)) from None
    finally:
        connection.close()


def _ask_hello(connection: _Connection, server: str, limit_s: float) -> bytes:
    try:
        return connection.ask(_HELLO, _CAPABILITIES)
    except _ClosedError:
        version = _old_version(server, limit_s)
        raise ServerProblemError(OTHER_VERSION if version else FOREIGN, version) from None


def _check_version(answer: bytes) -> None:
    if len(answer) != _HELLO_RESPONSE_BYTES:
        raise ServerProblemError(FOREIGN)
    major, minor = answer[0], answer[1]
    if major != PROTOCOL[0] or minor > PROTOCOL[1]:  # as ggml-rpc.cpp, negotiate_hello
        raise ServerProblemError(OTHER_VERSION, f"{major}.{minor}")


def _old_version(server: str, limit_s: float) -> str:
    """The version of a server that knows only the HELLO of old; empty if it does not know that either."""
    connection = None
    try:
        connection = _Connection(server, limit_s)
        answer = connection.ask(_HELLO)
    except (_ClosedError, ServerProblemError):
        return ""
    finally:
        if connection is not None:
            connection.close()
    return f"{answer[0]}.{answer[1]}" if len(answer) == _OLD_HELLO_RESPONSE_BYTES else ""


def _numbers(layout: str, answer: bytes) -> tuple[int, ...]:
    try:
        return struct.unpack(layout, answer)
    except struct.error:
        raise ServerProblemError(FOREIGN) from None


class _ClosedError(Exception):
    """The server hung up: what it does with a request that it does not know."""


class _Connection:
    """A connection on which everything together takes no longer than a limit."""

    def __init__(self, server: str, limit_s: float) -> None:
        host, port = host_and_port(server)
        try:
            # llama.cpp takes the first IPv4 address as well.
            address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4]
            self._end = time.monotonic() + limit_s
            self._socket = socket.create_connection((str(address[0]), port), limit_s)
        except (OSError, UnicodeError) as error:
            raise ServerProblemError(UNREACHABLE, _words(error)) from None

    def ask(self, command: int, data: bytes = b"") -> bytes:
        """The answer to a command. Raises _ClosedError, or ServerProblemError."""
        try:
            self._socket.settimeout(self._left_s())
            self._socket.sendall(struct.pack("<BQ", command, len(data)) + data)
            size = struct.unpack("<Q", self._receive(8))[0]
            if size > _HELLO_RESPONSE_BYTES:  # the longest there is; a web server's words make a huge number
                raise ServerProblemError(FOREIGN)
            return self._receive(size)
        except TimeoutError:
            raise ServerProblemError(SILENT) from None
        except OSError as error:
            raise _ClosedError(_words(error)) from None

    def close(self) -> None:
        self._socket.close()

    def _receive(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            self._socket.settimeout(self._left_s())
            part = self._socket.recv(size - len(received))
            if not part:
                raise _ClosedError
            received += part
        return received

    def _left_s(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _words(error: Exception) -> str:
    """What the system says, without its number."""
    return str(getattr(error, "strerror", None) or error)
