"""What an error card consists of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.core.errors import UserError
from app.services.wording import translate


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
    USE_PROCESSOR = "use_processor"  # value: path of the model file
    RETRY_DEVICE = "retry_device"  # value: path of the model file, or empty
    RESTORE_BACKUP = "restore_backup"  # value: path
    COPY_DETAILS = "copy_details"  # value: text
    OPEN_LINK = "open_link"  # value: address of a web page
    ENTER_TOKEN = "enter_token"  # value: repository, or empty
    GO_ONLINE = "go_online"  # turns the offline switch off
    OPEN_SETTING = "open_setting"  # value: key of a setting
    DOWNLOAD_NEWER = "download_newer"  # value: repository
    REPLACE_FILE = "replace_file"  # of a download, where another file has its name
    CHOOSE_FOLDER = "choose_folder"  # where models are kept
    MAKE_ROOM = "make_room"  # shows the models on this computer, the largest first


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

    @property
    def sentences(self) -> str:
        """What happened and why, as running text."""
        return f"{self.title}. {self.text}"


class Details(dict[str, object]):
    """Details by name for `format_map`; one that is not there is left out instead of failing."""

    def __missing__(self, key: str) -> str:
        return ""


def choose_model() -> Action:
    """Shows the list of models."""
    return Action(ActionKind.CHOOSE_MODEL, translate("Explain", "Choose another model"))


def open_file() -> Action:
    """Shows the file dialog."""
    return Action(ActionKind.OPEN_FILE, translate("Explain", "Open another file…"))


def retry() -> Action:
    """Does again what failed."""
    return Action(ActionKind.RETRY, translate("Explain", "Try again"))


def open_folder() -> Action:
    """Shows the data folder in the file manager."""
    return Action(ActionKind.OPEN_DATA_FOLDER, translate("Explain", "Open the data folder"))


def copy_details(error: UserError) -> Action:
    """Puts the figures of the error on the clipboard."""
    return Action(ActionKind.COPY_DETAILS, translate("Explain", "Copy details"), str(error))


def open_link(label: str, url: str) -> Action:
    """Opens a web page in the browser."""
    return Action(ActionKind.OPEN_LINK, label, url)
