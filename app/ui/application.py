"""The QApplication: name, icon, style and translations; nothing that knows the services."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QLibraryInfo, QLocale, QTranslator
from PySide6.QtWidgets import QApplication

from app.paths import resources
from app.ui.icons import app_icon

NAME = "Hearth"
LANGUAGE_OF_SOURCE = QLocale(QLocale.Language.English, QLocale.Country.UnitedStates)


def create_application(argv: Sequence[str]) -> QApplication:
    """The application object, dressed and ready for windows; call once per process."""
    QApplication.setApplicationName(NAME)
    QApplication.setApplicationDisplayName(NAME)
    QApplication.setDesktopFileName("hearth")
    app = QApplication(list(argv))
    dress(app)
    return app


def dress(app: QApplication) -> None:
    """Style, icon and translations. The theme is applied by `app.ui.theme.apply_theme`."""
    if QLocale().language() == QLocale.Language.C:  # no locale set: figures are still for people
        QLocale.setDefault(LANGUAGE_OF_SOURCE)
    app.setStyle("Fusion")
    app.setWindowIcon(app_icon())
    install_translations(app, QLocale())


def install_translations(app: QApplication, locale: QLocale) -> None:
    """Load the texts for `locale`; where there are none, those for English, which hold the plural forms.

    The locale's numbers and dates are kept as they are.
    """
    folder = resources() / "translations"
    if not (_install(app, locale, "hearth", folder) or _install(app, LANGUAGE_OF_SOURCE, "hearth", folder)):
        return
    _install(app, locale, "qtbase", Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)))


def _install(app: QApplication, locale: QLocale, name: str, folder: Path) -> bool:
    translator = QTranslator(app)
    return translator.load(locale, name, "_", str(folder)) and app.installTranslator(translator)
