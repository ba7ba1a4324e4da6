import pytest

from app.core.fit import FitKind, Verdict
from app.core.header_findings import Finding, FindingKind
from app.core.memory import MemoryNeed
from app.core.quantizations import Quality
from app.services.explain_fit import (
    FitLevel,
    finding_words,
    fit_level,
    need_words,
    quality_words,
    speed_words,
    verdict_details,
    verdict_short,
    verdict_words,
)

GB = 1024**3  # as memory is told


def verdict(kind: FitKind, speed: float | None = None, needed: int = 5 * GB, gpu_layers: int = 0) -> Verdict:
    need = MemoryNeed(needed - GB, GB // 2, GB // 4, GB // 4)
    name = "GeForce RTX 4070" if gpu_layers else ""
    return Verdict(kind, need, 8 * GB, 16 * GB, name, gpu_layers, 32, speed, 8192)


def test_verdicts_in_words_and_numbers() -> None:
    assert verdict_words(verdict(FitKind.ON_GPU)) == "Runs fully on the graphics card"
    fast = verdict(FitKind.ON_GPU, 90.0)
    assert verdict_words(fast) == "Runs fully on the graphics card, about 70 words a second"
    assert verdict_words(verdict(FitKind.ON_CPU, 8.0)) == "Runs on the processor, about 6 words a second"
    partly = verdict(FitKind.PARTLY_ON_GPU, 12.0, gpu_layers=20)
    assert verdict_words(partly) == "Runs partly on the graphics card, about 9 words a second"
    tight = verdict(FitKind.TIGHT, 8.0, needed=12 * GB)
    assert verdict_words(tight) == "Needs 12 GB, only 8.0 GB are free: close other programs first"
    large = verdict(FitKind.TOO_LARGE, needed=41 * GB)
    assert verdict_words(large) == "Too large: needs 41 GB, this computer has 16 GB"


def test_no_verdict_contradicts_itself() -> None:
    """A reserve stays free, so a model may be too large for memory that is as large as itself."""
    tight = verdict_words(verdict(FitKind.TIGHT, needed=8 * GB))
    assert tight == "Needs 8.0 GB of the 8.0 GB that are free: close other programs first"
    large = verdict_words(verdict(FitKind.TOO_LARGE, needed=15 * GB))
    assert large == "Too large: needs 15 GB of the 16 GB that this computer has for everything"


def test_verdicts_for_lists() -> None:
    short = [verdict_short(verdict(kind)) for kind in FitKind]
    assert short == ["Runs here", "Runs here", "Runs here", "Memory is short", "Too large"]
    assert verdict_short(verdict(FitKind.ON_CPU, 6.0)) == "Runs well"
    assert verdict_short(verdict(FitKind.ON_CPU, 4.5)) == "Runs slowly"


def test_levels_at_a_glance() -> None:
    levels = [fit_level(verdict(kind)) for kind in FitKind]
    assert levels == [FitLevel.GOOD, FitLevel.GOOD, FitLevel.GOOD, FitLevel.FAIR, FitLevel.POOR]
    assert fit_level(verdict(FitKind.ON_GPU, 60.0)) is FitLevel.GOOD
    assert fit_level(verdict(FitKind.ON_CPU, 0.5)) is FitLevel.FAIR


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (0.1, "less than one word in two seconds"),
        (1.3, "about one word a second"),
        (2.2, "about 2 words a second"),
        (10.0, "about 8 words a second"),
        (20.0, "about 15 words a second"),
        (100.0, "about 80 words a second"),
        (1000.0, "about 750 words a second"),
    ],
)
def test_a_speed_is_told_no_more_exactly_than_it_is_known(tokens: float, words: str) -> None:
    assert speed_words(tokens) == words


def test_figures_for_experts() -> None:
    rows = dict(verdict_details(verdict(FitKind.PARTLY_ON_GPU, 12.34, gpu_layers=20)))
    assert rows["Weights"] == "4.0 GB"
    assert rows["Context of 8,192 tokens"] == "512 MB"
    assert rows["Together"] == "5.0 GB"
    assert rows["Graphics card"] == "20 of 32 layers on GeForce RTX 4070"
    assert rows["Expected speed"] == "12 tokens/s"
    assert "Graphics card" not in dict(verdict_details(verdict(FitKind.ON_CPU)))
    words = need_words(verdict(FitKind.ON_CPU).need)
    assert words == "Needs 5.0 GB: 4.0 GB for the model, 512 MB for the context, 512 MB to compute"


def test_each_quality_has_its_own_words() -> None:
    assert len({quality_words(quality) for quality in Quality}) == len(Quality)


@pytest.mark.parametrize("kind", FindingKind)
def test_every_finding_has_words(kind: FindingKind) -> None:
    words = finding_words(Finding(kind, "some-kind"))
    assert words.endswith(".")
    assert "{" not in words
