"""How the current model is loaded, in the settings: a sentence, figures for experts, and a device of its own."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from app.core.events import Device, ModelInfo
from app.services.explain_devices import plan_details, plan_sentence
from app.ui.buttons import Button, ButtonKind
from app.ui.device_field import device_box, fill_device_box
from app.ui.labels import Label


class PlanView(QWidget):
    """What is loaded now; without a model it says so."""

    device_chosen = Signal(str)  # for this model alone; empty: as all others

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model: ModelInfo | None = None
        self._devices: tuple[Device, ...] = ()
        self._chosen = ""
        self._is_loading = False
        self._sentence = Label("", self, wraps=True)
        self._sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._own_label = Label(self.tr("This model alone runs on"), self)
        self._own = device_box(self)
        self._own.setAccessibleName(self._own_label.text())
        self._own.activated.connect(self._on_activated)
        self._own_label.setBuddy(self._own)
        self._more = Button(self.tr("Figures"), self, kind=ButtonKind.QUIET, icon="down", leading=True)
        self._more.setAccessibleName(self.tr("Figures of how the model is loaded"))
        self._more.setCheckable(True)
        self._more.toggled.connect(self._on_more_toggled)
        self._figures = QWidget(self)
        self._rows = QFormLayout(self._figures)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setHorizontalSpacing(16)
        self._rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._figures.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(Label(self.tr("Now"), self))
        layout.addWidget(self._sentence)
        layout.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeading)
        layout.addWidget(self._figures)
        layout.addSpacing(8)
        layout.addWidget(self._own_label)
        layout.addWidget(self._own, 0, Qt.AlignmentFlag.AlignLeading)
        self._show()

    def set_model(self, model: ModelInfo | None, chosen_device: str, *, is_loading: bool = False) -> None:
        """The model that is loaded, the device that was chosen for it alone, and whether one is being loaded."""
        self._model, self._chosen, self._is_loading = model, chosen_device, is_loading
        self._show()

    def set_devices(self, devices: Sequence[Device]) -> None:
        """The devices that there are."""
        self._devices = tuple(devices)
        self._show()

    def _show(self) -> None:
        model = self._model
        if model is None and self._is_loading:
            self._sentence.setText(self.tr("The model is being loaded."))
        elif model is None:
            self._sentence.setText(self.tr("No model is in memory. The next message loads it."))
        else:
            self._sentence.setText(plan_sentence(model, self._devices) or model.name)
        details = plan_details(model) if model is not None else []
        while self._rows.rowCount():
            self._rows.removeRow(0)
        for name, value in details:
            text = Label(value, self._figures, percent=88, wraps=True)
            text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self._rows.addRow(Label(name, self._figures, percent=88, muted=True), text)
        self._more.setVisible(bool(details))
        self._figures.setVisible(bool(details) and self._more.isChecked())
        working = [device for device in self._devices if not device.problem]
        for widget in (self._own_label, self._own):  # with one device there is nothing to choose
            widget.setVisible(model is not None and (len(working) > 1 or bool(self._chosen)))
        fill_device_box(self._own, self.tr("What is chosen above"), working, self._chosen)

    def _on_more_toggled(self, shown: bool) -> None:
        self._more.set_icon_name("up" if shown else "down")
        self._figures.setVisible(shown)

    def _on_activated(self, _index: int) -> None:
        self._chosen = str(self._own.currentData())
        self.device_chosen.emit(self._chosen)
