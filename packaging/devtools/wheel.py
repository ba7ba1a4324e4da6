"""Writes a wheel: a zip file with the package, its metadata and a hash of every file."""

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

FIXED_TIME = (2020, 1, 1, 0, 0, 0)  # the same input gives the same file
EXECUTABLE = 0o755 << 16
PLAIN = 0o644 << 16


def write_wheel(path: Path, *, name: str, version: str, tag: str, build: str, files: Mapping[str, Path]) -> None:
    """Writes a wheel to `path`.

    `files` maps a path in the wheel to a file on disk; `METADATA` and `licenses/…` go into the
    dist-info folder. Format: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
    """
    info = f"{name}-{version}.dist-info"
    records: list[str] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(target: str, content: bytes) -> None:
            entry = zipfile.ZipInfo(target, FIXED_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = EXECUTABLE if "/lib/" in target else PLAIN
            archive.writestr(entry, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            records.append(f"{target},sha256={digest},{len(content)}")

        for target, source in files.items():
            belongs_to_info = target == "METADATA" or target.startswith("licenses/")
            add(f"{info}/{target}" if belongs_to_info else target, source.read_bytes())
        wheel = f"Wheel-Version: 1.0\nGenerator: hearth\nRoot-Is-Purelib: false\nTag: {tag}\nBuild: {build}\n"
        add(f"{info}/WHEEL", wheel.encode())
        records.append(f"{info}/RECORD,,")
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD", FIXED_TIME), "\n".join(records) + "\n")
