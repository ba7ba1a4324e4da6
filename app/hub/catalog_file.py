"""The catalogue of models as a file: the one that came with Hearth, or one that was fetched."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.core.catalog import Catalog, parse_catalog
from app.core.errors import ErrorKind, UserError

MAX_BYTES = 8 * 1024 * 1024  # some twenty times what came with Hearth


def load_catalog(path: Path) -> Catalog:
    """Read and check a file. Raises UserError CATALOG_INVALID, also for a file that is not there."""
    return decode_catalog(read_catalog_file(path), str(path))


def read_catalog_file(path: Path) -> bytes:
    """The bytes of a file, if it is not larger than any catalogue. Raises UserError CATALOG_INVALID."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(ErrorKind.CATALOG_INVALID, path=str(path), where="", reason=str(error.strerror)) from error
    if len(data) > MAX_BYTES:
        raise too_large(str(path))
    return data


def too_large(name: str) -> UserError:
    """The error for a file or an answer of more than `MAX_BYTES`."""
    return UserError(ErrorKind.CATALOG_INVALID, path=name, where="", reason=f"it is larger than {MAX_BYTES} bytes")


def decode_catalog(data: bytes, name: str) -> Catalog:
    """The catalogue in `data`; `name` is the path or address for error messages. Raises UserError CATALOG_INVALID."""
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = f"it is not JSON: {error}" if isinstance(error, ValueError) else "it is nested too deeply"
        raise UserError(ErrorKind.CATALOG_INVALID, path=name, where="", reason=reason) from error
    try:
        return parse_catalog(document)
    except UserError as error:
        raise UserError(error.kind, **{**error.details, "path": name}) from error


def keep_catalog(data: bytes, path: Path) -> None:
    """Put a checked catalogue in place of the one that was kept before, whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def encode_catalog(document: Mapping[str, Any]) -> bytes:
    """The layout of the file in the repository: a field or a model file on each line, so that changes read well."""
    lines = ["{"]
    lines += [f" {_json(name)}: {_json(document[name])}," for name in ("version", "updated")]
    lines.append(' "licences": [')
    lines.append(",\n".join(f"  {_json(licence)}" for licence in document["licences"]))
    lines.append(' ],\n "models": [')
    lines.append(",\n".join(_row(model) for model in document["models"]))
    lines.append(" ]\n}\n")
    return "\n".join(lines).encode("utf-8")


def _row(model: Mapping[str, Any]) -> str:
    fields = []
    for name, value in model.items():
        if name in ("files", "projectors"):
            inner = ",\n".join(f"    {_json(file)}" for file in value)
            fields.append(f"   {_json(name)}: [\n{inner}\n   ]")
        else:
            fields.append(f"   {_json(name)}: {_json(value)}")
    return "  {\n" + ",\n".join(fields) + "\n  }"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
