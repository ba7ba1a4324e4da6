"""What an empty chat shows: a greeting, the model in use, and something to try."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.ui.buttons import Button, ButtonKind
from app.ui.icons import app_icon
from app.ui.labels import Label, heading, hint
from app.ui.scroll_column import ScrollColumn

WIDTH_IN_CHARS = 56


class _Emblem(QWidget):
    """The icon of Hearth; decoration."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._icon = app_icon()
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        side = self.fontMetrics().height() * 3
        return QSize(side, side)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent) -> None:
        pixmap = self._icon.pixmap(self.size() * 2, self.devicePixelRatio())
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawPixmap(QRectF(self.rect()), pixmap, QRectF(pixmap.rect()))


class Welcome(ScrollColumn):
    """Put in the middle of an empty transcript."""

    example_chosen = Signal(str)
    open_requested = Signal()
    models_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, width_in_chars=WIDTH_IN_CHARS)
        self._model = hint("", self)
        self._examples_label = Label(self.tr("Try one of these:"), self, wraps=True)
        self._examples = [self._example(question) for question in self._questions()]
        self._open = Button(self.tr("Open a model file…"), self, kind=ButtonKind.QUIET, icon="open")
        self._open.clicked.connect(self.open_requested)
        self._find = Button(self.tr("Find a model"), self, icon="models")
        self._find.clicked.connect(self.models_requested)
        self._build()
        self.set_model("", builtin=True)

    def set_model(self, name: str, *, builtin: bool, servers: Sequence[str] = ()) -> None:
        """Say which model answers, and on which other computers; the examples are for the built-in one."""
        if servers:
            words = self.tr("What you write goes to {servers}, where the model runs. It travels unencrypted.")
            words = words.format(servers=", ".join(servers))
        elif builtin:
            words = self.tr(
                "The tiny built-in model answers. It knows Hearth and little else. Nothing leaves this computer."
            )
        elif name:
            words = self.tr("{model} answers. Nothing you write leaves this computer.").format(model=name)
        else:
            words = self.tr("Nothing you write leaves this computer.")
        self._model.setText(words)
        self._examples_label.setVisible(builtin)
        for button in self._examples:
            button.setVisible(builtin)

    def _build(self) -> None:
        column = self.column
        column.addStretch(2)
        column.addWidget(_Emblem(self), 0, Qt.AlignmentFlag.AlignHCenter)
        title = heading(self.tr("What would you like to know?"), self)
        title.setWordWrap(True)
        more = hint(
            self.tr("A larger model knows more. Find one that fits this computer, or drop a model file (GGUF) here."),
            self,
        )
        for label in (title, self._model, self._examples_label, more):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(title)
        column.addWidget(self._model)
        column.addSpacing(16)
        column.addWidget(self._examples_label)
        for button in self._examples:
            column.addWidget(button)
        column.addSpacing(16)
        column.addWidget(more)
        column.addWidget(self._find, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._open, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(3)

    def _questions(self) -> tuple[str, ...]:
        return (
            self.tr("How do I download a model?"),
            self.tr("Does Hearth need the internet?"),
            self.tr("What is 23 + 48?"),
        )

    def _example(self, question: str) -> Button:
        button = Button(question, self)
        button.clicked.connect(self._on_example_clicked)
        return button

    def _on_example_clicked(self) -> None:
        button = self.sender()
        if isinstance(button, Button):
            self.example_chosen.emit(button.text())
