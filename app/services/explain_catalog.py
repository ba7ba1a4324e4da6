"""The words for what can be wrong with a catalogue of models."""

from __future__ import annotations

from collections.abc import Callable

from app.core.errors import ErrorKind, UserError
from app.services.explanation import Explanation, copy_details, retry
from app.services.wording import translate


def _invalid(error: UserError) -> Explanation:
    if where := error.string("where"):
        text = translate("Explain", "{0}: at {1}, it {2}.").format(error.string("path"), where, error.string("reason"))
    else:
        text = translate("Explain", "{0}: {1}.").format(error.string("path"), error.string("reason"))
    more = translate("Explain", "The catalogue that came with Hearth, or the last good one, stays in use.")
    title = translate("Explain", "This catalogue of models cannot be used")
    return Explanation(title, f"{text} {more}", (retry(), copy_details(error)))


def _not_pinned(error: UserError) -> Explanation:
    words = translate(
        "Explain",
        "Whoever controls {0} could otherwise offer you any file. Ask its publisher for the SHA-256 of the catalogue "
        "and enter it under Settings, Downloads.",
    )
    title = translate("Explain", "The address of the catalogue needs a SHA-256")
    return Explanation(title, words.format(error.string("url")), (retry(), copy_details(error)))


CATALOG_CARDS: dict[ErrorKind, Callable[[UserError], Explanation]] = {
    ErrorKind.CATALOG_INVALID: _invalid,
    ErrorKind.CATALOG_NOT_PINNED: _not_pinned,
}
