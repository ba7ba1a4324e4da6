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

    retry_requested = Signal()  # of all devices that could not be used

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(Label(self.tr("Devices"), self))
        self._rows = QVBoxLayout()
        self._rows.setSpacing(8)
        self._info = Label("", self, percent=88, muted=True, wraps=True)
        layout.addLayout(self._rows)
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
        self._make_rows(max(1, len(devices)))
        if not devices:
            self._show_row(0, self.tr("They are listed here once the engine has started."))
        for index, device in enumerate(devices):
            self._show_row(index, self._describe(device, (speeds or {}).get(device.name)), self._retry_name(device))
        features = ", ".join(processor_features(system_info))
        self._info.setText(self.tr("Used of the processor: {features}").format(features=features))
        self._info.setVisible(bool(features))

    def _make_rows(self, count: int) -> None:
        while self._rows.count() > count:
            row = self._rows.takeAt(self._rows.count() - 1)
            if row is not None and (widget := row.widget()) is not None:
                widget.deleteLater()
        while self._rows.count() < count:
            new = _DeviceRow(self)
            new.retry.clicked.connect(self.retry_requested)
            self._rows.addWidget(new)

    def _show_row(self, index: int, text: str, retry_name: str = "") -> None:
        item = self._rows.itemAt(index)
        row = item.widget() if item is not None else None
        if isinstance(row, _DeviceRow):
            row.show_device(text, retry_name)

    def _describe(self, device: Device, speed: Speed | None) -> str:
        parts = [f"{device_kind(device)}: {device_name(device)}"]
        if device.driver:
            parts.append(self.tr("driver {version}").format(version=device.driver))
        if device.total_bytes > 0:
            memory = self.tr("{free} of {total} free")
            parts.append(memory.format(free=memory_size(device.free_bytes), total=memory_size(device.total_bytes)))
        more = explain_problem(device) or (speed_words(speed.prompt, speed.generation) if speed else "")
        return "\n".join(line for line in (" · ".join(parts), more) if line)

    def _retry_name(self, device: Device) -> str:
        """What the button is called that tries it again; empty where that would not help."""
        if device.problem != "crashed" and not _is_away(device):
            return ""
        return self.tr("Try {device} again").format(device=device_name(device))


class _DeviceRow(QWidget):
    """A device in words, and the way to try it again where that may help."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._text = Label("", self, wraps=True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.retry = Button(self.tr("Try it again"), self, icon="restore")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._text)
        layout.addWidget(self.retry, 0, Qt.AlignmentFlag.AlignLeading)

    def show_device(self, text: str, retry_name: str) -> None:
        """Say this, with the button if it has a name for screen readers."""
        self._text.setText(text)
        self.retry.setAccessibleName(retry_name)
        self.retry.setVisible(bool(retry_name))


def _is_away(device: Device) -> bool:
    """Whether it is of another computer that could be there the next time."""
    return device.kind == REMOTE_KIND and device.problem not in ("", "offline", "not_built")
