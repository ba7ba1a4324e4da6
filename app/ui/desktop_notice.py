"""A word on the desktop while the window is not looked at."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from PySide6.QtCore import SLOT, QObject, QTimer, Signal, Slot
from PySide6.QtDBus import QDBusConnection, QDBusMessage, QDBusPendingCall, QDBusPendingCallWatcher
from PySide6.QtWidgets import QApplication, QSystemTrayIcon, QWidget

from app.core.downloads import Download

SHOWN_MS = 10_000
_OPEN = "open"
# https://flatpak.github.io/xdg-desktop-portal/docs/doc-org.freedesktop.portal.Notification.html; the older interface
# org.freedesktop.Notifications wants unsigned numbers, which PySide6 cannot send.
_SERVICE = "org.freedesktop.portal.Desktop"
_PATH = "/org/freedesktop/portal/desktop"
_INTERFACE = "org.freedesktop.portal.Notification"
_BUS_NAME = "hearth-notices"


class DesktopNotice(QObject):
    """Tells what has happened through the desktop, unless the person looks at the window anyway. Main thread only."""

    clicked = Signal()  # the person wants to see more

    def __init__(self, window: QWidget, *, shown_ms: int = SHOWN_MS) -> None:
        super().__init__(window)
        self._window = window
        self._shown_ms = shown_ms
        self._end = QTimer(self)  # of the icon
        self._end.setSingleShot(True)
        self._bus: QDBusConnection | None = None
        self._tray: QSystemTrayIcon | None = None
        self._calls: dict[str, QDBusPendingCallWatcher] = {}

    def tell_finished(self, download: Download) -> None:
        """A download is complete."""
        self.show(self.tr("“{model}” is ready").format(model=download.name), self.tr("You can chat with it now."))

    def tell_failed(self, download: Download) -> None:
        """A download needs the person."""
        title = self.tr("“{model}” could not be downloaded").format(model=download.name)
        self.show(title, self.tr("Hearth says why, and what to do."))

    def show(self, title: str, text: str) -> None:
        """Show a notice; does nothing while the window is in front."""
        if self._window.isActiveWindow():
            return
        QApplication.alert(self._window)
        if not self._show_by_portal(title, text):
            self._show_by_tray(title, text)

    def _show_by_portal(self, title: str, text: str) -> bool:
        """Through the session bus of Linux desktops; False where there is none."""
        bus = self._session_bus()
        if bus is None:
            return False
        call = QDBusMessage.createMethodCall(_SERVICE, _PATH, _INTERFACE, "AddNotification")
        call.setArguments([title, {"title": title, "body": text, "default-action": _OPEN}])
        watcher = QDBusPendingCallWatcher(QDBusPendingCall(bus.asyncCall(call)), self)
        self._calls[title] = watcher

        def on_answered(answered: QDBusPendingCallWatcher) -> None:
            self._calls.pop(title, None)
            if answered.isError():  # no portal here
                self._show_by_tray(title, text)
            answered.deleteLater()

        watcher.finished.connect(on_answered)
        return True

    def _session_bus(self) -> QDBusConnection | None:
        if self._bus is None and _has_session_bus():
            bus = QDBusConnection.connectToBus(QDBusConnection.BusType.SessionBus, _BUS_NAME)
            if bus.isConnected():
                slot = SLOT("_on_action(QDBusMessage)")
                # It is a str, and only that works, whatever the stubs say.
                bus.connect(_SERVICE, _PATH, _INTERFACE, "ActionInvoked", self, slot)  # type: ignore[call-overload]
                self._bus = bus
        return self._bus

    @Slot(QDBusMessage)
    def _on_action(self, message: QDBusMessage) -> None:
        if message.arguments()[1:2] == [_OPEN]:
            self.clicked.emit()

    def _show_by_tray(self, title: str, text: str) -> None:
        """Through an icon that is there for as long as the notice, where the system has a place for icons."""
        if not QSystemTrayIcon.isSystemTrayAvailable():
            return
        if self._tray is None:
            self._tray = QSystemTrayIcon(self._window.windowIcon(), self)
            self._tray.messageClicked.connect(self.clicked)
            self._tray.messageClicked.connect(self._tray.hide)
            self._end.timeout.connect(self._tray.hide)
        self._tray.show()
        self._tray.showMessage(title, text, self._window.windowIcon(), self._shown_ms)
        self._end.start(self._shown_ms)


def _has_session_bus() -> bool:
    """Whether a bus is there already: asking for one where there is none may start programs, and wait for them."""
    if not sys.platform.startswith("linux"):
        return False
    if os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return True
    return Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent", "bus").exists()
