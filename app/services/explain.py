"""Errors in the words of a person: what happened and what to press. Used by the window and the command line alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QT_TRANSLATE_NOOP

from app.core.errors import ErrorKind, NoticeKind, UserError
from app.core.template_check import FILE
from app.services.explain_adapters import adapters_unused
from app.services.explain_catalog import CATALOG_CARDS
from app.services.explain_devices import device_crashed
from app.services.explain_draft import draft_unused
from app.services.explain_hub import HUB_CARDS
from app.services.explain_remote import server_address_invalid, server_lost, server_unusable, server_unused
from app.services.explain_secrets import SECRET_CARDS
from app.services.explanation import (
    Action,
    ActionKind,
    Details,
    Explanation,
    choose_model,
    copy_details,
    open_folder,
    retry,
)
from app.services.model_file_cards import MODEL_FILE_CARDS
from app.services.wording import number, translate

__all__ = ["Action", "ActionKind", "Explanation", "explain", "explain_notice"]


def explain(error: UserError) -> Explanation:
    """The words for an error. Every kind has some: a test walks through all of them."""
    return _CARDS[error.kind](error)


def explain_notice(kind: NoticeKind, details: dict[str, object]) -> str:
    """One line for something that did not stop anything."""
    fallback = str(details.get("fallback", ""))
    match kind:
        case NoticeKind.TEMPLATE_MISSING:
            return translate("Explain", "This model file carries no chat template. Hearth uses “{0}”.").format(fallback)
        case NoticeKind.TEMPLATE_BROKEN:
            words = translate(
                "Explain", "The model's own chat template does not work ({0}). Hearth uses “{1}” instead."
            )
            return words.format(str(details.get("reason", "")), fallback)
        case NoticeKind.TEMPLATE_SILENT:
            words = translate(
                "Explain", "The model's own chat template never asks for an answer. Hearth uses “{0}” instead."
            )
            return words.format(fallback)
        case NoticeKind.OWN_TEMPLATE_BROKEN:
            return _own_template_broken(str(details.get("reason", "")), fallback)
        case NoticeKind.CONTEXT_REDUCED if "failed" in details:
            words = translate(
                "Explain",
                "The context length is {0} tokens instead of {1}: {2} did not load before, although there should have "
                "been memory for them.",
            )
            return words.format(*(number(details.get(name)) for name in ("used", "wanted", "failed")))
        case NoticeKind.CONTEXT_REDUCED:
            words = translate(
                "Explain",
                "The context length is {0} tokens instead of {1}: more does not fit into memory now.",
            )
            return words.format(number(details.get("used")), number(details.get("wanted")))
        case NoticeKind.CONTEXT_NOT_GROWN:
            words = translate(
                "Explain",
                "There was not enough memory to let the model see {0} tokens at once. It goes on seeing {1}.",
            )
            return words.format(number(details.get("wanted")), number(details.get("used")))
        case NoticeKind.PLAN_REDUCED:
            return _plan_reduced(details)
        case NoticeKind.DRAFT_UNUSED:
            return draft_unused(details, explain)
        case NoticeKind.ADAPTERS_UNUSED:
            return adapters_unused(details, explain)
        case NoticeKind.SERVER_UNUSED:
            return server_unused(details)
        case NoticeKind.CACHE_TYPE_UNFIT:
            words = translate(
                "Explain", "This model cannot keep what it has read as {0}. Hearth keeps it as f16 instead."
            )
            return words.format(str(details.get("wanted", "")))


def _own_template_broken(reason: str, fallback: str) -> str:
    words = translate("Explain", "The chat template that you wrote does not work ({0}).").format(reason)
    if fallback == FILE:
        return f"{words} {translate('Explain', 'Hearth uses the file’s own instead.')}"
    return f"{words} {translate('Explain', 'Hearth uses “{0}” instead.').format(fallback)}"


def _plan_reduced(details: dict[str, object]) -> str:
    words = translate(
        "Explain",
        "The first attempt found less memory than there should have been. "
        "The model is loaded with a context length of {0} tokens.",
    ).format(number(details.get("used_context")))
    if details.get("used_layers") == details.get("wanted_layers"):
        return words
    if not details.get("used_layers"):
        return f"{words} {translate('Explain', 'The processor computes all of it, without the graphics card.')}"
    more = translate("Explain", "The graphics card computes {0} layers of it instead of {1}.")
    return f"{words} {more.format(number(details.get('used_layers')), number(details.get('wanted_layers')))}"


def _prompt_too_long(error: UserError) -> Explanation:
    figures = number(error.integer("tokens")), number(error.integer("limit_tokens"))
    longer = error.integer("suggested_context_length")
    label = translate("Explain", "Let it see {0} tokens").format(number(longer))
    help_ = Action(ActionKind.USE_CONTEXT_LENGTH, label, longer) if longer else choose_model()
    if error.details.get("is_continued"):
        words = translate(
            "Explain",
            "This answer and its question have {0} tokens, and the model sees at most {1} at once before it goes on. "
            "Ask for the rest in a new message.",
        )
        return Explanation(translate("Explain", "The answer cannot go on"), words.format(*figures), (help_,))
    words = translate("Explain", "It has {0} tokens and the model sees at most {1} at once.").format(*figures)
    if longer:
        words += " " + translate("Explain", "Shorten it, or let the model see more, which takes more memory.")
    else:
        words += " " + translate("Explain", "Shorten it, or choose a model that sees more.")
    edit = Action(ActionKind.EDIT, translate("Explain", "Edit the message"))
    return Explanation(translate("Explain", "This message is too long for the model"), words, (edit, help_))


def _text_too_long(error: UserError) -> Explanation:
    words = translate("Explain", "Text {0} has {1} tokens and the model reads at most {2} at once. Divide it.")
    figures = (number(error.integer(name)) for name in ("number", "tokens", "limit_tokens"))
    title = translate("Explain", "This text is too long for the search model")
    return Explanation(title, words.format(*figures), (choose_model(), copy_details(error)))


def _reason(error: UserError) -> str:
    """Why the engine ended, as far as that is known; empty if not at all."""
    if error.string("reason") == "out_of_memory":
        return translate("Explain", "The computer had run out of memory: a shorter context or a smaller model helps.")
    if reason := error.string("reason"):
        return translate("Explain", "Reason: {0}.").format(reason.rstrip("."))
    if signal_name := error.string("signal_name"):
        return translate("Explain", "The system ended it ({0}).").format(signal_name)
    return ""


def _continue() -> Action:
    return Action(ActionKind.CONTINUE, translate("Explain", "Continue"))


def _engine_card(
    title: object, text: object, first: Callable[[], Action] = _continue
) -> Callable[[UserError], Explanation]:
    def make(error: UserError) -> Explanation:
        body = translate("Explain", str(text))
        if reason := _reason(error):
            body += " " + reason
        return Explanation(
            translate("Explain", str(title)),
            body,
            (first(), choose_model(), copy_details(error)),
        )

    return make


def _load_failed(error: UserError) -> Explanation:
    """Something that llama.cpp says of the file, or the end of the engine while it read the file."""
    text = translate("Explain", "“{0}” did not load.").format(Path(error.string("path")).name)
    if error.integer("smaller_plans"):
        text += " " + translate("Explain", "Hearth tried with less memory as well.")
    if reason := _reason(error):
        text += " " + reason
    title = translate("Explain", "The model could not be loaded")
    return Explanation(title, text, (retry(), choose_model(), copy_details(error)))


def _storage_card(title: object, text: object, *actions: Callable[[], Action]) -> Callable[[UserError], Explanation]:
    def make(error: UserError) -> Explanation:
        body = translate("Explain", str(text)).format_map(Details(error.details))
        return Explanation(translate("Explain", str(title)), body, tuple(action() for action in actions))

    return make


def _database_corrupt(error: UserError) -> Explanation:
    text = translate(
        "Explain",
        "The file with your chats could not be read. It was set aside as {0}; nothing in it was changed.",
    )
    text = text.format(error.string("set_aside_path") or error.string("path"))
    actions: tuple[Action, ...] = (open_folder(),)
    if backup := error.string("backup_path"):
        text += " " + translate("Explain", "There is a good backup: {0}.").format(Path(backup).name)
        actions = (
            Action(ActionKind.RESTORE_BACKUP, translate("Explain", "Restore the backup"), backup),
            *actions,
        )
    else:
        text += " " + translate("Explain", "There is no backup yet, so Hearth starts with an empty list.")
    return Explanation(translate("Explain", "Your chats are damaged"), text, actions)


def _database_too_new(error: UserError) -> Explanation:
    if version := error.string("app_version"):
        text = translate("Explain", "They need Hearth {0}. Install it to go on; nothing was changed.").format(version)
    else:
        words = translate(
            "Explain",
            "They are in format {0}; this version knows up to {1}. Install the newer Hearth. Nothing was changed.",
        )
        text = words.format(error.string("found_version"), error.string("known_version"))
    return Explanation(translate("Explain", "Your chats were made by a newer Hearth"), text, (open_folder(),))


def _storage_failed(error: UserError) -> Explanation:
    words = translate("Explain", "The system says: {0}. Check the disk of {1}, then try again.")
    text = words.format(error.string("reason"), error.string("path"))
    return Explanation(translate("Explain", "Saving does not work"), text, (retry(), open_folder()))


def _plain(title: object, text: object, *actions: Callable[[], Action]) -> Callable[[UserError], Explanation]:
    return lambda error: Explanation(
        translate("Explain", str(title)), translate("Explain", str(text)), tuple(action() for action in actions)
    )


def _with_reason(title: object) -> Callable[[UserError], Explanation]:
    def make(error: UserError) -> Explanation:
        text = translate("Explain", "The engine says: {0}.").format(error.string("reason").rstrip("."))
        regenerate = Action(ActionKind.REGENERATE, translate("Explain", "Regenerate"))
        return Explanation(translate("Explain", str(title)), text, (regenerate, choose_model(), copy_details(error)))

    return make


_CARDS: dict[ErrorKind, Callable[[UserError], Explanation]] = {
    **MODEL_FILE_CARDS,
    **CATALOG_CARDS,
    **HUB_CARDS,
    **SECRET_CARDS,
    ErrorKind.EMPTY_PROMPT: _plain(
        QT_TRANSLATE_NOOP("Explain", "There is nothing to send"),
        QT_TRANSLATE_NOOP("Explain", "Type a message first."),
    ),
    ErrorKind.PROMPT_TOO_LONG: _prompt_too_long,
    ErrorKind.ENGINE_CRASHED: _engine_card(
        QT_TRANSLATE_NOOP("Explain", "The engine stopped in the middle"),
        QT_TRANSLATE_NOOP("Explain", "What was written so far is kept. Press Continue to go on."),
    ),
    ErrorKind.ENGINE_UNRESPONSIVE: _engine_card(
        QT_TRANSLATE_NOOP("Explain", "The engine did not answer"),
        QT_TRANSLATE_NOOP("Explain", "It was ended and will start again. What was written so far is kept."),
    ),
    ErrorKind.ENGINE_START_FAILED: _engine_card(
        QT_TRANSLATE_NOOP("Explain", "The engine does not start"),
        QT_TRANSLATE_NOOP("Explain", "Try again; if it stays so, install Hearth once more."),
        retry,
    ),
    ErrorKind.LOAD_FAILED: _load_failed,
    ErrorKind.DEVICE_CRASHED: device_crashed,
    ErrorKind.SERVER_ADDRESS_INVALID: server_address_invalid,
    ErrorKind.SERVER_UNUSABLE: server_unusable,
    ErrorKind.SERVER_LOST: server_lost,
    ErrorKind.DECODE_FAILED: _with_reason(QT_TRANSLATE_NOOP("Explain", "The model could not go on")),
    ErrorKind.NO_MODEL: _plain(
        QT_TRANSLATE_NOOP("Explain", "No model is loaded"),
        QT_TRANSLATE_NOOP("Explain", "Choose a model to get an answer."),
        choose_model,
    ),
    ErrorKind.GRAMMAR_UNUSABLE: _with_reason(QT_TRANSLATE_NOOP("Explain", "The answer cannot follow this grammar")),
    ErrorKind.SCHEMA_UNUSABLE: _with_reason(QT_TRANSLATE_NOOP("Explain", "The answer cannot follow this JSON schema")),
    ErrorKind.TEXT_TOO_LONG: _text_too_long,
    ErrorKind.BAD_REQUEST: _with_reason(QT_TRANSLATE_NOOP("Explain", "The engine did not understand the request")),
    ErrorKind.DISK_FULL: _storage_card(
        QT_TRANSLATE_NOOP("Explain", "The disk is full"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "There is no room left for {path}. Your text is kept here: make room on the disk, then try again.",
        ),
        retry,
        open_folder,
    ),
    ErrorKind.READ_ONLY: _storage_card(
        QT_TRANSLATE_NOOP("Explain", "The data folder cannot be written"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "Hearth may not write to {path}. Change its permissions or choose another folder, then try again.",
        ),
        retry,
        open_folder,
    ),
    ErrorKind.DATABASE_LOCKED: _storage_card(
        QT_TRANSLATE_NOOP("Explain", "Another program holds your chats"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "The file {path} is in use by another program. Close it, then try again. Your text is kept here.",
        ),
        retry,
        open_folder,
    ),
    ErrorKind.DATABASE_CORRUPT: _database_corrupt,
    ErrorKind.DATABASE_TOO_NEW: _database_too_new,
    ErrorKind.STORAGE_FAILED: _storage_failed,
    ErrorKind.APP_ENDED: _engine_card(
        QT_TRANSLATE_NOOP("Explain", "Hearth was ended in the middle of this answer"),
        QT_TRANSLATE_NOOP("Explain", "What was written so far is kept. Press Continue to go on."),
    ),
}
