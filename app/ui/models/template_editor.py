"""The chat template of a model file: the file's own, one of Hearth's table, or one that the person writes."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QDialog, QHBoxLayout, QSplitter, QVBoxLayout, QWidget

from app.core.chat_formats import FORMATS, format_named
from app.core.errors import UserError
from app.core.events import TemplateChecked
from app.core.template_check import FILE, OWN, named_template, template_format
from app.services.explain import explain
from app.services.explain_template import explain_template
from app.services.templates import TemplateService
from app.ui.buttons import Button, ButtonKind
from app.ui.dialog_size import open_in_size
from app.ui.labels import Label, hint
from app.ui.models.template_preview import TemplatePreview
from app.ui.models.template_text import TemplateSource
from app.ui.setting_fields import CalmComboBox
from app.ui.transcript.announce import announce

TYPING_PAUSE_MS = 300
_BESIDE_CHARS = 110  # narrower than this, the preview is below the source


class TemplateEditor(QDialog):
    """Show it with `open`. What is typed is tried in the engine after a pause; nothing is used before Save."""

    def __init__(self, service: TemplateService, path: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._service = service
        self._path = path
        self._stored = service.template_of(path)
        self._own = "" if template_format(self._stored) is not None else self._stored
        self._file_source: str | None = None  # None: not read yet
        self._number = 0  # of the check that counts
        self._checked: TemplateChecked | None = None
        self._is_leaving = False  # Cancel was pressed on what is not saved
        name = service.name_of(path) or Path(path).stem
        self.setWindowTitle(self.tr("Chat template of {model}").format(model=name))
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(TYPING_PAUSE_MS)
        self._typing.timeout.connect(self._check)
        self._build()
        service.checked.connect(self._on_checked)
        service.check_failed.connect(self._on_check_failed)
        service.store_failed.connect(self._on_store_failed)
        self._choice.setCurrentIndex(self._choice.findData(self._stored_choice()))
        self._show_choice()

    @property
    def summary(self) -> str:
        """What is said of the template as a whole."""
        return self._summary.text()

    @property
    def preview(self) -> TemplatePreview:
        """The dialogues as it writes them."""
        return self._preview

    # --- what is on screen ---

    def _build(self) -> None:
        title = Label(self.windowTitle(), self, percent=130, bold=True, wraps=True)
        why = hint(
            self.tr(
                "A chat template writes a conversation down in the way the model has learned. With a wrong one answers "
                "get worse. The file itself stays as it is."
            ),
            self,
        )
        label = Label(self.tr("Template"), self)
        self._choice = CalmComboBox(self)
        self._choice.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._choice.setAccessibleName(self.tr("Template"))
        self._choice.addItem(self.tr("From the file"), FILE)
        self._choice.addItem(self.tr("My own"), OWN)
        for known in sorted(FORMATS, key=lambda each: each.name):
            words = self.tr("Table: {name}") if known.is_confirmed else self.tr("Table: {name} (not confirmed)")
            self._choice.addItem(words.format(name=known.name), named_template(known.name))
        self._choice.activated.connect(self._on_choice)
        label.setBuddy(self._choice)
        self._restore = Button(self.tr("Back to the file's own"), self, icon="restore")
        self._restore.clicked.connect(self._on_restore_clicked)
        self._source = TemplateSource(self.tr("Source of the template"), self)
        self._source.textChanged.connect(self._on_text_changed)
        self._preview = TemplatePreview(self)
        self._summary = Label("", self, wraps=True, bold=True)
        self._notes = hint("", self)
        self._go = Button(self.tr("Go to the line"), self)
        self._go.clicked.connect(self._on_go_clicked)
        self._cancel = Button(self.tr("Cancel"), self)
        self._cancel.clicked.connect(self.reject)
        self._save = Button(self.tr("Save"), self, kind=ButtonKind.PRIMARY)
        self._save.clicked.connect(self._on_save_clicked)
        self._arrange(title, why, label)

    def _arrange(self, title: Label, why: Label, label: Label) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(label)
        row.addWidget(self._choice)
        row.addWidget(self._restore)
        row.addStretch(1)
        self._split = QSplitter(self)
        self._split.setChildrenCollapsible(False)
        self._split.addWidget(self._source)
        self._split.addWidget(self._preview)
        self._split.setHandleWidth(12)
        self._split.setSizes([1 << 16, 1 << 16])  # in equal parts
        status = QHBoxLayout()
        status.setSpacing(8)
        status.addWidget(self._summary, 1)
        status.addWidget(self._go, 0, Qt.AlignmentFlag.AlignTop)
        ends = QHBoxLayout()
        ends.setSpacing(8)
        ends.addStretch(1)
        ends.addWidget(self._cancel)
        ends.addWidget(self._save)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 24, 24, 16)
        layout.setSpacing(10)
        layout.addWidget(title)
        layout.addWidget(why)
        layout.addLayout(row)
        layout.addWidget(self._split, 1)
        layout.addLayout(status)
        layout.addWidget(self._notes)
        layout.addLayout(ends)
        open_in_size(self, self.fontMetrics().averageCharWidth() * 130, self.fontMetrics().height() * 38)

    # --- the choice ---

    def _stored_choice(self) -> str:
        if not self._stored:
            return FILE
        return self._stored if template_format(self._stored) is not None else OWN

    @property
    def _template(self) -> str:
        """What Save would keep; empty: the file's own."""
        chosen = str(self._choice.currentData())
        if chosen == FILE:
            return ""
        return self._own if chosen == OWN else chosen

    def _show_choice(self) -> None:
        """Show the source of what is chosen and try it."""
        chosen = str(self._choice.currentData())
        known = template_format(chosen)
        if known is not None:
            self._set_source(known.source)
        elif chosen == FILE:
            self._set_source(self._file_source or "")
        else:
            if not self._own:  # one's own begins as what was in use
                used = format_named(self._checked.used) if self._checked is not None else None
                self._own = self._source.text() or (used.source if used is not None else "")
            self._set_source(self._own)
        self._check()

    def _set_source(self, text: str) -> None:
        if text != self._source.text():
            with QSignalBlocker(self._source):
                self._source.setPlainText(text)

    def _check(self) -> None:
        self._typing.stop()
        self._checked = None
        if self._choice.currentData() == OWN and not self._own.strip():
            self._number = 0
            self._say(self.tr("There is nothing to use yet."))
            self._preview.set_dialogues(())
        else:
            self._number = self._service.check(self._path, self._template)
        self._update()

    def _on_choice(self, _index: int) -> None:
        self._is_leaving = False
        self._show_choice()

    def _on_text_changed(self) -> None:
        """Whatever is typed is one's own."""
        self._own = self._source.text()
        self._choice.setCurrentIndex(self._choice.findData(OWN))
        self._is_leaving = False
        self._checked = None
        self._typing.start()
        self._update()

    # --- what is found ---

    def _on_checked(self, checked: TemplateChecked) -> None:
        if checked.request_id != self._number:
            return
        self._checked = checked
        if checked.name == FILE:
            self._file_source = checked.source
            self._set_source(checked.source)
        verdict = explain_template(checked)
        self._source.setPlaceholderText("" if checked.source else verdict.summary)
        self._say(verdict.summary, "\n".join(verdict.notes))
        self._source.mark_line(self._failing_line())
        self._preview.set_dialogues(checked.dialogues)
        self._update()

    def _on_check_failed(self, number: int, error: UserError) -> None:
        if number == self._number:
            explanation = explain(error)
            self._say(explanation.title, explanation.text)
            self._preview.set_dialogues(())

    def _on_store_failed(self, error: UserError) -> None:
        explanation = explain(error)
        self._say(explanation.title, explanation.text)

    def _failing_line(self) -> int:
        findings = self._checked.findings if self._checked is not None else ()
        return next((finding.line for finding in findings if finding.line), 0)

    def _say(self, summary: str, notes: str = "") -> None:
        if summary != self._summary.text():
            announce(self, summary)
        self._summary.setText(summary)
        self._notes.setText(notes)
        self._notes.setVisible(bool(notes))

    def _update(self) -> None:
        """What can be pressed now. A template that works nowhere cannot be kept, nor one that was not tried."""
        is_other = self._template != self._stored
        works = self._choice.currentData() == FILE or (
            self._checked is not None and self._checked.name == self._checked.used
        )
        self._save.setEnabled(is_other and works)
        self._restore.setEnabled(bool(self._stored) or self._choice.currentData() != FILE)
        self._go.setVisible(self._failing_line() > 0)
        self._cancel.setText(self.tr("Discard changes") if self._is_leaving else self.tr("Cancel"))
        self._cancel.setAccessibleName(self._cancel.text())

    # --- what is pressed ---

    def _on_go_clicked(self) -> None:
        self._source.go_to_line(self._failing_line())

    def _on_restore_clicked(self) -> None:
        """Gone with one click; what was written stays under "My own" until the window is closed."""
        self._service.restore(self._path)
        self._stored = ""
        self._choice.setCurrentIndex(self._choice.findData(FILE))
        self._is_leaving = False
        self._show_choice()

    def _on_save_clicked(self) -> None:
        self._service.save(self._path, self._template)
        self.accept()

    def reject(self) -> None:
        """Close, but not at once where something that was written would be lost."""
        is_unsaved = self._choice.currentData() == OWN and self._own != self._stored and bool(self._own.strip())
        if is_unsaved and not self._is_leaving:
            self._is_leaving = True
            self._say(self.tr("What you have written is not saved yet."))
            self._update()
            self._cancel.setFocus(Qt.FocusReason.OtherFocusReason)
            return
        super().reject()

    def done(self, result: int) -> None:
        """Ask for nothing more."""
        self._typing.stop()
        super().done(result)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        is_wide = self.width() >= self.fontMetrics().averageCharWidth() * _BESIDE_CHARS
        self._split.setOrientation(Qt.Orientation.Horizontal if is_wide else Qt.Orientation.Vertical)
