"""What is imported before it is wanted. In another process, for in this one all is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import sys
from PySide6.QtCore import QCoreApplication, QObject
import app.ui.main_window
from app.ui.import_ahead import MODELS_PAGE, ImportAhead

application = QCoreApplication([])
parent = QObject()
assert "app.ui.models_controller" not in sys.modules, "the start can do without"
ahead = ImportAhead(MODELS_PAGE, parent, rest_ms=0, gap_ms=0)
while "app.ui.models_controller" not in sys.modules:
    before = set(sys.modules)
    application.processEvents()
    assert len(set(sys.modules) - before) < 20, "much at once"
"""


def test_the_models_page_is_imported_a_little_at_a_time() -> None:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
