"""The search on the hub. Nothing is sent before the person says so, once."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLineEdit, QStackedWidget, QVBoxLayout, QWidget

from app.core.fit import Verdict
from app.core.hub_values import HubDetails, HubModel, SearchPage, SearchQuery, SearchSort
from app.ui.buttons import Button, ButtonKind
from app.ui.flow_layout import FlowLayout
from app.ui.labels import Label, hint
from app.ui.models.details import ModelDetails
from app.ui.models.hub_sheets import row_of, sheet_of_repository
from app.ui.models.master_detail import MasterDetail
from app.ui.models.row_list import ListRow, RowList
from app.ui.setting_fields import CalmComboBox


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
    retry_requested = Signal()
    settings_requested = Signal()

    def __init__(self, host: str, parent: QWidget | None = None) -> None:
        """`host` is where questions go, e.g. "huggingface.co"."""
        super().__init__(parent)
        self._query = SearchQuery()
        self._has_consent = False
        self._next_cursor = ""
        self._is_waiting = False
        self._wants_focus = False
        self._models: list[HubModel] = []
        self._rows: list[ListRow] = []
        self.details = ModelDetails(self)
        self.list = RowList(self.tr("Models on the hub"), self)
        self.list.opened.connect(self._on_opened)
        self.list.end_reached.connect(self._on_end_reached)
        self._author = QLineEdit(self)
        self._author.setPlaceholderText(self.tr("Author"))
        self._author.setAccessibleName(self.tr("Author"))
        self._author.setMaximumWidth(self.fontMetrics().averageCharWidth() * 20)
        self._author.editingFinished.connect(self._on_author_changed)
        self._sort = CalmComboBox(self)
        self._sort.setAccessibleName(self.tr("Order"))
        for sort, words in (
            (SearchSort.DOWNLOADS, self.tr("Most downloaded")),
            (SearchSort.LIKES, self.tr("Most liked")),
            (SearchSort.RECENT, self.tr("Newest")),
        ):
            self._sort.addItem(words, sort)
        self._sort.activated.connect(self._on_filters_changed)
        self._fits = Button(self.tr("Fits this computer"), self)
        self._fits.setCheckable(True)
        self._fits.toggled.connect(self._on_filters_changed)
        self._max_bytes: int | None = None
        filters = FlowLayout(spacing_px=6)
        for widget in (self._fits, self._sort, self._author):
            filters.addWidget(widget)
        self._stack = QStackedWidget(self)
        self._stack.addWidget(self._consent_page(host))
        self._stack.addWidget(self._message_page())
        self._stack.addWidget(self.list)
        left = self._left = QWidget(self)
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self._note = hint("", left)
        self._note.hide()
        column.addLayout(filters)
        column.addWidget(self._note)
        column.addWidget(self._stack, 1)
        self._panes = MasterDetail(left, self.details, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._panes)
        self.setFocusProxy(self._panes)
        self._show(_Shown.CONSENT)

    @property
    def message(self) -> str:
        """What is said in place of a list; empty while there is one."""
        return self._message.text() if self._stack.currentIndex() == _Shown.MESSAGE.value else ""

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

    def open(self) -> None:
        """The view comes on screen: the first answers are fetched if they may be."""
        if self._has_consent and not self._rows and not self._is_waiting:
            self._ask(SearchQuery(self._query.text, sort=self._chosen_sort()))

    def set_search(self, text: str) -> None:
        """Search for other words."""
        if text.strip() != self._query.text or not self._rows:
            self._ask(self._with_filters(text.strip()))

    def search_author(self, author: str, text: str = "") -> None:
        """Search what one author has."""
        self._author.setText(author)
        self._ask(self._with_filters(text))

    def set_page(self, page: SearchPage, note: str = "") -> None:
        """Show answers, behind those that are there if they go on. `note`: how old they are, when the hub is silent."""
        self._is_waiting = False
        if not self._query.cursor:
            self._models, self._rows = [], []
        known = {row.key for row in self._rows}
        new = [model for model in page.models if model.repo not in known]
        self._models += new
        self._rows += [row_of(model) for model in new]
        self._next_cursor = page.next_cursor
        self._note.setText(note)
        self._note.setVisible(bool(note))
        if self._rows:
            self.list.set_rows(self._rows)
            self._show(_Shown.LIST)
            if self._wants_focus:
                self._wants_focus = False
                self.list.choose_first()
                self.list.setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            self._say(self.tr("The hub has no model for these words."))

    def set_verdicts(self, verdicts: Mapping[str, Verdict]) -> None:
        """Say which of the answers there is memory for, by repository; of those that are missing nothing is known."""
        judged = [
            row_of(model, verdicts[model.repo]) if model.repo in verdicts else row
            for model, row in zip(self._models, self._rows, strict=True)
        ]
        self._rows = judged
        self.list.set_rows(judged)

    def set_failure(self, title: str, text: str) -> None:
        """Say why there are no answers."""
        self._is_waiting = False
        if self._query.cursor and self._rows:
            self._next_cursor = self._query.cursor  # scrolling there again asks again
            self._note.setText(f"{title}. {text}")
            self._note.show()
            return
        self._say(title, text, can_retry=True)

    def set_details(self, details: HubDetails, page_url: str) -> None:
        """Show a repository."""
        self.details.set_sheet(sheet_of_repository(details, page_url))
        self._panes.open_details()

    def _consent_page(self, host: str) -> QWidget:
        page = QWidget(self)
        layout = QVBoxLayout(page)
        words = self.tr(
            "A search sends the words you type to {host}, and to nobody else. Your chats are never sent anywhere. "
            "You can name another address, or stay offline, in the settings."
        )
        layout.addWidget(Label(words.format(host=host), page, wraps=True))
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

    def _message_page(self) -> QWidget:
        page = QWidget(self)
        layout = QVBoxLayout(page)
        self._message = Label("", page, bold=True, wraps=True)
        self._message_text = hint("", page)
        self._retry = Button(self.tr("Try again"), page)
        self._retry.clicked.connect(self._on_retry)
        layout.addWidget(self._message)
        layout.addWidget(self._message_text)
        buttons = FlowLayout(spacing_px=8)
        buttons.addWidget(self._retry)
        layout.addLayout(buttons)
        layout.addStretch(1)
        return page

    def _with_filters(self, text: str) -> SearchQuery:
        return SearchQuery(
            text,
            author=self._author.text().strip(),
            max_bytes=self._max_bytes if self._fits.isChecked() else None,
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
            self._say(self.tr("Searching…"))
        self.search_requested.emit(query)

    def _say(self, title: str, text: str = "", *, can_retry: bool = False) -> None:
        self._message.setText(title)
        self._message_text.setText(text)
        self._message_text.setVisible(bool(text))
        self._retry.setVisible(can_retry)
        self._show(_Shown.MESSAGE)

    def _show(self, which: _Shown) -> None:
        self._stack.setCurrentIndex(which.value)
        places = {_Shown.CONSENT: self._consent, _Shown.MESSAGE: self._retry, _Shown.LIST: self.list}
        self._left.setFocusProxy(places[which])

    def _on_consent(self) -> None:
        self._has_consent = True
        self._wants_focus = True  # the button that had it goes
        self.consented.emit()
        self._ask(self._query)

    def _on_retry(self) -> None:
        self._ask(self._query)

    def _on_filters_changed(self) -> None:
        self._ask(self._with_filters(self._query.text))

    def _on_author_changed(self) -> None:
        if self._author.text().strip() != self._query.author:
            self._on_filters_changed()

    def _on_end_reached(self) -> None:
        if self._next_cursor and not self._is_waiting:
            query = self._with_filters(self._query.text)
            cursor, self._next_cursor = self._next_cursor, ""
            self._ask(
                SearchQuery(query.text, query.author, query.task, query.max_bytes, query.sort, query.limit, cursor)
            )

    def _on_opened(self, repo: str) -> None:
        self.repository_requested.emit(repo)
