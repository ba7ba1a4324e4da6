"""Turns conversations into requests to the engine: answers, and how many tokens there are."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.errors import ErrorKind, UserError
from app.core.events import Counted
from app.core.messages import Message, Role
from app.core.settings import sampling_overrides
from app.core.text import clean_text
from app.engine.client import EngineClient
from app.engine.protocol import ChatMessage, Generate
from app.services.answers import AnswerWriter
from app.services.models import ModelService
from app.services.open_chat import OpenChat
from app.services.prompt_room import with_way_out
from app.services.settings import SettingsService
from app.services.token_counter import TokenCounter

COUNT_DELAY_MS = 400
CHECKED_LENGTH = 2000  # characters; a longer message is counted before it is sent
SMALLEST_ANSWER_TOKENS = 512


class Prompter(QObject):
    """Knows the system prompt, the sampling and the context of the loaded model. Main thread only."""

    context_counted = Signal(object)  # OpenChat: context_tokens

    def __init__(
        self,
        engine: EngineClient,
        settings: SettingsService,
        models: ModelService,
        answers: AnswerWriter,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._settings = settings
        self._models = models
        self._answers = answers
        self._counter = TokenCounter(engine, self)
        self._counted_next: OpenChat | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(COUNT_DELAY_MS)
        self._timer.timeout.connect(self._count)

    def generate(self, chat: OpenChat, answer: Message) -> None:
        """Have `answer` written, or continued if it has text."""
        self._models.ensure_loaded()
        continues = bool(answer.text)
        messages = chat.prompt(self._system_prompt(chat), answer.id if continues else answer.parent_id)
        request = Generate(
            self._engine.next_id(),
            tuple(messages),
            sampling_overrides(self._settings.values()),
            self._settings.integer("answers.max_tokens"),
            continue_last=continues,
            first_visible_id=chat.first_visible_id,
            conversation_id=chat.conversation.id,
        )
        self._answers.begin(chat, answer, request, is_held=self._models.is_first_load)

    def check_length(
        self, chat: OpenChat, text: str, go_on: Callable[[], None], refuse: Callable[[UserError], None]
    ) -> None:
        """Go on at once, or after counting a long text that may not fit the context.

        While the engine loads a model or answers in another conversation nothing is counted: that would have to wait
        for its end. Then the engine itself says that the text is too long.
        """
        info = self._models.info
        if info is None or self._models.is_loading or self._answers.conversations or len(text) < CHECKED_LENGTH:
            go_on()
            return
        chat.is_saving = True
        longest = max(info.context_length, info.context_length_limit)
        limit = longest - min(SMALLEST_ANSWER_TOKENS, longest // 4)

        def counted(answer: Counted | None) -> None:
            chat.is_saving = False
            if answer is not None and answer.tokens > limit:
                error = UserError(ErrorKind.PROMPT_TOO_LONG, tokens=answer.tokens, limit_tokens=limit)
                refuse(with_way_out(error, self._models.info))
            else:
                go_on()

        system = [ChatMessage("system", Role.SYSTEM, prompt)] if (prompt := self._system_prompt(chat)) else []
        self._counter.count([*system, ChatMessage("new", Role.USER, text)], counted)

    def count_soon(self, chat: OpenChat) -> None:
        """Count how full the context is, with the draft, after a short pause in typing; ends in `context_counted`."""
        self._counted_next = chat
        self._timer.start()

    def _count(self) -> None:
        """Only while the engine has nothing better to do."""
        chat = self._counted_next
        if chat is None or self._models.info is None or self._answers.conversations:
            return
        messages = chat.prompt(self._system_prompt(chat), chat.tree.active_leaf_id)
        if chat.conversation.draft.strip():
            messages.append(ChatMessage("draft", Role.USER, clean_text(chat.conversation.draft)))

        def counted(answer: Counted | None) -> None:
            if answer is not None:
                chat.context_tokens = answer.tokens
                self.context_counted.emit(chat)

        if messages:
            self._counter.count(messages, counted)
        else:
            chat.context_tokens = 0
            self.context_counted.emit(chat)

    def _system_prompt(self, chat: OpenChat) -> str:
        own = chat.conversation.system_prompt
        return self._settings.string("answers.system_prompt") if own is None else own
