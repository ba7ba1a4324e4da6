"""The small signs of the family tree: whether a model runs, and what its licence allows. Never by colour alone."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.core.catalog import CommercialUse
from app.ui.theme import colors

LETTERS = {
    CommercialUse.YES: "$",
    CommercialUse.NO: "$",
    CommercialUse.CONDITIONS: "§",
    CommercialUse.UNKNOWN: "?",
}


def paint_runs_sign(painter: QPainter, box: QRectF, runs: bool) -> None:
    """A filled disc with a tick, or an empty ring with a cross."""
    theme = colors()
    colour = QColor(theme.code_inserted if runs else theme.error)
    painter.setPen(QPen(colour, 1.5))
    painter.setBrush(colour if runs else Qt.BrushStyle.NoBrush)
    painter.drawEllipse(box.adjusted(1, 1, -1, -1))
    painter.setPen(QPen(QColor(theme.window) if runs else colour, 1.5, c=Qt.PenCapStyle.RoundCap))
    if runs:
        corners = ((0.29, 0.52), (0.44, 0.67), (0.72, 0.36))
        painter.drawPolyline([_inside(box, x, y) for x, y in corners])
    else:
        painter.drawLine(_inside(box, 0.34, 0.34), _inside(box, 0.66, 0.66))
        painter.drawLine(_inside(box, 0.66, 0.34), _inside(box, 0.34, 0.66))


def paint_licence_sign(painter: QPainter, box: QRectF, use: CommercialUse, font: QFont) -> None:
    """A ringed dollar sign; struck through where commercial use is not allowed; a paragraph sign for conditions."""
    theme = colors()
    colour = QColor(theme.error if use is CommercialUse.NO else theme.muted)
    painter.setPen(QPen(colour, 1.2))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawEllipse(box.adjusted(1, 1, -1, -1))
    painter.setFont(font)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, LETTERS[use])
    if use is CommercialUse.NO:
        painter.drawLine(_inside(box, 0.2, 0.8), _inside(box, 0.8, 0.2))


def _inside(box: QRectF, x: float, y: float) -> QPointF:
    return QPointF(box.left() + box.width() * x, box.top() + box.height() * y)


class SignView(QWidget):
    """One of the signs, in a legend; the words beside it name it."""

    def __init__(self, sign: bool | CommercialUse, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sign = sign
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        side = self.fontMetrics().height()
        return QSize(side, side)

    def paintEvent(self, _event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            box = QRectF(self.rect())
            if isinstance(self._sign, CommercialUse):
                font = QFont(self.font())
                font.setPixelSize(max(7, round(box.height() * 0.62)))
                paint_licence_sign(painter, box, self._sign, font)
            else:
                paint_runs_sign(painter, box, self._sign)
