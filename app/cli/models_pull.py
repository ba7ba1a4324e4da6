"""`hearth models pull`: download a model with the parts that the window downloads with."""

from __future__ import annotations

import argparse
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.cli.console import EXIT_FAILED, EXIT_INTERRUPTED, tell, write
from app.cli.hub_session import access_to_hub, hub_client, in_words, print_json, settings_of
from app.cli.models_hub import file_json, file_line, file_of
from app.cli.models_library import open_library
from app.core.downloads import DownloadFile, DownloadState, SpeedMeter
from app.core.errors import UserError
from app.core.hub_reference import parse_reference
from app.core.hub_values import HubDetails, HubFile
from app.core.library import FoundFile, Owner
from app.core.messages import utc_now
from app.core.settings import Value
from app.hub.download.interruptible import StoppedError
from app.hub.download.limiter import RateLimiter
from app.hub.download.transfer import Snapshot, Transfer, target_of
from app.hub.library_scan import read_models
from app.paths import Paths
from app.services.download_folder import download_folder, repo_folder
from app.services.wording import duration, file_size

EXIT_USAGE = 2
TICK_S = 0.25
JSON_TICKS = 4  # a line of JSON a second
BYTES_PER_MB = 1_000_000


def pull(arguments: argparse.Namespace, paths: Paths) -> int:
    """Download a model into its folder and put it into the library. Raises UserError."""
    reference = parse_reference(arguments.reference)
    settings = settings_of(paths)
    access = access_to_hub(paths, settings)
    with hub_client(access) as client:
        details = client.details(reference.repo, reference.revision)
    if not (reference.path or reference.quantization):
        return _ask_which(details, arguments.json)
    access.require_online()
    file = file_of(details, reference)
    repo = details.model.repo
    files = tuple(DownloadFile(repo, part.path, details.commit, part.sha256, part.size_bytes) for part in file.parts)
    folder = arguments.folder.absolute() if arguments.folder else _folder(settings, paths, repo)
    limiter = RateLimiter(_figure(settings["downloads.limit_mb_per_s"]) * BYTES_PER_MB)
    connections = int(_figure(settings["downloads.connections"]))
    transfer = Transfer(access, files, folder, limiter, connections, arguments.replace)
    run = _Run(transfer, arguments.json)
    done = run.follow()
    if done is None:
        snapshot = transfer.snapshot()
        kept = f"{file_size(snapshot.done_bytes)} of {file_size(snapshot.total_bytes or file.size_bytes)}"
        if arguments.json:
            print_json({"event": "stopped", "done_bytes": snapshot.done_bytes, "total_bytes": snapshot.total_bytes})
        tell(f"Stopped. {kept} are kept; the same command goes on from there.")
        return EXIT_INTERRUPTED
    places = [str(target_of(folder, each)) for each in done]
    _put_into_library(paths, details, done, places, file)
    if arguments.json:
        print_json({"event": "done", "path": places[0], "parts": places, "sha256": [each.sha256 for each in done]})
    else:
        write(places[0] + "\n")
    return 0


class _Run:
    """A transfer in a thread of its own, and what is shown of it here."""

    def __init__(self, transfer: Transfer, as_json: bool) -> None:
        self._transfer = transfer
        self._as_json = as_json
        self._meter = SpeedMeter()
        self._done: tuple[DownloadFile, ...] | None = None
        self._problem: Exception | None = None
        self._ended = threading.Event()
        self._told = ""
        self._line_length = 0

    def follow(self) -> tuple[DownloadFile, ...] | None:
        """Run to the end, showing how it goes; None after Ctrl+C.

        Raises what the transfer raises, and OutputError, after which nothing runs on unseen.
        """
        thread = threading.Thread(target=self._carry_out, name="hearth-pull")
        thread.start()
        tick = 0
        try:
            while not self._ended.wait(TICK_S):
                snapshot = self._transfer.snapshot()
                if snapshot.standing.is_receiving:
                    self._meter.note(time.monotonic(), snapshot.done_bytes)
                else:
                    self._meter.forget()
                self._show(snapshot, tick)
                tick += 1
        except KeyboardInterrupt:
            pass  # the transfer tells how far it came
        finally:
            self._transfer.stop()
            thread.join()  # what came so far is noted first
        self._clear_line()
        if isinstance(self._problem, StoppedError):
            return None
        if self._problem is not None:
            raise self._problem
        return self._done

    def _carry_out(self) -> None:
        try:
            self._done = self._transfer.run()
        except Exception as problem:
            self._problem = problem
        self._ended.set()

    def _show(self, snapshot: Snapshot, tick: int) -> None:
        standing = snapshot.standing
        if standing.state is DownloadState.WAITING and standing.cause is not None:
            self._tell(in_words(standing.cause))
        if self._as_json:
            if tick % JSON_TICKS == 0:
                print_json(_progress(snapshot, self._meter))
        elif sys.stderr is not None and sys.stderr.isatty():
            self._write_line(_progress_words(snapshot, self._meter))

    def _tell(self, words: str) -> None:
        """Why nothing moves, once."""
        if words != self._told:
            self._told = words
            self._clear_line()
            tell(words)

    def _write_line(self, text: str) -> None:
        text = text[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write("\r" + text.ljust(self._line_length))
        sys.stderr.flush()
        self._line_length = len(text)

    def _clear_line(self) -> None:
        if self._line_length:
            sys.stderr.write("\r" + " " * self._line_length + "\r")
            sys.stderr.flush()
            self._line_length = 0


def _ask_which(details: HubDetails, as_json: bool) -> int:
    """A repository has many files: which one is the person's choice."""
    repo = details.model.repo
    if as_json:
        print_json({"event": "choose", "repo": repo, "files": [file_json(file) for file in details.files]})
    if not details.files:
        tell(f"There is no GGUF file in {repo}.")
        return EXIT_FAILED
    first = details.files[0]
    example = f"{repo}:{first.quantization}" if first.quantization else f"{repo}/{first.path}"
    tell(f"Which file of {repo}? Name one, for example {example}")
    for file in details.files:
        tell(file_line(file))
    return EXIT_USAGE


def _folder(settings: Mapping[str, Value], paths: Paths, repo: str) -> Path:
    """Where the window would put it."""
    return repo_folder(download_folder(str(settings["downloads.folder"] or ""), paths.models), repo)


def _put_into_library(
    paths: Paths, details: HubDetails, done: tuple[DownloadFile, ...], places: list[str], file: HubFile
) -> None:
    """So that the window lists it. A projector is no model of its own; a database that is in use is told, no more."""
    sha256 = done[0].sha256 if len(done) == 1 else ""
    found = FoundFile(
        Owner.HEARTH, tuple(places), file.size_bytes, "", sha256, details.model.repo, done[0].commit or details.commit
    )
    read = read_models([found], whole=True)
    try:
        with open_library(paths) as library:
            library.add(read, utc_now(), show=True)
    except UserError as error:
        tell(f"The file is there, but the list of models was not changed. {in_words(error)}")


def _progress(snapshot: Snapshot, meter: SpeedMeter) -> dict[str, Any]:
    left = snapshot.total_bytes - snapshot.done_bytes
    return {
        "event": "progress",
        "state": snapshot.standing.state.value,
        "wait_reason": snapshot.standing.wait_reason.value,
        "done_bytes": snapshot.done_bytes,
        "total_bytes": snapshot.total_bytes,
        "bytes_per_second": round(meter.bytes_per_second),
        "seconds_left": meter.seconds_left(left) if snapshot.total_bytes else None,
    }


def _progress_words(snapshot: Snapshot, meter: SpeedMeter) -> str:
    if not snapshot.total_bytes:
        return "Connecting…"
    share = snapshot.done_bytes / snapshot.total_bytes
    words = f"{share:4.0%}  {file_size(snapshot.done_bytes)} of {file_size(snapshot.total_bytes)}"
    if snapshot.standing.state is DownloadState.VERIFYING:
        return f"{words}  verifying"
    speed = meter.bytes_per_second
    left_s = meter.seconds_left(snapshot.total_bytes - snapshot.done_bytes)
    return words + (f"  {file_size(round(speed))}/s  {duration(left_s)} left" if left_s is not None else "")


def _figure(value: Value) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
