"""The settings of one profile, kept in a JSON file."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from PySide6.QtCore import QObject, QSaveFile, QTimer, Signal

from app.core.settings import SETTING_OF, Value, read_settings
from app.storage.writer import StoreThread

log = logging.getLogger(__name__)
SAVE_DELAY_MS = 300


class SettingsService(QObject):
    """Reads the file once, answers from memory, writes changes together after a short delay. Main thread only."""

    changed = Signal(str)
    save_failed = Signal(str)  # the system's reason

    def __init__(self, path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._path = path
        self._values = read_settings(_load(path))
        self._writer = StoreThread()
        self._is_closed = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SAVE_DELAY_MS)
        self._timer.timeout.connect(self.save)

    def value(self, key: str) -> Value:
        """The present value of a setting."""
        return self._values[key]

    def integer(self, key: str) -> int:
        """The present value of a whole-number setting; 0 for None."""
        value = self._values[key]
        return value if isinstance(value, int) else 0

    def string(self, key: str) -> str:
        """The present value of a text setting; empty for None."""
        value = self._values[key]
        return value if isinstance(value, str) else ""

    def values(self) -> dict[str, Value]:
        """All settings, a copy."""
        return dict(self._values)

    def set_value(self, key: str, value: Value) -> None:
        """Change a setting. Raises ValueError for a value that the setting does not accept."""
        if not SETTING_OF[key].accepts(value):
            raise ValueError(f"{key} does not accept {value!r}")
        if self._values[key] != value:
            self._values[key] = value
            self._timer.start()
            self.changed.emit(key)

    def save(self) -> None:
        """Write the file in the background, whole or not at all."""
        self._timer.stop()
        if self._is_closed:
            return
        changed = {key: value for key, value in self._values.items() if value != SETTING_OF[key].default}
        text = json.dumps(changed, indent=1, ensure_ascii=False).encode("utf-8", "replace")
        self._writer.submit(lambda: self._write(text))

    def close(self) -> None:
        """Write what is waiting to be written and wait for it. For tearing down; further calls do nothing."""
        if self._timer.isActive():
            self.save()
        self._is_closed = True
        self._writer.close()

    def _write(self, text: bytes) -> None:
        """On the writer's thread: making sure that the disk has it can take long."""
        file = QSaveFile(str(self._path))
        if not (file.open(QSaveFile.OpenModeFlag.WriteOnly) and file.write(text) == len(text) and file.commit()):
            log.error("the settings could not be written: %s", file.errorString())
            self.save_failed.emit(file.errorString())


def _load(path: Path) -> dict[str, object]:
    """The stored settings; a broken file is kept beside as `.broken` and the defaults apply."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.error("the settings could not be read: %s", type(error).__name__)
        _keep_broken(path)
        return {}
    return data if isinstance(data, dict) else {}


def _keep_broken(path: Path) -> None:
    try:
        path.replace(path.with_suffix(".json.broken"))
    except OSError:
        log.error("the broken settings could not be set aside")
