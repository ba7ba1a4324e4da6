"""Labels whose size and weight stay relative to the application's font."""

from __future__ import annotations

import re

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import (
    QClipboard,
    QContextMenuEvent,
    QFont,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
)
from PySide6.QtWidgets import QApplication, QLabel, QMenu, QSizePolicy, QWidget

from app.ui.theme import scaled_font


class Label(QLabel):
    """Plain text, `percent` of the normal size, wrapping where `wraps`; muted text is for secondary matters."""

    def __init__(
        self,
        text: str = "",
        parent: QWidget | None = None,
        *,
        percent: int = 100,
        bold: bool = False,
        muted: bool = False,
        wraps: bool = False,
    ) -> None:
        super().__init__(text, parent)
        self._percent = percent
        self._bold = bold
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(wraps)
        if wraps:
            policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
            policy.setHeightForWidth(True)
            self.setSizePolicy(policy)
        if muted:
            self.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self._set_font()

    def _set_font(self) -> None:
        font = scaled_font(QApplication.font(), self._percent)
        if self._bold:
            font.setWeight(QFont.Weight.DemiBold)
        if font != self.font():
            self.setFont(font)

    def minimumSizeHint(self) -> QSize:
        if not self.wordWrap():
            return super().minimumSizeHint()
        # Layouts ask for the height at the real width; Qt's own answer here supposes a narrow column.
        metrics = self.fontMetrics()
        return QSize(min(super().minimumSizeHint().width(), metrics.averageCharWidth() * 16), metrics.height())

    def event(self, event: QEvent) -> bool:
        # A font of its own size hears of the application's font here only, not in changeEvent.
        if event.type() == QEvent.Type.ApplicationFontChange:
            self._set_font()
        return super().event(event)


class ElidedLabel(Label):
    """One line of plain text that ends in an ellipsis where the room ends; the tooltip then has all of it."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def paintEvent(self, _event: QPaintEvent) -> None:
        box = self.contentsRect()
        shown = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, box.width())
        self.setToolTip(self.text() if shown != self.text() else "")
        with QPainter(self) as painter:
            painter.setPen(self.palette().color(self.foregroundRole()))
            painter.drawText(box, Qt.AlignmentFlag.AlignLeading | Qt.AlignmentFlag.AlignVCenter, shown)


class PathLabel(Label):
    """A path, a hash or the like: wraps where it must, can be selected, and is copied exactly as it is."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(_breakable(text), parent, wraps=True)
        self.setAccessibleName(text)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._whole = text

    def _copied(self) -> str:
        return self.selectedText().replace(_BREAK, "") or self._whole

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._copied())

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self.tr("Copy")).triggered.connect(self._copy)
        menu.popup(event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            self._copy()
            event.accept()
        else:
            super().keyPressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        clipboard = QGuiApplication.clipboard()
        if clipboard.supportsSelection() and self.hasSelectedText():  # the middle button pastes it
            clipboard.setText(self._copied(), QClipboard.Mode.Selection)


_BREAK = "\u200b"  # has no width; a line may end there
_UNBROKEN_CHARS = 8


def _breakable(text: str) -> str:
    """Break behind separators, and in words as long as those of a hash."""
    parts = re.split(r"(?<=[/\\])", text)
    return _BREAK.join(
        _BREAK.join(part[at : at + _UNBROKEN_CHARS] for at in range(0, len(part), _UNBROKEN_CHARS))
        if len(part) > 4 * _UNBROKEN_CHARS
        else part
        for part in parts
    )


def heading(text: str, parent: QWidget | None = None) -> Label:
    """The title of a page."""
    return Label(text, parent, percent=150, bold=True)


def hint(text: str, parent: QWidget | None = None) -> Label:
    """A secondary sentence that wraps."""
    return Label(text, parent, muted=True, wraps=True)
