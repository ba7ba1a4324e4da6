"""One window per data folder: a second start hands its file to the first and ends."""

from __future__ import annotations

import hashlib
import json
import os.path
from pathlib import Path

from PySide6.QtCore import QDeadlineTimer, QLockFile, QObject, QStandardPaths, QThread, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

CONNECT_MS = 2000
PATIENCE_MS = 10_000  # with an instance that is still starting, or just closing; then it counts as hanging
_RETRY_MS = 50
MAX_MESSAGE_BYTES = 64 * 1024


class SingleInstance(QObject):
    """Holds the lock of a data folder and listens for later starts. Main thread only."""

    raised = Signal(str)  # path of a file to open; empty to raise the window only

    def __init__(self, data_folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = _server_name(data_folder)
        self._lock = QLockFile(str(data_folder / "hearth.lock"))
        self._lock.setStaleLockTime(0)  # stale only when the process that made it is gone
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._on_connection)

    def become_the_one(self, path: str) -> bool:
        """Become the one instance; False if another one is and has taken over `path` (see `hand_over`).

        One that is just closing makes room. Beside one that hangs this one runs without the lock.
        """
        patience = QDeadlineTimer(PATIENCE_MS)
        while not self.acquire():
            if self.hand_over(path):
                return False
            if patience.hasExpired():
                break
            QThread.msleep(_RETRY_MS)
        return True

    def acquire(self) -> bool:
        """Become the one instance; False if another one runs.

        In a folder that cannot be written there is no lock: then whoever answers first is the one.
        """
        if not self._lock.tryLock(0) and (
            self._lock.error() is QLockFile.LockError.LockFailedError or self._is_answered()
        ):
            return False
        QLocalServer.removeServer(self._name)
        self._server.listen(self._name)
        return True

    def hand_over(self, path: str) -> bool:
        """Ask the running instance to come to the front and open `path` (may be empty); False if it does not answer.

        One that listens but is still starting answers late; asked twice it would open the file twice.
        """
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(CONNECT_MS):
            return False
        socket.write(json.dumps({"open": path}).encode() + b"\n")
        answered = socket.waitForBytesWritten(CONNECT_MS) and socket.waitForReadyRead(PATIENCE_MS)
        socket.abort()
        return bool(answered)

    def release(self) -> None:
        """Stop listening and free the lock."""
        self._server.close()
        self._lock.unlock()

    def _is_answered(self) -> bool:
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        answered = socket.waitForConnected(CONNECT_MS)
        socket.abort()
        return answered

    def _on_connection(self) -> None:
        while socket := self._server.nextPendingConnection():
            socket.readyRead.connect(self._on_ready_read)
            socket.disconnected.connect(socket.deleteLater)

    def _on_ready_read(self) -> None:
        socket = self.sender()
        if not isinstance(socket, QLocalSocket):
            return
        if not socket.canReadLine():
            if socket.bytesAvailable() > MAX_MESSAGE_BYTES:
                socket.abort()
            return
        line = bytes(socket.readLine(MAX_MESSAGE_BYTES).data())
        socket.write(b"ok\n")
        socket.flush()
        try:
            data = json.loads(line)
        except ValueError:
            return
        path = data.get("open") if isinstance(data, dict) else None
        self.raised.emit(path if isinstance(path, str) else "")


def _server_name(data_folder: Path) -> str:
    """A name of this folder, however it is spelled, and this person; short: socket paths end at some 100 bytes."""
    folder = os.path.normcase(os.path.realpath(data_folder))
    key = f"{QStandardPaths.writableLocation(QStandardPaths.StandardLocation.HomeLocation)}\n{folder}"
    return "hearth-" + hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:20]
