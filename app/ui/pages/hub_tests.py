"""Buttons that try the hub's address, the proxy and the token, and say what came of it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.services.explain import explain
from app.services.hub import HubTest
from app.services.wording import number
from app.ui.buttons import Button
from app.ui.flow_layout import FlowLayout
from app.ui.labels import Label
from app.ui.transcript.announce import announce


class HubTests(QWidget):
    """Stands below the settings for downloads."""

    endpoint_test_requested = Signal()
    proxy_test_requested = Signal()
    token_test_requested = Signal()
    token_requested = Signal()
    forget_token_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._endpoint = self._button(self.tr("Test the connection"), self.endpoint_test_requested)
        self._proxy = self._button(self.tr("Test the proxy"), self.proxy_test_requested)
        self._token = self._button(self.tr("Test the token"), self.token_test_requested)
        self._enter = self._button(self.tr("Enter a token…"), self.token_requested)
        self._forget = self._button(self.tr("Forget the token"), self.forget_token_requested)
        self._result = Label("", self, wraps=True)
        self._result.hide()
        flow = FlowLayout(spacing_px=8)
        for button in (self._endpoint, self._proxy, self._enter, self._token, self._forget):
            flow.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(flow)
        layout.addWidget(self._result)
        self.set_has_token(False)

    @property
    def result(self) -> str:
        """What the last test found."""
        return self._result.text()

    def set_has_token(self, has_token: bool) -> None:
        """Whether there is a token to test or to forget."""
        self._token.setVisible(has_token)
        self._forget.setVisible(has_token)

    def show_running(self) -> None:
        """Say that an answer is awaited."""
        self._say(self.tr("Asking the hub…"))

    def show_endpoint(self, test: HubTest) -> None:
        """What the hub's address gave."""
        self._show(test, self.tr("The hub answers, after {0} ms.").format(number(test.milliseconds)))

    def show_proxy(self, test: HubTest) -> None:
        """What the proxy gave."""
        if test.proxy:
            words = self.tr("The hub answers through {proxy}, after {time} ms.")
            self._show(test, words.format(proxy=test.proxy, time=number(test.milliseconds)))
        else:
            self._show(test, self.tr("The hub answers; there is no proxy between."))

    def show_token(self, test: HubTest) -> None:
        """What the token gave."""
        self._show(test, self.tr("The token is good. It belongs to {0}.").format(test.account))

    def show_forgotten(self) -> None:
        """The token is gone."""
        self._say(self.tr("The token is forgotten."))

    def _show(self, test: HubTest, words: str) -> None:
        if test.error is not None:
            words = explain(test.error).sentences
        self._say(words)

    def _say(self, words: str) -> None:
        self._result.setText(words)
        self._result.show()
        announce(self, words)

    def _button(self, text: str, wish: object) -> Button:
        button = Button(text, self)
        button.clicked.connect(wish)
        return button
