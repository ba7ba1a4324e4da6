"""The sign beside a verdict: full for what runs, half for what runs slowly, empty for what does not, and coloured."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.services.explain_fit import FitLevel
from app.ui.theme import colors

LINE_PX = 1.5
_HALF_TURN = 180 * 16  # Qt counts angles in sixteenths of a degree


def sign_px(metrics: QFontMetrics) -> int:
    """How wide and tall the sign is beside text of this font."""
    return round(metrics.ascent() * 0.7)


def paint_fit_sign(painter: QPainter, level: FitLevel, box: QRectF) -> None:
    """Paint it into a square; nothing where nothing is known."""
    if level is FitLevel.UNKNOWN:
        return
    theme = colors()
    color = QColor({FitLevel.GOOD: theme.good, FitLevel.FAIR: theme.warning, FitLevel.POOR: theme.error}[level])
    ring = box.adjusted(LINE_PX / 2, LINE_PX / 2, -LINE_PX / 2, -LINE_PX / 2)
    painter.setPen(QPen(color, LINE_PX))
    painter.setBrush(color)
    if level is FitLevel.FAIR:
        painter.drawChord(ring, -_HALF_TURN // 2, -_HALF_TURN)  # the left half
    if level is not FitLevel.GOOD:
        painter.setBrush(QColor(0, 0, 0, 0))
    painter.drawEllipse(ring)


class FitSign(QWidget):
    """The sign as a part of its own; the words beside it say the same, so it has no name."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._level = FitLevel.UNKNOWN
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    @property
    def level(self) -> FitLevel:
        """What it shows."""
        return self._level

    def set_level(self, level: FitLevel) -> None:
        """Show another one; it takes no room where nothing is known."""
        self._level = level
        self.setVisible(level is not FitLevel.UNKNOWN)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(sign_px(self.fontMetrics()), self.fontMetrics().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        side = sign_px(self.fontMetrics())
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            paint_fit_sign(painter, self._level, QRectF(0, (self.height() - side) / 2, side, side))
