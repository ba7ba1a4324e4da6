"""The way to a token, and to a model whose author asks to accept terms first: pages to open, and a field for it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from app.services.wording import number
from app.ui.buttons import Button, ButtonKind
from app.ui.dialog_size import open_in_size
from app.ui.labels import Label, hint
from app.ui.scroll_column import ScrollColumn
from app.ui.transcript.announce import announce

MARGIN_PX = 24
WIDTH_CHARS = 90


class TokenDialog(QDialog):
    """Show it with `open`. Whoever does checks the token, and says so by `show_refused` or `show_accepted`."""

    link_requested = Signal(str)  # an address to open in the browser
    token_entered = Signal(str)

    def __init__(self, repo: str, page_url: str, tokens_url: str, parent: QWidget | None = None) -> None:
        """`repo` is "author/name", or empty where it is about the token alone.

        `page_url` is where the terms of the repository are, `tokens_url` where tokens are made.
        """
        super().__init__(parent)
        self._page_url, self._tokens_url = page_url, tokens_url
        self.setWindowTitle(self.tr("Access to {repo}").format(repo=repo) if repo else self.tr("A token for the hub"))
        steps = self._steps = ScrollColumn(self, width_in_chars=WIDTH_CHARS)
        inside = steps.inside
        title = Label(self.windowTitle(), inside, percent=130, bold=True, wraps=True)
        if repo:
            why = self.tr("Its author asks you to accept terms before the download. Three steps lead to it.")
        else:
            why = self.tr("With a token of yours the hub shows you your own models and lets you ask more often.")
        page = Button(self.tr("Open its page"), inside, icon="open")
        page.clicked.connect(self._on_page_clicked)
        tokens = Button(self.tr("Open the page for tokens"), inside, icon="open")
        tokens.clicked.connect(self._on_tokens_clicked)
        self._field = QLineEdit(inside)
        self._field.setTextMargins(4, 3, 4, 3)
        self._field.setEchoMode(QLineEdit.EchoMode.Password)
        self._field.setAccessibleName(self.tr("Token"))
        self._field.setPlaceholderText(self.tr("hf_…"))
        self._field.textChanged.connect(self._on_text_changed)
        self._field.returnPressed.connect(self._on_check)
        self._check = Button(self.tr("Check"), inside, kind=ButtonKind.PRIMARY)
        self._check.clicked.connect(self._on_check)
        self._status = Label("", inside, wraps=True)
        self._close = Button(self.tr("Cancel"), self)
        self._close.clicked.connect(self._on_close_clicked)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._field, 1)
        row.addWidget(self._check)
        column = steps.column
        column.addWidget(title)
        column.addWidget(hint(why, inside))
        steps_to_go = [
            (self.tr("Open its page, sign in and accept the terms."), page),
            (self.tr("Make a token that may read, and copy it."), tokens),
            (self.tr("Paste the token here. It is sent to the hub and nowhere else."), None),
        ]
        page.setVisible(bool(repo))
        for place, (words, button) in enumerate(steps_to_go if repo else steps_to_go[1:], 1):
            column.addSpacing(8)
            column.addWidget(Label(f"{number(place)}. {words}", inside, wraps=True))
            if button is not None:
                column.addWidget(button, 0, Qt.AlignmentFlag.AlignLeading)
        column.addLayout(row)
        column.addWidget(self._status)
        column.addStretch(1)
        ends = QHBoxLayout()
        ends.setContentsMargins(MARGIN_PX, 0, MARGIN_PX, 0)
        ends.addStretch(1)
        ends.addWidget(self._close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 16)
        layout.setSpacing(12)
        layout.addWidget(steps, 1)
        layout.addLayout(ends)
        self._is_checking = False
        self._is_accepted = False
        self._update()
        line_px = self.fontMetrics().height()
        open_in_size(self, line_px * 34, line_px * (25 if repo else 21))

    @property
    def status(self) -> str:
        """What is said below the field."""
        return self._status.text()

    def show_refused(self, words: str) -> None:
        """Say why the token is of no use; another can be entered."""
        self._is_checking = False
        self._say(words)
        self._field.setFocus(Qt.FocusReason.OtherFocusReason)
        self._field.selectAll()

    def show_accepted(self, account: str, *, is_kept: bool) -> None:
        """Say whom the token belongs to, and whether the system's keyring keeps it or only this session."""
        self._is_checking, self._is_accepted = False, True
        words = self.tr("Accepted: this token belongs to {account}.").format(account=account)
        if is_kept:
            kept = self.tr("It is kept where your system keeps passwords.")
        else:
            kept = self.tr("It is held until Hearth ends: the place for passwords here is locked or missing.")
        self._field.clear()
        self._say(f"{words} {kept}")
        self._close.setText(self.tr("Done"))
        self._close.setAccessibleName(self._close.text())
        self._close.setFocus(Qt.FocusReason.OtherFocusReason)

    def _say(self, words: str) -> None:
        self._status.setText(words)
        self._update()
        self._steps.ensureWidgetVisible(self._status)
        announce(self, words)

    def _update(self) -> None:
        self._field.setEnabled(not self._is_accepted)
        self._field.setReadOnly(self._is_checking)
        is_open = not self._is_checking and not self._is_accepted
        self._check.setEnabled(is_open and bool(self._field.text().strip()))
        self._status.setVisible(bool(self._status.text()))

    def _on_text_changed(self) -> None:
        self._update()

    def _on_check(self) -> None:
        token = self._field.text().strip()
        if not token or self._is_checking or self._is_accepted:
            return
        self._is_checking = True
        self._field.setFocus(Qt.FocusReason.OtherFocusReason)  # else the keyboard goes on to Cancel
        self._say(self.tr("Asking the hub…"))
        self.token_entered.emit(token)

    def _on_page_clicked(self) -> None:
        self.link_requested.emit(self._page_url)

    def _on_tokens_clicked(self) -> None:
        self.link_requested.emit(self._tokens_url)

    def _on_close_clicked(self) -> None:
        if self._is_accepted:
            self.accept()
        else:
            self.reject()
