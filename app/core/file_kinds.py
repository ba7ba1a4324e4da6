"""Guesses from a file's first bytes what it is when it is no model, so that a person can be told."""

from __future__ import annotations

from enum import StrEnum


class FileKind(StrEnum):
    """What a file that was given as a model really is; travels as `looks_like` of NOT_A_MODEL."""

    TEXT = "text"
    WEB_PAGE = "web_page"  # often a log-in page saved in place of the download
    GIT_LFS_POINTER = "git_lfs_pointer"  # the note that stands for a large file in a repository
    ZIP = "zip"
    PYTORCH = "pytorch"
    SAFETENSORS = "safetensors"
    PICKLE = "pickle"
    HDF5 = "hdf5"
    PDF = "pdf"
    ARCHIVE = "archive"  # gzip, xz, zstd, bzip2, 7z, rar
    IMAGE = "image"
    PROGRAM = "program"
    DATABASE = "database"
    IMPORTANCE_MATRIX = "importance_matrix"  # a by-product of quantizing, itself a GGUF
    ZEROS = "zeros"  # space that was reserved for a download and never filled
    UNKNOWN = "unknown"


_SIGNATURES: tuple[tuple[bytes, FileKind], ...] = (
    (b"version https://git-lfs", FileKind.GIT_LFS_POINTER),
    (b"%PDF-", FileKind.PDF),
    (b"\x89HDF\r\n\x1a\n", FileKind.HDF5),
    (b"SQLite format 3\0", FileKind.DATABASE),
    (b"\x89PNG", FileKind.IMAGE),
    (b"\xff\xd8\xff", FileKind.IMAGE),
    (b"GIF8", FileKind.IMAGE),
    (b"\x1f\x8b", FileKind.ARCHIVE),
    (b"\xfd7zXZ\0", FileKind.ARCHIVE),
    (b"\x28\xb5\x2f\xfd", FileKind.ARCHIVE),
    (b"BZh", FileKind.ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", FileKind.ARCHIVE),
    (b"Rar!", FileKind.ARCHIVE),
    (b"\x7fELF", FileKind.PROGRAM),
    (b"MZ", FileKind.PROGRAM),
    (b"\xcf\xfa\xed\xfe", FileKind.PROGRAM),
)
_PICKLE_PROTOCOLS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
# "ggml", "ggmf", "ggjt", "ggla" written as little-endian integers, and as text
_MAGICS_BEFORE_GGUF = (b"lmgg", b"fmgg", b"tjgg", b"algg", b"ggml", b"ggmf", b"ggjt")


def is_before_gguf(head: bytes) -> bool:
    """Whether the file is of the formats that llama.cpp used before August 2023."""
    return head[:4] in _MAGICS_BEFORE_GGUF


def looks_like(head: bytes) -> FileKind:
    """What a file that begins with `head` (some 4 KiB of it) probably is."""
    if head[:4] == b"PK\x03\x04":
        return FileKind.PYTORCH if b"/data.pkl" in head or b"/version" in head[:512] else FileKind.ZIP
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return FileKind.SAFETENSORS
    if head[:2] in _PICKLE_PROTOCOLS:
        return FileKind.PICKLE
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head and not head.strip(b"\0"):
        return FileKind.ZEROS
    return _text_kind(head)


def _text_kind(head: bytes) -> FileKind:
    if b"\0" in head:
        return FileKind.UNKNOWN
    try:
        # the last character may be cut in two
        text = head.decode("utf-8", "strict" if len(head) < 4096 else "ignore").lstrip("\ufeff \t\r\n").lower()
    except UnicodeDecodeError:
        return FileKind.UNKNOWN
    if text.startswith(("<!doctype html", "<html", "<head", "<?xml")) or "<html" in text[:1024]:
        return FileKind.WEB_PAGE
    printable = sum(character.isprintable() or character in "\r\n\t" for character in text)
    return FileKind.TEXT if printable >= 0.95 * len(text) else FileKind.UNKNOWN
