"""Figures and texts in the person's language."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import QCoreApplication, QDate, QLocale


def locale() -> QLocale:
    """The person's locale; English where the system has none (the C locale writes 8192 without separators)."""
    system = QLocale()
    return QLocale(QLocale.Language.English) if system.language() is QLocale.Language.C else system


def number(value: object) -> str:
    """A whole number with the locale's separators."""
    return locale().toString(int(value)) if isinstance(value, (int, float)) else str(value)


def file_size(value: int) -> str:
    """Bytes of files and drives, e.g. "806 MB" or "5.8 GB" of 10⁹ bytes each: as drives are sold and the hub counts."""
    return _rounded_size(value, 1000, 100, QLocale.DataSizeFormat.DataSizeSIFormat)


def memory_size(value: int) -> str:
    """Bytes of memory, e.g. "5.8 GB" or "16 GB" of 2³⁰ bytes each: as memory is sold and systems show it."""
    return _rounded_size(value, 1024, 10, QLocale.DataSizeFormat.DataSizeTraditionalFormat)


def _rounded_size(value: int, step: int, whole_from: int, form: QLocale.DataSizeFormat) -> str:
    """With one decimal below `whole_from` of a unit, which is `step` times the one before it."""
    amount = float(value)
    while amount >= step:
        amount /= step
    return locale().formattedDataSize(value, 0 if round(amount, 1) >= whole_from else 1, form)


def day_words(moment: datetime, form: QLocale.FormatType) -> str:
    """The day of an aware moment, where the person lives."""
    day = moment.astimezone().date()
    return locale().toString(QDate(day.year, day.month, day.day), form)


def translate(context: str, text: str) -> str:
    """Qt's translate, under the name that its extraction tool looks for."""
    return QCoreApplication.translate(context, text)


def moment_words(moment: datetime, now: datetime) -> str:
    """When something was: "12 min ago", "5 h ago", and the day where that is longer ago."""
    minutes = max(1, round((now - moment).total_seconds() / 60))
    if minutes < 120:
        return translate("Wording", "{0} min ago").format(number(minutes))
    if minutes < 48 * 60:
        return translate("Wording", "{0} h ago").format(number(round(minutes / 60)))
    return day_words(moment, QLocale.FormatType.LongFormat)


def duration(seconds: float) -> str:
    """A length of time as a person reads it, in units that need no plural, e.g. "45 s", "12 min", "2 h 10 min"."""
    whole = max(1, round(seconds))
    if whole < 120:
        return translate("Wording", "{0} s").format(number(whole))
    minutes = round(whole / 60)
    if minutes < 120:
        return translate("Wording", "{0} min").format(number(minutes))
    return translate("Wording", "{0} h {1} min").format(number(minutes // 60), number(minutes % 60))
