"""Makes the built-in model from nothing: all legs of the training, then the GGUF file.

    python packaging/builtin_model/build.py --work build/guide --to resources/models

Each leg goes on from the weights of the one before. A leg that is finished is not run again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Leg:
    """One run of train.py; `copying` multiplies the share of names and repetitions."""

    name: str
    steps: int
    hold: float
    matrix_rate: float
    other_rate: float
    copying: float
    seed: int


LEGS = (
    Leg("1-questions", 1250, 1.0, 0.02, 0.003, 1.0, 1),
    # Copying comes suddenly and only with much practice: some hundred steps with little else.
    Leg("2-copying", 300, 1.0, 0.014, 0.002, 6.0, 6),
    Leg("3-everything", 1600, 0.25, 0.014, 0.002, 1.0, 7),
    # A last round at small steps, with more names.
    Leg("4-polish", 700, 0.25, 0.008, 0.0012, 2.5, 9),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for weights and logs")
    parser.add_argument("--to", type=Path, required=True, help="folder for the GGUF file")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    before: Path | None = None
    for leg in LEGS:
        folder = options.work / leg.name
        if not (folder / "training.json").exists():
            _train(leg, folder, before, options.threads)
        before = folder
    _run("export.py", "--run", str(before), "--to", str(options.to))


def _train(leg: Leg, folder: Path, before: Path | None, threads: int) -> None:
    values = {
        "--out": folder,
        "--steps": leg.steps,
        "--hold": leg.hold,
        "--matrix-rate": leg.matrix_rate,
        "--other-rate": leg.other_rate,
        "--copying": leg.copying,
        "--seed": leg.seed,
        "--threads": threads,
    }
    if before is not None:
        values["--start-from"] = before / "weights.pt"
    _run("train.py", *(str(part) for pair in values.items() for part in pair))


def _run(script: str, *arguments: str) -> None:
    subprocess.run([sys.executable, str(FOLDER / script), *arguments], check=True)


if __name__ == "__main__":
    main()
