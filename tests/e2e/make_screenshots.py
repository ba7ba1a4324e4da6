"""Pictures of the real window for the README and for looking at: `python -m tests.e2e.make_screenshots FOLDER`.

Everything is real but the engine, which plays from a script, so that the answers show every kind of content; the
pictures of the README, `chat-light.png`, `models-light.png` and `family-tree-light.png`, are of the real engine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.bootstrap import build_profile
from app.core.messages import MessageId
from app.paths import choose_paths, resources
from app.services.profile import Profile
from app.ui.application import create_application
from app.ui.main_window import MainWindow
from app.ui.models.family_tree import FamilyTree
from app.ui.models.page import ModelsPage
from app.ui.models.tree_picture import ZOOM_STEP
from tests.e2e.screen import Screen

SIZES_PX = ((1280, 800), (800, 600))
THEMES = ("light", "dark")
WAIT_MS = 60_000
STEP_MS = 20

RICH = r"""Tides come from the difference between the Moon's pull on the near and on the far side of the Earth:

$$ a = \frac{2 G M r}{d^3} $$

With $d$ the distance to the Moon and $r$ the radius of the Earth, that is about $1.1 \times 10^{-6}$ m/s².

| Body | Mass (kg) | Tidal effect |
| --- | ---: | :---: |
| Moon | 7.3 × 10²² | 1.00 |
| Sun | 2.0 × 10³⁰ | 0.46 |

```python
def tidal_acceleration(mass: float, distance: float, radius: float = 6.37e6) -> float:
    G = 6.674e-11  # m³ kg⁻¹ s⁻²
    return 2 * G * mass * radius / distance**3
```

And in Hebrew, from right to left:

הירח מושך את המים, ולכן יש גאות ושפל פעמיים ביום.

- **Spring tide**: Sun and Moon pull along one line.
- **Neap tide**: they pull at a right angle, and the effects partly cancel.
"""
CAPITAL = "The capital of Australia is Canberra, not Sydney."
SCRIPT = {
    "answers": [
        {"when": "slowly", "text": RICH, "tokens_per_second": 25, "first_token_ms": 300},
        {"when": "tides", "text": RICH, "tokens_per_second": 90, "first_token_ms": 240},
        {"when": "capital", "text": CAPITAL, "tokens_per_second": 40, "first_token_ms": 180},
        {
            "when": "crash",
            "text": "The engine will stop right in the middle of this sentence, because",
            "crash": {"at_token": 9, "signal": "SIGKILL"},
        },
        {"text": "A short answer.", "tokens_per_second": 40},
    ],
    "loads": [
        {
            "path": "huge",
            "error": {
                "kind": "not_enough_memory",
                "details": {
                    "path": "/models/huge.gguf",
                    "needed_bytes": 21_400_000_000,
                    "free_bytes": 12_300_000_000,
                    "context_length": 131072,
                    "suggested_context_length": 16384,
                },
            },
        },
        {"name": "Example 8B Instruct", "context_length": 8192},
    ],
}
MODEL = "example-8b-instruct-Q4_K_M.gguf"
GUIDE_SIZE = "1280x800"
GUIDE = ("Hi, I am Maria", "Does Hearth need the internet?", "What is my name?")
PARENT_OF_MANY = "mistral-7b"
EARLIER = ("How do tides work?", "What is the capital of Australia?", "Plan a weekend in the mountains with children")


def main() -> None:
    if len(sys.argv) == 2:
        folder = Path(sys.argv[1])
        folder.mkdir(parents=True, exist_ok=True)
        for width_px, height_px in SIZES_PX:
            screen = Screen(width_px, height_px)
            for theme in THEMES:
                command = [sys.executable, "-m", "tests.e2e.make_screenshots", str(folder), theme]
                subprocess.run([*command, str(width_px), str(height_px)], env=screen.environment, check=True)
            screen.close()
    else:
        folder, theme = Path(sys.argv[1]), sys.argv[2]
        with tempfile.TemporaryDirectory() as data:
            scenes = Scenes(folder, theme, int(sys.argv[3]), int(sys.argv[4]), Path(data))
            scenes.take_all()
            scenes.close()
        if f"{sys.argv[3]}x{sys.argv[4]}" == GUIDE_SIZE:
            with tempfile.TemporaryDirectory() as data:
                guide = Scenes(folder, theme, int(sys.argv[3]), int(sys.argv[4]), Path(data), is_scripted=False)
                guide.take_guide()
                guide.close()


class Scenes:
    """One window in one theme and size, brought from scene to scene."""

    def __init__(
        self, folder: Path, theme: str, width_px: int, height_px: int, data: Path, *, is_scripted: bool = True
    ) -> None:
        self._folder = folder
        self._suffix = f"{theme}-{width_px}x{height_px}"
        script = data / "script.json"
        script.write_text(json.dumps(SCRIPT), "utf-8")
        (data / "settings.json").write_text(json.dumps({"appearance.theme": theme}), "utf-8")
        application = QApplication.instance()
        self._application = application if isinstance(application, QApplication) else create_application(["hearth"])
        backend = f"scripted:{script}" if is_scripted else "llama"
        self._profile: Profile = build_profile(choose_paths(str(data)), self._application, backend)
        self._window = MainWindow(self._profile, resources())
        self._window.setGeometry(0, 0, width_px, height_px)
        self._window.show()
        model = data / MODEL
        model.touch()  # else the models page says that the file is gone
        self._profile.start(str(model) if is_scripted else None)
        self._wait(lambda: self._profile.store.is_open and self._profile.models.info is not None)

    def take_all(self) -> None:
        chat = self._profile.chat
        self._take("empty")
        for question in EARLIER:
            chat.new_conversation()
            self._say(question)
        chat.new_conversation()
        self._say("How do tides work?")
        self._window.chat_page.transcript.verticalScrollBar().setValue(0)
        QTest.qWait(1500)
        self._take("answer")
        chat.new_conversation()
        chat.send("Explain tides slowly")
        QTest.qWait(5000)
        self._take("streaming")
        chat.stop()
        self._wait(lambda: not chat.is_streaming)
        chat.new_conversation()
        self._say("What is the capital of Australia?")
        answer = self._window.chat_page.transcript.last_assistant_id()
        chat.regenerate(MessageId(str(answer)))
        self._wait(lambda: not chat.is_streaming and len(chat.current.tree) == 3)
        self._take("versions")
        self._say("Now crash")
        self._take("engine-stopped")
        self._profile.models.load("/models/huge.gguf")
        self._wait(lambda: not self._profile.models.is_loading)
        self._take("memory-card")
        self._window.chat_page.clear_card()
        self._profile.conversations.trash(self._profile.conversations.conversations[-1].id)
        for page in ("models", "trash", "settings", "help"):
            self._window.show_page(page)
            self._take(page)
        self._window.show_page("chat")
        self._window.show_shortcuts()
        self._take("shortcuts")

    def take_guide(self) -> None:
        self._suffix = self._suffix.split("-")[0]
        self._take("first-start")
        for question in GUIDE:
            self._say(question)
            QTest.qWait(500)
        self._take("chat")
        self._wait(lambda: bool(self._profile.hardware.choice.speeds))  # the self-test of the first start is over
        self._window.show_page("models")
        page = self._window.pages.page("models")
        assert isinstance(page, ModelsPage)
        self._wait(lambda: bool(page.recommended.best.cards))
        self._take("models")
        page.recommended.tree_requested.emit()
        tree = page.findChild(FamilyTree)
        assert tree is not None
        tree.show_model(PARENT_OF_MANY)
        tree.picture.zoom_by(1 / ZOOM_STEP)
        across = tree.picture.horizontalScrollBar()
        across.setValue(across.value() + tree.picture.width() * 3 // 8)  # what it led to is at its right
        self._take("family-tree")

    def close(self) -> None:
        self._window.close()
        self._profile.shut_down()

    def _say(self, text: str) -> None:
        before = len(self._profile.chat.current.tree)
        self._profile.chat.send(text)
        self._wait(lambda: len(self._profile.chat.current.tree) > before and not self._profile.chat.is_streaming)

    def _take(self, name: str) -> None:
        QTest.qWait(400)
        picture = QGuiApplication.primaryScreen().grabWindow(0)
        picture.save(str(self._folder / f"{name}-{self._suffix}.png"))

    def _wait(self, condition: Callable[[], bool]) -> None:
        for _ in range(WAIT_MS // STEP_MS):
            if condition():
                return
            QTest.qWait(STEP_MS)
        raise SystemExit("the window did not get where the picture was to be taken")


if __name__ == "__main__":
    main()
