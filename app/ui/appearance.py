"""Theme and text size as the settings say; the theme itself follows the system."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QApplication

from app.core.settings import SETTING_OF
from app.services.settings import SettingsService
from app.ui.theme import apply_theme

TEXT_KEY, THEME_KEY = "appearance.text_percent", "appearance.theme"


class Appearance(QObject):
    """Dresses the application; one per window."""

    def __init__(self, settings: SettingsService, parent: QObject) -> None:
        super().__init__(parent)
        self._settings = settings
        settings.changed.connect(self._on_setting_changed)

    def apply(self) -> None:
        """Put the settings into effect."""
        application = QApplication.instance()
        if isinstance(application, QApplication):
            apply_theme(application, self._settings.string(THEME_KEY), self._settings.integer(TEXT_KEY))

    def larger_text(self) -> None:
        """One step up, as far as it goes."""
        self._set_text_percent(self._settings.integer(TEXT_KEY) + int(SETTING_OF[TEXT_KEY].step))

    def smaller_text(self) -> None:
        """One step down, as far as it goes."""
        self._set_text_percent(self._settings.integer(TEXT_KEY) - int(SETTING_OF[TEXT_KEY].step))

    def normal_text(self) -> None:
        """The size that the system has."""
        self._settings.set_value(TEXT_KEY, SETTING_OF[TEXT_KEY].default)

    def _set_text_percent(self, percent: int) -> None:
        setting = SETTING_OF[TEXT_KEY]
        self._settings.set_value(TEXT_KEY, max(int(setting.minimum), min(percent, int(setting.maximum))))

    def _on_setting_changed(self, key: str) -> None:
        if key in (TEXT_KEY, THEME_KEY):
            self.apply()
