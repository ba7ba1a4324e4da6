"""The settings page, built from the declarations in `app.core.settings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.core.adapter import Adapter
from app.core.errors import UserError
from app.core.events import Device, ModelInfo
from app.core.settings import SETTINGS, Section, Setting, Value
from app.services.explain import explain
from app.ui.adapter_field import AdapterField
from app.ui.buttons import Button, ButtonKind
from app.ui.device_field import DeviceField
from app.ui.draft_field import DraftField
from app.ui.folder_field import FolderField
from app.ui.labels import Label, heading, hint
from app.ui.pages.data_folder import BackupRow, DataFolder
from app.ui.pages.device_list import DeviceList, Speed
from app.ui.pages.hub_tests import HubTests
from app.ui.pages.plan_view import PlanView
from app.ui.scroll_column import ScrollColumn
from app.ui.servers_field import ServersField
from app.ui.setting_fields import SettingField, make_field
from app.ui.setting_words import section_title, words_for

SECTION_GAP_PX = 32
ROW_GAP_PX = 16
# A setting that means something only while another is on.
_NEEDED_FOR = {
    "downloads.night_from_hour": "downloads.at_night",
    "downloads.night_until_hour": "downloads.at_night",
}


class SettingsPage(ScrollColumn):
    """Changes apply at once: `setting_changed` names the key and the new value."""

    setting_changed = Signal(str, object)
    open_folder_requested = Signal()
    backup_requested = Signal()
    file_device_chosen = Signal(str)  # for the model that is loaded; empty: as all others
    device_retry_requested = Signal()
    draft_chosen = Signal(str)  # for the model that is loaded; empty: none
    draft_file_wanted = Signal()
    adapters_changed = Signal(object)  # tuple[Adapter, ...] for the model that is loaded
    adapter_file_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._fields: dict[str, SettingField] = {}
        self.setAccessibleName(self.tr("Settings"))
        self.column.addWidget(heading(self.tr("Settings"), self))
        self._hardware = QWidget(self)
        self._plan = PlanView(self._hardware)
        self._plan.device_chosen.connect(self.file_device_chosen)
        self._devices = DeviceList(self._hardware)
        self._devices.retry_requested.connect(self.device_retry_requested)
        hardware = QVBoxLayout(self._hardware)
        hardware.setContentsMargins(0, 0, 0, 0)
        hardware.setSpacing(ROW_GAP_PX)
        hardware.addWidget(self._plan)
        hardware.addWidget(self._devices)
        self._data = DataFolder(self)
        self._data.open_folder_requested.connect(self.open_folder_requested)
        self._data.backup_requested.connect(self.backup_requested)
        self._draft = DraftField(self)
        self._draft.chosen.connect(self.draft_chosen)
        self._draft.file_wanted.connect(self.draft_file_wanted)
        self._adapters = AdapterField(self)
        self._adapters.changed.connect(self.adapters_changed)
        self._adapters.file_wanted.connect(self.adapter_file_wanted)
        self.hub_tests = HubTests(self)
        extras: dict[Section, QWidget] = {
            Section.MODEL: self._hardware,
            Section.DOWNLOADS: self.hub_tests,
            Section.DATA: self._data,
        }
        expert_extras: dict[Section, Sequence[QWidget]] = {Section.MODEL: (self._draft, self._adapters)}
        for section in Section:
            self.column.addSpacing(SECTION_GAP_PX if section is not Section.APPEARANCE else ROW_GAP_PX)
            block = _SectionBlock(section, extras.get(section), expert_extras.get(section, ()), self)
            block.changed.connect(self.setting_changed)
            self._fields |= block.fields
            self.column.addWidget(block)
        self.column.addStretch(1)
        self.setFocusProxy(self._fields["appearance.theme"])

    def set_values(self, values: Mapping[str, Value]) -> None:
        """Show these values, by key; keys that are not on the page are ignored."""
        for key, value in values.items():
            if key in self._fields:
                self._fields[key].set_value(value)
        for key, needed in _NEEDED_FOR.items():
            if needed in values and (row := self._fields[key].parentWidget()) is not None:
                row.setEnabled(values[needed] is True)

    def set_devices(
        self,
        devices: Sequence[Device],
        system_info: str,
        speeds: Mapping[str, Speed] | None = None,
        fastest: str = "",
    ) -> None:
        """What the engine sees, llama.cpp's line of processor features, and what self-tests found."""
        self._devices.set_devices(devices, system_info, speeds)
        self._plan.set_devices(devices)
        field = self._fields["model.device"]
        if isinstance(field, DeviceField):
            field.set_devices(devices, fastest)

    def set_model(self, model: ModelInfo | None, chosen_device: str, *, is_loading: bool = False) -> None:
        """The model in memory, the device that the person chose for it alone, and whether one is being loaded."""
        self._plan.set_model(model, chosen_device, is_loading=is_loading)

    def set_draft(self, model: ModelInfo | None, chosen: str, known: Sequence[tuple[str, str]]) -> None:
        """The draft model that was chosen for the model in memory, and paths and names of others to choose from."""
        self._draft.set_model(model, chosen, known)

    def set_adapters(self, model: ModelInfo | None, chosen: Sequence[Adapter]) -> None:
        """The adapters that were chosen for the model in memory."""
        self._adapters.set_model(model, chosen)

    def add_adapter(self, path: str) -> None:
        """One more adapter, as if the person had picked it."""
        self._adapters.add(path)

    def set_data_folder(self, path: str) -> None:
        """Where everything is kept."""
        self._data.set_folder(path)

    def set_backups(self, backups: Sequence[BackupRow]) -> None:
        """The backups there are, newest first."""
        self._data.set_backups(backups)

    def show_backup_error(self, error: UserError) -> None:
        """Why a backup could not be made."""
        self._data.show_problem(explain(error).sentences)

    def field(self, key: str) -> SettingField:
        """The field of a setting."""
        return self._fields[key]


class _SectionBlock(QWidget):
    """A heading, the plain settings, what is not a setting, the expert settings folded away, and the way back."""

    changed = Signal(str, object)

    def __init__(
        self, section: Section, extra: QWidget | None, expert_extras: Sequence[QWidget], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.fields: dict[str, SettingField] = {}
        self._undo: dict[str, Value] = {}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(ROW_GAP_PX)
        title = section_title(section)
        self._column.addWidget(Label(title, self, percent=120, bold=True))
        mine = [setting for setting in SETTINGS if setting.section is section and setting.shown]
        for setting in mine:
            if not setting.expert:
                self._column.addWidget(self._row(setting, self))
        if extra is not None:
            self._column.addWidget(extra)
        experts = [setting for setting in mine if setting.expert]
        if experts:
            self._add_experts(title, experts, expert_extras)
        if mine:
            self._add_reset(title)

    def _row(self, setting: Setting, parent: QWidget) -> QWidget:
        words = words_for(setting.key)
        row = QWidget(parent)
        column = QVBoxLayout(row)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        label = Label(words.label, row)
        own = {"model.device": DeviceField, "downloads.folder": FolderField, "engine.rpc_servers": ServersField}
        make = own.get(setting.key, make_field)
        field = make(setting, words, row)
        field.changed.connect(self._on_field_changed)
        label.setBuddy(field)
        column.addWidget(label)
        column.addWidget(field)
        column.addWidget(hint(words.help, row))
        self.fields[setting.key] = field
        return row

    def _add_experts(self, title: str, settings: Sequence[Setting], extras: Sequence[QWidget]) -> None:
        self._more = Button(self.tr("More"), self, kind=ButtonKind.QUIET, icon="down", leading=True)
        self._more.setAccessibleName(self.tr("More settings: {section}").format(section=title))
        self._more.setCheckable(True)
        self._experts = QWidget(self)
        column = QVBoxLayout(self._experts)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(ROW_GAP_PX)
        for setting in settings:
            column.addWidget(self._row(setting, self._experts))
        for extra in extras:
            column.addWidget(extra)
        self._experts.hide()
        self._more.toggled.connect(self._on_more_toggled)
        self._column.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeading)
        self._column.addWidget(self._experts)

    def _add_reset(self, title: str) -> None:
        self._reset_name = self.tr("Reset to defaults: {section}").format(section=title)
        self._reset = Button(self.tr("Reset to defaults"), self, kind=ButtonKind.QUIET, icon="restore", leading=True)
        self._reset.setAccessibleName(self._reset_name)
        self._reset.clicked.connect(self._on_reset_clicked)
        self._column.addWidget(self._reset, 0, Qt.AlignmentFlag.AlignLeading)

    def _on_field_changed(self, value: Value) -> None:
        field = self.sender()
        if isinstance(field, SettingField):
            self._set_undo({})
            self.changed.emit(field.setting.key, value)

    def _on_more_toggled(self, shown: bool) -> None:
        self._experts.setVisible(shown)
        self._more.setText(self.tr("Less") if shown else self.tr("More"))
        self._more.set_icon_name("up" if shown else "down")

    def _on_reset_clicked(self) -> None:
        """Reset, or take the reset back: what it replaced is remembered until something else is changed."""
        before = {key: field.value() for key, field in self.fields.items()}
        target = self._undo or {key: field.setting.default for key, field in self.fields.items()}
        self._set_undo({} if self._undo or before == target else before)
        for key, value in target.items():
            if value != before[key]:
                self.fields[key].set_value(value)
                self.changed.emit(key, value)

    def _set_undo(self, values: dict[str, Value]) -> None:
        self._undo = values
        self._reset.setText(self.tr("Undo the reset") if values else self.tr("Reset to defaults"))
        self._reset.setAccessibleName(self._reset.text() if values else self._reset_name)
