"""The button above the chat that names the model and lets the person choose another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QColor, QKeySequence, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QMenu, QSizePolicy, QToolButton, QWidget

from app.ui.buttons import FOCUS_RING_PX, RADIUS_PX, Button, ButtonKind
from app.ui.icons import draw_icon
from app.ui.model_rows import ModelRow, builtin_model_name, describe_model
from app.ui.theme import colors

LONGEST_NAME_IN_CHARS = 40
MOST_FILES = 20  # in the menu: nobody reads hundreds there, and making them would hold the window up
PROGRESS_HEIGHT_PX = 3


class ModelButton(QToolButton):
    """Shows the current model; while one is loading, how far that has come and a way to cancel."""

    model_chosen = Signal(object)  # path as str, None for the built-in model
    open_requested = Signal()
    models_requested = Signal()  # the page with all of them
    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = builtin_model_name()
        self._fraction: float | None = None
        self._menu = QMenu(self)
        self._menu.setToolTipsVisible(True)
        self._choices = QActionGroup(self)
        self._choices.triggered.connect(self._on_chosen)
        self._cancel = Button("", self, kind=ButtonKind.QUIET, icon="close", name=self.tr("Cancel loading the model"))
        self._cancel.clicked.connect(self.cancel_requested)
        self._cancel.hide()
        self.setMenu(self._menu)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.set_models([], None)

    def set_models(self, models: Sequence[ModelRow], current_path: str | None) -> None:
        """Offer the built-in model and the first of these files; `current_path` None: the built-in one is in use."""
        self._menu.clear()
        for action in self._choices.actions():
            self._choices.removeAction(action)
        self._name = builtin_model_name() if current_path is None else Path(current_path).stem
        self._add(builtin_model_name(), None, current_path is None, "")
        if models:
            self._menu.addSection(self.tr("Opened before"))
        for number, model in enumerate(models):
            is_current = model.path == current_path
            if is_current:
                self._name = model.name
            if is_current or number < MOST_FILES:
                self._add(model.name, model.path, is_current, describe_model(model))
        self._menu.addSeparator()
        more_action = QAction(self.tr("More models…"), self._menu)
        more_action.triggered.connect(self.models_requested)
        self._menu.addAction(more_action)
        open_action = QAction(self.tr("Open a model file…"), self._menu)
        # The window owns the key; here it is only shown.
        open_action.setText(open_action.text() + "\t" + _native(QKeySequence.StandardKey.Open))
        open_action.triggered.connect(self.open_requested)
        self._menu.addAction(open_action)
        self._update()

    def set_loading(self, fraction: float | None) -> None:
        """How far loading has come, 0 to 1; None when nothing is being loaded."""
        self._fraction = None if fraction is None else min(max(fraction, 0.0), 1.0)
        self._cancel.setVisible(fraction is not None)
        self._update()

    def current_name(self) -> str:
        """The name on the button."""
        return self._name

    def _add(self, name: str, path: str | None, checked: bool, figures: str) -> None:
        shown = self.fontMetrics().elidedText(name.replace("&", "&&"), Qt.TextElideMode.ElideMiddle, self._widest_px())
        action = QAction(shown, self._menu)
        action.setCheckable(True)
        action.setChecked(checked)
        action.setData(path)
        action.setToolTip("\n".join(part for part in (name, figures, path) if part))
        self._choices.addAction(action)
        self._menu.addAction(action)

    def _on_chosen(self, action: QAction) -> None:
        self.model_chosen.emit(action.data())

    def _update(self) -> None:
        if self._fraction is None:
            words = self._name
            self.setToolTip(self.tr("{model}: choose a model").format(model=self._name))
        else:
            percent = int(self._fraction * 100)
            loading = self.tr("Loading… {percent} %").format(percent=percent)
            # All is read, but a graphics card may translate its programs for a minute when it sees a model first.
            words = loading if percent < 100 else self.tr("Getting ready…")
            self.setToolTip(words)
        self.setText(words)
        self.setAccessibleName(self.tr("Model: {name}").format(name=words))
        self.updateGeometry()
        self.update()

    def _widest_px(self) -> int:
        return self.fontMetrics().averageCharWidth() * LONGEST_NAME_IN_CHARS

    def _padding_px(self) -> int:
        return max(4, self.fontMetrics().height() // 3)

    def sizeHint(self) -> QSize:
        metrics, padding = self.fontMetrics(), self._padding_px()
        words_px = min(metrics.horizontalAdvance(self.text()), self._widest_px())
        if self._fraction is not None:
            words_px = max(words_px, metrics.averageCharWidth() * 20)
        height = metrics.height() + 2 * padding
        tail = height if self._fraction is not None else metrics.height()
        return QSize(words_px + 4 * padding + tail, height)

    def minimumSizeHint(self) -> QSize:
        return QSize(self.fontMetrics().averageCharWidth() * 12, self.sizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        side = self.height() - 6
        left = 3 if self.layoutDirection() == Qt.LayoutDirection.RightToLeft else self.width() - side - 3
        self._cancel.setGeometry(left, 3, side, side)

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = colors()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
            painter.setPen(Qt.PenStyle.NoPen)
            if self.isDown() or self.underMouse():
                painter.setBrush(QColor(theme.selected if self.isDown() else theme.hover))
                painter.drawRoundedRect(box, RADIUS_PX, RADIUS_PX)
            if self._fraction is not None:
                self._draw_progress(painter, box)
            if self.hasFocus():
                inset = FOCUS_RING_PX / 2
                painter.setPen(QPen(QColor(theme.accent), FOCUS_RING_PX))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                ring = QRectF(self.rect()).adjusted(inset, inset, -inset, -inset)
                painter.drawRoundedRect(ring, RADIUS_PX, RADIUS_PX)
            self._draw_words(painter, QColor(theme.text))

    def _draw_progress(self, painter: QPainter, box: QRectF) -> None:
        theme = colors()
        track = QRectF(
            box.left() + RADIUS_PX,
            box.bottom() - PROGRESS_HEIGHT_PX - 1,
            box.width() - 2 * RADIUS_PX,
            PROGRESS_HEIGHT_PX,
        )
        painter.setBrush(QColor(theme.border))
        painter.drawRect(track)
        track.setWidth(track.width() * (self._fraction or 0.0))
        painter.setBrush(QColor(theme.accent))
        painter.drawRect(track)

    def _draw_words(self, painter: QPainter, color: QColor) -> None:
        metrics, padding = self.fontMetrics(), self._padding_px()
        icon_px = round(metrics.height() * 0.8)
        tail = self.height() if self._fraction is not None else icon_px + padding
        room = self.width() - 2 * padding - tail
        shown = metrics.elidedText(self.text(), Qt.TextElideMode.ElideMiddle, room)
        mirrored = self.layoutDirection() == Qt.LayoutDirection.RightToLeft
        left = padding + tail if mirrored else padding
        words = QRectF(left, 0, room, self.height())
        painter.setPen(color)
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeading, shown)
        if self._fraction is None:
            used = min(metrics.horizontalAdvance(shown), room)
            chevron = left + room - used - padding - icon_px if mirrored else left + used + padding // 2
            draw_icon(painter, "down", color, QRectF(chevron, (self.height() - icon_px) // 2, icon_px, icon_px))


def _native(key: QKeySequence.StandardKey) -> str:
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
