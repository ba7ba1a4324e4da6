"""How far long work has come, and a way to end it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QWidget

from app.ui.buttons import Button

STEPS = 1000
WIDTH_CHARS = 30
HEIGHT_PX = 8


class ProgressLine(QWidget):
    """A bar and a button beside it."""

    cancel_requested = Signal()

    def __init__(self, fraction: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bar = QProgressBar(self)
        self._bar.setRange(0, STEPS)
        self._bar.setTextVisible(False)
        self._bar.setFixedSize(self.fontMetrics().averageCharWidth() * WIDTH_CHARS, HEIGHT_PX)
        self._bar.setAccessibleName(self.tr("Progress"))
        self.set_fraction(fraction)
        cancel = Button(self.tr("Cancel"), self)
        cancel.clicked.connect(self.cancel_requested)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self._bar)
        row.addWidget(cancel)
        row.addStretch(1)

    def set_fraction(self, fraction: float) -> None:
        """From 0 to 1."""
        self._bar.setValue(round(fraction * STEPS))
