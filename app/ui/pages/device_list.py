"""What the engine can compute on, in the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.core.events import Device
from app.core.processor_features import processor_features
from app.core.remote import REMOTE_KIND
from app.services.explain_devices import device_kind, device_name, explain_problem, speed_words
from app.services.wording import memory_size
from app.ui.buttons import Button
from app.ui.labels import Label, hint


class Speed(Protocol):
    """What a self-test found, in tokens per second."""

    @property
    def prompt(self) -> float:
        """Of reading."""

    @property
    def generation(self) -> float:
        """Of writing."""


class DeviceList(QWidget):
    """A paragraph per device, with its speed or what is wrong with it; processor features below."""

    retry_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(Label(self.tr("Devices"), self))
        self._rows = QVBoxLayout()
        self._rows.setSpacing(8)
        self._retry = Button(self.tr("Try it again"), self, icon="restore")
        self._retry.setAccessibleName(self.tr("Try the devices again that could not be used"))
        self._retry.clicked.connect(self.retry_requested)
        self._info = Label("", self, percent=88, muted=True, wraps=True)
        layout.addLayout(self._rows)
        layout.addWidget(self._retry, 0, Qt.AlignmentFlag.AlignLeading)
        layout.addWidget(self._info)
        self._info.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout.addWidget(hint(self.tr("Whatever is the fastest in this list is used by itself."), self))
        self.set_devices([], "")

    def set_devices(
        self,
        devices: Sequence[Device],
        system_info: str,
        speeds: Mapping[str, Speed] | None = None,
    ) -> None:
        """Show these with the speeds that are known, by name; none means that the engine has not said yet."""
        texts = [self._describe(device, (speeds or {}).get(device.name)) for device in devices]
        self._show_rows(texts or [self.tr("They are listed here once the engine has started.")])
        self._retry.setVisible(any(device.problem == "crashed" or _is_away(device) for device in devices))
        features = ", ".join(processor_features(system_info))
        self._info.setText(self.tr("Used of the processor: {features}").format(features=features))
        self._info.setVisible(bool(features))

    def _show_rows(self, texts: Sequence[str]) -> None:
        while self._rows.count() > len(texts):
            row = self._rows.takeAt(self._rows.count() - 1)
            if row is not None and (label := row.widget()) is not None:
                label.deleteLater()
        while self._rows.count() < len(texts):
            new = Label("", self, wraps=True)
            new.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self._rows.addWidget(new)
        for index, text in enumerate(texts):
            item = self._rows.itemAt(index)
            label = item.widget() if item is not None else None
            if isinstance(label, Label):
                label.setText(text)

    def _describe(self, device: Device, speed: Speed | None) -> str:
        parts = [f"{device_kind(device)}: {device_name(device)}"]
        if device.driver:
            parts.append(self.tr("driver {version}").format(version=device.driver))
        if device.total_bytes > 0:
            memory = self.tr("{free} of {total} free")
            parts.append(memory.format(free=memory_size(device.free_bytes), total=memory_size(device.total_bytes)))
        more = explain_problem(device) or (speed_words(speed.prompt, speed.generation) if speed else "")
        return "\n".join(line for line in (" · ".join(parts), more) if line)


def _is_away(device: Device) -> bool:
    """Whether it is of another computer that could be there the next time."""
    return device.kind == REMOTE_KIND and device.problem not in ("", "offline", "not_built")
