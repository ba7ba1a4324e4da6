"""How people name something on the hub: a repository, a file in it, or a quantization of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from app.core.errors import ErrorKind, UserError

MAX_REPO_LENGTH = 96  # of each half, as the hub has it
_HALF = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_REPO = re.compile(rf"{_HALF}/{_HALF}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_SCHEMES = ("hf://", "hf:", "huggingface:")
_FILE_WORDS = ("blob", "resolve", "raw", "tree")
MAIN = "main"


@dataclass(frozen=True, slots=True)
class HubReference:
    """A repository; with a path one file of it, with a quantization the file of that kind."""

    repo: str
    path: str = ""
    quantization: str = ""
    revision: str = MAIN


def parse_reference(text: str) -> HubReference:
    """`REPO`, `REPO/FILE`, `REPO:QUANTIZATION` or `REPO@REVISION…`, each also after `hf:`; or the address of a page.

    Raises UserError NOT_A_REFERENCE.
    """
    reference = _from_address(text.strip()) if "://" in text and not _is_scheme(text) else _from_words(text.strip())
    if reference is None:
        raise UserError(ErrorKind.NOT_A_REFERENCE, text=text[:MAX_REPO_LENGTH])
    return reference


def is_repo(text: str) -> bool:
    """Whether a text can be the name of a repository, "author/name"."""
    return (
        _REPO.fullmatch(text) is not None
        and all(len(half) <= MAX_REPO_LENGTH for half in text.split("/"))
        and "--" not in text
        and ".." not in text
        and not text.endswith(".git")
    )


def _is_scheme(text: str) -> bool:
    return text.strip().lower().startswith(_SCHEMES)


def _from_words(text: str) -> HubReference | None:
    for scheme in _SCHEMES:
        if text.lower().startswith(scheme):
            text = text[len(scheme) :]
            break
    author, _, rest = text.strip("/").partition("/")
    name, _, path = rest.partition("/")
    name, at, revision = name.partition("@")
    quantization = ""
    if not path:
        target = revision if at else name
        target, _, quantization = target.partition(":")
        name, revision = (name, target) if at else (target, "")
    return _checked(f"{author}/{name}", path, quantization, revision or MAIN)


def _from_address(text: str) -> HubReference | None:
    """`https://HOST/AUTHOR/NAME[/blob|resolve|raw|tree/REVISION[/PATH]]` of the hub or a mirror."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    words = [unquote(word) for word in parts.path.strip("/").split("/")]
    if parts.scheme not in ("http", "https") or not parts.hostname or len(words) < 2:
        return None
    repo, rest = "/".join(words[:2]), words[2:]
    if rest and (rest[0] not in _FILE_WORDS or len(rest) < 2):
        return _checked(repo, "", "", MAIN) if rest[0] in (*_FILE_WORDS, "discussions", "commits") else None
    path = "/".join(rest[2:]) if rest and rest[0] != "tree" else ""
    return _checked(repo, path, "", rest[1] if rest else MAIN)


def _checked(repo: str, path: str, quantization: str, revision: str) -> HubReference | None:
    is_safe = not any(word in ("", ".", "..") for word in path.split("/")) if path else True
    is_plain = all(letter.isprintable() for letter in path + quantization)
    if not is_repo(repo) or not is_safe or not is_plain:
        return None
    if not _REVISION.fullmatch(revision) or ".." in revision:
        return None
    return HubReference(repo, path, quantization, revision)
