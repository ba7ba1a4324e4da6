"""Under which heading of the sidebar a conversation stands."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from enum import Enum

from PySide6.QtCore import QCoreApplication, QLocale


class NamedGroup(Enum):
    """The groups that have a name of their own, newest first."""

    TODAY = 0
    YESTERDAY = 1
    PREVIOUS_7_DAYS = 2
    PREVIOUS_30_DAYS = 3


DayGroup = NamedGroup | tuple[int, int]  # else (year, month)


def local_day(moment: datetime, zone: tzinfo | None = None) -> date:
    """The calendar day of `moment` in `zone` (None: the zone of this computer, as it was on that day)."""
    return moment.astimezone(zone).date()


def group_of(day: date, today: date) -> DayGroup:
    """The group of a day. Days to come (the clock was set back) count as today."""
    age = today - day
    if age <= timedelta(0):
        return NamedGroup.TODAY
    if age == timedelta(days=1):
        return NamedGroup.YESTERDAY
    if age <= timedelta(days=7):
        return NamedGroup.PREVIOUS_7_DAYS
    if age <= timedelta(days=30):
        return NamedGroup.PREVIOUS_30_DAYS
    return (day.year, day.month)


def group_title(group: DayGroup, today: date) -> str:
    """The heading in the person's language; a month of another year carries the year."""
    translate = QCoreApplication.translate
    match group:
        case NamedGroup.TODAY:
            return translate("DayGroups", "Today")
        case NamedGroup.YESTERDAY:
            return translate("DayGroups", "Yesterday")
        case NamedGroup.PREVIOUS_7_DAYS:
            return translate("DayGroups", "Previous 7 days")
        case NamedGroup.PREVIOUS_30_DAYS:
            return translate("DayGroups", "Previous 30 days")
        case (year, month):
            name = QLocale().standaloneMonthName(month)
            return name if year == today.year else f"{name} {year}"
