"""The answers being written: engine events become messages, on screen at frame rate and on disk twice a second."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.errors import ErrorKind, UserError
from app.core.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    Notice,
    PromptProgress,
    PromptStarted,
    ReasoningDelta,
    TextDelta,
)
from app.core.messages import ConversationId, Message, MessageId, MessageState, Usage
from app.engine.client import EngineClient
from app.engine.protocol import Generate
from app.services.explain import explain_notice
from app.services.models import ModelService
from app.services.open_chat import OpenChat
from app.services.prompt_room import with_way_out
from app.services.store import StoreService
from app.services.token_buffer import TokenBuffer

log = logging.getLogger(__name__)
SAVE_INTERVAL_MS = 500


@dataclass(slots=True)
class _Answer:
    """One answer in the making; `message` is brought up to date only when it is saved or ends."""

    chat: OpenChat
    message: Message
    request: Generate
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    is_changed: bool = False
    is_held: bool = False  # the request waits for a model

    def current(self) -> Message:
        """The message with everything that has arrived."""
        message = self.message.with_text("".join(self.text), "".join(self.reasoning))
        self.text[:] = [message.text]
        self.reasoning[:] = [message.reasoning] if message.reasoning else []
        return message


class AnswerWriter(QObject):
    """Writes every running answer into its message. Main thread only.

    An answer survives everything: it is saved at least twice a second, a save that fails is tried again until it works,
    and when the engine dies what has arrived is kept and marked.
    """

    text_added = Signal(str, str, str)  # message id, text, reasoning
    prompt_started = Signal(object, object)  # OpenChat, PromptStarted
    prompt_progressed = Signal(str, object)  # message id, PromptProgress or None
    ended = Signal(object, object, object)  # OpenChat, Message, Finished or None
    running_changed = Signal()
    noticed = Signal(str)
    save_failed = Signal(object)  # UserError, once until saving works again
    save_recovered = Signal()

    def __init__(
        self, engine: EngineClient, store: StoreService, models: ModelService, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._store = store
        self._models = models
        self._answers: dict[int, _Answer] = {}
        self._unsaved: dict[MessageId, Message] = {}
        self._is_saving = False
        self._is_failing = False
        self._buffer = TokenBuffer(self.text_added.emit, self)
        self._save_timer = QTimer(self)
        self._save_timer.setInterval(SAVE_INTERVAL_MS)
        self._save_timer.timeout.connect(self._save)
        engine.event_received.connect(self._on_event)
        engine.died.connect(self._on_died)
        models.settled.connect(self._send_held)

    @property
    def conversations(self) -> frozenset[ConversationId]:
        """The conversations in which an answer is being written."""
        return frozenset(answer.chat.conversation.id for answer in self._answers.values())

    def begin(self, chat: OpenChat, message: Message, request: Generate, *, is_held: bool = False) -> None:
        """Send the request and write what comes into `message` (which may already hold text, when it is continued).

        A held request is sent when no model is being loaded any more.
        """
        answer = _Answer(chat, message, request, [message.text], [message.reasoning], is_held=is_held)
        self._answers[request.id] = answer
        self._save_timer.start()
        self.running_changed.emit()
        if not is_held:
            self._engine.send(request)

    def stop(self, conversation_id: ConversationId) -> None:
        """Stop the answer of a conversation; what has arrived stays."""
        for answer in list(self._answers.values()):
            if answer.chat.conversation.id != conversation_id:
                continue
            if answer.is_held:
                self._end(answer, MessageState.STOPPED, None, None, None)
            else:
                self._engine.stop(answer.request.id)

    def current(self, message_id: MessageId) -> Message | None:
        """The message with everything that has arrived, if it is being written; none of it comes again as text."""
        self._buffer.flush()
        return next((a.current() for a in self._answers.values() if a.message.id == message_id), None)

    def newest(self, message: Message) -> Message:
        """A message as it is to be stored, if what was read from the database is older."""
        return self._unsaved.get(message.id, message)

    def interrupt_all(self) -> list[Message]:
        """End every answer because the app ends; the messages to be stored."""
        error = UserError(ErrorKind.APP_ENDED).to_json()
        messages = [
            replace(answer.current(), state=MessageState.INTERRUPTED, error=error) for answer in self._answers.values()
        ]
        self._answers.clear()
        self._save_timer.stop()
        return [*self._unsaved.values(), *messages]

    def _send_held(self) -> None:
        for answer in self._answers.values():
            if answer.is_held:
                answer.is_held = False
                self._engine.send(answer.request)

    def _on_event(self, event: Event) -> None:
        answer = self._answers.get(getattr(event, "request_id", -1))
        if answer is None:
            return
        match event:
            case TextDelta(text=text):
                answer.text.append(text)
                answer.is_changed = True
                self._buffer.add_text(answer.message.id, text)
            case ReasoningDelta(text=text):
                answer.reasoning.append(text)
                answer.is_changed = True
                self._buffer.add_reasoning(answer.message.id, text)
            case PromptStarted():
                self._note_model(answer)
                self.prompt_started.emit(answer.chat, event)
            case PromptProgress():
                self.prompt_progressed.emit(answer.message.id, event)
            case Notice(kind=kind, details=details):
                self.noticed.emit(explain_notice(kind, details))
            case Finished():
                self._end(answer, _STATE_AFTER[event.reason], event.usage, None, event)
            case Failed(error=error):
                state = _state_of_failure(answer, error)
                way_out = with_way_out(error, self._models.info, is_continued=answer.request.continue_last)
                self._end(answer, state, None, way_out, None)

    def _note_model(self, answer: _Answer) -> None:
        """Who writes it is certain only now: another model may have been loaded since it was asked for."""
        if self._models.info is not None and not answer.message.text:
            answer.message = replace(answer.message, model_name=self._models.info.name)

    def _on_died(self, error: UserError) -> None:
        for answer in list(self._answers.values()):
            if not answer.is_held:
                self._end(answer, MessageState.INTERRUPTED, None, error, None)

    def _end(
        self,
        answer: _Answer,
        state: MessageState,
        usage: Usage | None,
        error: UserError | None,
        finished: Finished | None,
    ) -> None:
        self._buffer.flush()
        del self._answers[answer.request.id]
        earlier = answer.message.usage
        message = replace(
            answer.current(),
            state=state,
            usage=earlier.plus(usage) if earlier and usage else usage or earlier,
            error=error.to_json() if error else None,
        )
        answer.chat.tree.replace(message)
        self._unsaved[message.id] = message
        self.prompt_progressed.emit(message.id, None)
        self.ended.emit(answer.chat, message, finished)
        self.running_changed.emit()
        self._save()

    def _save(self) -> None:
        """Write what changed; one save at a time, so that a slow disk never piles work up."""
        if self._is_saving:
            return
        batch = list(self._unsaved.values())
        for answer in self._answers.values():
            if answer.is_changed:
                answer.is_changed = False
                batch.append(answer.current())
        if not batch:
            if not self._answers:
                self._save_timer.stop()
            return
        self._is_saving = True

        def done(_: object) -> None:
            self._on_saved(batch)

        def failed(error: UserError) -> None:
            self._on_save_failed(batch, error)

        self._store.run(lambda stores: stores.conversations.update_messages(batch), done, failed)

    def _on_saved(self, batch: list[Message]) -> None:
        self._is_saving = False
        for message in batch:
            if self._unsaved.get(message.id) is message:
                del self._unsaved[message.id]
        if self._is_failing:
            self._is_failing = False
            self.save_recovered.emit()
        if self._unsaved:
            self._save()

    def _on_save_failed(self, batch: list[Message], error: UserError) -> None:
        self._is_saving = False
        running = {answer.message.id: answer for answer in self._answers.values()}
        for message in batch:
            if message.id in running:
                running[message.id].is_changed = True
        self._save_timer.start()
        if not self._is_failing:
            self._is_failing = True
            log.warning("an answer could not be saved: %s", error.kind.value)
            self.save_failed.emit(error)


_STATE_AFTER = {
    FinishReason.END: MessageState.COMPLETE,
    FinishReason.LENGTH: MessageState.CUT_SHORT,
    FinishReason.CONTEXT_FULL: MessageState.CONTEXT_FULL,
    FinishReason.STOPPED: MessageState.STOPPED,
}


def _state_of_failure(answer: _Answer, error: UserError) -> MessageState:
    if error.kind is ErrorKind.PROMPT_TOO_LONG and answer.request.continue_last:
        return MessageState.CONTEXT_FULL  # still
    return MessageState.INTERRUPTED if answer.current().text else MessageState.FAILED
