"""Devices of other computers: how a person names the RPC servers of llama.cpp, and how their devices are called."""

from __future__ import annotations

import re

from app.core.errors import ErrorKind, UserError

REMOTE_KIND = "remote"
"""`Device.kind` of a device that another computer has."""

MAX_SERVERS = 16  # ggml-rpc.h: GGML_RPC_MAX_SERVERS
_MAX_HOST_CHARACTERS = 253  # RFC 1035
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?")
_PORTS = range(1, 65536)
_DEVICE = re.compile(r"RPC(?P<index>\d{1,4})\[(?P<server>[^\[\]]+)\]")


def read_servers(text: str) -> tuple[str, ...]:
    """The servers in what a person typed, "host:port" each; commas or line ends divide them.

    Raises UserError(SERVER_ADDRESS_INVALID) for the first that is none; `reason` says what is wrong: "no_port", "port",
    "space", "ipv6" (llama.cpp reaches them by IPv4 alone), "scheme", "host" or "too_many".
    """
    found = dict.fromkeys(_address(part.strip()) for part in re.split(r"[,\n]", text) if part.strip())
    if len(found) > MAX_SERVERS:
        raise UserError(ErrorKind.SERVER_ADDRESS_INVALID, address=list(found)[MAX_SERVERS], reason="too_many")
    return tuple(found)


def are_servers(text: str) -> bool:
    """Whether `read_servers` takes it."""
    try:
        read_servers(text)
    except UserError:
        return False
    return True


def host_and_port(server: str) -> tuple[str, int]:
    """The parts of an address that `read_servers` gave."""
    host, _, port = server.rpartition(":")
    return host, int(port)


def remote_device(server: str, index: int) -> str:
    """The name of a server's device, counted from 0; ggml calls its buffers so."""
    return f"RPC{index}[{server}]"


def server_of(device: str) -> str:
    """The server that a device is named after; empty for one of this computer."""
    match = _DEVICE.fullmatch(device)
    return match["server"] if match is not None and are_servers(match["server"]) else ""


def index_of(device: str) -> int:
    """Which of its server's devices it is. Raises ValueError for one of this computer."""
    match = _DEVICE.fullmatch(device)
    if match is None:
        raise ValueError(f"{device!r} is of no server")
    return int(match["index"])


def _address(text: str) -> str:
    """One address, in small letters and without zeros before the port."""
    host, colon, port = text.rpartition(":")
    if "://" in text or "/" in text:
        reason = "scheme"
    elif any(character.isspace() for character in text):
        reason = "space"
    elif text.startswith("[") or ":" in host:
        reason = "ipv6"
    elif not colon or not port:
        reason = "no_port"
    elif not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) in _PORTS):
        reason = "port"
    elif not _HOST.fullmatch(host) or len(host) > _MAX_HOST_CHARACTERS:
        reason = "host"
    else:
        return f"{host.lower()}:{int(port)}"
    raise UserError(ErrorKind.SERVER_ADDRESS_INVALID, address=text, reason=reason)
