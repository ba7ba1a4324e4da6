"""What all widgets of one transcript share."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from app.ui.theme import DARK, LIGHT
from app.ui.transcript.code_colors import CodeColors
from app.ui.transcript.formulas import FormulaCache, FormulaObject
from app.ui.transcript.highlighting import LexerShelf
from app.ui.transcript.selection import Selection
from app.ui.transcript.slices import SliceQueue
from app.ui.transcript.style import TextStyle


class TranscriptContext(QObject):
    """The style, the selection, the work in slices, and what the widgets report upwards.

    The signals carry message ids; the view passes them on.
    """

    regenerate_requested = Signal(str)
    continue_requested = Signal(str)
    edit_requested = Signal(str)
    edit_submitted = Signal(str, str)
    version_requested = Signal(str, int)
    action_requested = Signal(str, object)
    link_activated = Signal(str)
    copy_requested = Signal(str)
    code_copied = Signal()
    height_changed = Signal(str)
    drag_moved = Signal(object)  # QPoint, global
    drag_ended = Signal()

    def __init__(self, owner: QWidget) -> None:
        super().__init__(owner)
        self.slices = SliceQueue(self)
        self.formulas = FormulaCache()
        self.formula_object = FormulaObject(self.formulas, self)
        self.lexers = LexerShelf()
        self.selection = Selection(self)
        self.is_busy = False  # an answer is being written: nothing may be regenerated or edited
        self.restyle(owner)

    def restyle(self, owner: QWidget) -> None:
        """Take over the palette and font that the transcript has now."""
        self.style = TextStyle.of(owner.palette(), owner.font())
        self.code_colors = CodeColors(DARK if self.style.is_dark else LIGHT)
