"""The figures under an answer, in plain words."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLocale

from app.core.messages import Usage

translate = QCoreApplication.translate


def figures_line(usage: Usage | None, model_name: str | None) -> str:
    """One line: who answered, how fast, how much."""
    parts = [model_name] if model_name else []
    if usage is not None:
        locale = QLocale()
        if (speed := usage.tokens_per_second) is not None:
            parts.append(translate("Figures", "{0} tokens per second").format(_short(speed)))
        if usage.first_token_ms > 0 and usage.completion_tokens > 0:
            parts.append(translate("Figures", "{0} s to first token").format(_short(usage.first_token_ms / 1000)))
        if usage.prompt_tokens or usage.completion_tokens:
            words = translate("Figures", "{0} tokens in, {1} out")
            parts.append(words.format(locale.toString(usage.prompt_tokens), locale.toString(usage.completion_tokens)))
    return " · ".join(parts)


def figures_details(usage: Usage) -> str:
    """The exact figures, one per line."""
    locale = QLocale()
    lines = [
        translate("Figures", "Read: {0} tokens, of which {1} were still in memory, in {2} ms").format(
            locale.toString(usage.prompt_tokens),
            locale.toString(usage.reused_tokens),
            _whole(usage.prompt_ms),
        ),
        translate("Figures", "Written: {0} tokens in {1} ms").format(
            locale.toString(usage.completion_tokens), _whole(usage.generation_ms)
        ),
        translate("Figures", "First token after {0} ms").format(_whole(usage.first_token_ms)),
    ]
    if (speed := usage.tokens_per_second) is not None:
        lines.append(translate("Figures", "{0} tokens per second").format(locale.toString(float(speed), "f", 2)))
    if usage.drafted_tokens:
        words = translate("Figures", "Guessed ahead: {0} tokens, of which {1} were right")
        lines.append(words.format(locale.toString(usage.drafted_tokens), locale.toString(usage.accepted_tokens)))
    return "\n".join(lines)


def remaining_time(milliseconds: float) -> str:
    """A time still to wait, as one says it."""
    seconds = max(1, round(milliseconds / 1000))
    if seconds < 90:
        return translate("Figures", "about {0} s left").format(seconds)
    return translate("Figures", "about {0} min left").format(round(seconds / 60))


def _short(value: float) -> str:
    """Three significant digits at most: 0.62, 8.4, 38.2, 130."""
    digits = 2 if value < 1 else 1 if value < 100 else 0
    return QLocale().toString(float(value), "f", digits)


def _whole(value: float) -> str:
    return QLocale().toString(round(value))
