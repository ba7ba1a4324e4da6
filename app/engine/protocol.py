r"""The language between the window and the engine child: version 2.

One JSON object per line, UTF-8, `\n` at the end, no line longer than `MAX_LINE_BYTES`. The field `type` names the
class (in snake case) and the other fields are its dataclass fields; unknown fields are ignored, fields with a default
may be absent. Requests go to the child's standard input, events (`app.core.events`) come back on a descriptor of their
own (see `app.engine.worker.main`), so that nothing a library prints can be mistaken for an event.

Every request has an `id` chosen by the parent; each gets events with that `request_id`, the last of which is one of
Loaded, LoadCancelled, Finished, Counted, Adapted, Embedded, Ranked, DeviceTested, Forgotten, DevicesListed,
TemplateChecked, Unloaded or Failed. `Stop` and `Shutdown` have no answer of their own. Requests are begun in the order
of arrival. Answers (Generate) of several conversations go on side by side, and CheckTemplate beside anything;
everything else has the model for itself. Stop is heard at once, whether its request is running or still waiting.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.core import events
from app.core.adapter import Adapter
from app.core.errors import UserError
from app.core.messages import Role

PROTOCOL_VERSION = 2
MAX_LINE_BYTES = 64 * 1024 * 1024


class ProtocolError(ValueError):
    """A line that is not a message of this protocol; the text says why."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message as the chat template sees it; `id` comes back in PromptStarted.first_visible_id."""

    id: str
    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Load:
    """Load a model file, in place of the one that is loaded (which is kept if the file turns out to be unusable).

    `context_length` 0: as long as the model was trained for and memory allows, at most 8,192, but longer when a
    conversation needs that, see ContextGrown. `threads` 0, `device` "" and `gpu_layers` -1: chosen from the machine; a
    device is named as in DevicesListed. `cache_type`: of the KV cache, "f16", "q8_0" or "q4_0".
    `state_folder`: where the states of conversations are kept between runs, "" for nowhere.
    `adapters`: of those that cannot all be used a Notice tells, and the model is loaded without any.
    `draft_model`: a file with a small model of the same vocabulary that guesses ahead, "" for none; of one that cannot
    be used a Notice tells, and the model is loaded without. `template`: a chat template in place of the file's, or one
    of the table by `core.template_check.named_template`; "" is the file's, or the best of the table where that is of no
    use.
    """

    id: int
    path: str
    context_length: int = 0
    threads: int = 0
    device: str = ""
    gpu_layers: int = -1
    cache_type: str = "f16"
    adapters: tuple[Adapter, ...] = ()
    state_folder: str = ""
    state_limit_bytes: int = 0
    draft_model: str = ""
    template: str = ""


@dataclass(frozen=True, slots=True)
class Generate:
    """Answer the last message.

    `sampling` holds only what the person set (names of `core.sampling.Sampling`); the rest comes from the model file or
    Hearth's defaults. `max_tokens` 0: as many as the context holds. `continue_last`: the last message is an assistant's
    and is continued instead of answered. `first_visible_id`: what PromptStarted said last time for this conversation,
    so that the cut stays where it was. `conversation_id`: what was read for it before is used again. `grammar` (GBNF)
    or `json_schema` (JSON text) bind the answer; `logit_bias`: added to the logits of tokens, by their ids.
    `alternatives`: how many of the likeliest tokens to tell for each token, with log-probabilities; 0: none are told.
    """

    id: int
    messages: tuple[ChatMessage, ...]
    sampling: dict[str, float | int | None] = field(default_factory=dict)
    max_tokens: int = 0
    stop: tuple[str, ...] = ()
    continue_last: bool = False
    first_visible_id: str | None = None
    conversation_id: str = ""
    grammar: str = ""
    json_schema: str = ""
    logit_bias: dict[str, float] = field(default_factory=dict)
    alternatives: int = 0
    speculate: bool = True


@dataclass(frozen=True, slots=True)
class Count:
    """How many tokens the conversation is, rendered with the chat template."""

    id: int
    messages: tuple[ChatMessage, ...]


@dataclass(frozen=True, slots=True)
class Adapt:
    """Use these adapters from the next answer on, in place of those in use; the model stays loaded."""

    id: int
    adapters: tuple[Adapter, ...]


@dataclass(frozen=True, slots=True)
class Embed:
    """Vectors for texts, by an embedding model, which is loaded beside the chat model and stays until Unload."""

    id: int
    path: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rank:
    """How well documents answer a query, by a reranking model, which is loaded like that of Embed."""

    id: int
    path: str
    query: str
    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TestDevice:
    """Measure what a device does with a model file: a two-second self-test."""

    id: int
    device: str
    path: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop everything that was kept of these conversations, in memory and in `state_folder`: they were deleted.

    Of the others, states beyond `state_limit_bytes` go as well, from now on: 0 keeps none.
    """

    id: int
    conversation_ids: tuple[str, ...]
    state_folder: str
    state_limit_bytes: int


@dataclass(frozen=True, slots=True)
class Devices:
    """List the devices and the versions of the engine; of other computers those with these RPC servers ("host:port").

    To load on, and to test, a device of theirs takes its name alone, which has the server in it.
    """

    id: int
    rpc_servers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckTemplate:
    """Try a chat template on the fixed dialogues: that of a model file, or another with this file's vocabulary.

    `path` may be empty where `template` is given; the two are as in Load. `catalog_template`: the catalogue's word for
    the format, which is suggested where the file has no usable one. Nothing is loaded.
    """

    id: int
    path: str = ""
    template: str = ""
    catalog_template: str = ""


@dataclass(frozen=True, slots=True)
class Unload:
    """Free the model."""

    id: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End the request with this id now: a generation finishes with what it has, a load is cancelled."""

    id: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """End the child."""


Request = (
    Load
    | Generate
    | Count
    | Adapt
    | Embed
    | Rank
    | TestDevice
    | Forget
    | Devices
    | CheckTemplate
    | Unload
    | Stop
    | Shutdown
)

REQUEST_TYPES: tuple[type[Any], ...] = typing.get_args(Request)
EVENT_TYPES: tuple[type[Any], ...] = typing.get_args(events.Event)


def encode(message: Request | events.Event) -> bytes:
    """The line for a request or event, newline included. Lone surrogates become "?"."""
    data = {"type": _TYPE_NAMES[type(message)], **_plain(message)}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"


def decode_request(line: bytes) -> Request:
    """The request in a line. Raises ProtocolError."""
    return typing.cast(Request, _decode(line, _REQUESTS_BY_NAME))


def decode_event(line: bytes) -> events.Event:
    """The event in a line. Raises ProtocolError."""
    return typing.cast(events.Event, _decode(line, _EVENTS_BY_NAME))


def _plain(value: Any) -> Any:
    """Dataclasses, errors and tuples as JSON values."""
    if isinstance(value, UserError):
        return value.to_json()
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _decode(line: bytes, known: dict[str, type[Any]]) -> Any:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ProtocolError("not an object")
    name = data.get("type")
    kind = known.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ProtocolError(f"unknown type {name!r}")
    return _reader_of(kind)(data, str(name))


_Reader = Callable[[Any, str], Any]
_readers: dict[Any, _Reader] = {}


def _reader_of(kind: Any) -> _Reader:
    """The function that checks and builds a value of the annotated type; made once for each type."""
    reader = _readers.get(kind)
    if reader is None:
        reader = _readers[kind] = _make_reader(kind)
    return reader


def _make_reader(kind: Any) -> _Reader:
    origin = typing.get_origin(kind)
    if kind is Any:
        return lambda raw, where: raw
    if kind is UserError:
        return lambda raw, where: UserError.from_json(_expect(raw, dict, where))
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(typing.cast(type[Any], kind))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _enum_reader(kind)
    if kind is float:
        return _read_float
    if kind in (int, str, bool, dict):
        return lambda raw, where: _expect(raw, kind, where)
    if kind is type(None):
        return lambda raw, where: _expect(raw, type(None), where)
    if origin is tuple:
        item = _reader_of(typing.get_args(kind)[0])
        return lambda raw, where: tuple(item(x, where) for x in _expect(raw, list, where))
    if origin is dict:
        value = _reader_of(typing.get_args(kind)[1])
        return lambda raw, where: {k: value(v, f"{where}.{k}") for k, v in _expect(raw, dict, where).items()}
    if origin in (typing.Union, types.UnionType):
        return _union_reader([_reader_of(arm) for arm in typing.get_args(kind)])
    raise TypeError(f"the protocol has no reader for {kind}")


def _expect(raw: Any, kinds: Any, where: str) -> Any:
    if isinstance(raw, bool) and kinds is not bool:
        raise ProtocolError(f"{where}: unexpected true or false")
    if not isinstance(raw, kinds):
        raise ProtocolError(f"{where}: unexpected {type(raw).__name__}")
    return raw


def _read_float(raw: Any, where: str) -> float:
    number = _expect(raw, (int, float), where)
    try:
        return float(number)
    except OverflowError:
        raise ProtocolError(f"{where}: too large a number") from None


def _enum_reader(kind: type[StrEnum]) -> _Reader:
    def read(raw: Any, where: str) -> StrEnum:
        try:
            return kind(raw)
        except ValueError:
            raise ProtocolError(f"{where}: unknown {kind.__name__} {raw!r}") from None

    return read


def _union_reader(arms: list[_Reader]) -> _Reader:
    def read(raw: Any, where: str) -> Any:
        for arm in arms[:-1]:
            try:
                return arm(raw, where)
            except ProtocolError:
                continue
        return arms[-1](raw, where)

    return read


def _dataclass_reader(kind: type[Any]) -> _Reader:
    hints = typing.get_type_hints(kind)
    parts = [(f.name, _reader_of(hints[f.name]), _is_required(f)) for f in dataclasses.fields(kind)]

    def read(raw: Any, where: str) -> Any:
        data = _expect(raw, dict, where)
        values = {}
        for name, reader, required in parts:
            if name in data:
                values[name] = reader(data[name], f"{where}.{name}")
            elif required:
                raise ProtocolError(f"{where}: {name} is missing")
        return kind(**values)

    return read


def _is_required(part: dataclasses.Field[Any]) -> bool:
    return part.default is dataclasses.MISSING and part.default_factory is dataclasses.MISSING


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(name))


_TYPE_NAMES: dict[type[Any], str] = {kind: _snake(kind.__name__) for kind in (*REQUEST_TYPES, *EVENT_TYPES)}
_REQUESTS_BY_NAME = {_TYPE_NAMES[kind]: kind for kind in REQUEST_TYPES}
_EVENTS_BY_NAME = {_TYPE_NAMES[kind]: kind for kind in EVENT_TYPES}
