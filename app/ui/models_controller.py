"""The models page, wired to the services."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from app.services.profile import Profile
from app.ui.local_files import show_in_folder
from app.ui.pages.models_page import ModelsPage


class ModelsController(QObject):
    """Keeps the list of files and passes on what the person does with them."""

    open_requested = Signal()
    use_requested = Signal(object)  # path as str, or None for the built-in model

    def __init__(self, profile: Profile, parent: QWidget) -> None:
        super().__init__(parent)
        self._profile = profile
        self.page = ModelsPage(parent)
        self.page.open_requested.connect(self.open_requested)
        self.page.use_requested.connect(self.use_requested)
        self.page.forget_requested.connect(profile.models.forget)
        self.page.show_in_folder_requested.connect(show_in_folder)
        profile.models.files_changed.connect(self._show_models)
        profile.models.loaded.connect(self._show_models)
        self._show_models()

    def _show_models(self) -> None:
        models = self._profile.models
        self.page.set_models(models.files, None if models.is_builtin else models.current_path)
