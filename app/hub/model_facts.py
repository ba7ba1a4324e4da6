"""What the list of models shows of a file, read from its header. For worker threads."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from app.core.errors import ErrorKind, UserError
from app.core.gguf import GgufHeader
from app.core.gguf_reader import read_header, read_prefix
from app.core.library import FoundFile, LibraryModel
from app.core.quantizations import quantization_of, quantization_of_type

_PREFIX_BYTES = 64 * 1024  # what stands before the vocabulary takes a few thousand
_MAX_FIGURE = 2**53
_NO_LANGUAGE_MODELS = ("clip", "")  # projectors, and files that say nothing of themselves


def read_facts(found: FoundFile, *, whole: bool) -> tuple[LibraryModel, int]:
    """A found file as the library has it, with the time of its last change in nanoseconds.

    Not `whole`: only what stands before the vocabulary, in a millisecond. Whether there is a template and how many
    parameters there are is known from the whole header alone, which takes up to a tenth of a second. A file of another
    size than was found has been replaced since: hash and commit are not its own.

    Raises UserError when the file cannot be read or is no language model.
    """
    path = Path(found.path)
    try:
        with path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())  # of the very file that is read
            if whole:
                header = read_header(file, status.st_size)
            else:
                header = read_prefix(file.read(_PREFIX_BYTES), status.st_size)
    except FileNotFoundError as error:
        raise UserError(ErrorKind.FILE_MISSING, path=found.path) from error
    except OSError as error:
        raise UserError(ErrorKind.FILE_UNREADABLE, path=found.path, reason=error.strerror or str(error)) from error
    except UserError as error:
        raise UserError(error.kind, **{**error.details, "path": found.path}) from error
    if header.architecture in _NO_LANGUAGE_MODELS or header.text("general.type") in ("adapter", "mmproj"):
        raise UserError(ErrorKind.NOT_A_MODEL, path=found.path)
    if len(found.parts) == 1 and status.st_size != found.size_bytes:
        found = replace(found, size_bytes=status.st_size, sha256="", commit="")
    return _describe(found, header), status.st_mtime_ns


def _describe(found: FoundFile, header: GgufHeader) -> LibraryModel:
    path = Path(found.path)
    name = found.name or header.line("general.name") or path.stem
    model = LibraryModel(
        path=found.path,
        name=name,
        owner=found.owner,
        parts=found.parts,
        size_bytes=found.size_bytes,
        architecture=header.line("general.architecture"),
        quantization=_quantization(path, header),
        context_length=_figure(header.integer(f"{header.architecture}.context_length") or 0),
        licence=header.line("general.license"),
        sha256=found.sha256,
        repo=found.repo,
        commit=found.commit,
    )
    if not header.tensors:
        return model
    parameters = sum(tensor.elements for tensor in header.tensors)
    for part in found.parts[1:]:  # each part of a split model names its own tensors
        with suppress(OSError, UserError), Path(part).open("rb", buffering=0) as file:
            parameters += sum(tensor.elements for tensor in read_header(file).tensors)
    return replace(model, parameters=_figure(parameters), has_template="tokenizer.chat_template" in header.metadata)


def _figure(number: int) -> int:
    """A number of the header, 0 for one that no model has."""
    return number if 0 <= number <= _MAX_FIGURE else 0


def _quantization(path: Path, header: GgufHeader) -> str:
    named = quantization_of("/".join(path.parts[-2:])) or quantization_of_type(header.integer("general.file_type"))
    return named.name if named is not None else ""
