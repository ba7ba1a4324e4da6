"""What downloading costs: `python -m tests.benchmarks.download [--gib 1] [--rounds 3] [--folder DIR]`.

Hearth, with the SHA-256 of every byte, beside huggingface_hub's plain HTTP without it. The server has a process of its
own; each download too, whose CPU seconds include starting Python and importing what it needs. Figures are medians, with
the lowest and the highest; ratios are of downloads that ran one after the other.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.download_child import NAME
from tests.benchmarks.figures import paired_ratio, spread

CHILD = [sys.executable, "-m", "tests.benchmarks.download_child"]
_BLOCK = random.Random(1).randbytes(1 << 20)


def make_source(path: Path, gib: float) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(int(gib * 1024)):
            block = number.to_bytes(8, "little") + _BLOCK[8:]
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run_once(who: str, url: str, commit: str, folder: Path, expected: str) -> dict[str, float]:
    shutil.rmtree(folder, ignore_errors=True)
    output = subprocess.run([*CHILD, who, url, commit, str(folder)], check=True, capture_output=True, text=True).stdout
    if sha256_of(folder / NAME) != expected:
        raise ValueError(f"{who} brought another file")
    figures: dict[str, float] = json.loads(output)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where to download to; a temporary one by default")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        expected = make_source(folder / "source", chosen.gib)
        command = [*CHILD, "serve", str(folder / "source")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            told = json.loads(server.stdout.readline())
            found: dict[str, list[dict[str, float]]] = {"hearth": [], "library": []}
            for _ in range(chosen.rounds):
                for who, results in found.items():
                    results.append(run_once(who, told["url"], told["commit"], folder / who, expected))
            server.communicate()
    cpu_s = {who: [result["cpu_s"] / chosen.gib for result in results] for who, results in found.items()}
    for who, results in found.items():
        wall = spread([result["wall_s"] for result in results])
        memory = spread([result["memory_mb"] for result in results])
        print(f"{who:<8} CPU s per GiB {spread(cpu_s[who], 2)} · wall s {wall} · MB over idle {memory}")
    print(f"CPU, Hearth with SHA-256 over the library without: {paired_ratio(cpu_s['hearth'], cpu_s['library']):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
