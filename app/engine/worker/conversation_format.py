"""Everything that depends on a model's way of chatting: its template, its marks, its end texts."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.chat_format import ChatFormat
from app.core.reasoning import ReasoningMarks, marks_of, opened_by
from app.core.template_check import FILE
from app.core.templates import choose_format, end_marks_in
from app.engine.protocol import ChatMessage
from app.engine.worker.chat_prompt import PromptRenderer, PromptText
from app.engine.worker.detokenizer import Detokenizer, TokenPieces
from app.engine.worker.prompt_tokens import PromptTokenizer
from app.engine.worker.template_renderer import ChatTemplate
from app.engine.worker.vocabulary import Vocabulary


class ConversationFormat:
    """Turns conversations into tokens, and knows how answers end and how thinking is marked."""

    def __init__(self, name: str, source: str, stops: tuple[str, ...], vocabulary: Vocabulary) -> None:
        """Raises TemplateError when the template cannot render the simplest conversation."""
        self.name = name
        self.stops = stops
        self.marks = marks_of(source)
        template = ChatTemplate(source, vocabulary.bos_text, vocabulary.eos_text)
        self._renderer = PromptRenderer(template)
        self.asks_for_answers = self._renderer.asks_for_answers
        self.tokenizer = PromptTokenizer(vocabulary, source)
        self._pieces = TokenPieces(vocabulary, self._shown_controls(vocabulary))

    @classmethod
    def of_source(cls, source: str, vocabulary: Vocabulary, name: str = FILE) -> ConversationFormat:
        """The format of a template, the file's or the person's own. Raises TemplateError."""
        return cls(name, source, end_marks_in(source), vocabulary)

    @classmethod
    def known(cls, chat_format: ChatFormat, vocabulary: Vocabulary) -> ConversationFormat:
        """One of Hearth's table."""
        return cls(chat_format.name, chat_format.source, chat_format.stops, vocabulary)

    def detokenizer(self) -> Detokenizer:
        """For one more answer."""
        return Detokenizer(self._pieces)

    def tokenize(self, messages: Sequence[ChatMessage], continue_last: bool) -> tuple[list[int], ReasoningMarks | None]:
        """The tokens of a prompt, and the thinking that it opens, if any. Raises TemplateError."""
        prompt = self._renderer.render(messages, continue_last)
        if continue_last:
            return self.tokenizer.tokenize(self._with_closed_thinking(prompt)), None
        after = prompt.message_ranges[-1][1] if prompt.message_ranges else 0
        opened = opened_by(prompt.text[after:].decode("utf-8", "replace"), self.marks)
        return self.tokenizer.tokenize(prompt), opened

    def _with_closed_thinking(self, prompt: PromptText) -> PromptText:
        """A prompt that ends inside an answer; thinking that the template opened before it is closed."""
        start, end = prompt.message_ranges[-1]
        opened = opened_by(prompt.text[:start].decode("utf-8", "replace"), self.marks)
        if opened is None:
            return prompt
        closing = f"{opened.closing}\n\n".encode()
        text = prompt.text[:start] + closing + prompt.text[start:]
        moved = (start + len(closing), end + len(closing))
        return PromptText(text, (*prompt.message_ranges[:-1], moved))

    def _shown_controls(self, vocabulary: Vocabulary) -> frozenset[int]:
        """Control tokens that mark thinking: their text must be seen to tell it from the answer."""
        marks = "\n".join(text for family in self.marks for text in family.texts)
        return frozenset(
            token
            for token, text in vocabulary.control_texts.items()
            if token not in vocabulary.end_tokens and text.decode("utf-8", "replace") in marks
        )


def choose_known(vocabulary: Vocabulary, model_name: str) -> ChatFormat:
    """The format of Hearth's table for a model whose own template is missing or unusable."""
    texts = (*vocabulary.control_texts.values(), *vocabulary.user_defined_texts.values())
    return choose_format(frozenset(text.decode("utf-8", "replace") for text in texts), model_name)
