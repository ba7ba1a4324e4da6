"""The choice of LoRA adapters for the model that is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QApplication, QHBoxLayout, QVBoxLayout, QWidget

from app.core.adapter import Adapter
from app.core.events import ModelInfo
from app.services.explain_adapters import adapters_state
from app.ui.buttons import Button, ButtonKind
from app.ui.labels import ElidedLabel, Label, hint
from app.ui.setting_fields import CalmSpinBox

STRONGEST_PERCENT, STEP_PERCENT = 200, 10


class AdapterField(QWidget):
    """A row for each file with how strongly it counts, and a button for one more."""

    changed = Signal(object)  # tuple[Adapter, ...]
    file_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._adapters: tuple[Adapter, ...] = ()
        self._spins: list[CalmSpinBox] = []
        words = hint(
            self.tr(
                "Small files (LoRA, GGUF) that change how a model writes. Each fits the models that it was made for; "
                "several work together. They count from the next answer on, which reads its chat once more."
            ),
            self,
        )
        self._rows = QVBoxLayout()
        self._rows.setSpacing(4)
        self._add = Button(self.tr("Add an adapter…"), self, icon="open")
        self._add.setAccessibleDescription(words.text())
        self._add.clicked.connect(self.file_wanted)
        self.setFocusProxy(self._add)
        self._state = Label("", self, percent=88, wraps=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(Label(self.tr("Adapters for this model"), self))
        column.addLayout(self._rows)
        column.addWidget(self._add, 0, Qt.AlignmentFlag.AlignLeading)
        column.addWidget(words)
        column.addWidget(self._state)
        self.set_model(None, ())

    def set_model(self, model: ModelInfo | None, chosen: Sequence[Adapter]) -> None:
        """The model that is loaded, and the adapters that the person chose for it."""
        if [adapter.path for adapter in chosen] != [adapter.path for adapter in self._adapters]:
            self._adapters = tuple(chosen)
            self._fill()
        self._adapters = tuple(chosen)
        for spin, adapter in zip(self._spins, chosen, strict=True):
            spin.blockSignals(True)
            spin.setValue(adapter.scale * 100)
            spin.blockSignals(False)
        self._add.setEnabled(model is not None)
        self._state.setText(adapters_state(model) if model is not None and chosen else "")
        self._state.setVisible(bool(self._state.text()))

    def add(self, path: str) -> None:
        """One more, as strong as it was trained; one that is there already stays as it is."""
        if path not in {adapter.path for adapter in self._adapters}:
            self._tell((*self._adapters, Adapter(path)))

    def _fill(self) -> None:
        focused, had_focus = QApplication.focusWidget(), False
        while (item := self._rows.takeAt(0)) is not None:
            if (row := item.widget()) is not None:
                had_focus = had_focus or (focused is not None and row.isAncestorOf(focused))
                row.hide()
                row.deleteLater()
        self._spins.clear()
        for place, adapter in enumerate(self._adapters):
            self._rows.addWidget(self._row(place, adapter))
        if had_focus:
            self._add.setFocus(Qt.FocusReason.OtherFocusReason)

    def _row(self, place: int, adapter: Adapter) -> QWidget:
        name = Path(adapter.path).name
        row = QWidget(self)
        spin = CalmSpinBox(row)
        spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        spin.setDecimals(0)
        spin.setRange(-STRONGEST_PERCENT, STRONGEST_PERCENT)
        spin.setSingleStep(STEP_PERCENT)
        spin.setSuffix(self.tr(" %"))
        spin.setKeyboardTracking(False)
        spin.setAccessibleName(self.tr("Strength of {adapter}").format(adapter=name))
        spin.valueChanged.connect(partial(self._on_strength_changed, place))
        self._spins.append(spin)
        remove = Button("", row, kind=ButtonKind.QUIET, icon="close", name=self.tr("Remove"))
        remove.setAccessibleName(self.tr("Remove {adapter}").format(adapter=name))
        remove.clicked.connect(partial(self._on_removed, place))
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(ElidedLabel(name, row), 1)
        layout.addWidget(spin)
        layout.addWidget(remove)
        return row

    def _on_strength_changed(self, place: int, percent: float) -> None:
        changed = replace(self._adapters[place], scale=percent / 100)
        self._tell((*self._adapters[:place], changed, *self._adapters[place + 1 :]))

    def _on_removed(self, place: int, _is_checked: bool = False) -> None:
        self._tell((*self._adapters[:place], *self._adapters[place + 1 :]))

    def _tell(self, adapters: tuple[Adapter, ...]) -> None:
        self.changed.emit(adapters)
