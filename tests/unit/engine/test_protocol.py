"""Lines become the requests and events that they were made from; what is no message is refused, whatever it holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.core.adapter import Adapter
from app.core.errors import ErrorKind, UserError
from app.core.events import Event, Failed, Finished, FinishReason, TextDelta
from app.core.messages import Role, Usage
from app.engine.protocol import (
    Adapt,
    ChatMessage,
    Devices,
    Forget,
    Generate,
    Load,
    ProtocolError,
    Request,
    Shutdown,
    Stop,
    decode_event,
    decode_request,
    encode,
)

TOO_LARGE = 10**400  # for a float, not for an integer

REQUESTS: tuple[Request, ...] = (
    Load(1, "/m.gguf", adapters=(Adapter("/a.gguf", 0.5), Adapter("/b.gguf"))),
    Generate(
        2,
        (ChatMessage("u", Role.USER, "é\n😀"), ChatMessage("a", Role.ASSISTANT, "")),
        sampling={"temperature": 0.5, "top_k": 40.0, "seed": None},
        stop=("a", "b"),
        first_visible_id="u",
        logit_bias={"5": -1.5},
    ),
    Adapt(3, ()),
    Forget(4, ("a", "b"), "/states", 0),
    Devices(2**63),
    Stop(-1),
    Shutdown(),
)
EVENTS: tuple[Event, ...] = (
    TextDelta(1, "é\n"),
    Finished(2, FinishReason.END, Usage(prompt_tokens=3), context_tokens=4, seed=5),
    Failed(3, UserError(ErrorKind.TRUNCATED, needed_bytes=1, path="/m.gguf")),
)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: type(each).__name__)
def test_a_request_comes_out_as_it_went_in(request_: Request) -> None:
    line = encode(request_)
    assert line.count(b"\n") == 1
    assert decode_request(line) == request_


@pytest.mark.parametrize("event", EVENTS, ids=lambda each: type(each).__name__)
def test_an_event_comes_out_as_it_went_in(event: Event) -> None:
    assert encode(decode_event(encode(event))) == encode(event)


def test_fields_with_a_default_may_be_absent_and_unknown_ones_are_ignored() -> None:
    assert decode_request(b'{"type": "load", "id": 1, "path": "/m.gguf", "colour": "red"}') == Load(1, "/m.gguf")


def test_half_a_character_does_not_break_the_line() -> None:
    decoded = decode_request(encode(Generate(1, (ChatMessage("u", Role.USER, "a\ud800b"),))))
    assert isinstance(decoded, Generate)
    assert decoded.messages[0].text == "a?b"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"type": "load"},
        {"type": "load", "id": True, "path": ""},
        {"type": "load", "id": 1, "path": 5},
        {"type": ["load"], "id": 1, "path": ""},
        {"type": "finished", "request_id": 1},
        {"type": "generate", "id": 1, "messages": [{"id": "u", "role": "judge", "text": ""}]},
        {"type": "generate", "id": 1, "messages": {}},
        {"type": "generate", "id": 1, "messages": [], "sampling": {"seed": "5"}},
        {"type": "generate", "id": 1, "messages": [], "logit_bias": {"1": TOO_LARGE}},
        {"type": "adapt", "id": 1, "adapters": [{"path": "", "scale": -TOO_LARGE}]},
    ],
    ids=lambda data: json.dumps(data)[:70],
)
def test_what_is_no_request_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        decode_request(json.dumps(data).encode())


@pytest.mark.parametrize("line", [b"", b"[]", b"1e999", b"\xff", b"[" * 200_000, b'{"a":' * 50_000, b"9" * 5000])
def test_what_is_no_object_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_request(line)


def test_a_number_too_large_for_a_float_may_stand_where_integers_do() -> None:
    line = json.dumps({"type": "generate", "id": 1, "messages": [], "sampling": {"top_k": TOO_LARGE}}).encode()
    assert decode_request(line) == Generate(1, (), sampling={"top_k": TOO_LARGE})
