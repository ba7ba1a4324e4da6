"""Names that others chose, made fit for the disks of this world."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath

from app.core.errors import ErrorKind, UserError

# Most file systems take 255 bytes; what stands beside a file while it is downloaded has a longer name than it.
MAX_NAME_BYTES = 200
MAX_DEPTH = 8
_FORBIDDEN = re.compile(r'[<>:"\\|?*\x00-\x1f\x7f]')  # on Windows; a backslash would be a folder there
_INVISIBLE = re.compile(r"[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")  # could make a name look like another
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])", re.IGNORECASE)
# The numbering of split models must survive: llama.cpp finds the other parts by it.
_TAIL = re.compile(r"(-\d{5}-of-\d{5})?(\.[A-Za-z0-9]{1,10})?$")


def safe_path(path: str) -> PurePosixPath:
    """A path from the hub as a relative path that every system can store, and that stays where it is put.

    Letters that Windows refuses become `_`, long names are shortened, the same way everywhere and every time. Raises
    UserError UNSAFE_NAME for paths that lead elsewhere or nowhere, since no honest repository has them.
    """
    parts = path.split("/")
    if len(parts) > MAX_DEPTH or any(part.strip(". ") == "" for part in parts) or "\0" in path:
        raise UserError(ErrorKind.UNSAFE_NAME, path=path[:MAX_NAME_BYTES])
    if "\\" in path or re.match(r"[A-Za-z]:", path):
        raise UserError(ErrorKind.UNSAFE_NAME, path=path[:MAX_NAME_BYTES])
    return PurePosixPath(*(safe_name(part) for part in parts))


def safe_name(name: str) -> str:
    """One part of a path, fit for every system. Never empty, `.` or `..`."""
    name = name.encode("utf-8", "replace").decode("utf-8")
    name = _FORBIDDEN.sub("_", _INVISIBLE.sub("", name)).replace("/", "_")
    name = name.rstrip(". ") or "_"
    if _RESERVED.fullmatch(name.split(".")[0].rstrip(" ")):
        name = f"_{name}"
    return _shortened(name)


def _shortened(name: str) -> str:
    if len(name.encode("utf-8")) <= MAX_NAME_BYTES:
        return name
    found = _TAIL.search(name)
    tail = found[0] if found else ""
    head = name[: len(name) - len(tail)]
    mark = "~" + hashlib.sha256(head.encode("utf-8")).hexdigest()[:8]  # two long names stay two
    room = MAX_NAME_BYTES - len((mark + tail).encode("utf-8"))
    return head.encode("utf-8")[:room].decode("utf-8", "ignore") + mark + tail
