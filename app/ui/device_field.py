"""The choice of a device: Hearth's own, or one of those that there are."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QWidget

from app.core.events import Device
from app.core.remote import server_of
from app.core.settings import Setting, Value
from app.services.explain_devices import device_name
from app.ui.setting_fields import CalmComboBox, SettingField
from app.ui.setting_words import SettingWords

_SHORTEST = 12  # characters that stay of a name in a narrow window


class DeviceField(SettingField):
    """Devices come and go; one that was chosen and is not there now stays the choice."""

    def __init__(self, setting: Setting, words: SettingWords, parent: QWidget | None = None) -> None:
        super().__init__(setting, words, parent)
        self._chosen = ""
        self._devices: tuple[Device, ...] = ()
        self._fastest = ""
        self._box = device_box(self)
        self._box.activated.connect(self._on_activated)
        self._adopt(self._box)
        self._layout.addWidget(self._box)
        self._layout.addStretch(1)
        self._fill()

    def set_devices(self, devices: Sequence[Device], fastest: str) -> None:
        """The devices that can be used, and the name of the one that Hearth takes, empty while it has not measured."""
        self._devices, self._fastest = tuple(device for device in devices if not device.problem), fastest
        self._fill()

    def value(self) -> Value:
        return self._chosen

    def set_value(self, value: Value) -> None:
        self._chosen = str(value or "")
        self._fill()

    def _fill(self) -> None:
        fastest = next((device_name(device) for device in self._devices if device.name == self._fastest), "")
        own = self.tr("Chosen by Hearth ({device})").format(device=fastest) if fastest else self.tr("Chosen by Hearth")
        fill_device_box(self._box, own, self._devices, self._chosen)

    def _on_activated(self, _index: int) -> None:
        self._chosen = str(self._box.currentData())
        self.changed.emit(self._chosen)


def device_box(parent: QWidget) -> QComboBox:
    """A box for names of devices, which may be long."""
    box = CalmComboBox(parent)
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
    box.setMinimumContentsLength(_SHORTEST)
    return box


def fill_device_box(box: QComboBox, own: str, devices: Sequence[Device], chosen: str) -> None:
    """Offer `own` (the empty choice) and the devices, with `chosen` chosen even if it is none of them."""
    offered = [("", own), *((device.name, device_name(device)) for device in devices)]
    if chosen not in dict(offered):
        gone = box.tr("{device} (not there now)").format(device=server_of(chosen) or chosen)
        offered.append((chosen, gone))
    if offered != [(box.itemData(index), box.itemText(index)) for index in range(box.count())]:
        box.clear()
        for name, text in offered:
            box.addItem(text, name)
    box.setCurrentIndex(box.findData(chosen))
