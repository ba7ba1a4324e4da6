"""A list beside the details of what is chosen in it; where there is no room for both, one after the other."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.ui.buttons import Button, ButtonKind

WIDE_CHARS = 105
"""From this width on, in characters, both are shown."""

LIST_SHARE, DETAILS_SHARE = 5, 6


class MasterDetail(QWidget):
    """`open_details` and the Back button (or Esc) lead from one to the other where only one is shown."""

    def __init__(self, master: QWidget, details: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._master = master
        self._right = QWidget(self)
        self._details = details
        self._back = Button(self.tr("Back to the list"), self._right, kind=ButtonKind.QUIET, icon="previous")
        self._back.clicked.connect(self.go_back)
        self._is_open = False
        column = QVBoxLayout(self._right)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._back, 0, Qt.AlignmentFlag.AlignLeading)
        column.addWidget(details, 1)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(master, LIST_SHARE)
        row.addWidget(self._right, DETAILS_SHARE)
        self.setFocusProxy(master)
        self._arrange()

    @property
    def is_wide(self) -> bool:
        """Whether there is room for both."""
        return self.width() >= self.fontMetrics().averageCharWidth() * WIDE_CHARS

    def open_details(self, reason: Qt.FocusReason = Qt.FocusReason.OtherFocusReason) -> None:
        """Show the details, and bring the keyboard there; beside a list that was clicked it stays in the list."""
        self.show_details()
        if not self.is_wide:
            self._back.setFocus(reason)
        elif reason is not Qt.FocusReason.MouseFocusReason:
            self._details.setFocus(reason)

    def show_details(self) -> None:
        """Show the details, and leave the keyboard where it is."""
        self._is_open = True
        self._arrange()

    def show_list(self) -> None:
        """Show the list again; the keyboard stays where it is, unless that goes."""
        self._is_open = False
        self._arrange()

    def go_back(self) -> None:
        """Show the list again, and bring the keyboard there."""
        self.show_list()
        self._master.setFocus(Qt.FocusReason.OtherFocusReason)

    def _arrange(self) -> None:
        wide = self.is_wide
        self._back.setVisible(not wide)
        self._right.setVisible(wide or self._is_open)
        self._master.setVisible(wide or not self._is_open)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self._right.isAncestorOf(self.focusWidget() or self):
            self.go_back()
            event.accept()
        else:
            super().keyPressEvent(event)
