"""How a download stands, in the words of a person."""

from __future__ import annotations

from app.core.downloads import Download, DownloadState, WaitReason
from app.core.errors import ErrorKind, UserError
from app.services.explain import explain
from app.services.explanation import Action, ActionKind, Explanation, retry
from app.services.wording import duration, file_size, translate

_NO_HELP = frozenset({ActionKind.COPY_DETAILS, ActionKind.RETRY})


def download_words(download: Download) -> str:
    """One line: how much is here, how fast it comes, or why it stands still."""
    if download.state is DownloadState.FAILED and download.error is not None:
        return explain(download.error).sentences
    parts = []
    if download.total_bytes and download.state is not DownloadState.DONE:
        amounts = translate("ExplainDownload", "{0} of {1}")
        parts.append(amounts.format(file_size(download.done_bytes), file_size(download.total_bytes)))
    parts.append(_state_words(download))
    return " · ".join(part for part in parts if part)


def download_actions(download: Download) -> tuple[Action, ...]:
    """What helps one that cannot go on by itself, with trying again as the last; empty where nothing helps."""
    if download.state is DownloadState.WAITING and download.wait_reason is WaitReason.OFFLINE:
        return _helping(explain(UserError(ErrorKind.OFFLINE)))
    if download.state is not DownloadState.FAILED:
        return ()
    if download.error is None:
        return (retry(),)
    explanation = explain(download.error)
    helping = _helping(explanation)
    can_retry = any(action.kind is ActionKind.RETRY for action in explanation.actions)
    return (*helping, retry()) if helping or can_retry else ()


def _helping(explanation: Explanation) -> tuple[Action, ...]:
    return tuple(action for action in explanation.actions if action.kind not in _NO_HELP)


def _state_words(download: Download) -> str:
    match download.state:
        case DownloadState.QUEUED:
            return translate("ExplainDownload", "Waits for the one before it.")
        case DownloadState.RUNNING:
            return _speed_words(download)
        case DownloadState.WAITING:
            words = _reason_words(download.wait_reason)
            if download.retry_in_s > 0:
                again = translate("ExplainDownload", "Trying again in {0}.")
                words += " " + again.format(duration(download.retry_in_s))
            return words
        case DownloadState.PAUSED:
            return translate("ExplainDownload", "Paused.")
        case DownloadState.SCHEDULED:
            return _reason_words(WaitReason.NIGHT)
        case DownloadState.VERIFYING:
            return translate("ExplainDownload", "Checking that nothing was damaged on the way…")
        case DownloadState.DONE:
            return translate("ExplainDownload", "Complete and checked, {0}.").format(file_size(download.total_bytes))
        case _:
            return ""


def _speed_words(download: Download) -> str:
    if not download.bytes_per_second:
        return _reason_words(download.wait_reason)
    words = translate("ExplainDownload", "{0}/s").format(file_size(round(download.bytes_per_second)))
    if download.seconds_left is not None:
        words += " · " + translate("ExplainDownload", "{0} left").format(duration(download.seconds_left))
    return words


def _reason_words(reason: WaitReason) -> str:
    match reason:
        case WaitReason.NONE:
            return translate("ExplainDownload", "Starting…")
        case WaitReason.CONNECTING:
            return translate("ExplainDownload", "Connecting…")
        case WaitReason.NETWORK:
            return translate("ExplainDownload", "No connection.")
        case WaitReason.SERVER_BUSY:
            return translate("ExplainDownload", "The hub is busy.")
        case WaitReason.RATE_LIMIT:
            return translate("ExplainDownload", "The hub asks for a pause.")
        case WaitReason.OTHER_PROGRAM:
            return translate("ExplainDownload", "Another program downloads this file.")
        case WaitReason.OFFLINE:
            return translate("ExplainDownload", "Hearth is set to stay offline.")
        case WaitReason.NIGHT:
            return translate("ExplainDownload", "Waits for the hours set for downloads.")
