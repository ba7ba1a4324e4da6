"""What can be typed after `hearth models`."""

from __future__ import annotations

import argparse
import re
from contextlib import suppress
from pathlib import Path

from app.core.hub_values import SearchSort

_SIZE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*([kmgt]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_REFERENCE = "author/name, author/name/file.gguf or author/name:Q4_K_M; also hf:… or the address of a page"


def add_model_commands(parser: argparse.ArgumentParser) -> None:
    """Add list, search, info, pull, rm and adopt to the parser of `hearth models`."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print JSON")
    shared.add_argument("--data-dir", metavar="DIR", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="action", metavar="COMMAND", required=True)

    def command(name: str, words: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, parents=[shared], help=words, description=words)

    command("list", "List the models on this computer.")
    search = command("search", "Search the hub for GGUF models.")
    search.add_argument("text", nargs="?", default="", help="words of the name")
    search.add_argument("--author", default="", help="whose models")
    search.add_argument("--task", default="", help="the hub's name of a task, such as text-generation")
    search.add_argument(
        "--max-size", type=size_in_bytes, metavar="SIZE", help="of the usual file of 4 bits a weight, such as 8GB"
    )
    search.add_argument("--sort", choices=[sort.value for sort in SearchSort], default=SearchSort.DOWNLOADS.value)
    search.add_argument("--limit", type=_count, default=20, metavar="N", help="how many (20)")
    info = command("info", "Show what a repository or a file on the hub is.")
    info.add_argument("reference", metavar="REPO[/FILE]", help=_REFERENCE)
    pull = command("pull", "Download a model. After an interruption the same command goes on.")
    pull.add_argument("reference", metavar="REPO/FILE", help=_REFERENCE)
    pull.add_argument("--folder", type=Path, metavar="DIR", help="put the file there; else where Hearth keeps models")
    pull.add_argument("--replace", action="store_true", help="replace another file of the same name")
    remove = command("rm", "Move a model to the trash; one of another program is only taken off the list.")
    remove.add_argument("name", help="its name or path, as `list` shows it")
    remove.add_argument("--keep-file", action="store_true", help="only take it off the list")
    adopt = command("adopt", "Use the models that other programs have on this computer, where they lie.")
    adopt.add_argument("--dry-run", action="store_true", help="only say which")


def size_in_bytes(text: str) -> int:
    """Reads "8GB", "500 MB" or a number of bytes. Raises argparse.ArgumentTypeError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or not (size := round(float(match[1]) * _UNITS[match[2].lower()])):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 8GB")
    return size


def _count(text: str) -> int:
    with suppress(ValueError):
        if 1 <= (number := int(text)) <= 1000:
            return number
    raise argparse.ArgumentTypeError("must be between 1 and 1000")
