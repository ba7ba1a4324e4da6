"""Will it run here? Words, figures, and a slider for the context length that moves them."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSlider, QVBoxLayout, QWidget

from app.services.explain_fit import FitLevel
from app.services.wording import number
from app.ui.buttons import Button, ButtonKind
from app.ui.labels import Label, hint
from app.ui.models.fit_sign import FitSign
from app.ui.theme import colors

RADIUS_PX = 8
MIN_CONTEXT = 512


@dataclass(frozen=True, slots=True)
class VerdictView:
    """What the box says. `level` is POOR where the model is too large, or cannot chat at all."""

    headline: str
    sentences: tuple[str, ...]
    arithmetic: tuple[tuple[str, str], ...]  # what needs memory, and how much
    level: FitLevel = FitLevel.UNKNOWN


class VerdictBox(QWidget):
    """A frame with the verdict on one file."""

    context_changed = Signal(int)  # tokens; while the slider moves

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._steps: tuple[int, ...] = ()
        self._sign = FitSign(self)
        self._headline = Label("", self, bold=True, wraps=True)
        self._text = hint("", self)
        self._slider_label = Label("", self, percent=92)
        self._slider = QSlider(Qt.Orientation.Horizontal, self)
        self._slider.setPageStep(1)
        self._slider.valueChanged.connect(self._on_moved)
        self._slider_row = QWidget(self)
        self._toggle = Button(self.tr("Show the arithmetic"), self, kind=ButtonKind.QUIET)
        self._toggle.setCheckable(True)
        self._toggle.toggled.connect(self._on_toggled)
        self._figures = QWidget(self)
        self._figures.hide()
        self._grid = QGridLayout(self._figures)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(16)
        self._grid.setColumnStretch(2, 1)
        row = QHBoxLayout(self._slider_row)
        row.setContentsMargins(0, 4, 0, 0)
        row.addWidget(self._slider_label)
        row.addWidget(self._slider, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 12, 16, 12)
        layout.setSpacing(4)
        headline = QHBoxLayout()
        headline.setSpacing(6)
        headline.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        headline.addWidget(self._headline, 1)
        layout.addLayout(headline)
        layout.addWidget(self._text)
        layout.addWidget(self._slider_row)
        layout.addWidget(self._figures)
        layout.addWidget(self._toggle, 0, Qt.AlignmentFlag.AlignLeading)
        self.show_checking()

    @property
    def text(self) -> str:
        """What it says, for tests and for the clipboard."""
        return "\n".join(part for part in (self._headline.text(), self._text.text()) if part)

    @property
    def slider(self) -> QSlider:
        """The context length, in steps."""
        return self._slider

    def show_checking(self) -> None:
        """Say that the answer is on its way."""
        self._show(self.tr("Will it run here?"), self.tr("Looking at the first bytes of the file…"))

    def show_unknown(self, why: str) -> None:
        """Say that there is no answer."""
        self._show(self.tr("Will it run here?"), why)

    def set_context_range(self, longest: int, chosen: int) -> None:
        """Let the slider go from 512 tokens to `longest`, doubling; 0: no slider."""
        steps = []
        tokens = MIN_CONTEXT
        while tokens < longest:
            steps.append(tokens)
            tokens *= 2
        steps = [*steps, longest] if longest > 0 else []
        self._steps = tuple(steps)
        self._slider_row.setVisible(len(steps) > 1)
        if not steps:
            return
        self._slider.blockSignals(True)
        self._slider.setRange(0, len(steps) - 1)
        self._slider.setValue(max((at for at, step in enumerate(steps) if step <= chosen), default=0))
        self._slider.blockSignals(False)
        self._name_slider()

    def set_verdict(self, verdict: VerdictView) -> None:
        """Show the answer."""
        self._sign.set_level(verdict.level)
        self._headline.setText(verdict.headline)
        self._text.setText("\n".join(verdict.sentences))
        self._text.setVisible(bool(verdict.sentences))
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        for row, (what, amount) in enumerate(verdict.arithmetic):
            self._grid.addWidget(Label(what, self._figures, percent=92, muted=True), row, 0)
            value = Label(amount, self._figures, percent=92)
            self._grid.addWidget(value, row, 1, Qt.AlignmentFlag.AlignTrailing)
        self._toggle.setVisible(bool(verdict.arithmetic))
        self._figures.setVisible(bool(verdict.arithmetic) and self._toggle.isChecked())
        self.setAccessibleName(self.text)
        self.update()

    def _show(self, headline: str, text: str) -> None:
        self._steps = ()
        self._slider_row.hide()
        self.set_verdict(VerdictView(headline, (text,) if text else (), ()))

    def _on_moved(self, step: int) -> None:
        self._name_slider()
        if step < len(self._steps):
            self.context_changed.emit(self._steps[step])

    def _name_slider(self) -> None:
        tokens = self._steps[min(self._slider.value(), len(self._steps) - 1)]
        words = self.tr("Context length: {tokens} tokens").format(tokens=number(tokens))
        self._slider_label.setText(words)
        self._slider.setAccessibleName(words)

    def _on_toggled(self, checked: bool) -> None:
        self._figures.setVisible(checked)
        self._toggle.setText(self.tr("Hide the arithmetic") if checked else self.tr("Show the arithmetic"))

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = colors()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(theme.error if self._sign.level is FitLevel.POOR else theme.border), 1))
            painter.setBrush(QColor(theme.raised))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS_PX, RADIUS_PX)
