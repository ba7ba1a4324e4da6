"""The child survives whatever is sent to it, in any order, with a model loaded, and writes nowhere it was not told to.

Everything comes from a seeded generator. `HEARTH_FUZZ_REQUESTS` makes the run longer, `HEARTH_FUZZ_SEED` another one.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import typing
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.adapter import Adapter
from app.core.events import (
    CLOSING_EVENTS,
    Counted,
    DevicesListed,
    Failed,
    Finished,
    LoadCancelled,
    Loaded,
    PromptStarted,
    TemplateChecked,
    Unloaded,
)
from app.core.messages import Role
from app.core.template_check import named_template
from app.engine.protocol import (
    MAX_LINE_BYTES,
    REQUEST_TYPES,
    ChatMessage,
    Count,
    Generate,
    Load,
    Request,
    Shutdown,
    Stop,
    encode,
)
from tests.engine.engine_child import EngineChild, assistant, user
from tests.fixtures import tiny_gguf as tiny

pytestmark = pytest.mark.engine
ROOT = Path(__file__).resolve().parents[2]
REQUESTS = int(os.environ.get("HEARTH_FUZZ_REQUESTS", "400"))
SEED = int(os.environ.get("HEARTH_FUZZ_SEED", "1"))
IN_A_ROW = 20
GREEDY = {"temperature": 0.0}

NUMBERS = (0, 1, 2, 7, -1, -(2**31), 2**31 - 1, 2**31, 2**32, 2**53, 2**63, -(2**63), 2**64, 10**30, 10**400)
FLOATS = (0.0, 0.5, 1.0, -1.0, 1e-300, 1e308, -1e308, math.inf, -math.inf, math.nan, 10**400)
TEXTS = (
    "", " ", "hello world", "\0", "a\0b", "\ud800", "x" * 100_000, "مرحبا 😀", "../../../etc/passwd", "%s%n%x", "nan",
    "<|im_end|>\n<|im_start|>system\n", "{{ messages }}", "root ::= root", 'root ::= "a"', 'root ::= [a-z]* "',
    '{"type": "object"}', '{"$ref": "#"}', "[" * 10_000, "null", "-1", "99999999999999999999",
)  # fmt: skip


class Box:
    """The folders the child may see, of which it may write into one."""

    def __init__(self, folder: Path) -> None:
        self.data, self.models = folder / "data", folder / "models"
        self.watched = [folder / name for name in ("models", "home", "temporary", "current")]
        for place in (*self.watched, self.data):
            place.mkdir()
        self.good = tiny.write_model(
            self.models / "good.gguf", tiny.bpe_vocabulary(), architecture="qwen2", template=tiny.CHATML
        )
        self.recurrent = tiny.write_mamba(self.models / "mamba.gguf", tiny.bpe_vocabulary(), template=tiny.CHATML)
        broken = self.models / "broken.gguf"
        broken.write_bytes(self.good.read_bytes()[:5000])
        self.paths = (str(self.good), str(self.recurrent), str(broken), str(self.models), "/nowhere.gguf", os.devnull)

    def listing(self) -> dict[str, tuple[int, int]]:
        """Everything outside the folder that may be written into: size and time of change."""
        found = {}
        for place in self.watched:
            for path in place.rglob("*"):
                status = path.stat()
                found[str(path)] = (status.st_size, status.st_mtime_ns)
        return found


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    box = Box(tmp_path)
    for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(tmp_path / "temporary"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.chdir(tmp_path / "current")
    return box


@pytest.fixture
def fuzzed(box: Box, tmp_path: Path) -> Iterator[EngineChild]:
    running = EngineChild(log_path=tmp_path / "engine.log")
    yield running
    running.close()


class Chance:
    """Requests, good, odd and broken."""

    def __init__(self, seed: int, box: Box) -> None:
        self._random = random.Random(seed)
        self._box = box

    def line(self) -> bytes:
        """A line to send, its end included."""
        kind = self._random.choices(("request", "mutated", "wrong", "raw"), (12, 4, 4, 1))[0]
        request = self._request()
        match kind:
            case "request":
                return encode(request)
            case "mutated":
                return self._mutated(encode(request)[:-1])
            case "wrong":
                return self._wrong(json.loads(encode(request)))
            case _:
                return self._raw()

    def _request(self) -> Request:
        kinds = [kind for kind in REQUEST_TYPES if kind is not Shutdown]
        weights = [10 if kind is Generate else 4 if kind is Stop else 2 for kind in kinds]
        kind = self._random.choices(kinds, weights)[0]
        hints = typing.get_type_hints(kind)
        values = {}
        for field in dataclasses.fields(kind):
            is_left = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
            if not is_left or self._random.random() < 0.4:
                values[field.name] = self._value(field.name, hints[field.name])
        return typing.cast(Request, kind(**values))

    def _value(self, name: str, kind: Any) -> Any:
        pick = self._random.choice
        match name:
            case "id":
                return pick((*range(1, 60), *NUMBERS))
            case "path" | "draft_model":
                return pick((*self._box.paths, *[str(self._box.good)] * 8, *TEXTS[:9]))
            case "device":
                return pick(("", "CPU", "CPU", "Vulkan0", *TEXTS[:9]))
            case "state_folder":
                return pick(("", str(self._box.data / "states"), str(self._box.good / "below"), "states", "\0"))
            case "template" | "catalog_template":
                return pick(("", "", tiny.CHATML, named_template("vicuna"), "format:", "chatml", *TEXTS))
            case "cache_type":
                return pick(("f16", "q8_0", "q4_0", "", "q99", "x" * 1000))
            case "messages":
                return tuple(self._message(place) for place in range(self._random.choice((0, 1, 1, 2, 3, 30))))
            case "conversation_id":
                return pick(("", "a", "b", "c", "d", *TEXTS))
            case "conversation_ids":
                return tuple(pick(("a", "b", *TEXTS)) for _ in range(self._random.randrange(4)))
            case "adapters":
                return tuple(Adapter(self._value("path", str), pick(FLOATS)) for _ in range(self._random.randrange(3)))
            case "sampling":
                names = ("temperature", "top_k", "top_p", "min_p", "seed", "repeat_penalty", "repeat_last_n", "odd")
                return {key: pick((*FLOATS, *NUMBERS, None)) for key in self._random.sample(names, 3)}
            case "logit_bias":
                return {pick(("0", "5", *TEXTS)): pick(FLOATS) for _ in range(3)}
            case "max_tokens":
                return pick((1, 3, 8, *NUMBERS))
        if kind is bool:
            return pick((True, False))
        if kind is int:
            return pick(NUMBERS)
        if kind is float:
            return pick(FLOATS)
        if typing.get_origin(kind) is tuple:
            return tuple(pick(TEXTS) for _ in range(self._random.randrange(4)))
        return pick(TEXTS)

    def _message(self, place: int) -> ChatMessage:
        role = (
            self._random.choice(tuple(Role)) if self._random.random() < 0.2 else (Role.USER, Role.ASSISTANT)[place % 2]
        )
        return ChatMessage(f"m{place}", role, self._random.choice(TEXTS))

    def _mutated(self, line: bytes) -> bytes:
        """With bytes changed, lost, doubled; or cut off."""
        broken = bytearray(line)
        for _ in range(self._random.randint(1, 5)):
            broken = broken or bytearray(b"{")
            place = self._random.randrange(len(broken))
            match self._random.randrange(4):
                case 0:
                    broken[place] = self._random.randrange(256)
                case 1:
                    del broken[place]
                case 2:
                    broken[place:place] = broken[place : place + 50]
                case _:
                    del broken[place:]
        return bytes(broken).replace(b"shutdown", b"") + b"\n"

    def _wrong(self, data: dict[str, Any]) -> bytes:
        """With values of other types."""
        odd = (
            None,
            True,
            1,
            -1.5,
            math.nan,
            10**400,
            "text",
            [],
            {},
            [[[]]],
            {"a": {"b": []}},
            [None] * 100,
            "x" * 10_000,
        )
        for name in self._random.sample(sorted(data), self._random.randint(1, len(data))):
            if name != "type" or self._random.random() < 0.2:
                data[name] = self._random.choice(odd)
        return json.dumps(data).encode() + b"\n"

    def _raw(self) -> bytes:
        return self._random.choice(
            (
                b"\n", b"\0\n", b"[" * 200_000 + b"\n", b'{"a":' * 50_000 + b"\n", b"\xff\xfe\n", b"NaN\n", b"1e999\n",
                b'{"type": "stop", "id": ' + b"9" * 5000 + b"}\n", b'{"id": 1, "id": 2, "type": "count"}\n',
                b'{"type": ["load"]}\n', b'{"type": "loaded", "request_id": 1}\n', b"x" * 1_000_000 + b"\n",
            )
        )  # fmt: skip


def drain(child: EngineChild) -> Counter[type]:
    """Wait until everything sent so far was dealt with: the child answers a question that comes after it."""
    seen: Counter[type] = Counter()
    mark = child.send(Count(0, (user("hello"),)))
    while True:
        event = child.next_event(60.0)
        assert event is not None, "the child ended"
        seen[type(event)] += 1
        if event.request_id == mark and isinstance(event, Counted | Failed):
            return seen


def answer_of(child: EngineChild, box: Box) -> str:
    """What the good model says now."""
    loaded = load(child, box)
    assert isinstance(loaded, Loaded), loaded
    request = child.send(Generate(0, (user("hello world"), assistant("x"), user("cat")), dict(GREEDY), 12))
    run = child.collect(request)
    assert isinstance(run.last, Finished), run.last
    return run.text


def load(child: EngineChild, box: Box) -> Any:
    return child.collect(child.send(Load(0, str(box.good), 512, 1))).last


def test_it_survives_anything_in_any_order(fuzzed: EngineChild, box: Box) -> None:
    fuzzed._ids = iter(range(10**6, 10**9))  # type: ignore[assignment]  # ids of our own, which the noise never has
    before = answer_of(fuzzed, box)
    listing = box.listing()
    chance = Chance(SEED, box)
    seen: Counter[type] = Counter()
    for row in range(REQUESTS // IN_A_ROW):
        for _ in range(IN_A_ROW):
            fuzzed.write(chance.line())
        if row % 3 == 0:
            for request_id in (*range(60), *NUMBERS):
                fuzzed.stop(request_id)
        seen += drain(fuzzed)
        if row % 5 == 0:
            load(fuzzed, box)
    begun = {Loaded, LoadCancelled, PromptStarted, Finished, Counted, DevicesListed, TemplateChecked, Unloaded, Failed}
    assert begun <= set(seen)
    assert answer_of(fuzzed, box) == before
    assert box.listing() == listing


def test_a_line_of_the_greatest_length_is_read_and_a_longer_one_is_refused(fuzzed: EngineChild) -> None:
    head, tail = b'{"type": "count", "id": 5, "messages": [], "x": "', b'"}'
    fuzzed.write(head + b"y" * (MAX_LINE_BYTES - len(head) - len(tail)) + tail + b"\n")
    first = fuzzed.next_event()
    assert isinstance(first, CLOSING_EVENTS)
    assert first.request_id == 5
    fuzzed.write(head + b"y" * MAX_LINE_BYTES + tail + b"\n")
    assert fuzzed.next_event().request_id == 0
    drain(fuzzed)
