"""The search on the hub. Nothing is sent before the person says so, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QApplication, QLineEdit, QStackedWidget, QVBoxLayout, QWidget

from app.core.fit import Verdict
from app.core.hub_values import HubDetails, HubModel, SearchPage, SearchQuery, SearchSort
from app.services.explanation import Action, ActionKind, Explanation
from app.services.wording import file_size
from app.ui.buttons import Button, ButtonKind
from app.ui.flow_layout import FlowLayout
from app.ui.labels import Label, hint
from app.ui.models.details import ModelDetails
from app.ui.models.hub_message import HubMessage
from app.ui.models.hub_sheets import row_of, sheet_of_repository
from app.ui.models.master_detail import MasterDetail
from app.ui.models.row_list import ListRow, RowList
from app.ui.setting_fields import CalmComboBox
from app.ui.transcript.announce import announce

SIZE_LIMITS_BYTES = tuple(gigabytes * 1_000_000_000 for gigabytes in (1, 2, 4, 8, 16, 32))


class _Shown(Enum):
    """What stands in the place of the list."""

    CONSENT = 0
    MESSAGE = 1
    LIST = 2


class HubView(QWidget):
    """`search_requested` is emitted for every question, `repository_requested` when one answer is opened."""

    consented = Signal()
    search_requested = Signal(object)  # SearchQuery
    repository_requested = Signal(str)
    action_requested = Signal(object)  # app.services.explanation.Action of a failure, but for trying again
    settings_requested = Signal()

    def __init__(self, host: str, parent: QWidget | None = None) -> None:
        """`host` is where questions go, e.g. "huggingface.co"."""
        super().__init__(parent)
        self._host = host
        self._query = SearchQuery()
        self._has_consent = False
        self._next_cursor = ""
        self._is_waiting = False
        self._has_answer = False  # also one that there is nothing
        self._has_failed = False
        self._wants_focus = False
        self._models: list[HubModel] = []
        self._rows: list[ListRow] = []
        self.details = ModelDetails(self)
        self.list = RowList(self.tr("Models on the hub"), self)
        self.list.opened.connect(self._on_opened)
        self.list.end_reached.connect(self._on_end_reached)
        self._max_bytes: int | None = None
        self._filters = self._make_filters()
        self._message = HubMessage(self)
        self._message.action_requested.connect(self._on_action)
        self._stack = QStackedWidget(self)
        self._stack.addWidget(self._consent_page())
        self._stack.addWidget(self._message)
        self._stack.addWidget(self.list)
        left = self._left = QWidget(self)
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self._note = hint("", left)
        self._note.hide()
        column.addWidget(self._filters)
        column.addWidget(self._note)
        column.addWidget(self._stack, 1)
        self._panes = MasterDetail(left, self.details, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._panes)
        self.setFocusProxy(self._panes)
        self.set_host(host)
        self._show(_Shown.CONSENT)

    @property
    def message(self) -> str:
        """What is said in place of a list; empty while there is one."""
        return self._message.title if self._stack.currentIndex() == _Shown.MESSAGE.value else ""

    @property
    def consent_button(self) -> Button:
        """The person agrees to send what they search for."""
        return self._consent

    def set_consent(self, has_consent: bool) -> None:
        """Whether the person agreed before."""
        self._has_consent = has_consent

    def set_max_bytes(self, max_bytes: int) -> None:
        """The largest file that this computer can use, for the filter."""
        self._max_bytes = max_bytes

    def set_host(self, host: str) -> None:
        """Where questions go now. Answers that another one gave are not shown any more."""
        words = self.tr(
            "The hub is where most open models are published: {host}. A search sends the words you type there, and to "
            "nobody else. Your chats are never sent there. You can name another address, or stay offline, in the "
            "settings."
        )
        self._consent_words.setText(words.format(host=host))
        if host != self._host:
            self._host = host
            self._has_failed = self._has_answer or self._has_failed or self._is_waiting
            self._has_answer = self._is_waiting = False
            self._models, self._rows = [], []

    def open(self, text: str = "") -> None:
        """The view comes on screen: answers for `text` are fetched unless they are there, if they may be."""
        if text.strip() != self._query.text or not (self._has_answer or self._is_waiting):
            self._ask(self._with_filters(text.strip()))

    def set_search(self, text: str) -> None:
        """Search for other words."""
        if text.strip() != self._query.text:
            self._ask(self._with_filters(text.strip()))

    def expect_words(self) -> None:
        """Other words are being typed: answers that come meanwhile leave the keyboard where it is."""
        self._wants_focus = False

    def show_answers(self, text: str) -> None:
        """The person wants the answers to these words: the keyboard goes there, now or as soon as they are here."""
        self.open(text)
        self._wants_focus = self._is_waiting
        if not self._is_waiting:
            self._enter_list()

    def retry(self) -> None:
        """Ask again where there was no answer."""
        if self._has_failed:
            self._ask(replace(self._query, cursor=""))

    def set_page(self, page: SearchPage, note: str = "") -> None:
        """Show answers, behind those that are there if they go on. `note`: how old they are, when the hub is silent."""
        self._is_waiting = False
        self._has_answer = True
        if not self._query.cursor:
            self._models, self._rows = [], []
        known = {row.key for row in self._rows}
        new = [model for model in page.models if model.repo not in known]
        self._models += new
        self._rows += [row_of(model) for model in new]
        if self.details.sheet is not None and self.details.sheet.key not in {row.key for row in self._rows}:
            self.details.clear()
        self._next_cursor = page.next_cursor
        self._note.setText(note)
        self._note.setVisible(bool(note))
        if self._rows:
            self.list.set_rows(self._rows)
            self._show(_Shown.LIST)
            if self._wants_focus:
                self._enter_list()
        else:
            self._wants_focus = False
            self._say(self.tr("The hub has no model for these words."), self._empty_hint())

    def set_verdicts(self, verdicts: Mapping[str, Verdict]) -> None:
        """Say which of the answers there is memory for, by repository; of those that are missing nothing is known."""
        judged = [
            row_of(model, verdicts[model.repo]) if model.repo in verdicts else row
            for model, row in zip(self._models, self._rows, strict=True)
        ]
        self._rows = judged
        self.list.set_rows(judged)

    def set_failure(self, explanation: Explanation) -> None:
        """Say why there are no answers, and what to press."""
        self._is_waiting = False
        if self._query.cursor and self._rows:
            self._next_cursor = self._query.cursor  # scrolling there again asks again
            self._note.setText(explanation.sentences)
            self._note.show()
            return
        self._has_failed = True
        self._wants_focus = False
        self._say(explanation.title, explanation.text, explanation.actions)

    def set_details(self, details: HubDetails, page_url: str) -> None:
        """Show a repository; the keyboard follows unless it has left this view since the answer was opened."""
        self.details.set_sheet(sheet_of_repository(details, page_url))
        focused = QApplication.focusWidget()
        if focused is None or self.isAncestorOf(focused):
            self._panes.open_details(self.list.opened_by)
        else:
            self._panes.show_details()

    def _make_filters(self) -> QWidget:
        box = QWidget(self)
        filters = FlowLayout(box, spacing_px=6)
        self._fits = Button(self.tr("Fits this computer"), box)
        self._fits.setCheckable(True)
        self._fits.toggled.connect(self._on_filters_changed)
        self._task = CalmComboBox(box)
        self._task.setAccessibleName(self.tr("Kind"))
        for task, words in (
            ("", self.tr("All kinds")),
            ("text-generation", self.tr("Writes text")),
            ("image-text-to-text", self.tr("Sees images too")),
            ("feature-extraction", self.tr("Compares texts")),
        ):
            self._task.addItem(words, task)
        self._task.activated.connect(self._on_filters_changed)
        self._size = CalmComboBox(box)
        self._size.setAccessibleName(self.tr("Size"))
        self._size.addItem(self.tr("Any size"), 0)
        for limit_bytes in SIZE_LIMITS_BYTES:
            self._size.addItem(self.tr("Up to {size}").format(size=file_size(limit_bytes)), limit_bytes)
        self._size.activated.connect(self._on_filters_changed)
        self._sort = CalmComboBox(box)
        self._sort.setAccessibleName(self.tr("Order"))
        for sort, words in (
            (SearchSort.DOWNLOADS, self.tr("Most downloaded")),
            (SearchSort.LIKES, self.tr("Most liked")),
            (SearchSort.RECENT, self.tr("Newest")),
        ):
            self._sort.addItem(words, sort)
        self._sort.activated.connect(self._on_filters_changed)
        self._author = QLineEdit(box)
        self._author.setPlaceholderText(self.tr("Author"))
        self._author.setAccessibleName(self.tr("Author"))
        self._author.setTextMargins(4, 0, 4, 0)  # as high as the boxes beside it
        self._author.setMaximumWidth(self.fontMetrics().averageCharWidth() * 20)
        self._author.editingFinished.connect(self._on_author_changed)
        for widget in (self._fits, self._task, self._size, self._sort, self._author):
            filters.addWidget(widget)
        return box

    def _consent_page(self) -> QWidget:
        page = QWidget(self)
        layout = QVBoxLayout(page)
        self._consent_words = Label("", page, wraps=True)
        layout.addWidget(self._consent_words)
        self._consent = Button(self.tr("Search the hub"), page, kind=ButtonKind.PRIMARY)
        self._consent.clicked.connect(self._on_consent)
        settings = Button(self.tr("Open the settings"), page)
        settings.clicked.connect(self.settings_requested)
        buttons = FlowLayout(spacing_px=8)
        buttons.addWidget(self._consent)
        buttons.addWidget(settings)
        layout.addLayout(buttons)
        layout.addStretch(1)
        return page

    def _with_filters(self, text: str) -> SearchQuery:
        limits = (self._max_bytes if self._fits.isChecked() else 0, self._size.currentData())
        return SearchQuery(
            text,
            author=self._author.text().strip(),
            task=str(self._task.currentData()),
            max_bytes=min(filter(None, limits), default=None),
            sort=self._chosen_sort(),
        )

    def _chosen_sort(self) -> SearchSort:
        return SearchSort(self._sort.currentData())

    def _ask(self, query: SearchQuery) -> None:
        self._query = query
        if not self._has_consent:
            self._show(_Shown.CONSENT)
            return
        self._is_waiting = True
        if not query.cursor:
            self._models, self._rows = [], []
            self._next_cursor = ""
            self._has_answer = self._has_failed = False
            self._panes.show_list()
            self._say(self.tr("Searching…"))
        self.search_requested.emit(query)

    def _say(self, title: str, text: str = "", actions: Sequence[Action] = ()) -> None:
        self._message.say(title, text, actions)
        self._show(_Shown.MESSAGE)
        announce(self, title)

    def _empty_hint(self) -> str:
        query = self._query
        if query.author or query.task or query.max_bytes:
            return self.tr("Without the filters above there may be some.")
        return self.tr("Fewer words, or the beginning of a name, may find it.")

    def _show(self, which: _Shown) -> None:
        self._stack.setCurrentIndex(which.value)
        places = {_Shown.CONSENT: self._consent, _Shown.MESSAGE: self._message, _Shown.LIST: self.list}
        self._left.setFocusProxy(places[which])
        self._filters.setVisible(which is not _Shown.CONSENT)

    def _enter_list(self) -> None:
        self._wants_focus = False
        if self._rows:
            if not self.list.choose(self.list.current_key):
                self.list.choose_first()
            self.list.setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            self._left.setFocus(Qt.FocusReason.OtherFocusReason)  # what stands there to be pressed

    def _on_consent(self) -> None:
        self._has_consent = True
        self.consented.emit()
        self._ask_from_here()

    def _ask_from_here(self) -> None:
        """The button that was pressed goes; the answers get the keyboard."""
        self._wants_focus = True
        self._ask(replace(self._query, cursor=""))
        self._message.setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_action(self, action: Action) -> None:
        if action.kind is ActionKind.RETRY:
            self._ask_from_here()
        else:
            self.action_requested.emit(action)

    def _on_filters_changed(self) -> None:
        self._ask(self._with_filters(self._query.text))

    def _on_author_changed(self) -> None:
        if self._author.text().strip() != self._query.author:
            self._on_filters_changed()

    def _on_end_reached(self) -> None:
        if self._next_cursor and not self._is_waiting:
            cursor, self._next_cursor = self._next_cursor, ""
            self._ask(replace(self._query, cursor=cursor))

    def _on_opened(self, repo: str) -> None:
        self.repository_requested.emit(repo)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._wants_focus = False
