"""How full the model's context is: a thin bar and the figures."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from app.core.prompt import longer_lengths
from app.ui.labels import Label
from app.ui.theme import colors

WARNING_SHARE = 0.9
BAR_WIDTH_PX = 56
BAR_HEIGHT_PX = 4


class _Bar(QWidget):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.share = 0.0
        self.is_short = False
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = colors()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            half_px = BAR_HEIGHT_PX / 2
            track = QRectF(0, (self.height() - BAR_HEIGHT_PX) / 2, self.width(), BAR_HEIGHT_PX)
            painter.setBrush(QColor(theme.border))
            painter.drawRoundedRect(track, half_px, half_px)
            if self.share > 0:
                track.setWidth(max(BAR_HEIGHT_PX, track.width() * self.share))
                painter.setBrush(QColor(theme.warning if self.is_short else theme.muted))
                painter.drawRoundedRect(track, half_px, half_px)

    def sizeHint(self) -> QSize:
        return QSize(BAR_WIDTH_PX, BAR_HEIGHT_PX)


class ContextMeter(QWidget):
    """Empty until figures are known; says in words when little room is left."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bar = _Bar(self)
        self._words = Label("", self, percent=88, muted=True, wraps=True)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self._bar)
        layout.addWidget(self._words, 1)
        self.set_figures(None, None)

    def set_figures(self, used_tokens: int | None, total_tokens: int | None, longest_tokens: int = 0) -> None:
        """Tokens in use and tokens that fit, None where not known; `longest_tokens`: for how many there can be room."""
        known = used_tokens is not None and total_tokens is not None and total_tokens > 0
        self._bar.setVisible(known)
        words = ""
        if used_tokens is not None and total_tokens:
            room_tokens = max(total_tokens, longest_tokens)
            lengths = (total_tokens, *longer_lengths(total_tokens, room_tokens))  # the next prompt gets what it needs
            total_tokens = next((length for length in lengths if length >= used_tokens), room_tokens)
            self._bar.share = min(used_tokens / total_tokens, 1.0)
            self._bar.is_short = used_tokens >= WARNING_SHARE * room_tokens
            words = self._describe(used_tokens, total_tokens, room_tokens)
            self._bar.update()
        self._words.setText(words)
        self._words.setAccessibleName(words)
        self.setToolTip(
            self.tr("How much of this chat the model can see at once. When it is full, the oldest is left out.")
            if known
            else ""
        )

    def words(self) -> str:
        """What it says now."""
        return self._words.text()

    def _describe(self, used_tokens: int, total_tokens: int, room_tokens: int) -> str:
        locale = self.locale()
        words = self.tr("{used} of {total} tokens").format(
            used=locale.toString(used_tokens), total=locale.toString(total_tokens)
        )
        if used_tokens > room_tokens:
            words += " · " + self.tr("full: the oldest messages are left out")
        elif used_tokens >= WARNING_SHARE * room_tokens:
            words += " · " + self.tr("almost full: the oldest messages will be left out")
        return words
