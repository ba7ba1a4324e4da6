"""What is told when the hub, a download or the library of models stands in the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import PurePath

from PySide6.QtCore import QT_TRANSLATE_NOOP

from app.core.errors import ErrorKind, UserError
from app.services.explanation import Action, ActionKind, Details, Explanation, copy_details, open_link, retry
from app.services.wording import duration, file_size, moment_words, translate

TOKEN_PAGE = "https://huggingface.co/settings/tokens"  # where a person makes a token


def _enter_token(repo: str = "") -> Action:
    return Action(ActionKind.ENTER_TOKEN, translate("Explain", "Enter a token…"), repo)


def _open_setting(key: str) -> Action:
    return Action(ActionKind.OPEN_SETTING, translate("Explain", "Open the settings"), key)


def _endpoint_setting() -> Action:
    return _open_setting("hub.endpoint")


def _go_online() -> Action:
    return Action(ActionKind.GO_ONLINE, translate("Explain", "Go online"))


def _choose_folder() -> Action:
    return Action(ActionKind.CHOOSE_FOLDER, translate("Explain", "Choose another folder…"))


def old_answer_words(answered_at: datetime | None, why_old: ErrorKind | None, now: datetime) -> str:
    """How old an answer is that was kept, and why it is shown; empty for one that is fresh. All times in UTC."""
    if answered_at is None or why_old is None:
        return ""
    reasons = {
        ErrorKind.OFFLINE: QT_TRANSLATE_NOOP("Explain", "From {when}: Hearth is set to stay offline."),
        ErrorKind.NO_NETWORK: QT_TRANSLATE_NOOP("Explain", "From {when}: this computer is not connected."),
        ErrorKind.PROXY_FAILED: QT_TRANSLATE_NOOP("Explain", "From {when}: the proxy does not let Hearth through."),
        ErrorKind.CERTIFICATE_REFUSED: QT_TRANSLATE_NOOP("Explain", "From {when}: the connection is not safe."),
        ErrorKind.RATE_LIMITED: QT_TRANSLATE_NOOP("Explain", "From {when}: the hub asks for a pause."),
    }
    words = reasons.get(why_old, QT_TRANSLATE_NOOP("Explain", "From {when}: the hub cannot be reached."))
    return translate("Explain", str(words)).format(when=moment_words(answered_at, now))


def _card(title: object, text: object, *actions: Callable[[], Action]) -> Callable[[UserError], Explanation]:
    """A card; `text` may use the details by name, and {file} for the name of the file."""

    def make(error: UserError) -> Explanation:
        words = Details(error.details, file=PurePath(error.string("path")).name)
        body = translate("Explain", str(text)).format_map(words)
        return Explanation(translate("Explain", str(title)), body, (*(a() for a in actions), copy_details(error)))

    return make


def _unreachable(error: UserError) -> Explanation:
    words = _UNREACHABLE.get(error.string("reason"), _UNREACHABLE["no_answer"])
    text = translate("Explain", str(words)).format(_host(error.string("endpoint")))
    text += " " + translate("Explain", "Try again in a moment, or choose a mirror in the settings.")
    if error.string("reason") == "no_ranges":
        title = translate("Explain", "The download does not get ahead")
    else:
        title = translate("Explain", "The hub does not answer")
    return Explanation(title, text, (retry(), _endpoint_setting(), copy_details(error)))


def _rate_limited(error: UserError) -> Explanation:
    words = translate(
        "Explain",
        "It allows a certain number of requests from one address in five minutes. Hearth asks again in {0}. "
        "With a token of your own the limit is higher.",
    )
    text = words.format(duration(max(1, error.integer("retry_in_s"))))
    title = translate("Explain", "The hub asks for a pause")
    return Explanation(title, text, (retry(), _enter_token()))


def _gated(error: UserError) -> Explanation:
    repo = error.string("repo")
    page = open_link(translate("Explain", "Open its page"), error.string("url"))
    if error.integer("has_token"):
        words = translate(
            "Explain",
            "Your token is right, but {0} does not let you in yet. Accept the terms on its page with the same account; "
            "some authors answer by hand, which can take days. Then try again.",
        )
        actions = (page, retry(), _enter_token(repo))
    else:
        words = translate(
            "Explain",
            "Its author wants to know who downloads {0}. First, log in on its page and accept the terms. Second, make "
            "a token with the right to read. Third, enter the token here.",
        )
        make_token = open_link(translate("Explain", "Make a token"), TOKEN_PAGE)
        actions = (page, make_token, _enter_token(repo))
    return Explanation(translate("Explain", "This model asks you to accept its terms"), words.format(repo), actions)


def _token_rejected(error: UserError) -> Explanation:
    words = translate(
        "Explain", "{0} does not know this token. Perhaps it was mistyped, has expired, or was deleted there."
    )
    make_token = open_link(translate("Explain", "Make a token"), TOKEN_PAGE)
    title = translate("Explain", "The token was not accepted")
    return Explanation(title, words.format(_host(error.string("endpoint"))), (_enter_token(), make_token))


def _not_on_hub(error: UserError) -> Explanation:
    repo, path = error.string("repo"), error.string("path")
    if path:
        words = translate("Explain", "{0} has no file “{1}” any more, or not in this version. Look at its files again.")
        text = words.format(repo, path)
    else:
        words = translate(
            "Explain", "There is no “{0}”, or it is private. Check the name; with a token you see your private models."
        )
        text = words.format(repo)
    return Explanation(translate("Explain", "The hub does not have this"), text, (retry(), _enter_token(repo)))


def _hub_failed(error: UserError) -> Explanation:
    words = translate(
        "Explain",
        "It answered with error {0}, which is not your fault. Try again in a few minutes, or choose a mirror.",
    )
    text = words.format(error.integer("status"))
    title = translate("Explain", "The hub has a problem of its own")
    return Explanation(title, text, (retry(), _endpoint_setting(), copy_details(error)))


def _changed_on_hub(error: UserError) -> Explanation:
    words = translate(
        "Explain",
        "“{0}” is no longer the file that was offered: its author has replaced it. Nothing is wrong with it, but it "
        "was not checked. Look at the new version and download that.",
    )
    newer = Action(ActionKind.DOWNLOAD_NEWER, translate("Explain", "Download the newer version"), error.string("repo"))
    title = translate("Explain", "There is a newer version of this file")
    return Explanation(title, words.format(PurePath(error.string("path")).name), (newer, copy_details(error)))


def _disk_space(error: UserError) -> Explanation:
    words = translate(
        "Explain", "This needs {0}, and {1} are free in {2}. Make room or choose a folder on another drive."
    )
    figures = file_size(error.integer("needed_bytes")), file_size(error.integer("free_bytes")), error.string("path")
    make_room = Action(ActionKind.MAKE_ROOM, translate("Explain", "Make room…"))
    title = translate("Explain", "The disk has too little room")
    return Explanation(title, words.format(*figures), (make_room, _choose_folder(), retry()))


def _file_too_large(error: UserError) -> Explanation:
    words = translate(
        "Explain",
        "The drive cannot hold a file of {0}; drives formatted as FAT32 take up to 4 GB. Choose a folder on another "
        "drive.",
    )
    text = words.format(file_size(error.integer("size_bytes")))
    title = translate("Explain", "This file is too large for the drive")
    return Explanation(title, text, (_choose_folder(), copy_details(error)))


def _replace_file() -> Action:
    return Action(ActionKind.REPLACE_FILE, translate("Explain", "Replace it"))


def _host(endpoint: str) -> str:
    """An address as people say it: without https://."""
    return endpoint.removeprefix("https://") or "huggingface.co"


_UNREACHABLE: dict[str, object] = {
    "no_answer": QT_TRANSLATE_NOOP("Explain", "{0} gave no answer."),
    "timeout": QT_TRANSLATE_NOOP("Explain", "{0} took too long to answer."),
    "name_unknown": QT_TRANSLATE_NOOP("Explain", "No computer with the name {0} was found."),
    "refused": QT_TRANSLATE_NOOP("Explain", "{0} refused the connection."),
    "broken_off": QT_TRANSLATE_NOOP("Explain", "{0} broke the connection off."),
    "no_ranges": QT_TRANSLATE_NOOP(
        "Explain",
        "{0} sends this file only from its beginning, and several times in a row the connection broke before it came "
        "further than before.",
    ),
}


def _unexpected(error: UserError) -> Explanation:
    text = translate("Explain", "Nothing of yours is lost. A report about it was made; trying again may help.")
    return Explanation(translate("Explain", "A mistake in Hearth"), text, (retry(), copy_details(error)))


HUB_CARDS: dict[ErrorKind, Callable[[UserError], Explanation]] = {
    ErrorKind.UNEXPECTED: _unexpected,
    ErrorKind.OFFLINE: _card(
        QT_TRANSLATE_NOOP("Explain", "Hearth is set to stay offline"),
        QT_TRANSLATE_NOOP("Explain", "Nothing was asked of the network. Models on this computer work as always."),
        _go_online,
    ),
    ErrorKind.NO_NETWORK: _card(
        QT_TRANSLATE_NOOP("Explain", "This computer is not connected"),
        QT_TRANSLATE_NOOP("Explain", "Connect it to the internet, then try again. Models that are here work without."),
        retry,
    ),
    ErrorKind.HUB_UNREACHABLE: _unreachable,
    ErrorKind.CERTIFICATE_REFUSED: _card(
        QT_TRANSLATE_NOOP("Explain", "The connection is not safe"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "The certificate of {endpoint} is not one that this computer trusts ({reason}), so nothing was sent. Check "
            "the date of this computer. In a company, ask for its certificate to be installed.",
        ),
        retry,
        _endpoint_setting,
    ),
    ErrorKind.ADDRESS_INVALID: _card(
        QT_TRANSLATE_NOOP("Explain", "This address cannot be used"),
        QT_TRANSLATE_NOOP("Explain", "“{address}” is no address such as https://huggingface.co or http://proxy:8080."),
        _endpoint_setting,
    ),
    ErrorKind.NOT_A_REFERENCE: _card(
        QT_TRANSLATE_NOOP("Explain", "This names nothing on the hub"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "“{text}” should be author/name, author/name/file.gguf, author/name:Q4_K_M or the address of a page there.",
        ),
        retry,
    ),
    ErrorKind.RATE_LIMITED: _rate_limited,
    ErrorKind.GATED: _gated,
    ErrorKind.TOKEN_REJECTED: _token_rejected,
    ErrorKind.NOT_ON_HUB: _not_on_hub,
    ErrorKind.HUB_FAILED: _hub_failed,
    ErrorKind.HUB_ANSWER_STRANGE: _card(
        QT_TRANSLATE_NOOP("Explain", "The answer makes no sense"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "What came from {endpoint} is not an answer of a model hub. Perhaps this network wants you to log in "
            "first: open any page in the browser. Or the address in the settings is not that of a hub.",
        ),
        retry,
        _endpoint_setting,
    ),
    ErrorKind.HASH_MISMATCH: _card(
        QT_TRANSLATE_NOOP("Explain", "The download is damaged"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "“{file}” arrived twice with content other than the hub promised, so it was not kept. A proxy or the disk "
            "may change files on their way. Try again later or over another network.",
        ),
        retry,
    ),
    ErrorKind.CHANGED_ON_HUB: _changed_on_hub,
    ErrorKind.FILE_IN_USE: _card(
        QT_TRANSLATE_NOOP("Explain", "Another program downloads this file"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” is being written by another Hearth. Wait until it has finished."),
        retry,
    ),
    ErrorKind.DISK_SPACE: _disk_space,
    ErrorKind.FILE_TOO_LARGE: _file_too_large,
    ErrorKind.FOLDER_READ_ONLY: _card(
        QT_TRANSLATE_NOOP("Explain", "This folder cannot be written"),
        QT_TRANSLATE_NOOP("Explain", "Hearth may not write {path}. Change its permissions, or choose another folder."),
        retry,
        _choose_folder,
    ),
    ErrorKind.WRITE_FAILED: _card(
        QT_TRANSLATE_NOOP("Explain", "The disk did not take the file"),
        QT_TRANSLATE_NOOP(
            "Explain",
            "“{file}” could not be written; the system says {reason}. Is the drive still there? Then try again.",
        ),
        retry,
        _choose_folder,
    ),
    ErrorKind.NAME_TAKEN: _card(
        QT_TRANSLATE_NOOP("Explain", "There is another file of this name"),
        QT_TRANSLATE_NOOP(
            "Explain", "{path} has other content than what you download. Replace it, or choose another folder."
        ),
        _replace_file,
        _choose_folder,
    ),
    ErrorKind.UNSAFE_NAME: _card(
        QT_TRANSLATE_NOOP("Explain", "This file has a dangerous name"),
        QT_TRANSLATE_NOOP(
            "Explain", "“{path}” would be put somewhere else than you expect. Hearth does not download such files."
        ),
    ),
    ErrorKind.TRASH_FAILED: _card(
        QT_TRANSLATE_NOOP("Explain", "The file could not be moved to the trash"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” is still where it was. The system says: {reason}."),
        retry,
    ),
    ErrorKind.MOVE_FAILED: _card(
        QT_TRANSLATE_NOOP("Explain", "The file could not be moved"),
        QT_TRANSLATE_NOOP("Explain", "“{file}” is still where it was. The system says: {reason}."),
        retry,
    ),
}
