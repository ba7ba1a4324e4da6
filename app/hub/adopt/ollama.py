"""Ollama: manifests/HOST/OWNER/NAME/TAG name layers, which lie in blobs under their digest.

The format is that of container images (https://github.com/opencontainers/image-spec/blob/main/manifest.md) with media
types of Ollama's own; a layer "…image.model" is a GGUF file without an ending in its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.core.library import FoundFile, Owner
from app.hub.adopt.places import Places, read_record

_MODEL = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_MAX_MANIFESTS = 5_000
_HUB_HOSTS = ("hf.co", "huggingface.co")


def find(places: Places) -> Iterator[FoundFile]:
    """The models that were pulled; one that several names share comes once, under the first."""
    seen = set()
    for folder in _folders(places):
        for manifest in _manifests(folder / "manifests"):
            found = _read(folder, manifest)
            if found is not None and found.path not in seen:
                seen.add(found.path)
                yield found


def _folders(places: Places) -> Iterator[Path]:
    if (named := places.named("OLLAMA_MODELS")) is not None:
        yield named
    yield places.home / ".ollama" / "models"
    if places.system.startswith("linux"):  # where its service has its home
        yield places.root / "usr" / "share" / "ollama" / ".ollama" / "models"
        yield places.root / "var" / "lib" / "ollama" / ".ollama" / "models"
        yield places.root / "var" / "lib" / "ollama" / "models"


def _manifests(folder: Path) -> Iterator[Path]:
    """HOST/OWNER/NAME/TAG: the files four levels down."""
    try:
        for count, path in enumerate(sorted(folder.glob("*/*/*/*"))):
            if count >= _MAX_MANIFESTS:
                return
            if path.is_file():
                yield path
    except OSError:
        return


def _read(folder: Path, manifest: Path) -> FoundFile | None:
    layers = read_record(manifest).get("layers")
    digests = [digest for layer in layers if (digest := _model_digest(layer))] if isinstance(layers, list) else []
    if len(digests) != 1:  # none: a model that runs elsewhere; several: its tensors one by one
        return None
    digest = digests[0]
    for name in (f"sha256-{digest}", f"sha256:{digest}"):  # older versions wrote a colon
        blob = folder / "blobs" / name
        try:
            size = blob.stat().st_size
        except OSError:
            continue
        host, owner, model, tag = manifest.parts[-4:]
        is_of_hub = host in _HUB_HOSTS
        called = model if owner == "library" or is_of_hub else f"{owner}/{model}"
        repo = f"{owner}/{model}" if is_of_hub else ""
        return FoundFile(Owner.OLLAMA, (str(blob),), size, f"{called}:{tag}", digest, repo)
    return None


def _model_digest(layer: Any) -> str:
    if not isinstance(layer, dict) or layer.get("mediaType") != _MODEL:
        return ""
    digest = _DIGEST.fullmatch(str(layer.get("digest")))
    return digest[1] if digest else ""
