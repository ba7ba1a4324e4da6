"""`hearth models`: search the hub, download, and see to what is on this computer."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from app.cli.console import EXIT_FAILED, tell
from app.cli.hub_session import in_words, print_json
from app.cli.models_hub import info, search
from app.cli.models_library import adopt, list_models, remove
from app.cli.models_pull import pull
from app.core.errors import UserError
from app.paths import Paths, choose_paths

_COMMANDS: dict[str, Callable[[argparse.Namespace, Paths], int]] = {
    "list": list_models,
    "search": search,
    "info": info,
    "pull": pull,
    "rm": remove,
    "adopt": adopt,
}


def models(arguments: argparse.Namespace) -> int:
    """Do what the arguments say. Exit code 0; 1 with the reason on standard error; 2 to ask back; 130 after Ctrl+C."""
    try:
        return _COMMANDS[arguments.action](arguments, choose_paths(arguments.data_dir))
    except UserError as error:
        if arguments.json:
            print_json({"error": error.to_json()})
        tell(in_words(error))
        return EXIT_FAILED
