"""One download in the panel."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from app.core.downloads import Download, DownloadState
from app.services.explain_download import download_actions, download_words
from app.services.explanation import Action, ActionKind
from app.ui.buttons import Button, ButtonKind
from app.ui.flow_layout import FlowLayout
from app.ui.labels import ElidedLabel, Label

STEPS = 1000  # of a progress bar
BAR_PX = 6


class DownloadRow(QWidget):
    """Name, bar, how it stands, what can be pressed now, and what helps where it cannot go on."""

    pause_requested = Signal(str)  # id
    resume_requested = Signal(str)
    cancel_requested = Signal(str)
    replace_requested = Signal(str)
    folder_requested = Signal(str, str)  # id, and the folder where it shall go instead
    move_requested = Signal(str, int)  # id, by how many places
    use_requested = Signal(object)  # path as str
    show_in_folder_requested = Signal(str)  # path
    action_requested = Signal(object)  # app.services.explanation.Action: what helps beyond this row

    def __init__(self, download_id: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._id = download_id
        self._model = ""
        self._path = ""
        self._target = ""  # the folder where it goes
        self._actions: tuple[Action, ...] = ()
        self._name = ElidedLabel("", self)
        self._status = Label("", self, percent=92, muted=True, wraps=True)
        self._bar = QProgressBar(self)
        self._bar.setRange(0, STEPS)
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(BAR_PX)
        self._pause = self._button(self.tr("Pause"), self._on_pause)
        self._resume = self._button(self.tr("Resume"), self._on_resume)
        self._use = self._button(self.tr("Chat now"), self._on_use, ButtonKind.PRIMARY)
        self._folder = self._button(self.tr("Show in folder"), self._on_folder)
        self._up = self._button("", self._on_up, ButtonKind.QUIET, "up", self.tr("Sooner"))
        self._down = self._button("", self._on_down, ButtonKind.QUIET, "down", self.tr("Later"))
        self._cancel = self._button("", self._on_cancel, ButtonKind.QUIET, "close", self.tr("Cancel"))
        self._help = QWidget(self)
        self._help_flow = FlowLayout(self._help, spacing_px=6)
        self._help_flow.setContentsMargins(0, 4, 0, 0)
        self._help.hide()
        words = self._words = QVBoxLayout()
        words.setSpacing(2)
        for widget in (self._name, self._bar, self._status):
            words.addWidget(widget)
        words.addWidget(self._help)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addLayout(words, 1)
        for button in (self._up, self._down, self._pause, self._resume, self._use, self._folder, self._cancel):
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
        self._model = download.name
        self._path = download.path
        self._target = download.folder
        name = f"{download.name} · {download.quantization}" if download.quantization else download.name
        self._name.setText(name)
        self._bar.setAccessibleName(self.tr("Progress of {model}").format(model=download.name))
        total = download.total_bytes
        self._bar.setRange(0, STEPS if total else 0)
        self._bar.setValue(round(STEPS * download.done_bytes / total) if total else 0)
        self._bar.setVisible(state is not DownloadState.DONE)
        self._status.setText(download_words(download))
        role = (
            QPalette.ColorRole.PlaceholderText if state is not DownloadState.FAILED else QPalette.ColorRole.WindowText
        )
        self._status.setForegroundRole(role)
        for button in (self._pause, self._resume, self._use, self._folder, self._up, self._down, self._cancel):
            self._name_button(button)
        had_focus = self._pause.hasFocus() or self._resume.hasFocus()
        widest_px = max(self._pause.sizeHint().width(), self._resume.sizeHint().width())
        for button in (self._pause, self._resume):  # bars of several rows end at the same place
            button.setMinimumWidth(widest_px)
        self._pause.setVisible(state in (DownloadState.QUEUED, DownloadState.RUNNING, DownloadState.WAITING))
        self._resume.setVisible(state in (DownloadState.PAUSED, DownloadState.SCHEDULED))
        self._use.setVisible(state is DownloadState.DONE)
        self._folder.setVisible(state is DownloadState.DONE)
        self._cancel.setVisible(not download.is_over or state is DownloadState.FAILED)
        self._set_actions(download_actions(download))
        if had_focus:  # else it would be on Cancel, and the next press a surprise
            goes_on = (self._pause, self._resume, self._use, *self._help.findChildren(Button))
            next((button for button in goes_on if not button.isHidden()), self._cancel).setFocus()

    def set_place(self, place: int, count: int) -> None:
        """Where it stands among all."""
        self._up.setVisible(count > 1)
        self._down.setVisible(count > 1)
        self._up.setEnabled(place > 0)
        self._down.setEnabled(place < count - 1)

    def _set_actions(self, actions: tuple[Action, ...]) -> None:
        """Offer these below the words; those that are there already stay, with the keyboard on them."""
        if actions == self._actions:
            return
        self._actions = actions
        while (item := self._help_flow.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        for number, action in enumerate(actions):
            button = Button(action.label, self._help)
            button.setProperty("number", number)
            button.clicked.connect(self._on_action)
            self._name_button(button)
            self._help_flow.addWidget(button)
            button.show()
        self._help.setVisible(bool(actions))
        self._words.invalidate()  # a layout within another is not told of a widget that hides

    def _button(
        self, text: str, on_click: object, kind: ButtonKind = ButtonKind.PLAIN, icon: str | None = None, name: str = ""
    ) -> Button:
        button = Button(text, self, kind=kind, icon=icon, name=name)
        button.clicked.connect(on_click)
        return button

    def _name_button(self, button: Button) -> None:
        button.setAccessibleName(f"{button.text() or button.toolTip()}: {self._model}")

    def _on_action(self) -> None:
        sender = self.sender()
        if not isinstance(sender, Button):
            return
        action = self._actions[sender.property("number")]
        match action.kind:
            case ActionKind.RETRY:
                self.resume_requested.emit(self._id)
            case ActionKind.REPLACE_FILE:
                self.replace_requested.emit(self._id)
            case ActionKind.CHOOSE_FOLDER:
                folder = QFileDialog.getExistingDirectory(self, self.tr("Download to"), self._target)
                if folder:
                    self.folder_requested.emit(self._id, folder)
            case _:
                self.action_requested.emit(action)

    def _on_pause(self) -> None:
        self.pause_requested.emit(self._id)

    def _on_resume(self) -> None:
        self.resume_requested.emit(self._id)

    def _on_cancel(self) -> None:
        self.cancel_requested.emit(self._id)

    def _on_up(self) -> None:
        self.move_requested.emit(self._id, -1)

    def _on_down(self) -> None:
        self.move_requested.emit(self._id, 1)

    def _on_use(self) -> None:
        self.use_requested.emit(self._path)

    def _on_folder(self) -> None:
        self.show_in_folder_requested.emit(self._path)
