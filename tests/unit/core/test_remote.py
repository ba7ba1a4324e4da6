"""How servers and their devices are named."""

from __future__ import annotations

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.remote import (
    MAX_SERVERS,
    are_servers,
    host_and_port,
    index_of,
    read_servers,
    remote_device,
    server_of,
)
from app.core.settings import SETTING_OF, read_settings


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("", ()),
        (" , \n", ()),
        ("192.168.0.7:50052", ("192.168.0.7:50052",)),
        ("Tower.local:050", ("tower.local:50",)),
        ("a:1,b:2\nc_d:3 , a:1", ("a:1", "b:2", "c_d:3")),
    ],
)
def test_servers_are_read(text: str, servers: tuple[str, ...]) -> None:
    assert read_servers(text) == servers
    assert read_servers(", ".join(servers)) == servers


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("192.168.0.7", "no_port"),
        ("tower:", "no_port"),
        ("50052", "no_port"),
        ("tower:0", "port"),
        ("tower:65536", "port"),
        ("tower:rpc", "port"),
        ("tower:٣", "port"),
        ("tower:99999999999999999999", "port"),
        ("a:1 b:2", "space"),
        ("tower :50052", "space"),
        ("[::1]:50052", "ipv6"),
        ("[fe80::1%eth0]", "ipv6"),
        ("::1:50052", "ipv6"),
        ("http://tower:50052", "scheme"),
        ("tower:50052/", "scheme"),
        (":50052", "host"),
        ("-tower:50052", "host"),
        ("to[w]er:50052", "host"),
        ("türm:50052", "host"),
        (f"{'a' * 254}:1", "host"),
        (",".join(f"host{number}:1" for number in range(MAX_SERVERS + 1)), "too_many"),
    ],
)
def test_what_is_no_server_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UserError) as refused:
        read_servers(f"good:1, {text}" if reason != "too_many" else text)
    assert refused.value.kind is ErrorKind.SERVER_ADDRESS_INVALID
    assert refused.value.string("reason") == reason
    assert not are_servers(text)


def test_names_of_devices_hold_their_server() -> None:
    name = remote_device("tower:50052", 1)
    assert (server_of(name), index_of(name)) == ("tower:50052", 1)
    assert host_and_port(server_of(name)) == ("tower", 50052)


@pytest.mark.parametrize(
    "name", ["", "CPU", "Vulkan0", "RPC0", "RPC0[]", "RPC0[tower]", "RPC[tower:1]", "RPC0[a:1][b:1]"]
)
def test_other_names_hold_none(name: str) -> None:
    assert not server_of(name)


def test_a_setting_that_cannot_be_read_is_as_good_as_none() -> None:
    key = "engine.rpc_servers"
    assert read_settings({key: "tower:50052"})[key] == "tower:50052"
    assert read_settings({key: "[::1]:50052"})[key] == ""
    assert not SETTING_OF[key].accepts("tower")
