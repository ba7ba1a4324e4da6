"""The settings page, wired to the services."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QWidget

from app.core.adapter import Adapter
from app.core.events import DevicesListed
from app.core.settings import Value
from app.services.adapter_choices import ADAPTERS, AdapterChoices
from app.services.hub_access import PROXY
from app.services.profile import Profile
from app.ui.model_rows import builtin_model_name
from app.ui.pages.settings_page import SettingsPage
from app.ui.token_requests import TokenRequests


class SettingsController(QObject):
    """Shows what is set, applies what is changed, and fills in devices and backups."""

    def __init__(self, profile: Profile, parent: QWidget) -> None:
        super().__init__(parent)
        self._profile = profile
        self.page = SettingsPage(parent)
        self._tokens = TokenRequests(profile.hub, parent)
        self._show_values()
        self.page.set_data_folder(str(profile.paths.data))
        self.page.setting_changed.connect(self._on_page_changed)
        self.page.open_folder_requested.connect(self._open_folder)
        self.page.backup_requested.connect(profile.store.back_up)
        profile.settings.changed.connect(self._on_setting_changed)
        profile.store.backups_listed.connect(self.page.set_backups)
        profile.store.backup_failed.connect(self.page.show_backup_error)
        self._system_info = ""
        profile.hardware.devices_listed.connect(self._on_devices_listed)
        profile.hardware.choice.changed.connect(self._show_devices)
        profile.models.loaded.connect(self._show_model)
        profile.models.context_grown.connect(self._show_model)
        profile.models.plan_changed.connect(self._show_model)
        profile.models.unloaded.connect(self._show_model)
        profile.models.load_started.connect(self._show_model)
        profile.models.settled.connect(self._show_model)
        self.page.file_device_chosen.connect(self._on_file_device_chosen)
        self.page.device_retry_requested.connect(profile.hardware.retry)
        profile.models.files_changed.connect(self._show_draft)
        self.page.draft_chosen.connect(profile.models.choose_draft)
        self.page.draft_file_wanted.connect(self._choose_draft_file)
        self._adapters = AdapterChoices(profile.settings)
        self.page.adapters_changed.connect(self._on_adapters_changed)
        self.page.adapter_file_wanted.connect(self._choose_adapter_file)
        if profile.hardware.listed is not None:
            self._on_devices_listed(profile.hardware.listed)
        self._show_model()
        self._connect_hub_tests()
        if profile.store.is_open:
            profile.store.list_backups()

    def _connect_hub_tests(self) -> None:
        tests, hub = self.page.hub_tests, self._profile.hub
        for request in (tests.endpoint_test_requested, tests.proxy_test_requested, tests.token_test_requested):
            request.connect(tests.show_running)
        tests.endpoint_test_requested.connect(self._test_endpoint)
        tests.proxy_test_requested.connect(self._test_proxy)
        tests.token_test_requested.connect(hub.test_token)
        tests.token_requested.connect(self._tokens.ask)
        tests.forget_token_requested.connect(hub.forget_token)
        hub.endpoint_tested.connect(tests.show_endpoint)
        hub.proxy_tested.connect(tests.show_proxy)
        hub.token_tested.connect(tests.show_token)
        hub.token_forgotten.connect(tests.show_forgotten)
        hub.access_changed.connect(self._show_token)
        hub.access_changed.connect(self._show_values)
        self._show_token()

    def _test_endpoint(self) -> None:
        self._profile.hub.test_endpoint()

    def _test_proxy(self) -> None:
        self._profile.hub.test_proxy()

    def _show_token(self) -> None:
        self.page.hub_tests.set_has_token(self._profile.hub.has_token)

    def _on_page_changed(self, key: str, value: Value) -> None:
        if key == PROXY:
            self._profile.hub.proxy.set_proxy(str(value or ""))
        else:
            self._profile.settings.set_value(key, value)

    def _on_setting_changed(self, key: str) -> None:
        self._show_values()
        if key == ADAPTERS:
            self._show_adapters()

    def _show_values(self) -> None:
        self.page.set_values(self._profile.settings.values() | {PROXY: self._profile.hub.proxy.shown})

    def _open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._profile.paths.data)))

    def _on_devices_listed(self, listed: DevicesListed) -> None:
        self._system_info = listed.system_info
        self._show_devices()

    def _show_devices(self) -> None:
        choice = self._profile.hardware.choice
        self.page.set_devices(choice.devices, self._system_info, choice.speeds, choice.fastest)

    def _show_model(self) -> None:
        models = self._profile.models
        info = models.info
        if info is not None and models.is_builtin:
            info = replace(info, name=builtin_model_name())  # as everywhere else
        chosen = self._profile.hardware.choice.choice_for(models.current_path)
        self.page.set_model(info, chosen, is_loading=models.is_loading)
        self._show_draft()
        self._show_adapters()

    def _show_draft(self) -> None:
        models = self._profile.models
        known = [(file.path, file.name) for file in models.likely_drafts]
        self.page.set_draft(models.info, models.draft, known)

    def _choose_draft_file(self) -> None:
        models = self._profile.models
        near = models.draft or ("" if models.is_builtin else models.current_path)
        filters = self.tr("Models (*.gguf);;All files (*)")
        folder = str(Path(near).parent) if near else ""
        path, _ = QFileDialog.getOpenFileName(self.page, self.tr("Choose a draft model"), folder, filters)
        if path:
            models.choose_draft(path)

    def _show_adapters(self) -> None:
        models = self._profile.models
        self.page.set_adapters(models.info, self._adapters.of(models.current_path))

    def _on_adapters_changed(self, adapters: tuple[Adapter, ...]) -> None:
        self._adapters.choose(self._profile.models.current_path, adapters)

    def _choose_adapter_file(self) -> None:
        models = self._profile.models
        folder = "" if models.is_builtin else str(Path(models.current_path).parent)
        filters = self.tr("Adapters (*.gguf);;All files (*)")
        path, _ = QFileDialog.getOpenFileName(self.page, self.tr("Choose an adapter"), folder, filters)
        if path:
            self.page.add_adapter(str(Path(path)))

    def _on_file_device_chosen(self, device: str) -> None:
        self._profile.hardware.choice.choose_for(self._profile.models.current_path, device)
