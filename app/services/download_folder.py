"""Where downloads go, for the window and the command line alike."""

from __future__ import annotations

from pathlib import Path

from app.core.file_names import safe_name


def download_folder(chosen: str, own_folder: Path) -> Path:
    """The folder that the person chose in the settings; for an empty text Hearth's own."""
    if not chosen.strip():
        return own_folder
    typed = Path(chosen.strip())
    try:
        return typed.expanduser()
    except RuntimeError:  # `~name` of nobody whom this computer knows
        return typed


def repo_folder(folder: Path, repo: str) -> Path:
    """Inside it, the folder of a repository: of its author, then of its name."""
    return folder.joinpath(*map(safe_name, repo.split("/")))
