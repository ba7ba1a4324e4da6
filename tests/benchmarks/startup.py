"""What starting costs. Run: python -m tests.benchmarks.startup [--rounds N] [--messages N] [--platform offscreen|xcb]

Interactive means: the window is exposed, the message box has the focus, and one turn of the event loop has passed. The
clock starts before the process does. Everything is warm: bytecode is compiled first and two starts are not counted.
CPU time is that of all threads of the window's process. Memory is measured 2.5 s later, with the built-in model loaded:
RSS counts libraries that other processes share, USS is what this process alone takes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from app.core.messages import Conversation, ConversationId, Message
from app.paths import choose_paths
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from tests.benchmarks.transcript import conversation, report_one

ROOT = Path(__file__).resolve().parents[2]
WARM_UP = 2
MAX_START_MS = 1_000
MAX_MEMORY_MB = 150


def environment(platform: str) -> dict[str, str]:
    """As on a person's machine: bytecode is used."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "QT_QPA_PLATFORM": platform, "PYTHONPATH": str(ROOT)}


def start(data: Path, platform: str, messages: int = 0) -> dict[str, float]:
    """The figures of one start."""
    probe = str(Path(__file__).with_name("startup_probe.py"))
    words = [sys.executable, "-P", probe, str(time.monotonic()), str(messages), "--data-dir", str(data)]
    done = subprocess.run(words, cwd=ROOT, env=environment(platform), capture_output=True, text=True, timeout=120)
    if done.returncode != 0 or not done.stdout:
        raise RuntimeError(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def store_conversation(data: Path, count: int) -> None:
    """A data folder whose last conversation has so many messages."""
    paths = choose_paths(str(data))
    paths.data.mkdir()
    database = Database.open(paths.database, paths.backups)
    store = ConversationStore(database)
    key = ConversationId("benchmark")
    messages: list[Message] = []
    for item in conversation(count):
        parent = messages[-1].id if messages else None
        messages.append(replace(item.message, conversation_id=key, parent_id=parent))
    store.save_exchange(Conversation(key, "Benchmark"), messages, messages[-1].id)
    database.close()
    paths.settings.write_text(json.dumps({"window.last_conversation": key}), "utf-8")


def show(name: str, runs: list[dict[str, float]]) -> bool:
    print(f"\n{name}, {len(runs)} starts{'':<20}{'median':>9}{'least':>9}{'most':>9}")
    for key, unit in (
        ("wall_ms", "ms to interactive"),
        ("cpu_ms", "ms of CPU until then"),
        ("main_thread_cpu_ms", "ms of these on the main thread"),
        ("opened_ms", "ms until the conversation is shown"),
        ("rss_mb", "MB RSS"),
        ("uss_mb", "MB USS"),
    ):
        values = [run[key] for run in runs]
        print(f"  {unit:<40}{statistics.median(values):>9.0f}{min(values):>9.0f}{max(values):>9.0f}")
    report_one("  to interactive, median", statistics.median(run["wall_ms"] for run in runs), "ms", MAX_START_MS)
    report_one("  memory (RSS), median", statistics.median(run["rss_mb"] for run in runs), "MB", MAX_MEMORY_MB)
    return (
        statistics.median(run["wall_ms"] for run in runs) <= MAX_START_MS
        and statistics.median(run["rss_mb"] for run in runs) <= MAX_MEMORY_MB
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--messages", type=int, default=5_000)
    parser.add_argument("--platform", default="offscreen")
    options = parser.parse_args()
    compiled = [sys.executable, "-m", "compileall", "-q", str(ROOT / "app")]
    subprocess.run(compiled, check=True, env=environment(options.platform))
    print(f"load of the machine over the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        empty, full = Path(folder) / "empty", Path(folder) / "full"
        store_conversation(full, options.messages)
        for _ in range(WARM_UP):
            start(empty, options.platform)
        good = show("no conversation", [start(empty, options.platform) for _ in range(options.rounds)])
        runs = [start(full, options.platform, options.messages) for _ in range(max(1, options.rounds // 2))]
        good &= show(f"a conversation of {options.messages} messages", runs)
    print(
        f"\nload at the end: {os.getloadavg()[0]:.1f}. "
        + ("Within the targets." if good else "NOT within the targets.")
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
