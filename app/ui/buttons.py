"""The one push button of the window: flat, rounded, in the colours of the theme, with a visible focus ring."""

from __future__ import annotations

from enum import Enum

from PySide6.QtCore import QEvent, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QEnterEvent, QFocusEvent, QFontMetrics, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QPushButton, QSizePolicy, QStyle, QWidget

from app.ui.icons import draw_icon
from app.ui.theme import ThemeColors, colors

RADIUS_PX = 6
FOCUS_RING_PX = 2
LINE_PX = 3


class ButtonKind(Enum):
    """How much a button asks for attention."""

    PRIMARY = "primary"  # filled with the accent colour; one per place
    PLAIN = "plain"  # framed
    QUIET = "quiet"  # no frame until pointed at


class Button(QPushButton):
    """A button with words, an icon, or both. Without words it needs an accessible name, which is its tooltip too."""

    def __init__(
        self,
        text: str = "",
        parent: QWidget | None = None,
        *,
        kind: ButtonKind = ButtonKind.PLAIN,
        icon: str | None = None,
        name: str = "",
        leading: bool = False,
    ) -> None:
        super().__init__(text, parent)
        self._kind = kind
        self._icon_name = icon
        self._leading = leading
        self._ring_hidden = False
        self._progress: float | None = None
        self.setAccessibleName(name or text)
        if not text:
            self.setToolTip(name)
        self.setAutoDefault(False)
        self.setSizePolicy(QSizePolicy.Policy.Minimum if text else QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def set_icon_name(self, icon: str) -> None:
        """Change its drawing (a file of resources/icons)."""
        self._icon_name = icon
        self.update()

    def set_progress(self, progress: float | None) -> None:
        """Show by a line at the bottom how far something is that is behind this button, from 0 to 1; None: nothing."""
        self._progress = progress
        self.update()

    @property
    def focus_reason(self) -> Qt.FocusReason:
        """To hand the keyboard on with: who pressed with the mouse needs no ring around what comes next."""
        return Qt.FocusReason.MouseFocusReason if self._ring_hidden else Qt.FocusReason.OtherFocusReason

    def _padding_px(self) -> int:
        return max(4, self.fontMetrics().height() // 3)

    def _icon_px(self) -> int:
        return max(14, round(self.fontMetrics().height() * 0.95))

    def _grounds(self, theme: ThemeColors) -> tuple[str | None, str | None, str]:
        """Ground, frame and text for the present state."""
        pointed = self.isEnabled() and (self.underMouse() or self.isDown())
        if self._kind is ButtonKind.PRIMARY and self.isEnabled():
            ground = QColor(theme.accent)
            if pointed:
                ground = ground.lighter(112) if theme.dark else ground.darker(112)
            return ground.name(), None, theme.on_accent
        if self.isChecked() or self.isDown():
            ground_name: str | None = theme.selected
        else:
            ground_name = theme.hover if pointed else None
        frame = None if self._kind is ButtonKind.QUIET else theme.field_border
        if not self.isEnabled():
            return None, theme.border if frame else None, self.palette().buttonText().color().name()
        return ground_name, frame, theme.text

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = colors()
        ground, frame, text = self._grounds(theme)
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
            painter.setPen(QPen(QColor(frame), 1) if frame else Qt.PenStyle.NoPen)
            painter.setBrush(QColor(ground) if ground else Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box, RADIUS_PX, RADIUS_PX)
            if self.hasFocus() and not self._ring_hidden:
                filled = self._kind is ButtonKind.PRIMARY and self.isEnabled()
                inset = FOCUS_RING_PX / 2 + (FOCUS_RING_PX if filled else 0)
                painter.setPen(QPen(QColor(theme.on_accent if filled else theme.accent), FOCUS_RING_PX))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRoundedRect(
                    QRectF(self.rect()).adjusted(inset, inset, -inset, -inset), RADIUS_PX, RADIUS_PX
                )
            self._draw_content(painter, QColor(text))
            if self._progress is not None:
                room = self.rect().adjusted(self._padding_px(), 0, -self._padding_px(), 0)
                done = QRect(room.left(), room.bottom() + 1 - LINE_PX, round(room.width() * self._progress), LINE_PX)
                painter.fillRect(QRect(room.left(), done.top(), room.width(), LINE_PX), QColor(theme.border))
                painter.fillRect(QStyle.visualRect(self.layoutDirection(), room, done), QColor(theme.accent))

    def _draw_content(self, painter: QPainter, color: QColor) -> None:
        padding, icon_px = self._padding_px(), self._icon_px() if self._icon_name else 0
        words = self.text()
        gap = padding if icon_px and words else 0
        metrics = QFontMetrics(self.font())
        room = self.width() - 2 * padding - icon_px - gap
        shown = metrics.elidedText(words, Qt.TextElideMode.ElideRight, room + padding // 2)
        content = icon_px + gap + metrics.horizontalAdvance(shown)
        left = padding if self._leading else (self.width() - content) // 2
        if self.layoutDirection() == Qt.LayoutDirection.RightToLeft and self._leading:
            left = self.width() - padding - content
        if self._icon_name:
            draw_icon(
                painter,
                self._icon_name,
                color,
                QRectF(left, (self.height() - icon_px) // 2, icon_px, icon_px),
            )
        painter.setPen(color)
        text_box = QRectF(left + icon_px + gap, 0, metrics.horizontalAdvance(shown) + padding, self.height())
        painter.drawText(text_box, Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextHideMnemonic, shown)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        # Qt gives Enter only to the buttons of dialogs that it may choose as their default.
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.isAutoRepeat():
            self.click()
            event.accept()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        # Who pressed with the mouse knows where they are; coming back from another window changes nothing.
        if event.reason() != Qt.FocusReason.ActiveWindowFocusReason:
            self._ring_hidden = event.reason() == Qt.FocusReason.MouseFocusReason
        super().focusInEvent(event)

    def sizeHint(self) -> QSize:
        metrics, padding = self.fontMetrics(), self._padding_px()
        height = metrics.height() + 2 * padding
        if not self.text():
            return QSize(height, height)
        width = metrics.horizontalAdvance(self.text()) + 4 * padding
        if self._icon_name:
            width += self._icon_px() + padding
        return QSize(width, height)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.update()
