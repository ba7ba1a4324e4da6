"""What can be done with a message: the buttons under it, and the line of figures."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QToolTip, QWidget

from app.core.messages import Role
from app.core.tree import MessageItem
from app.ui.transcript.context import TranscriptContext
from app.ui.transcript.figures import figures_details, figures_line
from app.ui.transcript.quiet_button import HEIGHT_PX, PADDING_PX, CopyButton, QuietButton
from app.ui.transcript.quiet_label import QuietLabel

_FIGURES_PX = 20


def footer_height(item: MessageItem, *, is_last: bool) -> int:
    """The height of a message's footer; figures have a line of their own under the last answer."""
    message = item.message
    has_figures = message.role is Role.ASSISTANT and bool(figures_line(message.usage, message.model_name))
    return HEIGHT_PX + (_FIGURES_PX if has_figures and is_last else 0)


class Footer(QWidget):
    """Buttons in one row; under an answer also the line of figures."""

    def __init__(self, context: TranscriptContext, item: MessageItem, parent: QWidget, *, is_last: bool) -> None:
        super().__init__(parent)
        self._context = context
        self._id = str(item.message.id)
        is_answer = item.message.role is Role.ASSISTANT
        self._align_right = not is_answer
        self._earlier = QuietButton(context, "‹", self)
        self._earlier.setAccessibleName(self.tr("Earlier version"))
        self._earlier.setToolTip(self.tr("Earlier version"))
        self._position = QuietLabel(context.style, self)
        self._position.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._later = QuietButton(context, "›", self)
        self._later.setAccessibleName(self.tr("Later version"))
        self._later.setToolTip(self.tr("Later version"))
        self._copy = CopyButton(context, self)
        self._copy.relabelled.connect(self._place)
        self._edit = QuietButton(context, self.tr("Edit"), self)
        self._regenerate = QuietButton(context, self.tr("Regenerate"), self)
        self._continue = QuietButton(context, self.tr("Continue"), self)
        self._figures = QuietButton(context, "", self)
        if is_answer:
            self._copy.setAccessibleName(self.tr("Copy answer"))
            self._regenerate.setAccessibleName(self.tr("Regenerate answer"))
            self._continue.setAccessibleName(self.tr("Continue answer"))
        else:
            self._copy.setAccessibleName(self.tr("Copy message"))
            self._edit.setAccessibleName(self.tr("Edit message"))
        self._copy.clicked.connect(self._on_copy_clicked)
        self._edit.clicked.connect(self._on_edit_clicked)
        self._regenerate.clicked.connect(self._on_regenerate_clicked)
        self._continue.clicked.connect(self._on_continue_clicked)
        self._earlier.clicked.connect(self._on_earlier_clicked)
        self._later.clicked.connect(self._on_later_clicked)
        self._figures.clicked.connect(self._on_figures_clicked)
        self.set_item(item, is_last=is_last)

    def set_item(self, item: MessageItem, *, is_last: bool) -> None:
        """Show what fits the message's state; only the last answer can be continued."""
        message, version = item.message, item.version
        is_answer = message.role is Role.ASSISTANT
        busy = self._context.is_busy
        has_versions = version.count > 1
        for widget in (self._earlier, self._position, self._later):
            widget.setVisible(has_versions)
        self._position.setText(f"{version.index + 1}/{version.count}")
        self._position.setAccessibleName(self.tr("Version {0} of {1}").format(version.index + 1, version.count))
        self._earlier.setEnabled(version.index > 0 and not busy)
        self._later.setEnabled(version.index < version.count - 1 and not busy)
        self._copy.setVisible(bool(message.text))
        self._edit.setVisible(not is_answer and not busy)
        self._regenerate.setVisible(is_answer and not busy)
        self._continue.setVisible(is_answer and is_last and message.state.ended_early and not busy)
        line = figures_line(message.usage, message.model_name) if is_answer else ""
        self._figures.setVisible(bool(line))
        self._line = line
        self._figures.setAccessibleName(line)
        self._figures.setToolTip(figures_details(message.usage) if message.usage else line)
        self._place()

    def tab_stops(self) -> list[QWidget]:
        """The buttons, in order; the figures are the last of them."""
        figures = [] if self._figures.isHidden() else [self._figures]
        return [button for button in (*self._row(), *figures) if isinstance(button, QuietButton)]

    def _row(self) -> list[QWidget]:
        order = (
            self._earlier, self._position, self._later, self._copy, self._edit, self._regenerate, self._continue
        )  # fmt: skip
        return [widget for widget in order if not widget.isHidden()]

    def _place(self) -> None:
        row = self._row()
        widths = [widget.sizeHint().width() + (8 if widget is self._position else 0) for widget in row]
        x = max(0, self.width() - sum(widths)) if self._align_right else 0
        for widget, width in zip(row, widths, strict=True):
            widget.setGeometry(x, 0, width, HEIGHT_PX)
            x += width
        if self.height() > HEIGHT_PX:
            room = QRect(0, HEIGHT_PX - 2, self.width(), _FIGURES_PX)
        else:  # in what is left of the row; the tooltip has the rest
            room = QRect(x, 0, max(0, self.width() - x), HEIGHT_PX)
        metrics, padding_px = self._figures.fontMetrics(), 2 * PADDING_PX
        self._figures.setText(metrics.elidedText(self._line, Qt.TextElideMode.ElideRight, room.width() - padding_px))
        room.setWidth(min(room.width(), self._figures.sizeHint().width()))
        self._figures.setGeometry(room)

    def _on_copy_clicked(self) -> None:
        self._context.copy_requested.emit(self._id)

    def _on_edit_clicked(self) -> None:
        self._context.edit_requested.emit(self._id)

    def _on_regenerate_clicked(self) -> None:
        self._context.regenerate_requested.emit(self._id)

    def _on_continue_clicked(self) -> None:
        self._context.continue_requested.emit(self._id)

    def _on_earlier_clicked(self) -> None:
        self._context.version_requested.emit(self._id, -1)

    def _on_later_clicked(self) -> None:
        self._context.version_requested.emit(self._id, 1)

    def _on_figures_clicked(self) -> None:
        below = self._figures.mapToGlobal(QPoint(PADDING_PX, self._figures.height()))
        QToolTip.showText(below, self._figures.toolTip(), self._figures)

    # -- Qt

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._place()
