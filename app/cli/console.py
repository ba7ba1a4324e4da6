"""What the commands share with their terminal: any encoding, readers that leave early, Ctrl+C."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable
from typing import TextIO

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


class OutputError(Exception):
    """Standard output takes nothing more; the text says why, and is empty when its reader has just gone."""


def run_command(command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run a command; its exit code, 1 when its output reached nobody, 130 after Ctrl+C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without a letter shows "?" for it
    try:
        return command(arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OutputError as error:
        _leave(sys.stdout)
        if str(error):
            tell(f"The output cannot be written: {error}")
        return EXIT_FAILED


def tell(text: str) -> None:
    """Say on standard error what is no output; nobody need be there to hear it."""
    if sys.stderr is None:  # `print` would take standard output instead
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _leave(sys.stderr)


def write(text: str) -> None:
    """Print text at once. Raises OutputError."""
    if sys.stdout is None:
        raise OutputError
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        raise _output_error(error) from None


def write_json(line: bytes) -> None:
    """Print JSON at once, in UTF-8 whatever the terminal speaks. Raises OutputError."""
    if sys.stdout is None:
        raise OutputError
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise _output_error(error) from None


def read_all() -> str:
    """Standard input to its end, as UTF-8; what is not becomes U+FFFD. Empty when there is no input."""
    return "" if sys.stdin is None else sys.stdin.buffer.read().decode("utf-8", "replace")


def _output_error(error: OSError) -> OutputError:
    return OutputError("" if isinstance(error, BrokenPipeError) else error.strerror or "")


def _leave(stream: TextIO | None) -> None:
    """What is left in the buffer must not be tried again at the end of the interpreter, which would complain."""
    if stream is not None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
