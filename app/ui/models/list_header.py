"""Widgets above the first row of a list, which scroll away with the rows."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPoint
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget

from app.ui.models.row_list import RowList


class ListHeader(QWidget):
    """A window onto `content`, over the part of the list where its first row leaves room.

    `content` has a height for each width. It is a sibling of the list and not in it: to screen readers a list consists
    of its rows only.
    """

    def __init__(self, content: QWidget, rows: RowList) -> None:
        super().__init__(rows.parentWidget())
        self._content = content
        self._rows = rows
        content.setParent(self)
        content.installEventFilter(self)
        rows.viewport().installEventFilter(self)
        rows.installEventFilter(self)
        rows.verticalScrollBar().valueChanged.connect(self._follow)
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.focusChanged.connect(self._on_focus_changed)

    def _fit(self) -> None:
        """Ask the list for the room that the content needs at this width."""
        width_px = self._rows.viewport().width()
        needed_px = self._content.heightForWidth(width_px)
        self._rows.set_header_px(needed_px)
        self._content.resize(width_px, needed_px)
        self._follow()

    def _follow(self) -> None:
        """Stand where the rows leave room now. Scrolled out of sight it has no height but can be reached by Tab."""
        viewport = self._rows.viewport()
        scrolled_px = self._rows.verticalScrollBar().value()
        seen_px = min(max(0, self._content.height() - scrolled_px), viewport.height())
        corner = self._rows.geometry().topLeft() + viewport.pos()
        self.setGeometry(corner.x(), corner.y(), viewport.width(), seen_px)
        self._content.move(0, -scrolled_px)

    def _on_focus_changed(self, _old: QWidget | None, new: QWidget | None) -> None:
        if new is None or not self._content.isAncestorOf(new):
            return
        bar = self._rows.verticalScrollBar()
        top = new.mapTo(self._content, QPoint(0, 0)).y()
        lowest = top + new.height() - self._rows.viewport().height()
        if not lowest <= bar.value() <= top:
            bar.setValue(max(0, lowest) if bar.value() < lowest else top)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kind = event.type()
        if watched is self._content:
            if kind == QEvent.Type.LayoutRequest:
                self._fit()
        elif kind == QEvent.Type.Resize:
            self._fit()
        elif kind == QEvent.Type.Move:
            self._follow()
        return False

    def wheelEvent(self, event: QWheelEvent) -> None:
        QApplication.sendEvent(self._rows.viewport(), event)
