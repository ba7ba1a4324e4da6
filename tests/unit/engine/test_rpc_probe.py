"""What is said of who answers at the address of an RPC server, or does not; tests/engine/test_rpc.py has a real one."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from app.engine.worker.rpc_probe import ServerProblemError, probe

LIMIT_S = 1.0
HELLO, OLD_HELLO = b"\x0e" + (24).to_bytes(8, "little") + bytes(24), b"\x0e" + bytes(8)


def message(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little") + data


@contextmanager
def server(answers: dict[bytes, bytes | None]) -> Iterator[str]:
    """Gives this answer to these requests, hangs up where there is None, and keeps silent about all others."""

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while request := connection.recv(64):
                answer = answers.get(request, b"")
                if answer is None:
                    return
                connection.sendall(answer)

    def listen() -> None:
        with suppress(OSError):
            while True:
                serve(listening.accept()[0])

    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield f"localhost:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)


def problem_of(answers: dict[bytes, bytes | None]) -> tuple[str, str]:
    with server(answers) as address, pytest.raises(ServerProblemError) as found:
        probe(address, LIMIT_S)
    return found.value.problem, found.value.detail


def hello(major: int, minor: int) -> bytes:
    return message(bytes((major, minor, 0, 0)) + bytes(24))


def test_other_versions_are_named() -> None:
    assert problem_of({HELLO: hello(8, 0)}) == ("other_version", "8.0")
    assert problem_of({HELLO: hello(7, 9)}) == ("other_version", "7.9")
    # Before version 4 the request was empty: what knows only that hangs up at ours.
    assert problem_of({HELLO: None, OLD_HELLO: message(b"\x03\x05\x01")}) == ("other_version", "3.5")


@pytest.mark.parametrize(
    "answers",
    [
        {HELLO: b"HTTP/1.1 400 Bad Request\r\n\r\n"},
        {HELLO: None},
        {HELLO: None, OLD_HELLO: None},
        {HELLO: message(b"hello")},
        {HELLO: hello(7, 0), b"\x0f" + bytes(8): message(b"12")},
    ],
)
def test_who_is_no_rpc_server_is_told_from_one(answers: dict[bytes, bytes | None]) -> None:
    assert problem_of(answers)[0] == "foreign"


def test_a_server_without_devices_is_of_no_use() -> None:
    assert problem_of({HELLO: hello(7, 0), b"\x0f" + bytes(8): message(bytes(4))})[0] == "no_device"


def test_silence_is_not_waited_for_longer_than_the_limit() -> None:
    start = time.monotonic()
    assert problem_of({})[0] == "silent"
    assert problem_of({HELLO: hello(7, 0)})[0] == "silent"
    assert problem_of({HELLO: hello(7, 0)[:20]})[0] == "silent"
    assert time.monotonic() - start < 10 * LIMIT_S


def test_who_cannot_be_reached_is_told_with_the_systems_words() -> None:
    with pytest.raises(ServerProblemError) as found:
        probe("127.0.0.1:1", LIMIT_S)
    assert found.value.problem == "unreachable"
    assert found.value.detail
