"""The chat: model button, transcript and composer, wired to the services."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.core.errors import ErrorKind, UserError
from app.core.events import ModelInfo
from app.core.messages import MessageId, MessageState, Role
from app.core.tree import MessageItem
from app.services.explain import Action, ActionKind, explain
from app.services.open_chat import OpenChat
from app.services.profile import Profile
from app.services.refusal import Refusal
from app.ui.composer import Composer
from app.ui.model_button import ModelButton
from app.ui.notices import NoticeArea
from app.ui.transcript.view import TranscriptView
from app.ui.welcome import Welcome

CARD_TOPIC = "card"


class ChatPage(QWidget):
    """Shows the current conversation of the chat service and passes on what the person does."""

    open_file_requested = Signal()
    sight_requested = Signal()  # the person wants to see the card that was told on another page

    def __init__(self, profile: Profile, notices: NoticeArea, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._profile = profile
        self.notices = notices
        self._card_error: UserError | None = None
        self._retry: Callable[[], None] | None = None
        self._damage: UserError | None = None  # while a backup is offered in place of damaged chats
        self._shown: OpenChat | None = None
        self.model_button = ModelButton(self)
        self.transcript = TranscriptView(self)
        self.welcome = Welcome(self)
        self.composer = Composer(self)
        self._lay_out()
        self._connect_widgets()
        self._connect_services()
        self._show_models()
        self._on_opened(profile.chat.current)

    def handle(self, action: Action) -> None:
        """Do what a button of an error card says."""
        match action.kind:
            case ActionKind.CONTINUE:
                self.continue_last()
            case ActionKind.REGENERATE:
                self.regenerate_last()
            case ActionKind.EDIT:
                self.composer.focus()
            case ActionKind.CHOOSE_MODEL:
                self.model_button.showMenu()
            case ActionKind.OPEN_FILE:
                self.open_file_requested.emit()
            case ActionKind.USE_CONTEXT_LENGTH:
                self._profile.models.use_context_length(int(action.value or 0))
                self.clear_card()
            case ActionKind.OPEN_DATA_FOLDER:
                QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._profile.paths.data)))
            case ActionKind.RETRY:
                self._try_again()
            case ActionKind.RESTORE_BACKUP:
                self._damage = None
                self.clear_card()
                self._profile.store.restore(Path(str(action.value)))
            case ActionKind.USE_PROCESSOR:
                self.clear_card()
                self._profile.models.load(str(action.value))
            case ActionKind.RETRY_DEVICE:
                self.clear_card()
                self._profile.models.retry_device(str(action.value or ""))
            case ActionKind.COPY_DETAILS:
                QGuiApplication.clipboard().setText(str(action.value))

    def show_failure(self, error: UserError, retry: Callable[[], None] | None = None) -> None:
        """Say above the message box what went wrong; `retry` is what Try again does."""
        self._retry = retry
        if error.kind is ErrorKind.DATABASE_CORRUPT and error.string("backup_path"):
            self._damage = error
        self._card_error = error
        card = explain(error)
        self.composer.show_error(card)
        if self.isHidden():
            self.notices.show_notice(card.title, self.tr("Show"), self.sight_requested.emit, topic=CARD_TOPIC)

    def clear_card(self) -> None:
        """Take the card away; the offer of a backup stays, or comes back, until it is taken or Hearth ends."""
        self.notices.withdraw(CARD_TOPIC)
        if self._card_error is not self._damage:
            self._card_error = self._damage
            self.composer.show_error(explain(self._damage) if self._damage else None)

    def regenerate_last(self) -> None:
        """Answer the last question again."""
        if message_id := self.transcript.last_assistant_id():
            self._profile.chat.regenerate(MessageId(message_id))

    def continue_last(self) -> None:
        """Go on with the last answer if it ended early."""
        if message_id := self.transcript.last_assistant_id():
            self._profile.chat.continue_answer(MessageId(message_id))

    def edit_last(self) -> None:
        """Edit the last message of the person."""
        if message_id := self.transcript.last_user_id():
            self.transcript.begin_edit(message_id)

    def step_version(self, step: int) -> None:
        """Show the earlier or later version of the last answer."""
        if message_id := self.transcript.last_assistant_id():
            self._profile.chat.select_version(MessageId(message_id), step)

    def copy_last(self) -> None:
        """Copy the last answer as Markdown."""
        if message_id := self.transcript.last_assistant_id():
            QGuiApplication.clipboard().setText(self._profile.chat.current.tree[MessageId(message_id)].text)
            self.notices.show_notice(self.tr("The answer was copied."))

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setContentsMargins(16, 8, 16, 8)
        top.addWidget(self.model_button)
        top.addStretch(1)
        self.bottom = QVBoxLayout()  # notices stand above the message box
        self.bottom.setContentsMargins(16, 0, 16, 12)
        self.bottom.setSpacing(8)
        self.bottom.addWidget(self.composer)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        column.addWidget(self.transcript, 1)
        column.addLayout(self.bottom)
        self.transcript.set_empty_widget(self.welcome)
        self.setFocusProxy(self.composer)
        self.setTabOrder(self.model_button, self.transcript)
        self.setTabOrder(self.transcript, self.composer)

    def _connect_widgets(self) -> None:
        chat, models = self._profile.chat, self._profile.models
        self.composer.submitted.connect(chat.send)
        self.composer.stop_requested.connect(chat.stop)
        self.composer.text_edited.connect(self._on_text_edited)
        self.composer.action_requested.connect(self.handle)
        self.welcome.example_chosen.connect(chat.send)
        self.welcome.open_requested.connect(self.open_file_requested)
        self.transcript.regenerate_requested.connect(chat.regenerate)
        self.transcript.continue_requested.connect(chat.continue_answer)
        self.transcript.edit_submitted.connect(self._on_edit_submitted)
        self.transcript.version_requested.connect(chat.select_version)
        self.transcript.action_requested.connect(self._on_card_action)
        self.transcript.link_activated.connect(self._on_link)
        self.model_button.model_chosen.connect(self._on_model_chosen)
        self.model_button.open_requested.connect(self.open_file_requested)
        self.model_button.cancel_requested.connect(models.cancel_load)

    def _connect_services(self) -> None:
        chat, models, conversations = self._profile.chat, self._profile.models, self._profile.conversations
        chat.opened.connect(self._on_opened)
        chat.path_changed.connect(self._on_path_changed)
        chat.items_added.connect(self._on_items_added)
        chat.item_changed.connect(self._on_item_changed)
        chat.boundary_changed.connect(self._on_boundary_changed)
        chat.context_changed.connect(self._on_context_changed)
        chat.accepted.connect(self._on_accepted)
        chat.refused.connect(self._on_refused)
        chat.failed.connect(self.show_failure)
        answers = chat.answers
        answers.text_added.connect(self._on_text_added)
        answers.prompt_progressed.connect(self.transcript.set_prompt_progress)
        answers.running_changed.connect(self._on_running_changed)
        answers.noticed.connect(self.notices.show_notice)
        answers.save_failed.connect(self._on_save_failed)
        answers.save_recovered.connect(self._on_save_recovered)
        models.load_started.connect(self._on_load_started)
        models.load_progressed.connect(self.model_button.set_loading)
        models.loaded.connect(self._on_loaded)
        models.context_grown.connect(self._on_context_grown)
        models.load_failed.connect(self._on_load_failed)
        models.load_cancelled.connect(self._on_load_cancelled)
        models.files_changed.connect(self._show_models)
        models.noticed.connect(self.notices.show_notice)
        models.notice_withdrawn.connect(self.notices.withdraw)
        self._profile.hardware.noticed.connect(self.notices.show_notice)
        self._profile.settings.save_failed.connect(self._on_settings_not_saved)
        conversations.failed.connect(self.show_failure)
        conversations.drafts_recovered.connect(self._on_save_recovered)
        self._profile.store.opened.connect(self._on_store_opened)
        self._profile.store.open_failed.connect(self._on_store_failed)

    # -- the conversation on screen

    def _on_opened(self, chat: OpenChat) -> None:
        if chat is not self._shown:
            self._shown = chat
            self.transcript.set_items(self._items(chat))
            self.composer.set_text(chat.conversation.draft)
            self.clear_card()
        self._on_boundary_changed(chat)
        self._on_context_changed(chat)
        self._on_running_changed()

    def _on_path_changed(self, chat: OpenChat) -> None:
        if chat is self._shown:
            self.transcript.set_items(self._items(chat))
            self._on_boundary_changed(chat)

    def _on_items_added(self, chat: OpenChat, items: list[MessageItem]) -> None:
        if chat is self._shown:
            for item in items:
                self.transcript.add_item(self._item(item))
            self.transcript.scroll_to_end()

    def _on_item_changed(self, chat: OpenChat, item: MessageItem) -> None:
        if chat is self._shown:
            self.transcript.update_item(self._item(item))

    def _on_boundary_changed(self, chat: OpenChat) -> None:
        if chat is self._shown:
            self.transcript.set_boundary(chat.first_visible_id)

    def _on_context_changed(self, chat: OpenChat) -> None:
        if chat is self._shown:
            info = self._profile.models.info
            if info is None:
                self.composer.set_context(chat.context_tokens, None)
            else:
                self.composer.set_context(chat.context_tokens, info.context_length, info.context_length_limit)

    def _on_text_added(self, message_id: str, text: str, reasoning: str) -> None:
        if reasoning:
            self.transcript.append_reasoning(message_id, reasoning)
        if text:
            self.transcript.append_text(message_id, text)

    def _on_running_changed(self) -> None:
        streaming = self._profile.chat.is_streaming
        self.composer.set_streaming(streaming)
        self.transcript.set_busy(streaming)

    def _items(self, chat: OpenChat) -> list[MessageItem]:
        return [self._item(item) for item in chat.items()]

    def _item(self, item: MessageItem) -> MessageItem:
        """An answer that is being written has more text than the tree knows."""
        message = item.message
        if message.state is not MessageState.STREAMING or message.role is not Role.ASSISTANT:
            return item
        return MessageItem(self._profile.chat.answers.current(message.id) or message, item.version)

    # -- sending

    def _on_text_edited(self) -> None:
        self._profile.chat.keep_draft(self.composer.text())

    def _on_edit_submitted(self, message_id: str, text: str) -> None:
        if self._profile.chat.is_streaming:  # the editor was open before the answer began
            self.transcript.begin_edit(message_id, text)
            self.notices.show_notice(self.tr("An answer is being written. Stop it first, then send the change."))
        else:
            self._profile.chat.edit(MessageId(message_id), text)

    def _on_accepted(self, chat: OpenChat, text: str) -> None:
        """Take what was sent out of the message box; what was typed since stays."""
        if chat is not self._shown:
            return
        self.clear_card()
        written = self.composer.text()
        rest = written.removeprefix(text)
        if rest != written:
            self.composer.set_text(rest)
        self._profile.chat.keep_draft(rest)

    def _on_refused(self, chat: OpenChat, refusal: Refusal) -> None:
        """Leave the text where it was written, and say why it stays there."""
        if chat is not self._shown:
            return
        if refusal.edited_id is not None:
            self.transcript.begin_edit(refusal.edited_id, refusal.text)
            self.show_failure(refusal.error, refusal.again)
        elif refusal.text:
            if not self.composer.text().strip():
                self.composer.set_text(refusal.text)
            self.show_failure(refusal.error, self._send_again)
        else:
            self.show_failure(refusal.error, refusal.again)

    def _send_again(self) -> None:
        if text := self.composer.text():
            self._profile.chat.send(text)

    def _on_save_failed(self, error: UserError) -> None:
        self.show_failure(error)

    def _on_save_recovered(self) -> None:
        """Take the card away, unless it waits for a decision of the person."""
        if self._retry in (None, self._profile.conversations.flush_drafts):
            self.clear_card()
            self.notices.show_notice(self.tr("Saving works again. Everything is stored."))

    def _on_settings_not_saved(self, reason: str) -> None:
        words = self.tr("The settings could not be saved ({reason}). They hold until Hearth is closed.")
        self.notices.show_notice(words.format(reason=reason))

    def _on_store_failed(self, error: UserError) -> None:
        self.show_failure(error, self._profile.store.open)

    def _on_store_opened(self) -> None:
        if self._retry == self._profile.store.open:
            self.clear_card()
            self._retry = None

    def _try_again(self) -> None:
        self.clear_card()
        if self._retry is not None:
            self._retry()

    def _on_card_action(self, message_id: str, action: Action) -> None:
        if action.kind in (ActionKind.CONTINUE, ActionKind.RETRY):
            if self._profile.chat.current.is_continuable(MessageId(message_id)):
                self._profile.chat.continue_answer(MessageId(message_id))
            else:
                self.notices.show_notice(self.tr("Only the last answer can be continued. Regenerate makes a new one."))
        elif action.kind is ActionKind.REGENERATE:
            self._profile.chat.regenerate(MessageId(message_id))
        elif action.kind is ActionKind.EDIT:
            self.edit_last()
        else:
            self.handle(action)

    def _on_link(self, url: str) -> None:
        """Only web addresses leave the window, and only by a click."""
        target = QUrl(url)
        if target.scheme() in ("http", "https", "mailto"):
            QDesktopServices.openUrl(target)

    # -- the model

    def _on_model_chosen(self, path: str | None) -> None:
        self.clear_card()
        self._profile.models.load(path)

    def _on_load_started(self, path: str) -> None:
        self.model_button.set_loading(0.0)

    def _on_loaded(self, info: ModelInfo) -> None:
        self.model_button.set_loading(None)
        self._show_models()
        self._on_context_changed(self._profile.chat.current)

    def _on_context_grown(self, info: ModelInfo) -> None:
        self._on_context_changed(self._profile.chat.current)

    def _on_load_failed(self, error: UserError) -> None:
        self.model_button.set_loading(None)
        self._show_models()
        self.show_failure(error, self._profile.models.retry)

    def _on_load_cancelled(self) -> None:
        self.model_button.set_loading(None)
        self._show_models()

    def _show_models(self) -> None:
        models = self._profile.models
        self.model_button.set_models(models.files, None if models.is_builtin else models.current_path)
        name = models.info.name if models.info else ""
        self.welcome.set_model(name, builtin=models.is_builtin, servers=models.servers)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.notices.withdraw(CARD_TOPIC)  # the card itself is in sight
