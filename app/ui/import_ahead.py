"""Imports what is likely to be wanted soon, before it is."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from PySide6.QtCore import QObject, QTimer

REST_MS = 3_000  # after the window is made
GAP_MS = 100
MODELS_PAGE = (
    "app.core.plan",
    "app.core.planner",
    "app.core.speed",
    "app.core.fit",
    "app.core.catalog",
    "app.core.header_findings",
    "app.services.explain_fit",
    "app.ui.models.row_list",
    "app.ui.models.verdict_box",
    "app.ui.models.details",
    "app.ui.models.catalogue_rows",
    "app.ui.models.best_cards",
    "app.ui.models.recommended_view",
    "app.ui.models.hub_view",
    "app.ui.models.library_details",
    "app.ui.models.library_view",
    "app.ui.models.page",
    "app.ui.models_controller",
)
"""What the models page is made of, from below, in steps of some milliseconds each: 100 together."""


class ImportAhead(QObject):
    """One module at a time, once the window has come to rest. Not in another thread, which would hold up this one."""

    def __init__(self, names: Sequence[str], parent: QObject, *, rest_ms: int = REST_MS, gap_ms: int = GAP_MS) -> None:
        super().__init__(parent)
        self._names = iter(names)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._on_timeout)
        self._timer.start(rest_ms)
        self._gap_ms = gap_ms

    def _on_timeout(self) -> None:
        name = next(self._names, None)
        if name is not None:
            import_module(name)
            self._timer.start(self._gap_ms)
