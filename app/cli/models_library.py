"""`hearth models list`, `rm` and `adopt`: what is on this computer."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from app.cli.console import EXIT_FAILED, tell, write
from app.cli.hub_session import print_json, settings_of
from app.core.errors import ErrorKind, UserError
from app.core.library import LibraryModel, Owner
from app.core.messages import utc_now
from app.hub.adopt.places import Places
from app.hub.adopt.programs import find_new
from app.hub.library_scan import look, read_models
from app.paths import Paths
from app.services.download_folder import download_folder
from app.services.trash import move_to_trash
from app.services.wording import file_size
from app.storage.database import Database
from app.storage.models import ModelFileStore

PROGRAMS = {
    Owner.LM_STUDIO: "LM Studio",
    Owner.OLLAMA: "Ollama",
    Owner.JAN: "Jan",
    Owner.GPT4ALL: "GPT4All",
    Owner.HUB_CACHE: "the hub's cache",
    Owner.TEXT_GENERATION_WEBUI: "text-generation-webui",
    Owner.LLAMA_CPP: "llama.cpp",
}


@contextmanager
def open_library(paths: Paths) -> Iterator[ModelFileStore]:
    """The list of models in the database. Raises UserError."""
    try:
        paths.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(ErrorKind.READ_ONLY, path=str(paths.data), reason=error.strerror or "") from error
    database = Database.open(paths.database, paths.backups)
    try:
        yield ModelFileStore(database)
    finally:
        database.close()


def list_models(arguments: argparse.Namespace, paths: Paths) -> int:
    """Print the library after a look at the disk. Raises UserError."""
    found = _look(paths)
    if arguments.json:
        print_json([_model_json(model) for model in found])
        return 0
    for model in found:
        write(_line(model) + "\n")
    if not found:
        tell("There is no model yet: see `models search` and `models adopt`.")
    return 0


def remove(arguments: argparse.Namespace, paths: Paths) -> int:
    """Move a model to the trash, or only take it off the list. Raises UserError."""
    named = _named(_look(paths), arguments.name)
    if len(named) != 1:
        return _refuse(arguments.name, named, arguments.json)
    (model,) = named
    with open_library(paths) as library:
        is_kept = arguments.keep_file or model.is_read_only
        places = () if is_kept or model.is_missing else move_to_trash(model.parts)
        library.hide([model.path])
    if arguments.json:
        print_json({"removed": model.path, "trash": [place for _, place in places]})
    elif places:
        tell(f"{model.name} is in the trash.")
    elif model.is_read_only:
        tell(f"{model.name} is off the list. Its file belongs to {PROGRAMS[model.owner]} and stays.")
    else:
        tell(f"{model.name} is off the list.")
    return 0


def adopt(arguments: argparse.Namespace, paths: Paths) -> int:
    """Put the models of other programs on the list, where they lie. Raises UserError."""
    with open_library(paths) as library:
        listed = library.list()
        here = (model.sha256 for model in listed if Path(model.path).exists())
        fresh = find_new(Places.of_this_user(), (model.path for model in listed), here)
        read = read_models(fresh, whole=not arguments.dry_run)
        if not arguments.dry_run:
            library.add(read, utc_now(), show=True)
    models = [model for model, _ in read]
    if arguments.json:
        print_json([_model_json(model) for model in models])
        return 0
    for model in models:
        write(_line(model) + "\n")
    tell(_adopted(models, arguments.dry_run))
    return 0


def _look(paths: Paths) -> list[LibraryModel]:
    """The library, with files that came or went since the window looked."""
    own_folder = download_folder(str(settings_of(paths)["downloads.folder"] or ""), paths.models)
    with open_library(paths) as library:
        scan = look(library.list(), own_folder, library.folders(), library.seen(), Places.of_this_user())
        library.add(scan.fresh, utc_now())
        return [replace(model, is_missing=model.path in scan.missing) for model in library.list()]


def _named(models: Sequence[LibraryModel], name: str) -> list[LibraryModel]:
    """Those that a person can mean: by path, by file name, by name."""
    wanted, path = name.casefold(), str(Path(name).absolute())
    by_path = [model for model in models if model.path in (name, path)]
    return by_path or [model for model in models if wanted in (model.name.casefold(), Path(model.path).name.casefold())]


def _refuse(name: str, named: Sequence[LibraryModel], as_json: bool) -> int:
    if as_json:
        kind = "several_models" if named else "no_such_model"
        print_json({"error": {"kind": kind, "details": {"name": name, "paths": [model.path for model in named]}}})
    if not named:
        tell(f"No model on the list is called {name}. `models list` shows them.")
    else:
        tell(f"Several models are called {name}. Name one by its path:")
        for model in named:
            tell(f"  {model.path}")
    return EXIT_FAILED


def _line(model: LibraryModel) -> str:
    facts = [file_size(model.size_bytes)]
    if model.quantization:
        facts.append(model.quantization)
    if model.is_read_only:
        facts.append(f"of {PROGRAMS[model.owner]}")
    if model.is_missing:
        facts.append("the file is gone")
    return f"{model.name}  ({', '.join(facts)})  {model.path}"


def _adopted(models: Sequence[LibraryModel], only_looked: bool) -> str:
    if not models:
        return "No other program has a model here that is not on the list."
    total = file_size(sum(model.size_bytes for model in models))
    if only_looked:
        return f"{len(models)} models, {total}, could be used where they lie."
    return f"{len(models)} models, {total}, are on the list now. They stay where they are."


def _model_json(model: LibraryModel) -> dict[str, Any]:
    moments = {
        "added_at": model.added_at.isoformat() if model.added_at else None,
        "last_used_at": model.last_used_at.isoformat() if model.last_used_at else None,
    }
    return {**asdict(model), **moments}
