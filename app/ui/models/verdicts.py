"""Fills the verdict box of a model's details: first from what is known of the file, then from its first bytes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, QTimer

from app.core.errors import UserError
from app.core.fit import Verdict, usual_context
from app.core.gguf import GgufHeader
from app.core.header_findings import find_in_header
from app.services.explain import explain
from app.services.explain_fit import FitLevel, finding_words, fit_level, verdict_details, verdict_words
from app.services.fits import trained_context
from app.services.profile import Profile
from app.services.tasks import Task
from app.services.wording import memory_size
from app.ui.models.catalogue_rows import RowFigures
from app.ui.models.details import ModelDetails
from app.ui.models.sheet import FileChoice
from app.ui.models.verdict_box import VerdictView

if TYPE_CHECKING:
    from app.hub.remote_header import RemoteHeader

PAUSE_MS = 200  # arrow keys go through a list faster than the hub may be asked


class Verdicts(QObject):
    """For one details pane. `figures` of the catalogue are used until the file's own header is here."""

    def __init__(self, profile: Profile, details: ModelDetails, *, may_ask: bool) -> None:
        """`may_ask`: the person has agreed that the hub is asked."""
        super().__init__(details)
        self._profile = profile
        self._details = details
        self._may_ask = may_ask
        self._headers: dict[str, tuple[GgufHeader, int]] = {}
        self._figures: Mapping[str, RowFigures] = {}
        self._reading: Task[RemoteHeader] | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self._read)
        self._choice: FileChoice | None = None
        self._context = 0
        details.file_chosen.connect(self._on_file_chosen)
        details.verdict.context_changed.connect(self._on_context_changed)
        profile.fits.changed.connect(self._show)

    def allow_asking(self) -> None:
        """The person agrees now."""
        self._may_ask = True

    def set_figures(self, figures: Mapping[str, RowFigures]) -> None:
        """What the catalogue knows, by the key of a file."""
        self._figures = figures

    def _on_file_chosen(self, choice: FileChoice) -> None:
        self._pause.stop()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        self._choice = choice
        self._context = 0
        self._offer_context()
        self._show()
        if choice.key not in self._headers and self._can_ask(choice):
            self._pause.start()

    def _can_ask(self, choice: FileChoice) -> bool:
        return self._may_ask and bool(choice.parts) and not self._profile.hub.is_offline

    def _read(self) -> None:
        choice = self._choice
        if choice is None or self._details.choice is not choice:
            return
        self._reading = self._profile.hub.read_header(
            choice.repo,
            choice.path,
            choice.commit or "main",
            partial(self._on_read, choice),
            partial(self._on_failed, choice),
        )

    def _on_read(self, choice: FileChoice, found: RemoteHeader) -> None:
        self._headers[choice.key] = found.header, choice.size_bytes or found.size_bytes
        if self._choice is not None and self._choice.key == choice.key:
            self._offer_context()
            self._show()

    def _on_failed(self, choice: FileChoice, error: UserError) -> None:
        if self._choice is choice and choice.key not in self._figures:
            self._details.verdict.show_unknown(explain(error).sentences)

    def _on_context_changed(self, tokens: int) -> None:
        self._context = tokens
        self._show()

    def _offer_context(self) -> None:
        choice = self._choice
        longest = 0
        if choice is not None and choice.key in self._headers:
            longest = trained_context(self._headers[choice.key][0])
        elif choice is not None and choice.key in self._figures:
            longest = self._figures[choice.key].context_length
        if longest:
            self._context = self._context or usual_context(longest)
        self._details.verdict.set_context_range(longest, self._context)

    def _show(self) -> None:
        """Say what is known now."""
        choice = self._choice
        if choice is None or self._details.choice is not choice:
            return
        fits = self._profile.fits
        sentences: list[str] = []
        blocked = False
        if choice.key in self._headers:
            header, size_bytes = self._headers[choice.key]
            findings = find_in_header(header, has_template=choice.has_template)
            sentences += [finding_words(finding) for finding in findings]
            blocked = any(finding.kind.blocks for finding in findings)
            try:
                verdict = fits.judge_header(header, size_bytes, self._context, choice.path)
            except UserError as error:
                # A file for another purpose, such as a projector, has no layers: what it is says more.
                self._details.verdict.show_unknown(" ".join(sentences) if blocked else explain(error).text)
                return
        elif choice.key in self._figures:
            verdict = fits.judge_row(self._figures[choice.key].figures, self._context, choice.path)
            sentences.append(QCoreApplication.translate("Verdicts", "Reckoned from the catalogue."))
        elif self._can_ask(choice):
            return
        else:
            words = QCoreApplication.translate(
                "Verdicts", "Its size is not known. The hub can tell: search for it there."
            )
            self._details.verdict.show_unknown(words)
            return
        self._details.verdict.set_verdict(_view(verdict, sentences, blocked))


def _view(verdict: Verdict, sentences: list[str], blocked: bool) -> VerdictView:
    need = QCoreApplication.translate("Verdicts", "Needs {need}, {free} are free.")
    figures = need.format(need=memory_size(verdict.need.total_bytes), free=memory_size(verdict.free_bytes))
    told = [figures] if verdict.kind.runs_now else []
    headline, level = verdict_words(verdict), fit_level(verdict)
    if blocked:
        headline = QCoreApplication.translate("Verdicts", "Hearth cannot chat with this file")
        level = FitLevel.POOR
    return VerdictView(headline, (*sentences, *told), tuple(verdict_details(verdict)), level)
