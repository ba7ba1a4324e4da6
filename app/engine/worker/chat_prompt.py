"""From messages to the text of a prompt, knowing which bytes of it people wrote.

Before rendering, the text of every message is replaced by a marker that no template takes apart; afterwards the
markers give way to the text. So it is known where in the prompt the text of messages lies, whatever the template does
around it, and nothing that a message contains can steer the template.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.core.messages import Role
from app.engine.protocol import ChatMessage
from app.engine.worker.template_renderer import (
    ChatTemplate,
    TemplateError,
    TemplateOverrunError,
    TemplateRefusalError,
)

_MARK, _MARK_END = "\ue000", "\ue001"  # private use: neither blank nor letter, so trimming and casing leave it alone

_QUESTION = ChatMessage("", Role.USER, "Q")


@dataclass(frozen=True, slots=True)
class PromptText:
    """A rendered prompt in UTF-8, and the byte ranges in it that came from messages, in order."""

    text: bytes
    message_ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What a template accepts."""

    takes_system: bool = True
    takes_parts: bool = False  # wants content as a list of typed parts
    names_tools: bool = True


class _Markers:
    """The stand-ins for message texts in one rendering."""

    def __init__(self) -> None:
        self._key = "".join(secrets.choice("0123456789") for _ in range(18))
        self._texts: list[str] = []

    def hide(self, text: str) -> str:
        """`text` with all but the blank space at its ends replaced, so that templates can still trim it."""
        core = text.strip()
        if not core:
            return text
        start = text.index(core)
        self._texts.append(core)
        marker = f"{_MARK}{self._key}{len(self._texts) - 1:08d}{_MARK_END}"
        return f"{text[:start]}{marker}{text[start + len(core) :]}"

    def reveal(self, rendered: str, until_last: bool = False) -> PromptText:
        """Put the texts back; with `until_last`, cut off what follows the last text.

        Raises TemplateError when a marker was taken apart or the last text is missing.
        """
        pieces: list[bytes] = []
        ranges: list[tuple[int, int]] = []
        length = position = 0
        last_seen = -1
        for match in re.finditer(rf"{_MARK}{self._key}(\d{{8}}){_MARK_END}", rendered):
            last_seen = int(match.group(1))
            between = _utf8(rendered[position : match.start()])
            text = _utf8(self._texts[last_seen])
            start = length + len(between)
            length = start + len(text)
            ranges.append((start, length))
            pieces += (between, text)
            position = match.end()
            if until_last and last_seen == len(self._texts) - 1:
                return PromptText(b"".join(pieces), tuple(ranges))
        rest = rendered[position:]
        if self._key in rest or any(self._key in p.decode("utf-8", "replace") for p in pieces[::2]):
            raise TemplateError("takes the text of messages apart")
        if last_seen != len(self._texts) - 1:
            raise TemplateError("leaves out the last message")
        return PromptText(b"".join((*pieces, _utf8(rest))), tuple(ranges))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


class PromptRenderer:
    """Renders conversations with one template, in the way this template likes."""

    def __init__(self, template: ChatTemplate) -> None:
        """Tries the template out. Raises TemplateError when it cannot render the simplest conversation."""
        self.template = template
        self._dialect = self._find_dialect()
        self.generation_prompt = self._after_question(True)
        self.asks_for_answers = self._find_whether_it_asks()
        """False: it lacks a generation prompt."""

    @property
    def takes_system(self) -> bool:
        """Whether it has a place of its own for the system prompt."""
        return self._dialect.takes_system

    def render(self, messages: Sequence[ChatMessage], continue_last: bool = False) -> PromptText:
        """The prompt that asks for an answer, or that ends inside the last message. Raises TemplateError."""
        if not self._dialect.takes_system:
            messages = fold_system(messages)
        if not continue_last:
            return self._render_tolerantly(messages, False)
        try:
            return self._render_tolerantly(messages, True)
        except TemplateError:  # it shows past answers differently: write the text where the answer would be
            prompt = self._render_tolerantly(messages[:-1], False)
            text = prompt.text + _utf8(messages[-1].text)
            return PromptText(text, (*prompt.message_ranges, (len(prompt.text), len(text))))

    def _render_tolerantly(self, messages: Sequence[ChatMessage], continue_last: bool) -> PromptText:
        """Render, joining messages if the template wants roles to alternate."""
        try:
            return self._render(messages, continue_last, self._dialect)
        except TemplateRefusalError:
            joined = join_neighbours(messages)
            if len(joined) == len(messages):
                raise
            return self._render(joined, continue_last, self._dialect)

    def _render(self, messages: Sequence[ChatMessage], continue_last: bool, dialect: _Dialect) -> PromptText:
        prompt = self._write(messages, not continue_last, dialect, until_last=continue_last)
        if continue_last:
            text = messages[-1].text
            blank_end = _utf8(text[len(text.rstrip()) :])
            return PromptText(prompt.text + blank_end, prompt.message_ranges)
        return prompt

    def _write(
        self, messages: Sequence[ChatMessage], asks: bool, dialect: _Dialect, until_last: bool = False
    ) -> PromptText:
        markers = _Markers()
        data: list[dict[str, Any]] = []
        for message in messages:
            hidden = markers.hide(message.text)
            content: object = [{"type": "text", "text": hidden}] if dialect.takes_parts else hidden
            data.append({"role": message.role.value, "content": content})
        rendered = self.template.render(data, add_generation_prompt=asks, names_tools=dialect.names_tools)
        return markers.reveal(rendered, until_last=until_last)

    def _find_dialect(self) -> _Dialect:
        first_error: TemplateError | None = None
        for dialect in (_Dialect(), _Dialect(names_tools=False), _Dialect(takes_parts=True)):
            try:
                self._render([_QUESTION], False, dialect)
            except TemplateError as error:
                first_error = first_error or error
                if isinstance(error, TemplateOverrunError):
                    break
                continue
            return self._with_system(dialect)
        assert first_error is not None
        raise first_error

    def _with_system(self, dialect: _Dialect) -> _Dialect:
        """The dialect completed by whether the template writes a system message down."""
        try:
            prompt = self._render([ChatMessage("", Role.SYSTEM, "S"), _QUESTION], False, dialect)
        except TemplateError:
            takes_system = False
        else:
            takes_system = len(prompt.message_ranges) == 2
        return _Dialect(takes_system, dialect.takes_parts, dialect.names_tools)

    def _after_question(self, asks: bool) -> str:
        """What the template writes after a question; with `asks`, what it asks for an answer by."""
        prompt = self._write([_QUESTION], asks, self._dialect)
        return prompt.text[prompt.message_ranges[-1][1] :].decode("utf-8", "replace")

    def _find_whether_it_asks(self) -> bool:
        """Whether prompts go as far as the place where an answer begins.

        They do not where the template writes the same whether an answer is wanted or not, and stops before all that
        stands between a question and its answer: the model would have to write the rest by itself.
        """
        try:
            if self._after_question(False) != self.generation_prompt:
                return True
            talk = self._write([_QUESTION, ChatMessage("", Role.ASSISTANT, "A")], False, self._dialect, until_last=True)
        except TemplateError:  # it shows answers in another way, or not at all
            return True
        if len(talk.message_ranges) < 2:
            return True
        (_, question_end), (answer_start, _) = talk.message_ranges[-2:]
        between = talk.text[question_end:answer_start].decode("utf-8", "replace").strip()
        end = self.generation_prompt.strip()
        return between == end or not between.startswith(end)


def fold_system(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The same conversation without system messages: their text stands before the first message of the user."""
    system = "\n\n".join(m.text.strip() for m in messages if m.role is Role.SYSTEM and m.text.strip())
    folded: list[ChatMessage] = []
    for message in messages:
        if message.role is Role.SYSTEM:
            continue
        if system and message.role is Role.USER:
            message = ChatMessage(message.id, message.role, f"{system}\n\n{message.text}")
            system = ""
        folded.append(message)
    return folded


def join_neighbours(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The same conversation with neighbouring messages of one role joined, for templates that want them to alternate.

    The id is that of the first of the joined.
    """
    joined: list[ChatMessage] = []
    for message in messages:
        if joined and joined[-1].role is message.role:
            first = joined.pop()
            message = ChatMessage(first.id, first.role, f"{first.text}\n\n{message.text}")
        joined.append(message)
    return joined
