"""What is on its way, at the bottom of the models page."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.core.downloads import Download, DownloadState
from app.ui.buttons import Button, ButtonKind
from app.ui.labels import Label
from app.ui.models.download_row import DownloadRow
from app.ui.scroll_column import use_slim_scroll_bars

VISIBLE_ROWS = 3  # more scroll
ROW_LINES = 3.2  # the usual height of a row, in lines of text


class DownloadsPanel(QWidget):
    """One row for each download, which can be folded away. Hidden while there are none."""

    pause_requested = Signal(str)  # id
    resume_requested = Signal(str)
    cancel_requested = Signal(str)
    replace_requested = Signal(str)  # id: the file that has the name may go
    folder_requested = Signal(str, str)  # id, and the folder where it shall go instead
    move_requested = Signal(str, int)  # id, by how many places
    use_requested = Signal(object)  # path as str
    show_in_folder_requested = Signal(str)  # path
    action_requested = Signal(object)  # app.services.explanation.Action: what helps beyond the row
    clear_requested = Signal()  # those that are done

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Downloads"))
        self._rows: dict[str, DownloadRow] = {}
        self._title = Label(self.tr("Downloads"), self, bold=True)
        self._fold = Button("", self, kind=ButtonKind.QUIET, icon="down", name=self.tr("Hide the downloads"))
        self._fold.clicked.connect(self._on_fold)
        self._clear = Button(self.tr("Clear the finished ones"), self, kind=ButtonKind.QUIET)
        self._clear.clicked.connect(self.clear_requested)
        self._inside = QWidget(self)
        self._column = QVBoxLayout(self._inside)
        self._column.setContentsMargins(0, 0, 8, 0)
        self._column.setSpacing(6)
        self._column.addStretch(1)
        self._area = QScrollArea(self)
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QScrollArea.Shape.NoFrame)
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setWidget(self._inside)
        self._area.viewport().setAutoFillBackground(False)
        self._inside.setAutoFillBackground(False)
        use_slim_scroll_bars(self._area)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 8, 0, 0)
        layout.setSpacing(4)
        top = QHBoxLayout()
        top.addWidget(self._title, 1)
        top.addWidget(self._clear)
        top.addWidget(self._fold)
        layout.addLayout(top)
        layout.addWidget(self._area)
        self.hide()

    @property
    def rows(self) -> list[DownloadRow]:
        """From top to bottom."""
        return list(self._rows.values())

    def set_downloads(self, downloads: Sequence[Download]) -> None:
        """Show this list, in its order."""
        self._inside.setUpdatesEnabled(False)  # a progress bar paints at once, and all else that waits with it
        kept: dict[str, DownloadRow] = {}
        if any(download.id not in self._rows for download in downloads):
            self._set_folded(False)  # what was just started is to be seen
        for place, download in enumerate(downloads):
            row = self._rows.pop(download.id, None) or self._new_row(download)
            row.set_download(download)
            row.set_place(place, len(downloads))
            self._column.removeWidget(row)
            self._column.insertWidget(place, row)
            kept[download.id] = row
        for row in self._rows.values():
            row.hide()
            row.deleteLater()
        self._rows = kept
        self._clear.setVisible(any(download.state is DownloadState.DONE for download in downloads))
        self._inside.setUpdatesEnabled(True)
        self.setVisible(bool(kept))
        self._fit_height()

    def set_download(self, download: Download) -> None:
        """Show how one stands now."""
        if (row := self._rows.get(download.id)) is not None:
            row.set_download(download)
            self._fit_height()

    def _set_folded(self, is_folded: bool) -> None:
        self._area.setHidden(is_folded)
        name = self.tr("Show the downloads") if is_folded else self.tr("Hide the downloads")
        self._fold.set_icon_name("up" if is_folded else "down")
        self._fold.setAccessibleName(name)
        self._fold.setToolTip(name)

    def _on_fold(self) -> None:
        self._set_folded(not self._area.isHidden())

    def _fit_height(self) -> None:
        """As tall as the rows at this width, and no taller than a few of them."""
        content_px = self._column.totalHeightForWidth(self.width())
        if content_px < 0:
            content_px = self._column.totalSizeHint().height()
        most_px = round(VISIBLE_ROWS * ROW_LINES * self.fontMetrics().height())
        self._area.setFixedHeight(min(content_px, most_px))

    def _new_row(self, download: Download) -> DownloadRow:
        row = DownloadRow(download.id, self._inside)
        row.pause_requested.connect(self.pause_requested)
        row.resume_requested.connect(self.resume_requested)
        row.cancel_requested.connect(self.cancel_requested)
        row.replace_requested.connect(self.replace_requested)
        row.folder_requested.connect(self.folder_requested)
        row.action_requested.connect(self.action_requested)
        row.move_requested.connect(self.move_requested)
        row.use_requested.connect(self.use_requested)
        row.show_in_folder_requested.connect(self.show_in_folder_requested)
        row.show()
        return row

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_height()
