"""The pages of the window, of which one is on screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QStackedWidget, QWidget


@dataclass(slots=True)
class _Page:
    make: Callable[[], QWidget]
    on_shown: Callable[[], None] | None
    widget: QWidget | None = None


class PageStack(QStackedWidget):
    """Pages by name, each made when it is first shown: what nobody looks at costs neither time nor memory.

    A page is any widget; its focus proxy is where the keyboard goes when it is shown.
    """

    page_shown = Signal(str)  # name

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pages: dict[str, _Page] = {}
        self._current_name = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The pages in the order in which they were added."""
        return tuple(self._pages)

    @property
    def current_name(self) -> str:
        """The page on screen; empty before the first."""
        return self._current_name

    def add(self, name: str, make: Callable[[], QWidget], on_shown: Callable[[], None] | None = None) -> None:
        """Know a page; `make` is called once, when it is first wanted, `on_shown` whenever it comes on screen."""
        self._pages[name] = _Page(make, on_shown)

    def page(self, name: str) -> QWidget:
        """A page by its name, made now if it was not needed before. Raises KeyError for an unknown one."""
        page = self._pages[name]
        if page.widget is None:
            page.widget = page.make()
            self.addWidget(page.widget)
        return page.widget

    def show_page(self, name: str) -> None:
        """Bring a page on screen and the keyboard to it."""
        widget = self.page(name)
        self._current_name = name
        self.setCurrentWidget(widget)
        self.page_shown.emit(name)
        if (on_shown := self._pages[name].on_shown) is not None:
            on_shown()
        self.focus_page()

    def focus_page(self) -> None:
        """Bring the keyboard to the page on screen."""
        self.page(self._current_name).setFocus(Qt.FocusReason.OtherFocusReason)
