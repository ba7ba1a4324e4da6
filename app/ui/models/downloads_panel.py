"""What is on its way, at the bottom of the models page."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPalette, QResizeEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from app.core.downloads import Download, DownloadState, WaitReason
from app.core.errors import ErrorKind
from app.services.explain import explain
from app.services.wording import duration, file_size
from app.ui.buttons import Button, ButtonKind
from app.ui.labels import ElidedLabel, Label
from app.ui.scroll_column import use_slim_scroll_bars

STEPS = 1000  # of a progress bar
VISIBLE_ROWS = 3  # more scroll
_OF_THE_FOLDER = frozenset(  # failures that another folder helps against
    {
        ErrorKind.NAME_TAKEN,
        ErrorKind.DISK_SPACE,
        ErrorKind.FILE_TOO_LARGE,
        ErrorKind.FOLDER_READ_ONLY,
        ErrorKind.WRITE_FAILED,
    }
)
ROW_LINES = 3.2  # the usual height of a row, in lines of text


class DownloadsPanel(QWidget):
    """One row for each download. Hidden while there are none."""

    pause_requested = Signal(str)  # id
    resume_requested = Signal(str)
    cancel_requested = Signal(str)
    replace_requested = Signal(str)  # id: the file that has the name may go
    folder_requested = Signal(str, str)  # id, and the folder where it shall go instead
    move_requested = Signal(str, int)  # id, by how many places
    use_requested = Signal(object)  # path as str
    show_in_folder_requested = Signal(str)  # path
    clear_requested = Signal()  # those that are done

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Downloads"))
        self._rows: dict[str, DownloadRow] = {}
        self._title = Label(self.tr("Downloads"), self, bold=True)
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
        row.move_requested.connect(self.move_requested)
        row.use_requested.connect(self.use_requested)
        row.show_in_folder_requested.connect(self.show_in_folder_requested)
        row.show()
        return row

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_height()


class DownloadRow(QWidget):
    """Name, bar, how it stands, and what can be pressed now."""

    pause_requested = Signal(str)
    resume_requested = Signal(str)
    cancel_requested = Signal(str)
    replace_requested = Signal(str)
    folder_requested = Signal(str, str)
    move_requested = Signal(str, int)
    use_requested = Signal(object)
    show_in_folder_requested = Signal(str)

    def __init__(self, download_id: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._id = download_id
        self._path = ""
        self._target = ""  # the folder where it goes
        self._name = ElidedLabel("", self)
        self._status = Label("", self, percent=92, muted=True, wraps=True)
        self._bar = QProgressBar(self)
        self._bar.setRange(0, STEPS)
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(6)
        self._pause = self._button(self.tr("Pause"), self._on_pause)
        self._replace = self._button(self.tr("Replace it"), self._on_replace)
        self._elsewhere = self._button(self.tr("Another folder…"), self._on_elsewhere)
        self._resume = self._button(self.tr("Resume"), self._on_resume)
        self._use = self._button(self.tr("Chat now"), self._on_use, ButtonKind.PRIMARY)
        self._folder = self._button(self.tr("Show in folder"), self._on_folder)
        self._up = self._button("", self._on_up, ButtonKind.QUIET, "up", self.tr("Sooner"))
        self._down = self._button("", self._on_down, ButtonKind.QUIET, "down", self.tr("Later"))
        self._cancel = self._button("", self._on_cancel, ButtonKind.QUIET, "close", self.tr("Cancel"))
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self._name)
        words.addWidget(self._bar)
        words.addWidget(self._status)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addLayout(words, 1)
        moving = (self._up, self._down, self._pause, self._replace, self._elsewhere, self._resume)
        for button in (*moving, self._use, self._folder, self._cancel):
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)

    @property
    def status(self) -> str:
        """How it stands, in words."""
        return self._status.text()

    def button(self, text: str) -> Button | None:
        """The button with these words, if it can be pressed now."""
        for button in self.findChildren(Button):
            if not button.isHidden() and text in (button.text(), button.toolTip()):
                return button
        return None

    def set_download(self, download: Download) -> None:
        """Show how it stands."""
        state = download.state
        self._path = download.path
        self._target = download.folder
        name = f"{download.name} · {download.quantization}" if download.quantization else download.name
        self._name.setText(name)
        self._bar.setAccessibleName(self.tr("Progress of {model}").format(model=download.name))
        total = download.total_bytes
        self._bar.setRange(0, STEPS if total else 0)
        self._bar.setValue(round(STEPS * download.done_bytes / total) if total else 0)
        self._bar.setVisible(state is not DownloadState.DONE)
        self._status.setText(self._words(download))
        role = (
            QPalette.ColorRole.PlaceholderText if state is not DownloadState.FAILED else QPalette.ColorRole.WindowText
        )
        self._status.setForegroundRole(role)
        is_moving = state in (DownloadState.QUEUED, DownloadState.RUNNING, DownloadState.WAITING)
        can_resume = state in (DownloadState.PAUSED, DownloadState.FAILED, DownloadState.SCHEDULED)
        self._pause.setVisible(is_moving)
        self._resume.setVisible(can_resume)
        self._resume.setText(self.tr("Try again") if state is DownloadState.FAILED else self.tr("Resume"))
        why = download.error.kind if state is DownloadState.FAILED and download.error is not None else None
        self._replace.setVisible(why is ErrorKind.NAME_TAKEN)
        self._elsewhere.setVisible(why in _OF_THE_FOLDER)
        self._use.setVisible(state is DownloadState.DONE)
        self._folder.setVisible(state is DownloadState.DONE)
        self._cancel.setVisible(not download.is_over or state is DownloadState.FAILED)
        named = (
            self._pause,
            self._replace,
            self._elsewhere,
            self._resume,
            self._use,
            self._folder,
            self._up,
            self._down,
        )
        for button in named:
            button.setAccessibleName(f"{button.text() or button.toolTip()}: {download.name}")
        self._cancel.setAccessibleName(self.tr("Cancel: {model}").format(model=download.name))

    def set_place(self, place: int, count: int) -> None:
        """Where it stands among all."""
        self._up.setVisible(count > 1)
        self._down.setVisible(count > 1)
        self._up.setEnabled(place > 0)
        self._down.setEnabled(place < count - 1)

    def _words(self, download: Download) -> str:
        if download.state is DownloadState.FAILED and download.error is not None:
            explanation = explain(download.error)
            return f"{explanation.title}. {explanation.text}"
        parts = []
        if download.total_bytes and download.state is not DownloadState.DONE:
            amounts = self.tr("{done} of {total}")
            parts.append(amounts.format(done=file_size(download.done_bytes), total=file_size(download.total_bytes)))
        parts.append(self._state_words(download))
        return " · ".join(part for part in parts if part)

    def _state_words(self, download: Download) -> str:
        if download.state is DownloadState.RUNNING:
            words = self.tr("{speed}/s").format(speed=file_size(round(download.bytes_per_second)))
            if download.seconds_left is not None:
                words += " · " + self.tr("{time} left").format(time=duration(download.seconds_left))
            return words if download.bytes_per_second else self._reason(download.wait_reason)
        if download.state is DownloadState.WAITING:
            reason = self._reason(download.wait_reason)
            if download.retry_in_s > 0:
                reason += " " + self.tr("Trying again in {time}.").format(time=duration(download.retry_in_s))
            return reason
        words_of = {
            DownloadState.QUEUED: self.tr("Waits for the one before it."),
            DownloadState.PAUSED: self.tr("Paused."),
            DownloadState.SCHEDULED: self.tr("Waits for the hours set for downloads."),
            DownloadState.VERIFYING: self.tr("Checking that nothing was damaged on the way…"),
            DownloadState.DONE: self.tr("Complete and checked, {size}.").format(size=file_size(download.total_bytes)),
        }
        return words_of.get(download.state, "")

    def _reason(self, reason: WaitReason) -> str:
        words = {
            WaitReason.NONE: self.tr("Starting…"),
            WaitReason.CONNECTING: self.tr("Connecting…"),
            WaitReason.NETWORK: self.tr("No connection."),
            WaitReason.SERVER_BUSY: self.tr("The hub is busy."),
            WaitReason.RATE_LIMIT: self.tr("The hub asks for a pause."),
            WaitReason.OTHER_PROGRAM: self.tr("Another program downloads this file."),
            WaitReason.OFFLINE: self.tr("Hearth is set to stay offline."),
            WaitReason.NIGHT: self.tr("Waits for the hours set for downloads."),
        }
        return words[reason]

    def _button(
        self, text: str, on_click: object, kind: ButtonKind = ButtonKind.PLAIN, icon: str | None = None, name: str = ""
    ) -> Button:
        button = Button(text, self, kind=kind, icon=icon, name=name)
        button.clicked.connect(on_click)
        return button

    def _on_pause(self) -> None:
        self.pause_requested.emit(self._id)

    def _on_resume(self) -> None:
        self.resume_requested.emit(self._id)

    def _on_cancel(self) -> None:
        self.cancel_requested.emit(self._id)

    def _on_replace(self) -> None:
        self.replace_requested.emit(self._id)

    def _on_elsewhere(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, self.tr("Download to"), self._target)
        if folder:
            self.folder_requested.emit(self._id, folder)

    def _on_up(self) -> None:
        self.move_requested.emit(self._id, -1)

    def _on_down(self) -> None:
        self.move_requested.emit(self._id, 1)

    def _on_use(self) -> None:
        self.use_requested.emit(self._path)

    def _on_folder(self) -> None:
        self.show_in_folder_requested.emit(self._path)
