"""How contents are named on the hub: the SHA-256 of a large file, git's SHA-1 of a small one, and of a commit."""

from __future__ import annotations

import re

SHA256 = re.compile(r"[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")
GIT_DIGITS = 40


def digest_in(etag: str) -> str:
    """The digest that an ETag holds, in small letters; empty if there is none."""
    text = etag.removeprefix("W/").strip('"').lower()
    return text if SHA256.fullmatch(text) or COMMIT.fullmatch(text) else ""
