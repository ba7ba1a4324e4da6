"""The help page: a search box, the topics by section, and the topic that is read."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QListWidgetItem,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from app.services.help_topics import HelpTopic
from app.ui.labels import Label, heading
from app.ui.pages.topic_browser import TopicBrowser
from app.ui.pages.topic_list import TopicList
from app.ui.search_field import SearchField

TOPIC_ROLE = Qt.ItemDataRole.UserRole
LIST_WIDTH_IN_CHARS = 30
NARROWEST_TEXT_IN_CHARS = 36
QWIDGETSIZE_MAX = (1 << 24) - 1  # Qt's own name for no limit


class HelpPage(QWidget):
    """Everything by keyboard: type to search, Down to the topics, Tab to the text."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._topics: dict[str, HelpTopic] = {}
        self._search = SearchField(self.tr("Search the help"), self.tr("Search the help"), self)
        self._search.textChanged.connect(self._on_search_changed)
        self._search.results_wished.connect(self._on_results_wished)
        self._list = TopicList(self)
        self._list.currentItemChanged.connect(self._on_current_changed)
        self._nothing = Label("", self, muted=True, wraps=True)
        self._nothing.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeading)
        self._browser = TopicBrowser(self)
        self._lay_out()
        self.setFocusProxy(self._search)

    def set_topics(self, topics: Sequence[HelpTopic]) -> None:
        """Show these, in their order, by section."""
        self._topics = {topic.id: topic for topic in topics}
        self._fill("")

    def show_topic(self, topic_id: str) -> None:
        """Show one topic; an unknown one is ignored."""
        if topic_id in self._topics:
            self._search.clear()
            self._select(topic_id)

    def shown_topics(self) -> list[str]:
        """The ids in the list, from top to bottom."""
        items = (self._list.item(row) for row in range(self._list.count()))
        return [item.data(TOPIC_ROLE) for item in items if item.data(TOPIC_ROLE)]

    def current_topic(self) -> str | None:
        """The id of the topic that is read."""
        item = self._list.currentItem()
        topic_id = item.data(TOPIC_ROLE) if item is not None else None
        return str(topic_id) if topic_id else None

    def body_text(self) -> str:
        """The words on the right."""
        return self._browser.toPlainText()

    def _lay_out(self) -> None:
        side = QVBoxLayout()
        side.setSpacing(8)
        side.addWidget(heading(self.tr("Help"), self))
        side.addWidget(self._search)
        self._side = QWidget(self)
        self._stack = QStackedLayout()
        self._stack.addWidget(self._list)
        self._stack.addWidget(self._nothing)
        side.addLayout(self._stack, 1)
        side.setContentsMargins(24, 24, 8, 8)
        self._side.setLayout(side)
        self._halves = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._halves.setContentsMargins(0, 0, 0, 0)
        self._halves.setSpacing(0)
        self._halves.addWidget(self._side, 2)
        self._halves.addWidget(self._browser, 3)

    def _fill(self, text: str) -> None:
        words = text.casefold().split()
        found = [topic for topic in self._topics.values() if topic.matches(words)]
        before = self.current_topic()
        self._list.blockSignals(True)
        self._list.clear()
        section = ""
        for topic in found:
            if topic.section != section:
                section = topic.section
                self._list.addItem(_heading_item(section))
            self._list.addItem(_topic_item(topic))
        self._list.blockSignals(False)
        self._stack.setCurrentWidget(self._list if found else self._nothing)
        self._nothing.setText(self.tr("Nothing in the help has these words: {words}").format(words=text.strip()))
        if found:
            keep = before if not words and before in self._topics else None
            self._select(keep or _best(found, words).id)

    def _select(self, topic_id: str) -> None:
        for row in range(self._list.count()):
            if self._list.item(row).data(TOPIC_ROLE) == topic_id:
                self._list.setCurrentRow(row)
                self._list.scrollToItem(self._list.item(0 if row <= 1 else row))
                return

    def _arrange(self) -> None:
        """List and text side by side where both can be read, else one above the other."""
        char_px = self.fontMetrics().averageCharWidth()
        beside = self.width() >= (LIST_WIDTH_IN_CHARS + NARROWEST_TEXT_IN_CHARS) * char_px
        direction = QBoxLayout.Direction
        self._halves.setDirection(direction.LeftToRight if beside else direction.TopToBottom)
        self._side.setMaximumWidth(LIST_WIDTH_IN_CHARS * char_px + 24 if beside else QWIDGETSIZE_MAX)

    def _on_search_changed(self, text: str) -> None:
        self._fill(text)

    def _on_results_wished(self) -> None:
        if self._list.count():
            self._list.setFocus(Qt.FocusReason.TabFocusReason)

    def _on_current_changed(self, item: QListWidgetItem | None) -> None:
        topic = self._topics.get(item.data(TOPIC_ROLE) or "") if item is not None else None
        if topic is not None:
            self._browser.show_markdown(f"## {topic.title}\n\n{topic.body}")

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._arrange()
            self._list.doItemsLayout()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()


def _heading_item(section: str) -> QListWidgetItem:
    item = QListWidgetItem(section)
    item.setFlags(Qt.ItemFlag.NoItemFlags)
    return item


def _topic_item(topic: HelpTopic) -> QListWidgetItem:
    item = QListWidgetItem(topic.title)
    item.setData(TOPIC_ROLE, topic.id)
    item.setToolTip(topic.title)
    return item


def _best(found: Sequence[HelpTopic], words: Sequence[str]) -> HelpTopic:
    """The first topic with all words in its title, else in its keywords, else the first."""
    for text_of in (lambda topic: topic.title, lambda topic: " ".join(topic.keywords)):
        for topic in found:
            if all(word in text_of(topic).casefold() for word in words):
                return topic
    return found[0]
