"""What a look at a chat template found, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.chat_formats import PLAIN
from app.core.events import TemplateChecked
from app.core.library import LibraryModel
from app.core.template_check import FILE, OWN, Dialogue, TemplateFinding, TemplateFindingKind, TemplateState
from app.services.wording import translate


@dataclass(frozen=True, slots=True)
class TemplateVerdict:
    """A sentence on the whole, and one for each thing worth knowing; `is_usable` is said of the template itself."""

    summary: str
    notes: tuple[str, ...]
    is_usable: bool


def explain_template(checked: TemplateChecked) -> TemplateVerdict:
    """The words for what was found."""
    notes = tuple(_note(finding) for finding in checked.findings if not finding.kind.makes_unusable)
    broken = [finding for finding in checked.findings if finding.kind.makes_unusable]
    return TemplateVerdict(_summary(checked, broken), notes, not broken)


def explain_shortly(checked: TemplateChecked) -> str:
    """The same in a line, for a list of facts."""
    verdict = explain_template(checked)
    failing = [finding for finding in checked.findings if finding.kind is TemplateFindingKind.FAILS_ON]
    return " ".join((verdict.summary, *(_note(finding) for finding in failing)))


def state_words(model: LibraryModel) -> str:
    """What a list says of the template in a model file; empty where it is used."""
    used = translate("Template", "plain lines") if model.template_used == PLAIN.name else model.template_used
    match model.template_state:
        case TemplateState.MISSING:
            return translate("Template", "no chat template: uses {0}").format(used)
        case TemplateState.REPLACED:
            return translate("Template", "chat template repaired: uses {0}").format(used)
        case TemplateState.DEADLY:
            return translate("Template", "its chat template cannot be used")
        case _:
            return ""


def dialogue_title(dialogue: Dialogue) -> str:
    """What a dialogue is called."""
    match dialogue:
        case Dialogue.SYSTEM:
            return translate("Template", "System prompt")
        case Dialogue.TURNS:
            return translate("Template", "Three turns")
        case Dialogue.TOOLS:
            return translate("Template", "Tool call")
        case Dialogue.REASONING:
            return translate("Template", "Reasoning")


def failure(reason: str, line: int) -> str:
    """Why a template does not work, with the line where that shows."""
    reason = re.sub(r"^[A-Za-z]+Error: ", "", reason)  # what programmers call it
    if not line:
        return reason
    return translate("Template", "Line {0}: {1}").format(line, reason)


def _summary(checked: TemplateChecked, broken: Sequence[TemplateFinding]) -> str:
    if not broken:
        return _fine(checked)
    finding = broken[0]
    match finding.kind:
        case TemplateFindingKind.MISSING:
            words = translate("Template", "This file carries no chat template.")
        case TemplateFindingKind.NO_GENERATION_PROMPT:
            words = translate("Template", "This template never asks for an answer: it lacks a generation prompt.")
        case _:
            words = translate("Template", "This template does not work. {0}").format(
                _sentence(failure(finding.reason, finding.line))
            )
    return f"{words} {_instead(checked)}".strip()


def _fine(checked: TemplateChecked) -> str:
    match checked.name:
        case "file":
            return translate("Template", "The file's own template works.")
        case "own":
            return translate("Template", "Your template works.")
    return translate("Template", "The template “{0}” of Hearth's table.").format(checked.name)


def _instead(checked: TemplateChecked) -> str:
    if checked.used == checked.name:
        return ""
    if checked.used == PLAIN.name:
        return translate("Template", "Hearth writes plain lines that begin with “User:” and “Assistant:”.")
    if checked.used == FILE:
        return translate("Template", "Hearth would use the file's own.")
    if checked.name == OWN:
        return translate("Template", "Hearth would use “{0}” of its table.").format(checked.used)
    return translate("Template", "Hearth uses “{0}” of its table, by the model's family.").format(checked.used)


def _note(finding: TemplateFinding) -> str:
    match finding.kind:
        case TemplateFindingKind.FAILS_ON:
            words = translate("Template", "It cannot write down “{0}”. {1}")
            title = dialogue_title(Dialogue(finding.dialogue))
            return words.format(title, _sentence(failure(finding.reason, finding.line)))
        case TemplateFindingKind.SYSTEM_IN_QUESTION:
            return translate(
                "Template", "It has no place for a system prompt: Hearth puts that before the first question."
            )
        case _:
            return translate("Template", "It says nothing of tools: a model cannot be offered any through it.")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
