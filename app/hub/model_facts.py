"""What the list of models shows of a file, read from its header. For worker threads."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from app.core.errors import ErrorKind, UserError
from app.core.gguf import GgufHeader, read_header, read_prefix
from app.core.library import FoundFile, LibraryModel
from app.core.quantizations import quantization_named, quantization_of

# `general.file_type` (llama.cpp's enum llama_ftype)
_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4",
    39: "NVFP4",
    40: "Q1_0",
    41: "Q2_0",
}
_PREFIX_BYTES = 64 * 1024  # what stands before the vocabulary takes a few thousand
_NO_LANGUAGE_MODELS = ("clip", "")  # projectors, and files that say nothing of themselves


def read_facts(found: FoundFile, *, whole: bool) -> tuple[LibraryModel, int]:
    """A found file as the library has it, with the time of its last change in nanoseconds.

    Not `whole`: only what stands before the vocabulary, in a millisecond. Whether there is a template and how many
    parameters there are is known from the whole header alone, which takes up to a tenth of a second.

    Raises UserError when the file cannot be read or is no language model.
    """
    path = Path(found.path)
    try:
        status = path.stat()
        with path.open("rb", buffering=0) as file:
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
    return _describe(found, header), status.st_mtime_ns


def _describe(found: FoundFile, header: GgufHeader) -> LibraryModel:
    path = Path(found.path)
    name = found.name or (header.text("general.name") or "").strip() or path.stem
    model = LibraryModel(
        path=found.path,
        name=name,
        owner=found.owner,
        parts=found.parts,
        size_bytes=found.size_bytes,
        architecture=header.architecture,
        quantization=_quantization(path, header),
        context_length=header.integer(f"{header.architecture}.context_length") or 0,
        licence=(header.text("general.license") or "").strip(),
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
    return replace(model, parameters=parameters, has_template="tokenizer.chat_template" in header.metadata)


def _quantization(path: Path, header: GgufHeader) -> str:
    named = quantization_of("/".join(path.parts[-2:]))
    if named is None:
        named = quantization_named(_FILE_TYPES.get(header.integer("general.file_type") or 0, ""))
    return named.name if named is not None else ""
