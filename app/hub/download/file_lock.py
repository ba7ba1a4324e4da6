"""One writer for one file, whoever runs: other windows, other instances, other computers on the same drive."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_NOT_SUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}  # some network drives


class FileLock:
    """A lock that the system takes back when its process dies, however it dies. Any thread; not reentrant."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def acquire(self) -> bool:
        """Take the lock, False if another process or object has it. Raises OSError when the folder refuses files."""
        while True:
            file = self._path.open("ab")
            try:
                if not _try_lock(file):
                    file.close()
                    return False
                if self._is_still_there(file):
                    self._file = file
                    return True
            except BaseException:
                file.close()
                raise
            file.close()  # its owner removed it between our opening and our locking

    def release(self) -> None:
        """Give the lock back and remove its file. Does nothing without it."""
        file, self._file = self._file, None
        if file is None:
            return
        if sys.platform == "win32":  # an open file cannot be removed there; whoever has it by now keeps it
            file.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)  # elsewhere while it is ours: nobody else has locked this very file
        file.close()

    def _is_still_there(self, file: BinaryIO) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: BinaryIO) -> bool:
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK):
                return False
            raise
        return True

else:
    import fcntl

    def _try_lock(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
        return True
