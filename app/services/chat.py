"""What a person does in a chat: send, stop, regenerate, continue, edit, switch versions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from app.core.errors import ErrorKind, UserError
from app.core.events import Finished, ModelInfo, PromptStarted
from app.core.messages import (
    Conversation,
    ConversationId,
    Message,
    MessageId,
    MessageState,
    Role,
    TextPart,
    new_conversation_id,
    new_message_id,
)
from app.core.text import clean_text
from app.core.titles import title_from
from app.core.tree import MessageTree
from app.engine.client import EngineClient
from app.services.answers import AnswerWriter
from app.services.conversations import ConversationsService
from app.services.models import ModelService
from app.services.open_chat import OpenChat
from app.services.prompter import Prompter
from app.services.refusal import Refusal
from app.services.settings import SettingsService
from app.services.store import Stores, StoreService


class ChatService(QObject):
    """The conversation on screen and all that are being answered. Main thread only.

    Whatever is sent is in the database before it is shown; if it cannot be stored, `refused` says why and the text
    stays with the person.
    """

    opened = Signal(object)  # OpenChat
    path_changed = Signal(object)  # OpenChat: another branch is on screen
    items_added = Signal(object, object)  # OpenChat, list[MessageItem] at the end of the branch
    item_changed = Signal(object, object)  # OpenChat, MessageItem
    boundary_changed = Signal(object)  # OpenChat: first_visible_id
    context_changed = Signal(object)  # OpenChat: context_tokens
    accepted = Signal(object, str)  # OpenChat, the text of the new message, which is stored now
    refused = Signal(object, object)  # OpenChat, Refusal
    failed = Signal(object, object)  # UserError, not about one message; what does it again

    def __init__(
        self,
        engine: EngineClient,
        store: StoreService,
        settings: SettingsService,
        models: ModelService,
        conversations: ConversationsService,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._store = store
        self._models = models
        self._conversations = conversations
        self.answers = AnswerWriter(engine, store, models, self)
        self._open: dict[ConversationId, OpenChat] = {}
        self._current = _new_chat()
        self._wanted: ConversationId | None = None
        self._prompter = Prompter(engine, settings, models, self.answers, self)
        self._prompter.context_counted.connect(self.context_changed)
        conversations.changed.connect(self._on_conversations_changed)
        conversations.deleted.connect(models.forget_conversations)
        models.loaded.connect(self._on_context_made)
        models.context_grown.connect(self._on_context_made)
        store.restored.connect(self._on_restored)
        self.answers.prompt_started.connect(self._on_prompt_started)
        self.answers.ended.connect(self._on_answer_ended)

    @property
    def current(self) -> OpenChat:
        """The conversation on screen."""
        return self._current

    @property
    def is_streaming(self) -> bool:
        """Whether an answer is being written in the conversation on screen."""
        return self._current.conversation.id in self.answers.conversations

    # -- which conversation is on screen

    def new_conversation(self) -> None:
        """Show an empty conversation; it is stored with its first message or draft."""
        self._wanted = None
        if self._current.is_stored or len(self._current.tree):
            self._show(_new_chat())
        else:
            self.opened.emit(self._current)

    def open(self, conversation_id: ConversationId) -> None:
        """Show a stored conversation."""
        self._wanted = conversation_id
        if conversation_id == self._current.conversation.id:
            return
        if chat := self._open.get(conversation_id):
            self._show(chat)
            return

        self._conversations.flush_drafts()  # its own may be among them

        def read(stores: Stores) -> tuple[Conversation | None, list[Message]]:
            return stores.conversations.get(conversation_id), stores.conversations.messages(conversation_id)

        def failed(error: UserError) -> None:
            self.failed.emit(error, lambda: self.open(conversation_id))

        self._store.run(read, self._on_read, failed)

    def close_conversation(self, conversation_id: ConversationId) -> None:
        """Leave a conversation that goes to the trash; its answer is stopped."""
        self.answers.stop(conversation_id)
        if conversation_id == self._wanted:  # it is being read
            self._wanted = None
        if conversation_id == self._current.conversation.id:
            self._show(_new_chat())
        if conversation_id not in self.answers.conversations:
            self._open.pop(conversation_id, None)

    # -- what a person does

    def send(self, text: str) -> None:
        """Send a message. Ends in `accepted` or `refused`."""
        chat = self._current
        text = clean_text(text)
        if chat.is_saving or self.is_streaming:
            return
        if not text.strip():
            self.refused.emit(chat, Refusal(UserError(ErrorKind.EMPTY_PROMPT), text))
            return

        def refuse(error: UserError) -> None:
            self.refused.emit(chat, Refusal(error, text, again=lambda: self.send(text)))

        self._prompter.check_length(chat, text, lambda: self._ask(chat, chat.tree.active_leaf_id, text, refuse), refuse)

    def edit(self, message_id: MessageId, text: str) -> None:
        """Send another version of a message; the old branch stays."""
        chat = self._current
        text = clean_text(text)
        if chat.is_saving or self.is_streaming or not text.strip():
            return
        parent_id = chat.tree[message_id].parent_id

        def refuse(error: UserError) -> None:
            self.refused.emit(chat, Refusal(error, text, message_id, lambda: self.edit(message_id, text)))

        self._prompter.check_length(chat, text, lambda: self._ask(chat, parent_id, text, refuse, is_edit=True), refuse)

    def regenerate(self, message_id: MessageId) -> None:
        """Answer again; the old answer stays as a version."""
        chat = self._current

        def refuse(error: UserError) -> None:
            self.refused.emit(chat, Refusal(error, again=lambda: self.regenerate(message_id)))

        if not chat.is_saving and not self.is_streaming:
            self._answer(chat, chat.tree[message_id].parent_id, None, refuse)

    def continue_answer(self, message_id: MessageId) -> None:
        """Go on where a stopped or interrupted answer ended."""
        chat = self._current
        if chat.is_saving or self.is_streaming or not chat.is_continuable(message_id):
            return
        message = replace(chat.tree[message_id], state=MessageState.STREAMING, error=None)
        if not message.text:  # nothing to go on from: the model begins again, its thoughts as well
            message = replace(message.with_text(""), usage=None)

        def stored(_: object) -> None:
            chat.tree.replace(message)
            self.item_changed.emit(chat, chat.item(message_id))
            self._prompter.generate(chat, message)

        def refuse(error: UserError) -> None:
            self.refused.emit(chat, Refusal(error, again=lambda: self.continue_answer(message_id)))

        self._save(chat, lambda stores: stores.conversations.update_messages([message]), stored, refuse)

    def stop(self) -> None:
        """Stop the answer on screen."""
        self.answers.stop(self._current.conversation.id)

    def select_version(self, message_id: MessageId, step: int) -> None:
        """Show the version `step` places away."""
        chat = self._current
        if not chat.is_saving and chat.tree.select_version(message_id, step):
            leaf, conversation_id = chat.tree.active_leaf_id, chat.conversation.id
            self._store.run(lambda stores: stores.conversations.set_active_leaf(conversation_id, leaf))
            self.path_changed.emit(chat)
            self._prompter.count_soon(self._current)

    def keep_draft(self, text: str) -> None:
        """Remember the unsent text of the conversation on screen; an unstored conversation is stored for it."""
        chat = self._current
        self._prompter.count_soon(self._current)
        if chat.conversation.draft == text:
            return
        self._models.wake()
        chat.conversation = replace(chat.conversation, draft=text)
        if chat.is_stored:
            self._conversations.keep_draft(chat.conversation.id, text)
        elif text.strip() and not chat.is_saving:
            self._create(chat)

    def shut_down(self) -> None:
        """Store what is being written, marked as interrupted; waits for the disk. For tearing down only."""
        messages = self.answers.interrupt_all()
        if messages and self._store.is_open:
            self._store.run(lambda stores: stores.conversations.update_messages(messages))

    # -- from words to a request

    def _ask(
        self,
        chat: OpenChat,
        parent_id: MessageId | None,
        text: str,
        refuse: Callable[[UserError], None],
        *,
        is_edit: bool = False,
    ) -> None:
        question = Message(
            new_message_id(), chat.conversation.id, parent_id, Role.USER, (TextPart(text),), MessageState.COMPLETE
        )
        self._answer(chat, question.id, question, refuse, is_edit=is_edit)

    def _answer(
        self,
        chat: OpenChat,
        parent_id: MessageId | None,
        question: Message | None,
        refuse: Callable[[UserError], None],
        *,
        is_edit: bool = False,
    ) -> None:
        """Store the question, if it is new, and an empty answer under `parent_id`, show them, and ask the engine."""
        answer = Message(
            new_message_id(),
            chat.conversation.id,
            parent_id,
            Role.ASSISTANT,
            (TextPart(""),),
            MessageState.STREAMING,
            model_name=self._models.info.name if self._models.info else None,
        )
        new = [answer] if question is None else [question, answer]
        is_at_end = new[0].parent_id == chat.tree.active_leaf_id
        is_sent = question is not None and not is_edit  # from the message box, which is empty from then on
        conversation = self._titled(chat, question, is_sent)
        self._conversations.flush_drafts()  # before the draft becomes a message, not after

        def work(stores: Stores) -> None:
            stores.conversations.save_exchange(conversation, new, answer.id)

        def stored(_: object) -> None:
            draft = chat.conversation.draft
            if is_sent and question is not None:
                draft = draft.removeprefix(question.text)  # what was typed since
            chat.conversation = replace(conversation, draft=draft)
            for message in new:
                chat.tree.add(message)
            if is_sent and question is not None:
                self._conversations.forget_draft(conversation.id)
                if draft:
                    self._conversations.keep_draft(conversation.id, draft)
                self.accepted.emit(chat, question.text)
            if is_at_end:
                self.items_added.emit(chat, [chat.item(message.id) for message in new])
            else:
                self.path_changed.emit(chat)
            self._conversations.refresh()
            self._prompter.generate(chat, answer)

        self._save(chat, work, stored, refuse)

    def _create(self, chat: OpenChat) -> None:
        """Store a conversation that has only a draft so far."""
        chat.is_stored = True
        self._open[chat.conversation.id] = chat
        self._conversations.create(chat.conversation)

    def _save(
        self,
        chat: OpenChat,
        work: Callable[[Stores], object],
        then: Callable[[object], None],
        refuse: Callable[[UserError], None],
    ) -> None:
        """Store something of a conversation, then go on; or `refuse` when it cannot be stored."""
        chat.is_saving = True

        def done(result: object) -> None:
            chat.is_saving = False
            chat.is_stored = True
            self._open[chat.conversation.id] = chat
            then(result)

        def failed(error: UserError) -> None:
            chat.is_saving = False
            refuse(error)

        self._store.run(work, done, failed)

    def _titled(self, chat: OpenChat, question: Message | None, is_sent: bool) -> Conversation:
        conversation = replace(chat.conversation, draft="" if is_sent else chat.conversation.draft)
        if not conversation.title and question is not None:
            conversation = replace(conversation, title=title_from(question.text))
        return conversation

    # -- what comes back

    def _show(self, chat: OpenChat) -> None:
        self._leave(self._current)
        self._models.wake()
        self._current = chat
        if chat.is_stored:
            self._open[chat.conversation.id] = chat
        self.opened.emit(chat)
        self._prompter.count_soon(self._current)

    def _leave(self, chat: OpenChat) -> None:
        """Forget a conversation that nothing happens in; one without messages and draft leaves no row behind."""
        conversation_id = chat.conversation.id
        if conversation_id not in self.answers.conversations and not chat.is_saving:
            self._open.pop(conversation_id, None)
            if chat.is_stored and not len(chat.tree) and not chat.conversation.draft.strip():
                self._conversations.delete_for_ever(conversation_id)

    def _on_read(self, found: tuple[Conversation | None, list[Message]]) -> None:
        conversation, messages = found
        if conversation is None or conversation.id != self._wanted or conversation.id == self._current.conversation.id:
            return
        draft = self._conversations.waiting_draft(conversation.id)
        if draft is not None:
            conversation = replace(conversation, draft=draft)
        tree = MessageTree([self.answers.newest(message) for message in messages], conversation.active_leaf_id)
        self._show(OpenChat(conversation, tree))

    def _on_restored(self) -> None:
        """Other conversations are stored now: none that is open may be written to. The draft goes into a new one."""
        for conversation_id in self.answers.conversations:
            self.answers.stop(conversation_id)
        self._wanted = None
        self._open.clear()
        self._current = _new_chat(self._current.conversation.draft)
        if self._current.conversation.draft.strip():
            self._create(self._current)
        self.opened.emit(self._current)
        self._prompter.count_soon(self._current)

    def _on_conversations_changed(self, conversations: list[Conversation]) -> None:
        """Take over the titles that a person gave."""
        for stored in conversations:
            if chat := self._open.get(stored.id):
                chat.conversation = replace(chat.conversation, title=stored.title)

    def _on_prompt_started(self, chat: OpenChat, event: PromptStarted) -> None:
        chat.context_tokens = event.prompt_tokens
        if chat.first_visible_id != event.first_visible_id:
            chat.first_visible_id = event.first_visible_id
            self.boundary_changed.emit(chat)
        self.context_changed.emit(chat)

    def _on_answer_ended(self, chat: OpenChat, message: Message, finished: Finished | None) -> None:
        if finished is not None and finished.usage.completion_tokens:  # stopped before, it holds only what was read
            chat.context_tokens = finished.context_tokens
            self.context_changed.emit(chat)
        self.item_changed.emit(chat, chat.item(message.id))
        if not chat.conversation.title and (title := title_from(message.text)):
            chat.conversation = replace(chat.conversation, title=title)
            conversation_id = chat.conversation.id
            self._store.run(
                lambda stores: stores.conversations.rename(conversation_id, title, False),
                lambda _: self._conversations.refresh(),
            )
        if chat is not self._current:
            self._leave(chat)

    def _on_context_made(self, info: ModelInfo) -> None:
        self._current.first_visible_id = None
        self.boundary_changed.emit(self._current)
        self._prompter.count_soon(self._current)


def _new_chat(draft: str = "") -> OpenChat:
    return OpenChat(Conversation(new_conversation_id(), draft=draft), MessageTree(), is_stored=False)
