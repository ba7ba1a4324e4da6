"""What storing and reading conversations costs: `python -m tests.benchmarks.storage`.

Times are CPU time of the store's thread (its work keeps the window waiting only as far as it holds the interpreter) and
wall time, medians with the worst in brackets.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from app.core.messages import (
    Conversation,
    Message,
    MessageId,
    Role,
    TextPart,
    Usage,
    new_conversation_id,
    new_message_id,
)
from app.storage.backups import make_backup
from app.storage.conversations import ConversationStore
from app.storage.database import Database

MESSAGES = 5_000
WORDS = "words of an answer with some Ünïcödé, "


def conversation_of(length: int) -> tuple[Conversation, list[Message]]:
    conversation = Conversation(new_conversation_id(), "A long one")
    messages: list[Message] = []
    parent: MessageId | None = None
    for number in range(length):
        role = Role.ASSISTANT if number % 2 else Role.USER
        text = WORDS * (20 if role is Role.ASSISTANT else 3)
        usage = Usage(1000, 900, 200, 12.5, 3000.0, 80.0) if role is Role.ASSISTANT else None
        message = Message(new_message_id(), conversation.id, parent, role, (TextPart(text),), usage=usage)
        messages.append(message)
        parent = message.id
    return conversation, messages


def timed(name: str, times: int, action: Callable[[int], object]) -> None:
    wall_ms: list[float] = []
    cpu_ms: list[float] = []
    for turn in range(times):
        wall, cpu = time.perf_counter(), time.thread_time()
        action(turn)
        wall_ms.append((time.perf_counter() - wall) * 1000)
        cpu_ms.append((time.thread_time() - cpu) * 1000)
    print(f"{name:<52} {figures(cpu_ms)}  {figures(wall_ms)}")


def figures(values: list[float]) -> str:
    return f"{statistics.median(values):8.2f} ({max(values):8.2f})"


def grown(message: Message, steps: int, final_chars: int) -> Iterator[Message]:
    """The message as it is stored every 500 ms while it streams."""
    text = WORDS * (final_chars // len(WORDS) + 1)
    for step in range(1, steps + 1):
        yield message.with_text(text[: final_chars * step // steps])


def main() -> int:
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        path, backups = folder / "hearth.db", folder / "backups"
        print(f"{'milliseconds: median (worst)':<52} {'CPU':>19}  {'wall':>19}")
        timed("open, blank (imports Alembic)", 1, lambda _: Database.open(path, backups).close())
        timed("open, blank (Alembic is there)", 1, lambda _: Database.open(folder / "2.db", backups).close())
        database = Database.open(path, backups)
        store = ConversationStore(database)
        conversation, messages = conversation_of(MESSAGES)
        leaf = messages[-1].id
        timed(f"store {MESSAGES:,} messages at once", 1, lambda _: store.save_exchange(conversation, messages, leaf))
        timed(f"read {MESSAGES:,} messages", 15, lambda _: store.messages(conversation.id))
        for chars in (2_000, 20_000, 100_000):
            versions = list(grown(messages[-1], 200, chars))
            timed(
                f"store a streamed answer again, up to {chars:,} characters",
                len(versions),
                lambda turn, versions=versions: store.update_messages([versions[turn]]),
            )
        timed("save a draft", 50, lambda turn: store.save_draft(conversation.id, "x" * turn))
        for _ in range(999):
            store.create(Conversation(new_conversation_id(), "Another"))
        timed("list 1,000 conversations", 15, lambda _: store.list())
        timed("mark interrupted answers (start-up)", 15, lambda _: store.interrupt_streaming())
        timed("backup, checked", 5, lambda _: make_backup(database, backups))
        database.close()
        size_mb = path.stat().st_size / 1e6
        timed(f"open, {size_mb:.0f} MB, with check", 10, lambda _: Database.open(path, backups).close())
    return 0


if __name__ == "__main__":
    sys.exit(main())
