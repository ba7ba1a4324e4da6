"""The processes of `download.py`: the server, or one download by Hearth or by huggingface_hub.

`serve FILE` prints where it listens and what it has, and ends when its input does. `hearth URL COMMIT FOLDER` and
`library URL COMMIT FOLDER` download once and print one line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

for name in ("XET", "TELEMETRY", "IMPLICIT_TOKEN", "SYMLINKS", "PROGRESS_BARS"):
    os.environ[f"HF_HUB_DISABLE_{name}"] = "1"

REPO, NAME = "maker/large", "large.gguf"


def serve(source: str) -> None:
    from tests.hub.hub_server import HubServer

    with HubServer() as hub:
        commit = hub.add_repo(REPO, {NAME: Path(source)})
        file = hub.file(REPO, NAME)
        print(json.dumps({"url": hub.url, "commit": commit, "sha256": file.sha256}), flush=True)
        sys.stdin.read()


def with_hearth(url: str, commit: str, folder: str) -> None:
    from app.core.downloads import DownloadFile
    from app.hub.access import HubAccess
    from app.hub.download.transfer import Transfer

    Transfer(HubAccess(url), (DownloadFile(REPO, NAME, commit),), Path(folder)).run()


def with_library(url: str, commit: str, folder: str) -> None:
    from huggingface_hub import hf_hub_download

    hf_hub_download(REPO, NAME, revision=commit, endpoint=url, local_dir=folder)


def resident_bytes(field: str) -> int:
    """VmRSS or VmHWM (the peak) of this process."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(field)


def measure(arguments: list[str]) -> None:
    idle_bytes = resident_bytes("VmRSS")
    began_s = time.monotonic()
    {"hearth": with_hearth, "library": with_library}[arguments[0]](*arguments[1:])
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "wall_s": time.monotonic() - began_s,
        "memory_mb": (resident_bytes("VmHWM") - idle_bytes) / 1e6,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        measure(sys.argv[1:])
