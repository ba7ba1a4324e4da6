"""What is told about a model file that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QT_TRANSLATE_NOOP

from app.core.errors import ErrorKind, UserError
from app.services.explanation import Action, ActionKind, Details, Explanation, choose_model, open_file, retry
from app.services.wording import file_size, memory_size, number, translate


def _file_card(title: object, text: object) -> Callable[[UserError], Explanation]:
    """A card about a model file; `text` may use {file} for its name and the details by theirs."""

    def make(error: UserError) -> Explanation:
        words = Details(error.details, file=Path(error.string("path")).name)
        body = translate("Explain", str(text)).format_map(words)
        return Explanation(translate("Explain", str(title)), body, (open_file(), choose_model()))

    return make


def _not_a_model(error: UserError) -> Explanation:
    """The engine names what it saw by the codes of `app.core.file_kinds`."""
    name = Path(error.string("path")).name
    text = translate("Explain", "“{0}” is not a GGUF file.").format(name)
    if sight := _SIGHTS.get(error.string("looks_like")):
        text += " " + translate("Explain", str(sight))
    text += " " + translate("Explain", "Choose a file whose name ends in .gguf.")
    return Explanation(translate("Explain", "This is not a model file"), text, (open_file(), choose_model()))


def _unreadable(error: UserError) -> Explanation:
    name = Path(error.string("path")).name
    if error.string("reason") == "folder":
        text = translate("Explain", "“{0}” is a folder. Open the GGUF file in it.").format(name)
    else:
        words = translate("Explain", "“{0}” could not be opened: {1}. Check its permissions.")
        text = words.format(name, error.string("reason").rstrip("."))
    return Explanation(translate("Explain", "The model file cannot be read"), text, (open_file(), choose_model()))


def _split(error: UserError) -> Explanation:
    name = Path(error.string("path")).name
    if missing := error.string("missing"):
        words = translate(
            "Explain", "Of the parts of “{0}” these are not beside it: {1}. Download them into one folder."
        )
        text = words.format(name, missing)
    else:
        words = translate(
            "Explain",
            "“{0}” is one of several parts. Put all into one folder and open the first (-00001-of-…).",
        )
        text = words.format(name)
    title = translate("Explain", "This model comes in several files")
    return Explanation(title, text, (open_file(), choose_model()))


def _truncated(error: UserError) -> Explanation:
    words = translate(
        "Explain",
        "“{0}” should be {1} long but only {2} are there. The download probably stopped early: download it again.",
    )
    text = words.format(
        Path(error.string("path")).name,
        file_size(error.integer("needed_bytes")),
        file_size(error.integer("found_bytes")),
    )
    return Explanation(translate("Explain", "This model file is incomplete"), text, (open_file(), choose_model()))


def _memory(error: UserError) -> Explanation:
    context, suggested = error.integer("context_length"), error.integer("suggested_context_length")
    needed, free = memory_size(error.integer("needed_bytes")), memory_size(error.integer("free_bytes"))
    if context > 0:
        words = translate("Explain", "With a context length of {0} tokens the model needs {1}; {2} are free now.")
        text = words.format(number(context), needed, free)
    else:  # an adapter, or a model that does not chat
        words = translate("Explain", "“{0}” needs {1}; {2} are free now.")
        text = words.format(Path(error.string("path")).name, needed, free)
    if suggested > 0:
        label = translate("Explain", "Use {0} tokens instead").format(number(suggested))
        return Explanation(
            translate("Explain", "Not enough memory"),
            text,
            (Action(ActionKind.USE_CONTEXT_LENGTH, label, suggested), choose_model()),
        )
    total = error.integer("total_bytes")
    if 0 < total < error.integer("needed_bytes"):
        words = translate("Explain", "This computer has {0} in all: choose a smaller model, or a smaller file of it.")
        text += " " + words.format(memory_size(total))
        return Explanation(translate("Explain", "This model is too large for this computer"), text, (choose_model(),))
    text += " " + translate("Explain", "Close other programs or choose a smaller model.")
    return Explanation(translate("Explain", "Not enough memory"), text, (retry(), choose_model()))


def _stalled(error: UserError) -> Explanation:
    words = translate(
        "Explain",
        "Loading “{0}” stood still for {1} seconds, so it was ended. Try again, or choose another file; if it lies on "
        "a network drive, copy it to this computer first.",
    )
    text = words.format(Path(error.string("path")).name, number(error.integer("seconds")))
    return Explanation(translate("Explain", "The model did not finish loading"), text, (retry(), choose_model()))


_SIGHTS: dict[str, object] = {
    "text": QT_TRANSLATE_NOOP("Explain", "It is a text."),
    "web_page": QT_TRANSLATE_NOOP("Explain", "It is a web page, perhaps a request to log in that came in its place."),
    "git_lfs_pointer": QT_TRANSLATE_NOOP("Explain", "It only says where the real file lies (Git LFS)."),
    "zip": QT_TRANSLATE_NOOP("Explain", "It is a ZIP archive; there may be a GGUF file in it."),
    "pytorch": QT_TRANSLATE_NOOP("Explain", "It is a model for PyTorch; look for a GGUF file of the same model."),
    "safetensors": QT_TRANSLATE_NOOP("Explain", "It is a safetensors file; look for a GGUF file of the same model."),
    "pickle": QT_TRANSLATE_NOOP("Explain", "It is a Python pickle, which could run programs; do not open it."),
    "hdf5": QT_TRANSLATE_NOOP("Explain", "It is an HDF5 file; look for a GGUF file of the same model."),
    "pdf": QT_TRANSLATE_NOOP("Explain", "It is a PDF document."),
    "archive": QT_TRANSLATE_NOOP("Explain", "It is an archive; there may be a GGUF file in it."),
    "image": QT_TRANSLATE_NOOP("Explain", "It is a picture."),
    "program": QT_TRANSLATE_NOOP("Explain", "It is a program."),
    "database": QT_TRANSLATE_NOOP("Explain", "It is a database."),
    "importance_matrix": QT_TRANSLATE_NOOP("Explain", "It is an importance matrix, which only helps to make models."),
    "zeros": QT_TRANSLATE_NOOP("Explain", "It holds nothing but zeros: a download that never got going."),
}

MODEL_FILE_CARDS: dict[ErrorKind, Callable[[UserError], Explanation]] = {
    ErrorKind.FILE_MISSING: _file_card(
        QT_TRANSLATE_NOOP("Explain", "The model file is gone"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” is no longer there. Was it moved or deleted?"),
    ),
    ErrorKind.FILE_UNREADABLE: _unreadable,
    ErrorKind.FILE_EMPTY: _file_card(
        QT_TRANSLATE_NOOP("Explain", "The model file is empty"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” has no content. Download it again."),
    ),
    ErrorKind.NOT_A_MODEL: _not_a_model,
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
        QT_TRANSLATE_NOOP(
            "Explain",
            "“{file}” changes another model (LoRA). Choose the model itself; then add this file to it in the settings, "
            "Model, More.",
        ),
    ),
    ErrorKind.ADAPTER_UNFIT: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This adapter does not fit"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "“{file}” cannot change the model that is loaded: {reason}. Choose an adapter made for this model.",
        ),
    ),
    ErrorKind.NO_EMBEDDING_MODEL: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This model makes no search vectors"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” is no embedding model. Choose one that is."),
    ),
    ErrorKind.NO_RERANKER: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This model does not rank texts"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” is no reranking model. Choose one that is."),
    ),
    ErrorKind.LEFTOVER_SPLIT: _split,
    ErrorKind.OLD_MIXTURE: _file_card(
        QT_TRANSLATE_NOOP("Explain", "This model file is too old"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "“{file}” stores its experts in the layout of before April 2024. Look for a newer GGUF of the same model.",
        ),
    ),
    ErrorKind.NOT_ENOUGH_MEMORY: _memory,
    ErrorKind.LOAD_STALLED: _stalled,
}
