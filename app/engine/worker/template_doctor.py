"""Tries chat templates on fixed dialogues, for an editor that shows what comes of them. No model is loaded for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.core.chat_format import ChatFormat
from app.core.chat_formats import PLAIN
from app.core.errors import ErrorKind, UserError
from app.core.events import TemplateChecked
from app.core.gguf import GgufHeader, ValueType
from app.core.header_findings import TEMPLATE_KEY
from app.core.messages import Role
from app.core.template_check import (
    FILE,
    OWN,
    Dialogue,
    RenderedDialogue,
    TemplateFinding,
    TemplateFindingKind,
    template_format,
)
from app.core.templates import choose_format
from app.engine.protocol import ChatMessage, CheckTemplate
from app.engine.worker.chat_prompt import PromptRenderer, PromptText
from app.engine.worker.inspection import header_of
from app.engine.worker.template_renderer import ChatTemplate, TemplateError, TemplateOverrunError

_TOKENS_KEY = "tokenizer.ggml.tokens"
_TYPES_KEY = "tokenizer.ggml.token_type"
_CONTROL, _ADDED = 3, 4  # llama.h: LLAMA_TOKEN_TYPE_CONTROL, _USER_DEFINED
# What llama.cpp takes where a file does not say: (beginning, end) of a text by its tokenizer.
_USUAL_ENDS = {"llama": (1, 2), "gpt2": (11, 11)}
_SMALLEST_MARK = 3  # bytes; a single letter that is called a control token is none

_SYSTEM = ChatMessage("", Role.SYSTEM, "You are a helpful assistant.")
_SPOKEN = {
    Dialogue.SYSTEM: (_SYSTEM, ChatMessage("", Role.USER, "Which planet is the largest?")),
    Dialogue.TURNS: (
        ChatMessage("", Role.USER, "Which planet is the largest?"),
        ChatMessage("", Role.ASSISTANT, "Jupiter."),
        ChatMessage("", Role.USER, "And the smallest?"),
        ChatMessage("", Role.ASSISTANT, "Mercury."),
        ChatMessage("", Role.USER, "Which of them is closer to the sun?"),
    ),
}
_WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a town.",
        "parameters": {
            "type": "object",
            "properties": {"town": {"type": "string", "description": "The town's name."}},
            "required": ["town"],
        },
    },
}
_QUESTION = {"role": "user", "content": "Is it raining in Oslo?"}
_RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": '{"rain": false}'}
_THOUGHT = (
    {"role": "user", "content": "What is 12 times 12?"},
    {"role": "assistant", "content": "144.", "reasoning_content": "Twelve times twelve is a hundred and forty-four."},
    {"role": "user", "content": "And 13 times 13?"},
)


@dataclass(frozen=True, slots=True)
class _FileFacts:
    """What of a model file matters to its template."""

    template: str = ""
    name: str = ""
    bos_text: str = "<s>"
    eos_text: str = "</s>"
    mark_texts: frozenset[str] = frozenset()


class TemplateDoctor:
    """Remembers the file that it looked at last: while somebody types, the same is asked again and again."""

    def __init__(self) -> None:
        self._mark: tuple[str, int, int] | None = None
        self._facts = _FileFacts()

    def check(self, request: CheckTemplate) -> TemplateChecked:
        """Look at a template. Takes a few of RENDER_LIMIT_S at most. Raises UserError about the file."""
        facts = self._facts_of(request.path) if request.path else _FileFacts()
        fallback = choose_format(facts.mark_texts, facts.name, request.catalog_template)
        known = template_format(request.template)
        source = known.source if known is not None else request.template or facts.template
        if not source and not request.path:
            raise UserError(ErrorKind.BAD_REQUEST, reason="neither a template nor a file to take it from")
        name = known.name if known is not None else OWN if request.template else FILE
        if not source:
            shown = _examine(fallback.source, facts)
            missing = TemplateFinding(TemplateFindingKind.MISSING)
            return TemplateChecked(request.id, name, fallback.name, "", (missing,), shown.dialogues)
        found = _examine(source, facts)
        used = name
        if name == FILE and _is_given_up(found.findings, fallback):
            used = fallback.name
        elif name == OWN and any(finding.kind is TemplateFindingKind.FAILS for finding in found.findings):
            used = self.check(replace(request, template="")).used if request.path else fallback.name
        return TemplateChecked(request.id, name, used, source, found.findings, found.dialogues)

    def _facts_of(self, path: str) -> _FileFacts:
        try:
            status = Path(path).stat()
            mark = (path, status.st_size, status.st_mtime_ns)
        except (OSError, ValueError):
            mark = None  # reading it says why
        if mark is None or mark != self._mark:
            self._facts = _facts_in(header_of(Path(path), (_TOKENS_KEY, _TYPES_KEY)), Path(path).stem)
            self._mark = mark
        return self._facts


@dataclass(frozen=True, slots=True)
class _Examined:
    findings: tuple[TemplateFinding, ...]
    dialogues: tuple[RenderedDialogue, ...]


def _is_given_up(findings: Iterable[TemplateFinding], fallback: ChatFormat) -> bool:
    """As `format_choice` decides: a template that never asks is better than plain lines."""
    kinds = {finding.kind for finding in findings}
    silent = TemplateFindingKind.NO_GENERATION_PROMPT in kinds and fallback is not PLAIN
    return silent or TemplateFindingKind.FAILS in kinds


def _examine(source: str, facts: _FileFacts) -> _Examined:
    template = ChatTemplate(source, facts.bos_text, facts.eos_text)
    try:
        renderer = PromptRenderer(template)
    except TemplateError as error:
        finding = TemplateFinding(TemplateFindingKind.FAILS, reason=error.reason, line=error.line)
        failed = tuple(RenderedDialogue(each, "", (), error.reason, error.line) for each in Dialogue)
        return _Examined((finding,), failed)
    findings: list[TemplateFinding] = []
    if not renderer.asks_for_answers:
        findings.append(TemplateFinding(TemplateFindingKind.NO_GENERATION_PROMPT))
    if not renderer.takes_system:
        findings.append(TemplateFinding(TemplateFindingKind.SYSTEM_IN_QUESTION))
    if not re.search(r"\btools?\b|\btool_calls?\b|\bfunctions?\b", source):
        findings.append(TemplateFinding(TemplateFindingKind.NO_TOOLS))
    dialogues: list[RenderedDialogue] = []
    overrun: TemplateError | None = None
    for dialogue in Dialogue:
        try:
            if overrun is not None:  # it would take as long again
                raise overrun
            dialogues.append(_render(dialogue, renderer))
        except TemplateError as error:
            if isinstance(error, TemplateOverrunError):
                overrun = error
            dialogues.append(RenderedDialogue(dialogue, "", (), error.reason, error.line))
            findings.append(TemplateFinding(TemplateFindingKind.FAILS_ON, dialogue.value, error.reason, error.line))
    return _Examined(tuple(findings), tuple(dialogues))


def _render(dialogue: Dialogue, renderer: PromptRenderer) -> RenderedDialogue:
    """Raises TemplateError."""
    if dialogue in _SPOKEN:
        prompt = renderer.render(_SPOKEN[dialogue])
        return RenderedDialogue(dialogue, prompt.text.decode("utf-8", "replace"), _in_characters(prompt))
    if dialogue is Dialogue.REASONING:
        return RenderedDialogue(dialogue, renderer.template.render(list(_THOUGHT), add_generation_prompt=True))
    try:
        text = renderer.template.render(_tool_call({"town": "Oslo"}), True, tools=[_WEATHER_TOOL])
    except TemplateOverrunError:
        raise
    except TemplateError:  # some want the arguments as JSON text
        text = renderer.template.render(_tool_call(json.dumps({"town": "Oslo"})), True, tools=[_WEATHER_TOOL])
    return RenderedDialogue(dialogue, text)


def _tool_call(arguments: object) -> list[dict[str, Any]]:
    call = {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
    return [_QUESTION, {"role": "assistant", "content": "", "tool_calls": [call]}, _RESULT]


def _in_characters(prompt: PromptText) -> tuple[tuple[int, ...], ...]:
    def place(offset: int) -> int:
        return len(prompt.text[:offset].decode("utf-8", "replace"))

    return tuple((place(start), place(end)) for start, end in prompt.message_ranges)


def _facts_in(header: GgufHeader, stem: str) -> _FileFacts:
    tokens, types = _texts(header), _numbers(header)
    usual = _USUAL_ENDS.get(header.text("tokenizer.ggml.model") or "", (-1, -1))

    def text_of(key: str, otherwise: int) -> str:
        number = header.integer(f"tokenizer.ggml.{key}_token_id")
        place = otherwise if number is None else number
        return tokens[place].decode("utf-8", "replace") if 0 <= place < len(tokens) else ""

    marks = frozenset(
        text.decode("utf-8", "replace")
        for text, kind in zip(tokens, types, strict=False)
        if kind in (_CONTROL, _ADDED) and len(text) >= _SMALLEST_MARK
    )
    return _FileFacts(
        template=header.text(TEMPLATE_KEY) or "",
        name=f"{header.line('general.name')} {stem}",
        bos_text=text_of("bos", usual[0]),
        eos_text=text_of("eos", usual[1]),
        mark_texts=marks,
    )


def _texts(header: GgufHeader) -> tuple[bytes, ...]:
    array = header.array(_TOKENS_KEY)
    if array is None or array.element_type is not ValueType.STRING or array.values is None:
        return ()
    return tuple(value for value in array.values if isinstance(value, bytes))


def _numbers(header: GgufHeader) -> tuple[int, ...]:
    array = header.array(_TYPES_KEY)
    if array is None or array.values is None:
        return ()
    return tuple(value for value in array.values if isinstance(value, int))
