"""Moves files and is killed in the middle. Run with JOURNAL and FOLDER; reads commands from its standard input.

`NUMBER PART...`: a process of its own moves the parts and dies by SIGKILL before its NUMBERth change of the disk;
answers `killed`, or `done` when there were fewer. `slow PART...`: moves them and stays in the middle.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from app.hub.file_moves import move_model
from app.hub.move_journal import MoveJournal

CHANGES = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.utime", "fcntl.flock"})
FOR_EVER_S = 600


def die_before(number: int) -> None:
    left = number

    def on_event(event: str, _: tuple[object, ...]) -> None:
        nonlocal left
        if event in CHANGES:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(on_event)


def main() -> None:
    journal, folder = MoveJournal(Path(sys.argv[1])), Path(sys.argv[2])
    for line in sys.stdin:
        command, *names = line.split()
        parts = [Path(name) for name in names]
        if command == "slow":
            move_model(parts, folder, journal, lambda _: time.sleep(FOR_EVER_S), lambda: False)
            continue
        child = os.fork()
        if child == 0:
            die_before(int(command))
            move_model(parts, folder, journal, lambda _: None, lambda: False)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(status) else "done", flush=True)


if __name__ == "__main__":
    main()
