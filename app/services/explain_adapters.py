"""LoRA adapters in the words of a person: which change the model, and why they do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.core.errors import ErrorKind, UserError
from app.core.events import ModelInfo
from app.services.explanation import Explanation
from app.services.wording import locale, translate


def adapters_unused(details: dict[str, object], explain: Callable[[UserError], Explanation]) -> str:
    """One line for NoticeKind.ADAPTERS_UNUSED; `explain` has the words for files that cannot be used."""
    error = UserError.from_json(details)
    name = Path(error.string("path")).name
    if error.kind is ErrorKind.ADAPTER_UNFIT:
        words = translate("ExplainAdapters", "The adapter “{0}” is not for this model: {1}. No adapter is used.")
        return words.format(name, error.string("reason"))
    words = translate("ExplainAdapters", "The adapter “{0}” cannot be used: {1}. No adapter is used.")
    return words.format(name, explain(error).title)


def adapters_state(model: ModelInfo) -> str:
    """Whether those that were chosen change this model now."""
    if model.plan.get("adapters"):
        return translate("ExplainAdapters", "They are in use.")
    return translate("ExplainAdapters", "They are not used now.")


def adapters_row(model: ModelInfo) -> tuple[str, str] | None:
    """What changes the model, for the figures of a plan; None: nothing does."""
    used = model.plan.get("adapters")
    if not isinstance(used, list):
        return None
    words = translate("ExplainAdapters", "{0} × {1}")
    each = [words.format(locale().toString(float(one["scale"]), "g", 3), Path(str(one["path"])).name) for one in used]
    return translate("ExplainAdapters", "Adapters"), ", ".join(each)
