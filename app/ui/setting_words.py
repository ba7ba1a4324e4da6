"""The words for every setting: its name, one line of help, and what its special states are called."""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtCore import QCoreApplication

from app.core.settings import Section


@dataclass(frozen=True, slots=True)
class SettingWords:
    """What a person reads. `zero` names the lowest figure where it means something; `choices` names each choice."""

    label: str
    help: str
    zero: str = ""
    unit: str = ""
    choices: dict[str, str] = field(default_factory=dict)


def section_title(section: Section) -> str:
    """The heading of a section of the settings page."""
    match section:
        case Section.APPEARANCE:
            return QCoreApplication.translate("SettingWords", "Appearance")
        case Section.ANSWERS:
            return QCoreApplication.translate("SettingWords", "Answers")
        case Section.MODEL:
            return QCoreApplication.translate("SettingWords", "Model")
        case Section.DOWNLOADS:
            return QCoreApplication.translate("SettingWords", "Downloads and hub")
        case Section.DATA:
            return QCoreApplication.translate("SettingWords", "Data")


def words_for(key: str) -> SettingWords:
    """The words for a shown setting. Raises KeyError for one without words, which a test looks for."""
    return _words()[key]


def _words() -> dict[str, SettingWords]:
    return {
        **_appearance(),
        **_answers(),
        **_sampling(),
        **_penalties(),
        **_rare_samplers(),
        **_model(),
        **_hub(),
        **_downloads(),
        **_catalog(),
    }


def _appearance() -> dict[str, SettingWords]:
    translate = QCoreApplication.translate
    return {
        "appearance.theme": SettingWords(
            translate("SettingWords", "Theme"),
            translate("SettingWords", "System follows the light or dark mode of your computer."),
            choices={
                "system": translate("SettingWords", "System"),
                "light": translate("SettingWords", "Light"),
                "dark": translate("SettingWords", "Dark"),
            },
        ),
        "appearance.text_percent": SettingWords(
            translate("SettingWords", "Text size"),
            translate("SettingWords", "Everything in the window grows with it. Ctrl++ and Ctrl+- change it too."),
            unit=translate("SettingWords", " %"),
        ),
    }


def _answers() -> dict[str, SettingWords]:
    translate = QCoreApplication.translate
    return {
        "answers.system_prompt": SettingWords(
            translate("SettingWords", "Instructions to the model"),
            translate(
                "SettingWords",
                "Sent before every chat (the system prompt), for example: Answer briefly and in plain English.",
            ),
        ),
        "answers.max_tokens": SettingWords(
            translate("SettingWords", "Longest answer"),
            translate(
                "SettingWords",
                "A longer answer stops there; Continue goes on. A token is about three quarters of a word.",
            ),
            zero=translate("SettingWords", "As long as the context holds"),
            unit=translate("SettingWords", " tokens"),
        ),
    }


def _sampling() -> dict[str, SettingWords]:
    translate = QCoreApplication.translate
    return {
        "sampling.temperature": SettingWords(
            translate("SettingWords", "Temperature"),
            translate(
                "SettingWords",
                "Low: sober and predictable. High: varied and daring. 0 always takes the likeliest word.",
            ),
        ),
        "sampling.top_k": SettingWords(
            translate("SettingWords", "Top-k"),
            translate("SettingWords", "Chooses among this many of the likeliest tokens only. 0 switches it off."),
        ),
        "sampling.top_p": SettingWords(
            translate("SettingWords", "Top-p"),
            translate(
                "SettingWords", "Chooses among the likeliest tokens that together reach this share. 1 switches it off."
            ),
        ),
        "sampling.min_p": SettingWords(
            translate("SettingWords", "Min-p"),
            translate(
                "SettingWords", "Leaves out tokens less likely than this share of the likeliest one. 0 switches it off."
            ),
        ),
        "sampling.typical_p": SettingWords(
            translate("SettingWords", "Typical-p"),
            translate(
                "SettingWords", "Prefers tokens that are about as surprising as the text so far. 1 switches it off."
            ),
        ),
        "sampling.seed": SettingWords(
            translate("SettingWords", "Seed"),
            translate(
                "SettingWords",
                "The same number gives the same answer to the same chat, on the same computer. Otherwise it is random.",
            ),
        ),
    }


def _penalties() -> dict[str, SettingWords]:
    translate = QCoreApplication.translate
    return {
        "sampling.repeat_penalty": SettingWords(
            translate("SettingWords", "Repeat penalty"),
            translate("SettingWords", "Above 1 the model avoids words that it has just used. 1 switches it off."),
        ),
        "sampling.repeat_last_n": SettingWords(
            translate("SettingWords", "Repeat window"),
            translate("SettingWords", "How many of the last tokens the penalties look at."),
            unit=translate("SettingWords", " tokens"),
        ),
        "sampling.frequency_penalty": SettingWords(
            translate("SettingWords", "Frequency penalty"),
            translate("SettingWords", "The more often a word was used, the more it is avoided. 0 switches it off."),
        ),
        "sampling.presence_penalty": SettingWords(
            translate("SettingWords", "Presence penalty"),
            translate("SettingWords", "Avoids every word that was used at all, once or often. 0 switches it off."),
        ),
        "sampling.dry_multiplier": SettingWords(
            translate("SettingWords", "DRY strength"),
            translate("SettingWords", "Keeps the model from repeating whole phrases. 0 switches it off."),
        ),
        "sampling.dry_base": SettingWords(
            translate("SettingWords", "DRY growth"),
            translate("SettingWords", "How fast the DRY penalty grows with the length of a repeated phrase."),
        ),
        "sampling.dry_allowed_length": SettingWords(
            translate("SettingWords", "DRY allowed length"),
            translate("SettingWords", "Phrases up to this length may be repeated freely."),
            unit=translate("SettingWords", " tokens"),
        ),
        "sampling.dry_penalty_last_n": SettingWords(
            translate("SettingWords", "DRY window"),
            translate("SettingWords", "How many of the last tokens DRY looks at. −1 means the whole context, 0 none."),
        ),
    }


def _rare_samplers() -> dict[str, SettingWords]:
    translate = QCoreApplication.translate
    return {
        "sampling.xtc_probability": SettingWords(
            translate("SettingWords", "XTC probability"),
            translate(
                "SettingWords", "How often the likeliest choices are left out, for more surprise. 0 switches it off."
            ),
        ),
        "sampling.xtc_threshold": SettingWords(
            translate("SettingWords", "XTC threshold"),
            translate("SettingWords", "Only tokens at least this likely can be left out by XTC."),
        ),
        "sampling.mirostat": SettingWords(
            translate("SettingWords", "Mirostat"),
            translate(
                "SettingWords", "Steers how surprising the text is, in place of top-k, top-p and min-p. 0 off, 1 or 2."
            ),
        ),
        "sampling.mirostat_tau": SettingWords(
            translate("SettingWords", "Mirostat target"),
            translate("SettingWords", "How surprising the text should be: lower is more coherent."),
        ),
        "sampling.mirostat_eta": SettingWords(
            translate("SettingWords", "Mirostat rate"),
            translate("SettingWords", "How quickly Mirostat corrects itself."),
        ),
    }


def _model() -> dict[str, SettingWords]:
    translate = QCoreApplication.translate
    return {
        "model.context_length": SettingWords(
            translate("SettingWords", "Context length"),
            translate(
                "SettingWords",
                "How much of a chat the model can see at once. More needs more memory. The model is loaded again.",
            ),
            zero=translate("SettingWords", "Chosen for the model and your memory"),
            unit=translate("SettingWords", " tokens"),
        ),
        "model.state_limit_gb": SettingWords(
            translate("SettingWords", "Chats kept ready on disk"),
            translate(
                "SettingWords",
                "So much at most, so that a long chat goes on at once after Hearth was closed. What is deleted "
                "in Hearth is deleted there too.",
            ),
            zero=translate("SettingWords", "Nothing is kept"),
            unit=translate("SettingWords", " GB"),
        ),
        "model.device": SettingWords(
            translate("SettingWords", "Runs on"),
            translate(
                "SettingWords",
                "Hearth measures what this computer has and takes the fastest. The model is loaded again.",
            ),
        ),
        "model.idle_minutes": SettingWords(
            translate("SettingWords", "Unload when not used for"),
            translate(
                "SettingWords",
                "Gives the memory of the model back. It is loaded again when you write the next message.",
            ),
            zero=translate("SettingWords", "Never"),
            unit=translate("SettingWords", " min"),
        ),
        "model.gpu_layers": SettingWords(
            translate("SettingWords", "Layers on the graphics card"),
            translate("SettingWords", "Layers beyond it run on the processor. 0 keeps the graphics card out."),
            zero=translate("SettingWords", "As many as fit"),
        ),
        "model.cache_type": SettingWords(
            translate("SettingWords", "Precision of what was read"),
            translate(
                "SettingWords",
                "The KV cache. A smaller type leaves room for longer chats, for a little less accuracy and speed.",
            ),
            choices={
                "f16": translate("SettingWords", "f16: full"),
                "q8_0": translate("SettingWords", "q8_0: half the memory"),
                "q4_0": translate("SettingWords", "q4_0: a quarter of the memory"),
            },
        ),
        "model.threads": SettingWords(
            translate("SettingWords", "Threads"),
            translate("SettingWords", "How many processor cores the engine uses. More than you have makes it slower."),
            zero=translate("SettingWords", "Chosen for your computer"),
        ),
        "engine.rpc_servers": SettingWords(
            translate("SettingWords", "Other computers (RPC servers)"),
            translate(
                "SettingWords",
                "Computers with an RPC server of llama.cpp that models may run on, for example 192.168.0.7:50052, with "
                "commas between several. The model and your chats travel to them unencrypted, and whoever runs them "
                "can read everything. One that is faster than this computer is used by itself.",
            ),
        ),
    }


def _downloads() -> dict[str, SettingWords]:
    translate = QCoreApplication.translate
    return {
        "downloads.folder": SettingWords(
            translate("SettingWords", "Folder for models"),
            translate(
                "SettingWords", "Where new downloads go, on any drive. Empty: Hearth's own folder. What is there stays."
            ),
        ),
        "downloads.parallel": SettingWords(
            translate("SettingWords", "Downloads at the same time"),
            translate("SettingWords", "The others wait. One after the other brings the first model soonest."),
        ),
        "downloads.limit_mb_per_s": SettingWords(
            translate("SettingWords", "Speed limit"),
            translate("SettingWords", "For all downloads together, so that others in your network can work."),
            zero=translate("SettingWords", "As fast as possible"),
            unit=translate("SettingWords", " MB per second"),
        ),
        "downloads.at_night": SettingWords(
            translate("SettingWords", "Only in certain hours"),
            translate(
                "SettingWords", "Downloads wait for these hours and pause after them. One can be started anyway."
            ),
        ),
        "downloads.night_from_hour": SettingWords(
            translate("SettingWords", "From"),
            translate("SettingWords", "When the hours for downloads begin."),
            unit=translate("SettingWords", ":00"),
        ),
        "downloads.night_until_hour": SettingWords(
            translate("SettingWords", "Until"),
            translate("SettingWords", "When the hours for downloads end, on the next day if need be."),
            unit=translate("SettingWords", ":00"),
        ),
        "downloads.connections": SettingWords(
            translate("SettingWords", "Connections for one download"),
            translate(
                "SettingWords",
                "At most so many. Hearth tries another one where a single connection is slower than your line.",
            ),
        ),
    }


def _hub() -> dict[str, SettingWords]:
    translate = QCoreApplication.translate
    return {
        "hub.offline": SettingWords(
            translate("SettingWords", "Stay offline"),
            translate(
                "SettingWords",
                "Hearth asks nothing of the network, other computers that models may run on included. What it has seen "
                "of the hub before can still be looked at.",
            ),
        ),
        "hub.endpoint": SettingWords(
            translate("SettingWords", "Address of the hub"),
            translate(
                "SettingWords",
                "A mirror, where huggingface.co cannot be reached. Empty: huggingface.co, or what HF_ENDPOINT says.",
            ),
        ),
        "hub.proxy": SettingWords(
            translate("SettingWords", "Proxy"),
            translate(
                "SettingWords",
                "For example http://proxy:8080, http://name:password@proxy:8080 or socks5://localhost:1080. The "
                "password goes where this computer keeps passwords. Empty: the proxy of the system. direct: none.",
            ),
        ),
    }


def _catalog() -> dict[str, SettingWords]:
    translate = QCoreApplication.translate
    return {
        "catalog.url": SettingWords(
            translate("SettingWords", "Address of a catalogue"),
            translate(
                "SettingWords",
                "Replaces the list of recommended models by one that you trust. Empty: the list that came with Hearth.",
            ),
        ),
        "catalog.sha256": SettingWords(
            translate("SettingWords", "SHA-256 of the catalogue"),
            translate(
                "SettingWords",
                "64 letters and digits that its publisher names. A catalogue with any other is refused.",
            ),
        ),
    }
