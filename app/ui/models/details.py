"""Everything about one model: what it is, whether it runs here, and how to get it."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from app.core.downloads import Download, DownloadState
from app.services.wording import file_size
from app.ui.buttons import Button, ButtonKind
from app.ui.labels import Label, heading, hint
from app.ui.models.card_view import CardView
from app.ui.models.file_buttons import FileList
from app.ui.models.sheet import FileChoice, ModelSheet
from app.ui.models.verdict_box import VerdictBox
from app.ui.scroll_column import ScrollColumn


class ModelDetails(ScrollColumn):
    """Shows one sheet at a time."""

    file_chosen = Signal(object)  # FileChoice: the verdict is wanted for it
    download_requested = Signal(object, str)  # FileChoice, and the name of the model
    use_requested = Signal(object)  # path, as str, of a file that is here
    show_in_hub_requested = Signal(str)  # repository
    model_requested = Signal(str)  # key of another model
    link_requested = Signal(str)
    token_requested = Signal(str)  # repository whose terms are to be accepted

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, width_in_chars=90)
        self.setAccessibleName(self.tr("Details"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._sheet: ModelSheet | None = None
        self._choice: FileChoice | None = None
        self._here: Mapping[str, str] = {}
        self._downloads: Mapping[str, Download] = {}
        self._gate_box: QWidget | None = None  # how to get in; of no use once the file is here
        self.verdict = VerdictBox(self)
        self._files = FileList(self)
        self._files.chosen.connect(self._on_chosen)
        self._main = Button("", self, kind=ButtonKind.PRIMARY)
        self._main.clicked.connect(self._on_main_clicked)
        self._card = CardView(self)
        self._card.link_requested.connect(self.link_requested)
        self._empty = hint(self.tr("Choose a model to see what it is and whether it runs on this computer."), self)
        self.column.addWidget(self._empty)
        self.column.addStretch(1)
        for widget in (self.verdict, self._files, self._main, self._card):
            widget.hide()

    @property
    def sheet(self) -> ModelSheet | None:
        """What is shown."""
        return self._sheet

    @property
    def choice(self) -> FileChoice | None:
        """The file that the verdict and the button are about."""
        return self._choice

    @property
    def main_button(self) -> Button:
        """Download, or chat now."""
        return self._main

    def set_sheet(self, sheet: ModelSheet) -> None:
        """Show another model, with the file that most people want chosen."""
        is_other = self._sheet is None or self._sheet.key != sheet.key
        kept = None if is_other or self._choice is None else self._choice.key
        self._sheet = sheet
        self._build(sheet)
        first = sheet.suggested or (sheet.files[0] if sheet.files else None)
        self._choice = next((choice for choice in sheet.files if choice.key == kept), first)
        self._files.set_files(sheet.files, self._choice)
        self._files.setVisible(len(sheet.files) > 0)
        self.verdict.setVisible(self._choice is not None)
        self._card.setVisible(bool(sheet.card))
        if sheet.card:
            self._card.set_card(sheet.card)
        if is_other:
            self.verticalScrollBar().setValue(0)
        self._update_button()
        if self._choice is not None:
            self.verdict.show_checking()
            self.file_chosen.emit(self._choice)

    def clear(self) -> None:
        """Show no model: what was shown does not belong to what the person looks at now."""
        if self._sheet is None:
            return
        self._sheet = self._choice = self._gate_box = None
        self._take_all_out()
        self.column.addWidget(self._empty)
        self.column.addStretch(1)
        self._empty.show()

    def check_again(self) -> None:
        """Ask for the verdict once more: what kept the file from being looked into may be gone."""
        if self._choice is not None:
            self.file_chosen.emit(self._choice)

    def set_here(self, here: Mapping[str, str], downloads: Mapping[str, Download]) -> None:
        """Which files are on this computer (key of the choice → path), and which are on their way."""
        self._here, self._downloads = here, downloads
        self._update_button()

    def _build(self, sheet: ModelSheet) -> None:
        """Lay everything out anew: texts of a model are few."""
        self._take_all_out()
        body = QWidget(self.inside)
        layout = QVBoxLayout(body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(_wrapped_heading(sheet.name, body))
        if sheet.byline:
            layout.addWidget(hint(sheet.byline, body))
        if sheet.note:
            layout.addWidget(hint(sheet.note, body))
        layout.addWidget(Label(sheet.summary, body, wraps=True))
        if sheet.why_not:
            layout.addWidget(self._cannot_run(sheet, body))
        self.column.addWidget(body)
        self.column.addSpacing(4)
        self._gate_box = self._gate(self.inside) if sheet.is_gated else None
        if self._gate_box is not None:
            self.column.addWidget(self._gate_box)
        self.column.addWidget(self._main, 0, Qt.AlignmentFlag.AlignLeading)
        self._main.show()
        self.column.addWidget(self.verdict)
        self.column.addWidget(self._files)
        self.column.addWidget(self._facts(sheet))
        if sheet.card:
            self.column.addWidget(Label(self.tr("What its author says"), self.inside, bold=True))
        self.column.addWidget(self._card)
        self.column.addStretch(1)

    def _take_all_out(self) -> None:
        # Not by takeAt: an item that Python holds keeps Qt from noticing later that its widget has grown.
        for kept in (self._empty, self._main, self.verdict, self._files, self._card):
            kept.hide()
            self.column.removeWidget(kept)
        while (item := self.column.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()

    def _cannot_run(self, sheet: ModelSheet, parent: QWidget) -> QWidget:
        box = QWidget(parent)
        layout = QVBoxLayout(box)
        layout.setContentsMargins(0, 4, 0, 4)
        layout.addWidget(Label(sheet.why_not, box, wraps=True, bold=True))
        if sheet.nearest_key:
            words = self.tr("Nearest that runs: {model}").format(model=sheet.nearest_name)
            button = Button(words, box, icon="next")
            button.clicked.connect(self._on_nearest_clicked)
            layout.addWidget(button, 0, Qt.AlignmentFlag.AlignLeading)
        return box

    def _gate(self, parent: QWidget) -> QWidget:
        box = QWidget(parent)
        layout = QVBoxLayout(box)
        layout.setContentsMargins(0, 4, 0, 4)
        words = self.tr("Its author asks you to accept terms before the download.")
        layout.addWidget(Label(words, box, wraps=True))
        steps = Button(self.tr("How to get it…"), box)
        steps.setAccessibleDescription(words)
        steps.clicked.connect(self._on_steps_clicked)
        layout.addWidget(steps, 0, Qt.AlignmentFlag.AlignLeading)
        return box

    def _facts(self, sheet: ModelSheet) -> QWidget:
        box = QWidget(self.inside)
        grid = QGridLayout(box)
        grid.setContentsMargins(0, 8, 0, 8)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(1, 1)
        for row, fact in enumerate(sheet.facts):
            side = Qt.AlignmentFlag.AlignVCenter if fact.url else Qt.AlignmentFlag.AlignTop
            grid.addWidget(Label(fact.label, box, muted=True), row, 0, side)
            grid.addWidget(Label(fact.text, box, wraps=True), row, 1, 1, 1 if fact.url else 2, side)
            if fact.url:
                button = Button(self.tr("Read"), box, kind=ButtonKind.QUIET)
                button.setAccessibleName(self.tr("Read: {what}").format(what=fact.label))
                button.setToolTip(fact.url)
                button.setProperty("url", fact.url)
                button.clicked.connect(self._on_link_clicked)
                grid.addWidget(button, row, 2, side)
        if sheet.repo:
            more = Button(self.tr("All files on the hub"), box, kind=ButtonKind.QUIET, icon="search")
            more.clicked.connect(self._on_hub_clicked)
            grid.addWidget(more, len(sheet.facts), 0, 1, 3, Qt.AlignmentFlag.AlignLeading)
        return box

    def _update_button(self) -> None:
        """The one thing to press, by what there is of the chosen file."""
        choice = self._choice
        self._main.setVisible(choice is not None and self._sheet is not None)
        if choice is None:
            return
        download = self._downloads.get(choice.key)
        is_moving = download is not None and not download.is_over and download.state is not DownloadState.PAUSED
        is_here = choice.key in self._here
        if self._gate_box is not None:
            self._gate_box.setVisible(not is_here)
        if self._main.hasFocus() and is_moving and not is_here:
            self.setFocus(self._main.focus_reason)  # else the keyboard goes on to another button
        self._main.setEnabled(is_here or not is_moving)
        if is_here:
            self._main.setText(self.tr("Chat now"))
        elif is_moving:
            self._main.setText(self.tr("Downloading…"))
        elif download is not None and download.state is DownloadState.PAUSED:
            self._main.setText(self.tr("Resume the download"))
        elif download is not None and download.state is DownloadState.FAILED:
            self._main.setText(self.tr("Try again"))
        elif choice.parts and choice.size_bytes:
            words = self.tr("Download ({size})") if choice.is_size_exact else self.tr("Download (about {size})")
            self._main.setText(words.format(size=file_size(choice.size_bytes)))
        elif choice.parts:
            self._main.setText(self.tr("Download"))
        else:
            self._main.setText(self.tr("Look for it on the hub"))
        self._main.setAccessibleName(f"{self._main.text()} {choice.path}")

    def _on_chosen(self, choice: FileChoice) -> None:
        self._choice = choice
        self._update_button()
        self.verdict.show_checking()
        self.file_chosen.emit(choice)

    def _on_main_clicked(self) -> None:
        if self._choice is None or self._sheet is None:
            return
        if (path := self._here.get(self._choice.key)) is not None:
            self.use_requested.emit(path)
        elif self._choice.parts:
            self.download_requested.emit(self._choice, self._sheet.name)
        else:
            self.show_in_hub_requested.emit(self._choice.repo)

    def _on_nearest_clicked(self) -> None:
        if self._sheet is not None:
            self.model_requested.emit(self._sheet.nearest_key)

    def _on_hub_clicked(self) -> None:
        if self._sheet is not None:
            self.show_in_hub_requested.emit(self._sheet.repo)

    def _on_steps_clicked(self) -> None:
        if self._choice is not None:
            self.token_requested.emit(self._choice.repo)

    def _on_link_clicked(self) -> None:
        sender = self.sender()
        if sender is not None:
            self.link_requested.emit(str(sender.property("url")))


def _wrapped_heading(text: str, parent: QWidget) -> Label:
    label = heading(text, parent)
    label.setWordWrap(True)
    return label
