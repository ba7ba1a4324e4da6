from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from PySide6.QtCore import QLocale

from app.ui.day_groups import NamedGroup, group_of, group_title, local_day

TODAY = date(2026, 3, 10)


@pytest.mark.parametrize(
    ("day", "group"),
    [
        (date(2026, 3, 11), NamedGroup.TODAY),  # the clock was set back
        (date(2026, 3, 10), NamedGroup.TODAY),
        (date(2026, 3, 9), NamedGroup.YESTERDAY),
        (date(2026, 3, 8), NamedGroup.PREVIOUS_7_DAYS),
        (date(2026, 3, 3), NamedGroup.PREVIOUS_7_DAYS),
        (date(2026, 3, 2), NamedGroup.PREVIOUS_30_DAYS),
        (date(2026, 2, 8), NamedGroup.PREVIOUS_30_DAYS),
        (date(2026, 2, 7), (2026, 2)),
        (date(2026, 1, 31), (2026, 1)),
        (date(2025, 12, 31), (2025, 12)),
    ],
)
def test_group_of_a_day(day: date, group: object) -> None:
    assert group_of(day, TODAY) == group


def test_yesterday_reaches_over_the_end_of_month_and_year() -> None:
    assert group_of(date(2025, 12, 31), date(2026, 1, 1)) is NamedGroup.YESTERDAY
    assert group_of(date(2024, 2, 29), date(2024, 3, 1)) is NamedGroup.YESTERDAY


def test_the_day_is_the_local_one() -> None:
    moment = datetime(2026, 3, 9, 23, 30, tzinfo=UTC)
    assert local_day(moment, UTC) == date(2026, 3, 9)
    assert local_day(moment, ZoneInfo("Asia/Tokyo")) == date(2026, 3, 10)
    assert local_day(moment, timezone(timedelta(hours=-10))) == date(2026, 3, 9)


def test_midnight_parts_two_days() -> None:
    zone = ZoneInfo("Europe/Oslo")
    last = datetime(2026, 3, 9, 23, 59, 59, tzinfo=zone)
    assert group_of(local_day(last, zone), TODAY) is NamedGroup.YESTERDAY
    assert group_of(local_day(last + timedelta(seconds=1), zone), TODAY) is NamedGroup.TODAY


def test_the_hour_that_the_clock_skips_keeps_its_day() -> None:
    zone = ZoneInfo("Europe/Oslo")
    assert local_day(datetime(2026, 3, 28, 23, 30, tzinfo=UTC), zone) == date(2026, 3, 29)
    assert local_day(datetime(2026, 3, 29, 21, 59, tzinfo=UTC), zone) == date(2026, 3, 29)
    assert local_day(datetime(2026, 3, 29, 22, 0, tzinfo=UTC), zone) == date(2026, 3, 30)


def test_months_of_another_year_name_it() -> None:
    march, december = QLocale().standaloneMonthName(3), QLocale().standaloneMonthName(12)
    assert group_title((2026, 3), TODAY) == march
    assert group_title((2025, 12), TODAY) == f"{december} 2025"


def test_named_groups_have_titles() -> None:
    titles = [group_title(group, TODAY) for group in NamedGroup]
    assert titles == ["Today", "Yesterday", "Previous 7 days", "Previous 30 days"]
