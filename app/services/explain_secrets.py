"""What is told when the token or the proxy's password is not where the system keeps passwords, or stands in the way."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QT_TRANSLATE_NOOP

from app.core.errors import ErrorKind, UserError
from app.hub.secret_store import LOCKED, NONE, TIMEOUT
from app.services.explanation import Action, ActionKind, Explanation, copy_details, retry
from app.services.wording import translate


def _enter_token() -> Action:
    return Action(ActionKind.ENTER_TOKEN, translate("Explain", "Enter a token…"), "")


def _proxy_setting() -> Action:
    return Action(ActionKind.OPEN_SETTING, translate("Explain", "Open the settings"), "hub.proxy")


def _why(error: UserError) -> str:
    """Why the keyring was of no use."""
    words = _REASONS.get(error.string("reason"), QT_TRANSLATE_NOOP("Explain", "It could not be used ({0})."))
    return translate("Explain", str(words)).format(error.string("reason"))


def _next_time(error: UserError) -> str:
    """What to do where something is only held."""
    if error.string("reason") == NONE:
        return " " + translate("Explain", "It has to be entered again at the next start.")
    return " " + translate("Explain", "To have it kept, unlock that place and enter it once more.")


def _no_keyring(error: UserError) -> Explanation:
    title = translate("Explain", "The token is kept until Hearth ends")
    words = translate("Explain", "It belongs where this computer keeps passwords. {why}") + _next_time(error)
    return Explanation(title, words.format(why=_why(error)), (_enter_token(), copy_details(error)))


def _proxy_password_not_kept(error: UserError) -> Explanation:
    title = translate("Explain", "The password of the proxy is kept until Hearth ends")
    words = translate("Explain", "It belongs where this computer keeps passwords, and nowhere else. {why}")
    words += _next_time(error)
    return Explanation(title, words.format(why=_why(error)), (_proxy_setting(), copy_details(error)))


def _keyring_closed(error: UserError) -> Explanation:
    title = translate("Explain", "The passwords of this computer are locked away")
    words = translate(
        "Explain",
        "Your token, or the password of the proxy, lies where this computer keeps passwords. {why} Unlock it, then "
        "press “Test the token” or “Test the proxy” in the settings; or enter it once more.",
    )
    return Explanation(title, words.format(why=_why(error)), (_proxy_setting(), _enter_token(), copy_details(error)))


def _proxy_failed(error: UserError) -> Explanation:
    words = _PROXY.get(error.string("reason"), QT_TRANSLATE_NOOP("Explain", "{proxy} said: {reason}."))
    text = translate("Explain", str(words)).format(proxy=error.string("proxy"), reason=error.string("reason"))
    text += " " + translate("Explain", "Check it in the settings, then try again.")
    title = translate("Explain", "The proxy does not let Hearth through")
    return Explanation(title, text, (retry(), _proxy_setting(), copy_details(error)))


_REASONS: dict[str, object] = {
    NONE: QT_TRANSLATE_NOOP("Explain", "This computer has no such place that Hearth can use."),
    LOCKED: QT_TRANSLATE_NOOP("Explain", "That place is locked."),
    TIMEOUT: QT_TRANSLATE_NOOP("Explain", "That place gave no answer; perhaps it asks you for its own password."),
}
_PROXY: dict[str, object] = {
    "address": QT_TRANSLATE_NOOP("Explain", "“{proxy}” is no address of a proxy."),
    "password": QT_TRANSLATE_NOOP(
        "Explain",
        "{proxy} wants a name and a password, or others than it was given. They stand before the address: "
        "http://name:password@proxy:8080.",
    ),
    "timeout": QT_TRANSLATE_NOOP("Explain", "{proxy} took too long to answer."),
    "name_unknown": QT_TRANSLATE_NOOP("Explain", "No computer with the name in {proxy} was found."),
    "refused": QT_TRANSLATE_NOOP("Explain", "{proxy} refused the connection."),
    "no_answer": QT_TRANSLATE_NOOP("Explain", "{proxy} gave no answer."),
}

SECRET_CARDS: dict[ErrorKind, Callable[[UserError], Explanation]] = {
    ErrorKind.NO_KEYRING: _no_keyring,
    ErrorKind.PROXY_PASSWORD_NOT_KEPT: _proxy_password_not_kept,
    ErrorKind.KEYRING_CLOSED: _keyring_closed,
    ErrorKind.PROXY_FAILED: _proxy_failed,
}
