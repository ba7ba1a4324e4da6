"""Whether a draft model guesses, and why not, in the words of a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.core.errors import UserError
from app.core.events import ModelInfo
from app.services.explanation import Explanation
from app.services.wording import memory_size, translate


def draft_unused(details: dict[str, object], explain: Callable[[UserError], Explanation]) -> str:
    """One line for NoticeKind.DRAFT_UNUSED; `explain` has the words for files that cannot be loaded."""
    words = translate("ExplainDraft", "The draft model “{0}” is not used: {1}")
    return words.format(Path(str(details.get("path", ""))).name, _reason(details, explain))


def draft_state(model: ModelInfo) -> str:
    """Whether a draft model guesses for this model, and what it takes."""
    draft = model.plan.get("draft")
    if not isinstance(draft, dict):
        return translate("ExplainDraft", "It is not used now.")
    words = translate("ExplainDraft", "“{0}” guesses ahead. It takes {1} of memory.")
    return words.format(str(draft.get("name", "")), _size(draft.get("used_bytes")))


def draft_row(model: ModelInfo) -> tuple[str, str] | None:
    """What guesses ahead beside the conversation itself, for the figures of a plan; None: nothing does."""
    name = translate("ExplainDraft", "Guesses ahead")
    draft = model.plan.get("draft")
    if isinstance(draft, dict):
        words = translate("ExplainDraft", "{0}, {1}")
        return name, words.format(str(draft.get("name", "")), _size(draft.get("used_bytes")))
    heads = model.plan.get("heads")
    if isinstance(heads, dict):
        return name, translate("ExplainDraft", "the model's own heads, {0}").format(_size(heads.get("used_bytes")))
    return None


def _reason(details: dict[str, object], explain: Callable[[UserError], Explanation]) -> str:
    match details.get("reason"):
        case "vocabulary":
            return translate("ExplainDraft", "it has another vocabulary. Choose a small model of the same family.")
        case "memory":
            words = translate("ExplainDraft", "it needs {0}, and beside the model {1} are free.")
            return words.format(_size(details.get("needed_bytes")), _size(details.get("free_bytes")))
        case "recurrent":
            return translate("ExplainDraft", "it cannot take back wrong guesses. Choose a model of another kind.")
        case "model":
            return translate("ExplainDraft", "the model in use cannot take back wrong guesses.")
        case "crashed":
            return translate("ExplainDraft", "it stopped the engine the last time. Choose it again to try once more.")
    error = details.get("error")
    if isinstance(error, dict):
        return explain(UserError.from_json(error)).title + "."
    return translate("ExplainDraft", "it could not be loaded.")


def _size(value: object) -> str:
    return memory_size(value if isinstance(value, int) else 0)
