"""Which chat template a model is talked to with: the person's own, the file's, or one of the table."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from app.core.chat_formats import PLAIN
from app.core.errors import NoticeKind
from app.core.template_check import FILE, OWN, template_format
from app.engine.worker.conversation_format import ConversationFormat, choose_known
from app.engine.worker.template_renderer import TemplateError
from app.engine.worker.vocabulary import Vocabulary

log = logging.getLogger(__name__)

Tell = Callable[[NoticeKind, dict[str, Any]], None]


class FormatChoice:
    """The choice for one model; every other request of a person may ask for another template."""

    def __init__(self, vocabulary: Vocabulary, file_template: str, model_name: str) -> None:
        """`file_template` is empty when the file has none."""
        self._vocabulary = vocabulary
        self._file_template = file_template
        self.known = choose_known(vocabulary, model_name)
        """The format of the table for when nothing else works."""

    def choose(self, template: str, tell: Tell) -> ConversationFormat:
        """By `Load.template`; tells of what could not be used."""
        if (wanted := template_format(template)) is not None:
            return ConversationFormat.known(wanted, self._vocabulary)
        if not template:
            return self._of_file(tell)
        try:
            return ConversationFormat.of_source(template, self._vocabulary, OWN)
        except TemplateError as error:
            log.warning("the person's chat template is not usable: %s", error)
            chosen = self._of_file(tell)
            tell(NoticeKind.OWN_TEMPLATE_BROKEN, {"reason": str(error), "fallback": chosen.name})
            return chosen

    def fallback(self) -> ConversationFormat:
        """The format of the table."""
        return ConversationFormat.known(self.known, self._vocabulary)

    def _of_file(self, tell: Tell) -> ConversationFormat:
        details = {"fallback": self.known.name}
        if not self._file_template:
            tell(NoticeKind.TEMPLATE_MISSING, details)
            return self.fallback()
        try:
            chosen = ConversationFormat.of_source(self._file_template, self._vocabulary, FILE)
        except TemplateError as error:
            log.warning("the file's chat template is not usable: %s", error)
            tell(NoticeKind.TEMPLATE_BROKEN, {"reason": str(error), **details})
            return self.fallback()
        if chosen.asks_for_answers or self.known is PLAIN:  # plain lines would be no better
            return chosen
        tell(NoticeKind.TEMPLATE_SILENT, details)
        return self.fallback()
