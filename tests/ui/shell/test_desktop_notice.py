"""Notices on the desktop, over a session bus of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject, Signal
from PySide6.QtDBus import QDBusConnection, QDBusMessage, QDBusVirtualObject
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QSystemTrayIcon, QWidget
from pytestqt.qtbot import QtBot

from app.bootstrap import tell_on_the_desktop
from app.core.downloads import Download, DownloadFile, DownloadId
from app.ui.desktop_notice import DesktopNotice

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("dbus-daemon") is None, reason="needs D-Bus"
)
PATH = "/org/freedesktop/portal/desktop"
INTERFACE = "org.freedesktop.portal.Notification"
WAIT_MS = 5000
DOWNLOAD = Download(DownloadId("1"), "Tiny", "maker/tiny", "", (DownloadFile("maker/tiny", "a.gguf"),), "/models")


class Portal(QDBusVirtualObject):
    """The desktop's side."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []  # names; what else was sent PySide6 cannot take apart
        self.name = uuid.uuid4().hex
        self.bus = QDBusConnection.connectToBus(QDBusConnection.BusType.SessionBus, self.name)
        assert self.bus.registerService("org.freedesktop.portal.Desktop")
        assert self.bus.registerVirtualObject(PATH, self)

    def introspect(self, path: str) -> str:
        return ""

    def handleMessage(self, message: QDBusMessage, connection: QDBusConnection) -> bool:  # noqa: N802  # Qt's name
        assert message.signature() == "sa{sv}"
        self.shown.append(message.arguments()[0])
        return connection.send(message.createReply())

    def click(self, name: str) -> None:
        signal = QDBusMessage.createSignal(PATH, INTERFACE, "ActionInvoked")
        signal.setArguments([name, "open", []])
        assert self.bus.send(signal)


@pytest.fixture(scope="module")
def bus() -> Iterator[None]:
    """A session bus; one for all tests, since a process remembers the address of its first."""
    command = ["dbus-daemon", "--session", "--nofork", "--print-address"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as daemon,
        pytest.MonkeyPatch.context() as environment,
    ):
        assert daemon.stdout is not None
        environment.setenv("DBUS_SESSION_BUS_ADDRESS", daemon.stdout.readline().strip())
        yield
        QDBusConnection.disconnectFromBus("hearth-notices")
        daemon.terminate()


@pytest.fixture
def portal(bus: None) -> Iterator[Portal]:
    desktop = Portal()
    yield desktop
    QDBusConnection.disconnectFromBus(desktop.name)


def test_a_finished_download_is_told_to_the_desktop(portal: Portal, qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    notice = DesktopNotice(window)
    notice.tell_finished(DOWNLOAD)
    qtbot.waitUntil(lambda: len(portal.shown) == 1, timeout=WAIT_MS)
    assert portal.shown == ["“Tiny” is ready"]
    with qtbot.waitSignal(notice.clicked, timeout=WAIT_MS):
        portal.click(portal.shown[0])


def test_a_desktop_without_a_portal_is_no_error(bus: None, qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    notice = DesktopNotice(window)
    notice.tell_failed(DOWNLOAD)
    qtbot.waitUntil(lambda: not notice._calls, timeout=WAIT_MS)


def test_nothing_is_told_to_whom_looks_at_the_window(portal: Portal, qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=WAIT_MS)
    notice = DesktopNotice(window)
    notice.tell_finished(DOWNLOAD)
    window.hide()
    notice.tell_failed(DOWNLOAD)
    qtbot.waitUntil(lambda: len(portal.shown) == 1, timeout=WAIT_MS)
    assert "could not" in portal.shown[0]


class Downloads(QObject):
    """What is told of downloads."""

    finished = Signal(object)
    failed = Signal(object)


class Window(QWidget):
    """A window that somebody may want to see."""

    fronts = 0

    def come_to_front(self) -> None:
        self.fronts += 1


def test_downloads_are_told_and_a_click_leads_to_the_window(portal: Portal, qtbot: QtBot) -> None:
    downloads, window = Downloads(), Window()
    qtbot.addWidget(window)
    tell_on_the_desktop(downloads, window)  # type: ignore[arg-type]  # as much of them as it uses
    downloads.finished.emit(DOWNLOAD)
    downloads.failed.emit(DOWNLOAD)
    qtbot.waitUntil(lambda: len(portal.shown) == 2, timeout=WAIT_MS)
    assert portal.shown[0] == "“Tiny” is ready"
    assert "could not be downloaded" in portal.shown[1]
    portal.click(portal.shown[0])
    qtbot.waitUntil(lambda: window.fronts == 1, timeout=WAIT_MS)


@pytest.mark.qt_log_ignore("systemTrayWindowChanged")  # an offscreen platform has no tray for Qt to listen to
def test_the_icon_is_there_for_as_long_as_the_notice(bus: None, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a desktop that has a place for icons, and no portal."""
    monkeypatch.setattr(QSystemTrayIcon, "isSystemTrayAvailable", lambda: True)
    window = QWidget()
    qtbot.addWidget(window)
    picture = QPixmap(16, 16)
    picture.fill(QColor("red"))
    window.setWindowIcon(QIcon(picture))
    notice = DesktopNotice(window, shown_ms=200)
    notice.tell_finished(DOWNLOAD)
    qtbot.waitUntil(lambda: bool(notice.findChildren(QSystemTrayIcon)), timeout=WAIT_MS)
    (icon,) = notice.findChildren(QSystemTrayIcon)
    assert icon.isVisible()
    qtbot.waitUntil(lambda: not icon.isVisible(), timeout=WAIT_MS)
    notice.tell_failed(DOWNLOAD)
    qtbot.waitUntil(icon.isVisible, timeout=WAIT_MS)
    with qtbot.waitSignal(notice.clicked):
        icon.messageClicked.emit()
    assert not icon.isVisible()
