"""What a person sees of a bug: that it happened, what is known of it, and that nothing was sent anywhere."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from app.ui.buttons import Button, ButtonKind
from app.ui.labels import Label, hint
from app.ui.scroll_column import use_slim_scroll_bars

COPIED_SHOWN_MS = 2_000


class CrashWindow(QDialog):
    """Shows one report. Hearth goes on behind it as well as it can."""

    def __init__(self, report: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._report = report
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Hearth: something went wrong"))
        title = Label(self.tr("Something went wrong in Hearth"), self, percent=130, bold=True, wraps=True)
        text = hint(
            self.tr(
                "This is a bug, and not your fault. Your chats are kept. Hearth sends nothing anywhere: if you want to "
                "report it, copy the report and read it before you pass it on."
            ),
            self,
        )
        self._details = QPlainTextEdit(report, self)
        self._details.setReadOnly(True)
        self._details.setTabChangesFocus(True)
        self._details.setAccessibleName(self.tr("Report"))
        self._details.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._details.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        use_slim_scroll_bars(self._details)
        self._copy = Button(self.tr("Copy report"), self, icon="copy")
        self._copy.clicked.connect(self._on_copy_clicked)
        self._close = Button(self.tr("Close"), self, kind=ButtonKind.PRIMARY)
        self._close.clicked.connect(self.accept)
        self._copied_timer = QTimer(self)
        self._copied_timer.setSingleShot(True)
        self._copied_timer.setInterval(COPIED_SHOWN_MS)
        self._copied_timer.timeout.connect(self._on_copied_shown)
        buttons = QHBoxLayout()
        buttons.addWidget(self._copy)
        buttons.addStretch(1)
        buttons.addWidget(self._close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 24, 24, 16)
        layout.setSpacing(12)
        layout.addWidget(title)
        layout.addWidget(text)
        layout.addWidget(self._details, 1)
        layout.addLayout(buttons)
        self._close.setFocus()
        line_px = self.fontMetrics().height()
        self.resize(line_px * 38, line_px * 26)

    def report(self) -> str:
        """The whole report."""
        return self._report

    def _on_copy_clicked(self) -> None:
        QGuiApplication.clipboard().setText(self._report)
        self._copy.setText(self.tr("Copied"))
        self._copied_timer.start()

    def _on_copied_shown(self) -> None:
        self._copy.setText(self.tr("Copy report"))
