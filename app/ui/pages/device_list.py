"""What the engine can compute on, in the settings."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.core.events import Device
from app.services.wording import size
from app.ui.labels import Label, hint


class DeviceList(QWidget):
    """One line per device; processor features below."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(Label(self.tr("Devices"), self))
        self._lines = Label("", self, wraps=True)
        self._info = Label("", self, percent=88, muted=True, wraps=True)
        for label in (self._lines, self._info):
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            layout.addWidget(label)
        layout.addWidget(hint(self.tr("A graphics card in this list is used by itself."), self))
        self.set_devices([], "")

    def set_devices(self, devices: Sequence[Device], system_info: str) -> None:
        """Show these; none means that the engine has not said yet."""
        if devices:
            self._lines.setText("\n".join(self._describe(device) for device in devices))
        else:
            self._lines.setText(self.tr("They are listed here once the engine has started."))
        self._info.setText(" ".join(system_info.split()))
        self._info.setVisible(bool(system_info.strip()))

    def _describe(self, device: Device) -> str:
        name = device.description.strip() or device.name
        kind = self._kind(device.kind)
        if device.total_bytes <= 0:
            return f"{kind}: {name}"
        memory = self.tr("{free} of {total} free").format(free=size(device.free_bytes), total=size(device.total_bytes))
        return f"{kind}: {name} · {memory}"

    def _kind(self, kind: str) -> str:
        match kind:
            case "gpu":
                return self.tr("Graphics card")
            case "igpu":
                return self.tr("Built-in graphics")
            case "accel":
                return self.tr("Accelerator")
            case _:
                return self.tr("Processor")
