"""What the person decided for single model files, kept in one setting."""

from __future__ import annotations

import json

from app.services.settings import SettingsService


class FileChoices:
    """A value for some of the model files; the others have none. Main thread only."""

    def __init__(self, settings: SettingsService, key: str) -> None:
        """`key`: a text setting, which holds JSON."""
        self._settings = settings
        self._key = key

    def of(self, path: str) -> str:
        """What was chosen for this model file; empty: nothing."""
        return self._read().get(path, "")

    def choose(self, path: str, value: str) -> None:
        """Choose for this model file; empty: nothing."""
        self._write({**self._read(), path: value})

    def follow(self, path: str, moved: str) -> None:
        """A model file lies elsewhere now: what was chosen for it, and where it was chosen itself."""
        choices = self._read()
        if path in choices or path in choices.values():
            self._write({_if_is(file, path, moved): _if_is(value, path, moved) for file, value in choices.items()})

    def _write(self, choices: dict[str, str]) -> None:
        kept = {file: chosen for file, chosen in choices.items() if chosen}
        self._settings.set_value(self._key, json.dumps(kept, ensure_ascii=False) if kept else "")

    def _read(self) -> dict[str, str]:
        try:
            found = json.loads(self._settings.string(self._key) or "{}")
        except ValueError:
            return {}
        return {str(path): str(value) for path, value in found.items()} if isinstance(found, dict) else {}


def _if_is(text: str, path: str, moved: str) -> str:
    return moved if text == path else text
