"""How a LoRA adapter is named on the command line."""

from __future__ import annotations

from pathlib import Path

from app.core.adapter import Adapter

ADAPTER_HELP = "a LoRA file that changes the model, once or several times; strength 1 is as it was trained"


def adapter(text: str) -> Adapter:
    """Reads "style.gguf" or "style.gguf=0.5"; the file may have an equals sign in its name."""
    path, _, strength = text.rpartition("=")
    try:
        scale = float(strength) if path else 1.0
    except ValueError:
        path, scale = "", 1.0
    return Adapter(str(Path(path or text).absolute()), scale)
