"""Finding the parts of a transcript and using them as a person does."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

from app.ui.transcript import TranscriptView
from app.ui.transcript.message_widget import MessageWidget
from app.ui.transcript.text_view import TextView


def rows(view: TranscriptView) -> list[MessageWidget]:
    return sorted(
        (w for w in view.viewport().findChildren(MessageWidget) if not w.isHidden()), key=lambda widget: widget.y()
    )


def row(view: TranscriptView, message_id: str) -> MessageWidget:
    return next(widget for widget in rows(view) if widget.message_id == message_id)


def texts(widget: QWidget) -> list[TextView]:
    """From top to bottom."""
    shown = [text for text in widget.findChildren(TextView) if text.isVisible()]
    return sorted(shown, key=lambda text: text.mapTo(widget, QPoint(0, 0)).y())


def button(widget: QWidget, name: str) -> QAbstractButton:
    found = [
        b for b in widget.findChildren(QAbstractButton) if b.isVisible() and name in (b.text(), b.accessibleName())
    ]
    assert len(found) == 1, [b.accessibleName() or b.text() for b in widget.findChildren(QAbstractButton)]
    return found[0]


def has_button(widget: QWidget, name: str) -> bool:
    return any(b.isVisible() and name in (b.text(), b.accessibleName()) for b in widget.findChildren(QAbstractButton))


def hover(view: TranscriptView, widget: QWidget) -> None:
    QTest.mouseMove(widget, QPoint(widget.width() // 2, widget.height() // 2))
    QApplication.processEvents()


def click(widget: QWidget) -> None:
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def all_text(widget: QWidget) -> str:
    return "\n".join(text.toPlainText() for text in texts(widget))


def drag(text: TextView, point: QPoint) -> None:
    """Move the mouse with the left button down; QTest moves it without."""
    local, shown = QPointF(point), QPointF(text.viewport().mapToGlobal(point))
    left = Qt.MouseButton.LeftButton
    event = QMouseEvent(QEvent.Type.MouseMove, local, shown, left, left, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(text.viewport(), event)


def select(first: TextView, last: TextView) -> None:
    """Drag the mouse from the beginning of one text to the end of another."""
    left = Qt.MouseButton.LeftButton
    QTest.mousePress(first.viewport(), left, pos=QPoint(0, 2))
    end = first.viewport().mapFromGlobal(last.mapToGlobal(QPoint(last.width() - 1, last.height() - 2)))
    drag(first, end)
    QTest.mouseRelease(first.viewport(), left, pos=end)
