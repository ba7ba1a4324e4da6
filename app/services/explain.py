"""Errors in the words of a person: what happened and what to press. Used by the window and the command line alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication, QLocale

from app.core.errors import ErrorKind, NoticeKind, UserError


class ActionKind(StrEnum):
    """What a button on an error card does."""

    CONTINUE = "continue"
    REGENERATE = "regenerate"
    EDIT = "edit"
    CHOOSE_MODEL = "choose_model"
    OPEN_FILE = "open_file"
    USE_CONTEXT_LENGTH = "use_context_length"  # value: tokens
    OPEN_DATA_FOLDER = "open_data_folder"
    RETRY = "retry"
    RESTORE_BACKUP = "restore_backup"  # value: path
    COPY_DETAILS = "copy_details"  # value: text


@dataclass(frozen=True, slots=True)
class Action:
    """A button: what it does, what it says, and the figure it carries."""

    kind: ActionKind
    label: str
    value: int | str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A card: what happened, why in a sentence or two, and what to press."""

    title: str
    text: str
    actions: tuple[Action, ...] = ()


def explain(error: UserError) -> Explanation:
    """The words for an error. Every kind has some: a test walks through all of them."""
    return _EXPLAINERS[error.kind](error)


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
        case NoticeKind.CONTEXT_REDUCED:
            words = translate(
                "Explain",
                "The context length is {0} tokens instead of {1}: more does not fit into memory now.",
            )
            return words.format(number(details.get("used")), number(details.get("wanted")))


def locale() -> QLocale:
    """The person's locale; English where the system has none (the C locale writes 8192 without separators)."""
    system = QLocale()
    return QLocale(QLocale.Language.English) if system.language() is QLocale.Language.C else system


def number(value: object) -> str:
    """A whole number with the locale's separators."""
    return locale().toString(int(value)) if isinstance(value, (int, float)) else str(value)


def size(value: int) -> str:
    """A size in bytes as a person reads it, e.g. "5.8 GB"."""
    return locale().formattedDataSize(value, 1, QLocale.DataSizeFormat.DataSizeSIFormat)


def translate(context: str, text: str) -> str:
    """Qt's translate, under the name that its extraction tool looks for."""
    return QCoreApplication.translate(context, text)


class _Words(dict[str, object]):
    """Details by name for `format_map`; one that is not there is left out instead of failing."""

    def __missing__(self, key: str) -> str:
        return ""


def _choose() -> Action:
    return Action(ActionKind.CHOOSE_MODEL, translate("Explain", "Choose another model"))


def _open() -> Action:
    return Action(ActionKind.OPEN_FILE, translate("Explain", "Open another file…"))


def _retry() -> Action:
    return Action(ActionKind.RETRY, translate("Explain", "Try again"))


def _folder() -> Action:
    return Action(ActionKind.OPEN_DATA_FOLDER, translate("Explain", "Open the data folder"))


def _details(error: UserError) -> Action:
    return Action(ActionKind.COPY_DETAILS, translate("Explain", "Copy details"), str(error))


def _file_card(title: object, text: object) -> Callable[[UserError], Explanation]:
    """A card about a model file; `text` may use {file} for its name and the details by theirs."""

    def make(error: UserError) -> Explanation:
        words = _Words(error.details, file=Path(error.string("path")).name)
        body = translate("Explain", str(text)).format_map(words)
        return Explanation(translate("Explain", str(title)), body, (_open(), _choose()))

    return make


def _truncated(error: UserError) -> Explanation:
    words = translate(
        "Explain",
        "“{0}” should be {1} long but only {2} are there. The download probably stopped early: download it again.",
    )
    text = words.format(
        Path(error.string("path")).name,
        size(error.integer("needed_bytes")),
        size(error.integer("found_bytes")),
    )
    return Explanation(translate("Explain", "This model file is incomplete"), text, (_open(), _choose()))


def _memory(error: UserError) -> Explanation:
    context, suggested = error.integer("context_length"), error.integer("suggested_context_length")
    words = translate("Explain", "With a context length of {0} tokens the model needs {1}; {2} are free now.")
    text = words.format(number(context), size(error.integer("needed_bytes")), size(error.integer("free_bytes")))
    if suggested > 0:
        label = translate("Explain", "Use {0} tokens instead").format(number(suggested))
        return Explanation(
            translate("Explain", "Not enough memory"),
            text,
            (Action(ActionKind.USE_CONTEXT_LENGTH, label, suggested), _choose()),
        )
    text += " " + translate("Explain", "Close other programs or choose a smaller model.")
    return Explanation(translate("Explain", "Not enough memory"), text, (_retry(), _choose()))


def _prompt_too_long(error: UserError) -> Explanation:
    words = translate(
        "Explain",
        "It has {0} tokens and the model sees at most {1} at once. Shorten it, or set a larger context length.",
    )
    text = words.format(number(error.integer("tokens")), number(error.integer("limit_tokens")))
    return Explanation(
        translate("Explain", "This message is too long for the model"),
        text,
        (Action(ActionKind.EDIT, translate("Explain", "Edit the message")),),
    )


def _engine_card(title: object, text: object) -> Callable[[UserError], Explanation]:
    def make(error: UserError) -> Explanation:
        body = translate("Explain", str(text))
        if reason := error.string("reason"):
            body += " " + translate("Explain", "Reason: {0}.").format(reason.rstrip("."))
        return Explanation(
            translate("Explain", str(title)),
            body,
            (Action(ActionKind.CONTINUE, translate("Explain", "Continue")), _choose(), _details(error)),
        )

    return make


def _storage_card(title: object, text: object, *actions: Callable[[], Action]) -> Callable[[UserError], Explanation]:
    def make(error: UserError) -> Explanation:
        body = translate("Explain", str(text)).format_map(_Words(error.details))
        return Explanation(translate("Explain", str(title)), body, tuple(action() for action in actions))

    return make


def _database_corrupt(error: UserError) -> Explanation:
    text = translate(
        "Explain",
        "The file with your chats could not be read. It was set aside as {0}; nothing in it was changed.",
    )
    text = text.format(error.string("set_aside_path") or error.string("path"))
    actions: tuple[Action, ...] = (_folder(),)
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
    return Explanation(translate("Explain", "Your chats were made by a newer Hearth"), text, (_folder(),))


def _storage_failed(error: UserError) -> Explanation:
    words = translate("Explain", "The system says: {0}. Check the disk of {1}, then try again.")
    text = words.format(error.string("reason"), error.string("path"))
    return Explanation(translate("Explain", "Saving does not work"), text, (_retry(), _folder()))


def _plain(title: object, text: object, *actions: Callable[[], Action]) -> Callable[[UserError], Explanation]:
    return lambda error: Explanation(
        translate("Explain", str(title)), translate("Explain", str(text)), tuple(action() for action in actions)
    )


def _with_reason(title: object) -> Callable[[UserError], Explanation]:
    def make(error: UserError) -> Explanation:
        text = translate("Explain", "The engine says: {0}.").format(error.string("reason").rstrip("."))
        regenerate = Action(ActionKind.REGENERATE, translate("Explain", "Regenerate"))
        return Explanation(translate("Explain", str(title)), text, (regenerate, _choose(), _details(error)))

    return make


_EXPLAINERS: dict[ErrorKind, Callable[[UserError], Explanation]] = {
    ErrorKind.FILE_MISSING: _file_card(
        QT_TRANSLATE_NOOP("Explain", "The model file is gone"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” is no longer there. Was it moved or deleted?"),
    ),
    ErrorKind.FILE_UNREADABLE: _file_card(
        QT_TRANSLATE_NOOP("Explain", "The model file cannot be read"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” could not be opened: {reason}. Check its permissions."),
    ),
    ErrorKind.FILE_EMPTY: _file_card(
        QT_TRANSLATE_NOOP("Explain", "The model file is empty"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” has no content. Download it again."),
    ),
    ErrorKind.NOT_A_MODEL: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This is not a model file"),
        QT_TRANSLATE_NOOP(
            "Explain", "“{file}” is not a GGUF file; it looks like this: {looks_like}. Choose a GGUF file."
        ),
    ),
    ErrorKind.OLD_FORMAT: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This model file is too old"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "“{file}” is in a format that llama.cpp gave up in 2023. Look for a newer GGUF of the same model.",
        ),
    ),
    ErrorKind.UNKNOWN_VERSION: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This model file is too new"),
        QT_TRANSLATE_NOOP(
            "Explain", "“{file}” has GGUF version {version}, which this Hearth does not know. Update Hearth."
        ),
    ),
    ErrorKind.OTHER_ENDIANNESS: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This model file is for other computers"),
        QT_TRANSLATE_NOOP(
            "Explain", "“{file}” was written for a computer with another byte order. Look for the ordinary file."
        ),
    ),
    ErrorKind.TRUNCATED: _truncated,
    ErrorKind.CORRUPT: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This model file is damaged"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” is broken: {reason}. Download it again."),
    ),
    ErrorKind.UNSUPPORTED_ARCHITECTURE: _file_card(
        QT_TRANSLATE_NOOP("Explain", "Hearth does not know this kind of model"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "“{file}” is of the architecture “{architecture}”, which this engine cannot run. A newer Hearth may.",
        ),
    ),
    ErrorKind.VOCABULARY_ONLY: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This file holds only a vocabulary"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” has no weights, so it cannot answer. Choose the whole model."),
    ),
    ErrorKind.EMBEDDING_MODEL: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This model does not chat"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” turns text into numbers for searching. Choose a chat (instruct) model."),
    ),
    ErrorKind.ENCODER_DECODER: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This model does not chat"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "“{file}” ({architecture}) is made for rewriting and translating, not for chatting. Choose a chat model.",
        ),
    ),
    ErrorKind.PROJECTOR: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This file is only a part"),
        QT_TRANSLATE_NOOP(
            "Explain", "“{file}” lets another model see or hear. Choose the language model it belongs to."
        ),
    ),
    ErrorKind.ADAPTER: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This file is only an adapter"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” changes another model (LoRA). Choose the model itself."),
    ),
    ErrorKind.LEFTOVER_SPLIT: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This model comes in several files"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "“{file}” is one of several parts. Put all parts into one folder and open the first (-00001-of-…).",
        ),
    ),
    ErrorKind.OLD_MIXTURE: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This model file is too old"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "“{file}” stores its experts in the layout of before April 2024. Look for a newer GGUF of the same model.",
        ),
    ),
    ErrorKind.NOT_ENOUGH_MEMORY: _memory,
    ErrorKind.LOAD_FAILED: _file_card(
        QT_TRANSLATE_NOOP("Explain", "The model could not be loaded"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” did not load: {reason}."),
    ),
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
    ),
    ErrorKind.DECODE_FAILED: _with_reason(QT_TRANSLATE_NOOP("Explain", "The model could not go on")),
    ErrorKind.NO_MODEL: _plain(
        QT_TRANSLATE_NOOP("Explain", "No model is loaded"),
        QT_TRANSLATE_NOOP("Explain", "Choose a model to get an answer."),
        _choose,
    ),
    ErrorKind.BAD_REQUEST: _with_reason(QT_TRANSLATE_NOOP("Explain", "The engine did not understand the request")),
    ErrorKind.DISK_FULL: _storage_card(
        QT_TRANSLATE_NOOP("Explain", "The disk is full"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "There is no room left for {path}. Your text is kept here: make room on the disk, then try again.",
        ),
        _retry,
        _folder,
    ),
    ErrorKind.READ_ONLY: _storage_card(
        QT_TRANSLATE_NOOP("Explain", "The data folder cannot be written"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "Hearth may not write to {path}. Change its permissions or choose another folder, then try again.",
        ),
        _retry,
        _folder,
    ),
    ErrorKind.DATABASE_LOCKED: _storage_card(
        QT_TRANSLATE_NOOP("Explain", "Another program holds your chats"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "The file {path} is in use by another program. Close it, then try again. Your text is kept here.",
        ),
        _retry,
        _folder,
    ),
    ErrorKind.DATABASE_CORRUPT: _database_corrupt,
    ErrorKind.DATABASE_TOO_NEW: _database_too_new,
    ErrorKind.STORAGE_FAILED: _storage_failed,
    ErrorKind.APP_ENDED: _engine_card(
        QT_TRANSLATE_NOOP("Explain", "Hearth was ended in the middle of this answer"),
        QT_TRANSLATE_NOOP("Explain", "What was written so far is kept. Press Continue to go on."),
    ),
}
