"""Labels whose size and weight stay relative to the application's font."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QFont, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QApplication, QLabel, QSizePolicy, QWidget

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


def heading(text: str, parent: QWidget | None = None) -> Label:
    """The title of a page."""
    return Label(text, parent, percent=150, bold=True)


def hint(text: str, parent: QWidget | None = None) -> Label:
    """A secondary sentence that wraps."""
    return Label(text, parent, muted=True, wraps=True)
