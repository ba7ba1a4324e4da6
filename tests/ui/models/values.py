"""Made-up models of the hub, of this computer, and on their way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from app.core.downloads import Download, DownloadFile, DownloadId, DownloadState
from app.core.hub_values import Gate, HubDetails, HubFile, HubModel, HubPart
from app.core.library import LibraryModel, Owner
from app.ui.models.sheet import Fact, FileChoice, ModelSheet

GB = 1_000_000_000
LONG = "an-extraordinarily-long-name-of-a-model-that-fits-nowhere-" * 3
COMMIT = "c" * 40

CARD = """# About

![diagram](https://pictures.test/x.png) **Bold** words, a [link](https://pages.test/a), a [trap](file:///etc/passwd).

| Name | Size |
|---|---|
| a | 1 GB |

```text
{code}
```

<script>alert(1)</script><img src="https://pictures.test/y.png">
""".replace("{code}", "x" * 400)


def hub_model(place: int, **changes: object) -> HubModel:
    model = HubModel(
        f"maker-{place}/Model-{place}-GGUF",
        f"maker-{place}",
        1_000 * (place + 1),
        place,
        datetime(2026, 3, 1, tzinfo=UTC),
        Gate.OPEN,
        "apache-2.0",
        "text-generation",
        (place + 1) * GB,
        "llama",
    )
    return replace(model, **changes)  # type: ignore[arg-type]  # any field by its name


def hub_details(model: HubModel, card: str = CARD) -> HubDetails:
    sizes = {"Q2_K": 3, "Q3_K_M": 4, "Q4_K_M": 5, "Q5_K_M": 6, "Q6_K": 7, "Q8_0": 9, "F16": 16}
    files = tuple(HubFile((HubPart(f"model-{name}.gguf", gb * GB, "a" * 64),), name) for name, gb in sizes.items())
    return HubDetails(model, COMMIT, files, card=card, context_length=8192, base_models=("meta/base",))


def choice(quantization: str, gb: float, *, can_be_had: bool = True, is_suggested: bool = False) -> FileChoice:
    path = f"model-{quantization}.gguf"
    size_bytes = round(gb * GB)
    parts = (DownloadFile("maker/model", path, COMMIT, "a" * 64, size_bytes),) if can_be_had else ()
    words = {"Q3_K_M": "Smaller", "Q4_K_M": "Balanced", "Q8_0": "Best quality", "F16": "Best quality"}
    return FileChoice(
        "maker/model", path, COMMIT, quantization, words.get(quantization, ""), size_bytes, parts, is_suggested
    )


def sheet(key: str = "model", **changes: object) -> ModelSheet:
    made = ModelSheet(
        key,
        f"Name of {key}",
        "Maker · 2024",
        "What it is.",
        (Fact("Licence", "MIT", "https://licences.test/mit"), Fact("Context", "8,192 tokens")),
        (choice("Q3_K_M", 4), choice("Q4_K_M", 5, is_suggested=True), choice("Q8_0", 9)),
        repo="maker/model",
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # any field by its name


def library_model(path: str, name: str, **changes: object) -> LibraryModel:
    model = LibraryModel(path, name, Owner.HEARTH, (path,), 2 * GB, "llama", 3 * GB, "Q4_K_M", 8192, True, "mit")
    return replace(model, **changes)  # type: ignore[arg-type]  # any field by its name


def download(name: str, state: DownloadState = DownloadState.RUNNING, **changes: object) -> Download:
    files = (DownloadFile("maker/model", "model.gguf"),)
    made = Download(DownloadId(name), name, "maker/model", "Q4_K_M", files, "/models", state, GB // 2, 2 * GB)
    return replace(made, **changes)  # type: ignore[arg-type]  # any field by its name
