"""The end of the parent is the end of the child, whatever it is doing and however the parent died."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

import psutil

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> None:
    """Arrange that this process ends when its parent does.

    The end of standard input usually comes first; this is for the case that another process inherited the
    pipe. On Linux the kernel sends SIGKILL, even while the interpreter is stuck; elsewhere a thread waits for
    the parent. (The kernel watches the parent's *thread* that started us: EngineClient lives on the main
    thread, which is the last to go.)
    """
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died while we asked
            os._exit(0)
    else:
        threading.Thread(target=_wait_for_end_of, args=(parent,), name="parent-watch", daemon=True).start()


def _wait_for_end_of(pid: int) -> None:
    try:
        psutil.Process(pid).wait()
    except psutil.Error:
        return  # not to be watched; the end of standard input remains
    os._exit(0)
