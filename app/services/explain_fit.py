"""Whether a model runs here, in the words of a person."""

from __future__ import annotations

from enum import Enum

from app.core.fit import FitKind, Verdict
from app.core.header_findings import Finding, FindingKind
from app.core.memory import MemoryNeed
from app.core.quantizations import Quality
from app.core.speed import words_per_second
from app.services.wording import locale, memory_size, number, translate

COMFORTABLE_WORDS = 4.0  # a second: as fast as one reads aloud; less is slow
_ROUND_STEPS = ((10, 1), (50, 5), (200, 10))  # below so many words a second the figure is told in such steps
_FAST_STEP = 50


class FitLevel(Enum):
    """A verdict at a glance, for the sign beside its words."""

    UNKNOWN = "unknown"
    GOOD = "good"  # it runs
    FAIR = "fair"  # it runs slowly, or once other programs are closed
    POOR = "poor"  # it does not run


def fit_level(verdict: Verdict) -> FitLevel:
    """How well it runs."""
    if verdict.kind is FitKind.TOO_LARGE:
        return FitLevel.POOR
    return FitLevel.GOOD if verdict.kind.runs_now and not _is_slow(verdict) else FitLevel.FAIR


def verdict_words(verdict: Verdict) -> str:
    """The verdict in one sentence, with the speed where it is known and the figures where memory is short."""
    match verdict.kind:
        case FitKind.ON_GPU:
            words = translate("ExplainFit", "Runs fully on the graphics card")
        case FitKind.PARTLY_ON_GPU:
            words = translate("ExplainFit", "Runs partly on the graphics card")
        case FitKind.ON_CPU:
            words = translate("ExplainFit", "Runs on the processor")
        case FitKind.TIGHT:
            words = translate("ExplainFit", "Needs {0}, only {1} are free: close other programs first")
            if verdict.need.total_bytes <= verdict.free_bytes:  # but nothing would be left for the rest
                words = translate("ExplainFit", "Needs {0} of the {1} that are free: close other programs first")
            return words.format(memory_size(verdict.need.total_bytes), memory_size(verdict.free_bytes))
        case FitKind.TOO_LARGE:
            words = translate("ExplainFit", "Too large: needs {0}, this computer has {1}")
            if verdict.need.total_bytes <= verdict.total_bytes:
                words = translate("ExplainFit", "Too large: needs {0} of the {1} that this computer has for everything")
            return words.format(memory_size(verdict.need.total_bytes), memory_size(verdict.total_bytes))
    if verdict.tokens_per_second is None:
        return words
    return translate("ExplainFit", "{0}, {1}").format(words, speed_words(verdict.tokens_per_second))


def verdict_short(verdict: Verdict) -> str:
    """The verdict in a word or two, for lists."""
    match verdict.kind:
        case FitKind.ON_GPU | FitKind.PARTLY_ON_GPU | FitKind.ON_CPU:
            if _is_slow(verdict):
                return translate("ExplainFit", "Runs slowly")
            if verdict.tokens_per_second is None:
                return translate("ExplainFit", "Runs here")
            return translate("ExplainFit", "Runs well")
        case FitKind.TIGHT:
            return translate("ExplainFit", "Memory is short")
        case FitKind.TOO_LARGE:
            return translate("ExplainFit", "Too large")


def verdict_details(verdict: Verdict) -> list[tuple[str, str]]:
    """The same for an expert: names and figures."""
    rows = [
        (translate("ExplainFit", "Weights"), memory_size(verdict.need.weights_bytes)),
        (
            translate("ExplainFit", "Context of {0} tokens").format(number(verdict.context_length)),
            memory_size(verdict.need.cache_bytes),
        ),
        (translate("ExplainFit", "Computation"), memory_size(verdict.need.compute_bytes)),
        (translate("ExplainFit", "Vocabulary and records"), memory_size(verdict.need.surrounding_bytes)),
        (translate("ExplainFit", "Together"), memory_size(verdict.need.total_bytes)),
        (translate("ExplainFit", "Free now"), memory_size(verdict.free_bytes)),
        (translate("ExplainFit", "This computer has"), memory_size(verdict.total_bytes)),
    ]
    if verdict.gpu_layers:
        words = translate("ExplainFit", "{0} of {1} layers on {2}")
        text = words.format(number(verdict.gpu_layers), number(verdict.layers), verdict.gpu_name)
        rows.append((translate("ExplainFit", "Graphics card"), text))
    if verdict.tokens_per_second is not None:
        rate = locale().toString(verdict.tokens_per_second, "f", 0 if verdict.tokens_per_second >= 10 else 1)
        rows.append((translate("ExplainFit", "Expected speed"), translate("ExplainFit", "{0} tokens/s").format(rate)))
    return rows


def need_words(need: MemoryNeed) -> str:
    """What it takes, in one sentence."""
    words = translate("ExplainFit", "Needs {0}: {1} for the model, {2} for the context, {3} to compute")
    rest = need.compute_bytes + need.surrounding_bytes
    figures = (need.total_bytes, need.weights_bytes, need.cache_bytes, rest)
    return words.format(*(memory_size(figure) for figure in figures))


def speed_words(tokens_per_second: float) -> str:
    """A speed as a reader feels it: words a second, no more exact than it is known."""
    words = words_per_second(tokens_per_second)
    if words < 0.5:
        return translate("ExplainFit", "less than one word in two seconds")
    if round(words) <= 1:
        return translate("ExplainFit", "about one word a second")
    step = next((step for limit, step in _ROUND_STEPS if words < limit), _FAST_STEP)
    return translate("ExplainFit", "about {0} words a second").format(number(round(words / step) * step))


def quality_words(quality: Quality) -> str:
    """How good a quantization is, in plain words."""
    match quality:
        case Quality.SMALLEST:
            return translate("ExplainFit", "Smallest, weaker answers")
        case Quality.SMALLER:
            return translate("ExplainFit", "Smaller")
        case Quality.BALANCED:
            return translate("ExplainFit", "Balanced")
        case Quality.HIGH:
            return translate("ExplainFit", "High quality")
        case Quality.BEST:
            return translate("ExplainFit", "Best quality")


def finding_words(finding: Finding) -> str:
    """What a header tells, in a sentence or two."""
    match finding.kind:
        case FindingKind.ADAPTER:
            return translate("ExplainFit", "This is a LoRA adapter: it changes a model and does not chat by itself.")
        case FindingKind.PROJECTOR:
            return translate(
                "ExplainFit", "This file lets a model see images or hear sounds. It does not chat without that model."
            )
        case FindingKind.IMPORTANCE_MATRIX:
            return translate("ExplainFit", "This file was made to shrink a model well. It is no model.")
        case FindingKind.UNSUPPORTED_ARCHITECTURE:
            words = translate("ExplainFit", "Hearth's engine cannot run models of this kind ({0}).")
            return words.format(finding.detail or "?")
        case FindingKind.ENCODER_DECODER:
            words = translate("ExplainFit", "Models of this kind ({0}) translate and summarize; they do not chat.")
            return words.format(finding.detail)
        case FindingKind.EMBEDDING_MODEL:
            return translate("ExplainFit", "This model compares texts, for search. It does not write.")
        case FindingKind.UNKNOWN_TOKENIZER:
            words = translate("ExplainFit", "Hearth's engine does not know how this model reads text ({0}).")
            return words.format(finding.detail)
        case FindingKind.VOCABULARY_ONLY:
            return translate("ExplainFit", "This file holds a vocabulary only, no model.")
        case FindingKind.OLD_MIXTURE:
            return translate("ExplainFit", "This file was made before April 2024 in a form that no longer runs.")
        case _:
            return _warning_words(finding)


def _warning_words(finding: Finding) -> str:
    match finding.kind:
        case FindingKind.OLD_MIXTURE_LIKELY:
            return translate(
                "ExplainFit",
                "This file seems to be from before April 2024, and mixtures of experts of that time no longer run. "
                "Look for a newer file of the same model.",
            )
        case FindingKind.MISSING_PRE_TOKENIZER:
            return translate(
                "ExplainFit",
                "This file does not say how text is to be cut, so answers are worse than they could be. "
                "Look for a newer file of the same model.",
            )
        case FindingKind.MISSING_TEMPLATE:
            words = translate("ExplainFit", "The file carries no chat template. Hearth uses its own “{0}”.")
            return words.format(finding.detail)
        case FindingKind.BASE_MODEL:
            return translate("ExplainFit", "This is a base model: it continues texts and was not taught to answer.")
        case FindingKind.NEEDS_PROJECTOR:
            return translate(
                "ExplainFit",
                "It was made to see images too. Hearth cannot show it any yet: here it reads and writes text.",
            )
        case _:
            raise AssertionError(f"no words for {finding.kind}")


def _is_slow(verdict: Verdict) -> bool:
    rate = verdict.tokens_per_second
    return rate is not None and round(words_per_second(rate)) < COMFORTABLE_WORDS  # as the words say it
