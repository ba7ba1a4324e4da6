"""The few models that fit this computer best, as cards with one button each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from app.core.downloads import Download, DownloadState
from app.services.explain_download import download_words
from app.services.explain_fit import FitLevel, fit_level, verdict_words
from app.services.wording import file_size
from app.ui.buttons import Button, ButtonKind
from app.ui.flow_layout import FlowLayout
from app.ui.labels import Label
from app.ui.model_rows import describe_parameters
from app.ui.models.best_models import BestFor, BestModel
from app.ui.models.catalogue_sheets import commercial_use_words
from app.ui.models.fit_sign import FitSign
from app.ui.models.sheet import FileChoice
from app.ui.theme import colors

RADIUS_PX = 8
PADDING_PX = 14
STEPS = 1000  # of a progress bar
CARD_CHARS = 30
"""A card this wide has lines of four or five words; where three do not fit beside each other they stand in a column."""
_ON_THE_WAY = frozenset(
    {DownloadState.QUEUED, DownloadState.RUNNING, DownloadState.WAITING, DownloadState.VERIFYING, DownloadState.DONE}
)


class BestCard(QFrame):
    """One model: what it is, how it runs here, and what to press."""

    download_requested = Signal(object, str)  # FileChoice, and the name of the model
    use_requested = Signal(object)  # path as str
    details_requested = Signal(str)  # key

    def __init__(self, best: BestModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._best = best
        self._path = ""
        self._is_shown = False
        self._purpose = Label("", self, percent=88, muted=True, wraps=True)
        self._name = Label("", self, percent=112, bold=True, wraps=True)
        self._summary = Label("", self, wraps=True)
        self._sign = FitSign(self)
        self._verdict = Label("", self, wraps=True)
        self._facts = Label("", self, percent=92, muted=True, wraps=True)
        self._bar = QProgressBar(self)
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(6)
        self._status = Label("", self, percent=92, muted=True, wraps=True)
        self._main = Button("", self, kind=ButtonKind.PRIMARY)
        self._main.clicked.connect(self._on_main_clicked)
        self._more = Button(self.tr("Details"), self, kind=ButtonKind.QUIET)
        self._more.clicked.connect(self._on_more_clicked)
        self._fill()
        self.set_model(best)
        self.set_state("", None)

    @property
    def best(self) -> BestModel:
        """The model on it."""
        return self._best

    @property
    def choice(self) -> FileChoice:
        """The file that its button downloads."""
        choice = self._best.row.suggested
        assert choice is not None, "only what can be downloaded is offered"
        return choice

    @property
    def main_button(self) -> Button:
        """Download, or chat now; hidden while it is on its way."""
        return self._main

    @property
    def details_button(self) -> Button:
        """More about it."""
        return self._more

    @property
    def status(self) -> str:
        """How the download stands; empty without one."""
        return self._status.text()

    @property
    def level(self) -> FitLevel:
        """What the sign beside the verdict shows."""
        return self._sign.level

    def set_model(self, best: BestModel) -> None:
        """Show another model, or the same one judged anew."""
        self._best = best
        model, verdict = best.row.model, best.row.verdict
        self._purpose.setText(self._purpose_words(best.purpose))
        self._name.setText(model.name)
        self._summary.setText(model.summary)
        self._verdict.setText(verdict_words(verdict) if verdict is not None else "")
        self._sign.set_level(fit_level(verdict) if verdict is not None else FitLevel.UNKNOWN)
        figures = [describe_parameters(model.parameters)] if model.parameters else []
        figures += [file_size(self.choice.size_bytes), model.licence, commercial_use_words(model.commercial_use)]
        self._facts.setText(" · ".join(figures))
        texts = (self._name, self._purpose, self._summary, self._verdict, self._facts)
        self.setAccessibleName(". ".join(label.text().rstrip(".") for label in texts if label.text()))
        self._more.setAccessibleName(self.tr("Details: {model}").format(model=model.name))

    def set_state(self, path: str, download: Download | None) -> None:
        """Show whether the file is here (at `path`) or on its way."""
        self._path = path
        had_focus = self._main.hasFocus()
        is_coming = not path and download is not None
        is_moving = download is not None and is_coming and download.state in _ON_THE_WAY
        self._bar.setVisible(is_coming)
        self._status.setVisible(is_coming)
        self._main.setVisible(not is_moving)
        if download is not None and is_coming:
            self._bar.setRange(0, STEPS if download.total_bytes else 0)
            self._bar.setValue(round(STEPS * download.done_bytes / download.total_bytes) if download.total_bytes else 0)
            self._status.setText(download_words(download))
        else:
            self._status.setText("")
        self._main.setText(self._main_words(download if is_coming else None))
        self._main.setAccessibleName(f"{self._main.text()}: {self._best.row.model.name}")
        self._bar.setAccessibleName(self.tr("Progress of {model}").format(model=self._best.row.model.name))
        if had_focus and is_moving:
            self._more.setFocus(Qt.FocusReason.OtherFocusReason)

    def set_shown(self, is_shown: bool) -> None:
        """Whether the details beside the list are about this one."""
        self._is_shown = is_shown
        self.update()

    def _fill(self) -> None:
        verdict = QHBoxLayout()
        verdict.setSpacing(6)
        verdict.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        verdict.addWidget(self._verdict, 1)
        buttons = FlowLayout(spacing_px=6)
        buttons.addWidget(self._main)
        buttons.addWidget(self._more)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(PADDING_PX, PADDING_PX - 4, PADDING_PX, PADDING_PX - 2)
        layout.setSpacing(4)
        for label in (self._purpose, self._name, self._summary):
            layout.addWidget(label)
        layout.addLayout(verdict)
        layout.addWidget(self._facts)
        layout.addStretch(1)
        layout.addSpacing(2)
        layout.addWidget(self._bar)
        layout.addWidget(self._status)
        layout.addSpacing(2)
        layout.addLayout(buttons)

    def _purpose_words(self, purpose: BestFor) -> str:
        words = {
            BestFor.MOST: self.tr("For most questions"),
            BestFor.SPEED: self.tr("For quick answers"),
            BestFor.CODE: self.tr("For programming"),
        }
        return words[purpose]

    def _main_words(self, download: Download | None) -> str:
        if self._path:
            return self.tr("Chat now")
        if download is None:
            return self.tr("Download ({size})").format(size=file_size(self.choice.size_bytes))
        return self.tr("Try again") if download.state is DownloadState.FAILED else self.tr("Resume")

    def _on_main_clicked(self) -> None:
        if self._path:
            self.use_requested.emit(self._path)
        else:
            self.download_requested.emit(self.choice, self._best.row.model.name)

    def _on_more_clicked(self) -> None:
        self.details_requested.emit(self._best.row.model.id)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self._on_more_clicked()

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = colors()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(theme.accent if self._is_shown else theme.border), 1))
            painter.setBrush(QColor(theme.raised))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS_PX, RADIUS_PX)


class BestCards(QWidget):
    """Beside each other where there is room for all, else in a column."""

    download_requested = Signal(object, str)
    use_requested = Signal(object)
    details_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cards: list[BestCard] = []
        self._here: Mapping[str, str] = {}
        self._downloads: Mapping[str, Download] = {}
        self._title = Label(self.tr("Best for this computer"), self, bold=True)
        self._row = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._row.setSpacing(8)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(6)
        layout.addWidget(self._title)
        layout.addLayout(self._row)

    @property
    def cards(self) -> tuple[BestCard, ...]:
        """From the first to the last."""
        return tuple(self._cards)

    def set_models(self, models: Sequence[BestModel]) -> None:
        """Show these. Cards stay where they are, so that a button is not lost under the finger."""
        for card in self._cards[len(models) :]:
            card.hide()
            self._row.removeWidget(card)
            card.deleteLater()
        del self._cards[len(models) :]
        for card, best in zip(self._cards, models, strict=False):
            card.set_model(best)
        for best in models[len(self._cards) :]:
            card = BestCard(best, self)
            card.download_requested.connect(self.download_requested)
            card.use_requested.connect(self.use_requested)
            card.details_requested.connect(self.details_requested)
            self._row.addWidget(card, 1)
            self._cards.append(card)
        self._update_states()

    def set_here(self, here: Mapping[str, str], downloads: Mapping[str, Download]) -> None:
        """Which files are on this computer (key of the choice → path), and which are on their way."""
        self._here, self._downloads = here, downloads
        self._update_states()

    def set_shown(self, key: str) -> None:
        """Mark the one whose details are shown."""
        for card in self._cards:
            card.set_shown(card.best.row.model.id == key)

    def _update_states(self) -> None:
        for card in self._cards:
            card.set_state(self._here.get(card.choice.key, ""), self._downloads.get(card.choice.key))

    def arrange(self, width_px: int) -> None:
        """Stand beside each other or below, as this width wants it."""
        needed_px = len(self._cards) * self.fontMetrics().averageCharWidth() * CARD_CHARS
        is_wide = width_px >= needed_px
        directions = QBoxLayout.Direction
        self._row.setDirection(directions.LeftToRight if is_wide else directions.TopToBottom)
