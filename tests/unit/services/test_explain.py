from datetime import UTC, datetime, timedelta

import pytest
from PySide6.QtCore import QLocale

from app.core.downloads import Download, DownloadId, DownloadState
from app.core.errors import ErrorKind, NoticeKind, UserError
from app.core.file_kinds import FileKind
from app.services.explain import ActionKind, explain, explain_notice
from app.services.explain_download import download_actions
from app.services.explain_hub import old_answer_words
from app.services.wording import day_words


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_error_is_explained(kind: ErrorKind) -> None:
    words = explain(UserError(kind))
    assert words.title
    assert words.title[0].isupper()
    assert words.text.endswith((".", "?"))
    assert "{" not in words.title + words.text


@pytest.mark.parametrize("kind", [k for k in ErrorKind if k is not ErrorKind.EMPTY_PROMPT])
def test_every_error_offers_something_to_press(kind: ErrorKind) -> None:
    assert all(action.label for action in explain(UserError(kind)).actions)
    assert explain(UserError(kind)).actions


@pytest.mark.parametrize("kind", NoticeKind)
def test_every_notice_is_explained(kind: NoticeKind) -> None:
    assert "{" not in explain_notice(kind, {})
    assert explain_notice(kind, {"fallback": "ChatML", "reason": "r", "wanted": 9000, "used": 4000})


def test_a_card_about_memory_has_figures_and_a_way_out() -> None:
    error = UserError(
        ErrorKind.NOT_ENOUGH_MEMORY,
        path="/models/big.gguf",
        needed_bytes=58 * 1024**3 // 10,
        free_bytes=41 * 1024**3 // 10,
        context_length=32768,
        suggested_context_length=8192,
    )
    words = explain(error)
    assert "5.8 GB" in words.text
    assert "4.1 GB" in words.text
    action = words.actions[0]
    assert (action.kind, action.value) == (ActionKind.USE_CONTEXT_LENGTH, 8192)
    assert "8,192" in action.label


def test_a_load_that_was_given_up_says_that_less_was_tried() -> None:
    figures = {"path": "/models/big.gguf", "reason": "failed to allocate"}
    assert "with less memory" in explain(UserError(ErrorKind.LOAD_FAILED, **figures, smaller_plans=3)).text
    assert "with less memory" not in explain(UserError(ErrorKind.LOAD_FAILED, **figures, smaller_plans=0)).text


@pytest.mark.parametrize(
    ("layers", "words"), [(33, ""), (20, "20 layers of it instead of 33"), (0, "without the graphics card")]
)
def test_a_smaller_plan_says_what_is_left_to_the_graphics_card(layers: int, words: str) -> None:
    figures: dict[str, object] = {"wanted_context": 8192, "used_context": 4096, "wanted_layers": 33}
    told = explain_notice(NoticeKind.PLAN_REDUCED, {**figures, "used_layers": layers})
    assert "4,096 tokens" in told
    assert words in told
    assert ("graphics card" in told) == bool(words)


def test_a_context_that_failed_before_is_not_called_too_long() -> None:
    figures: dict[str, object] = {"wanted": 8192, "used": 4096}
    assert "more does not fit" in explain_notice(NoticeKind.CONTEXT_REDUCED, figures)
    told = explain_notice(NoticeKind.CONTEXT_REDUCED, {**figures, "failed": 6144})
    assert "4,096 tokens instead of 8,192: 6,144 did not load before" in told


def test_without_any_context_that_fits_another_model_is_offered() -> None:
    large = UserError(
        ErrorKind.NOT_ENOUGH_MEMORY,
        context_length=512,
        needed_bytes=40 << 30,
        free_bytes=20 << 30,
        total_bytes=24 << 30,
    )
    assert "24 GB in all: choose a smaller model" in explain(large).text
    assert [a.kind for a in explain(large).actions] == [ActionKind.CHOOSE_MODEL]  # trying again would not help
    kinds = [a.kind for a in explain(UserError(ErrorKind.NOT_ENOUGH_MEMORY, suggested_context_length=0)).actions]
    assert ActionKind.USE_CONTEXT_LENGTH not in kinds
    assert ActionKind.CHOOSE_MODEL in kinds


def test_a_download_that_does_not_get_ahead_says_why_and_what_to_press() -> None:
    error = UserError(ErrorKind.HUB_UNREACHABLE, endpoint="https://mirror.example", reason="no_ranges")
    words = explain(error)
    assert words.title == "The download does not get ahead"
    assert "mirror.example sends this file only from its beginning" in words.text
    failed = Download(DownloadId("1"), "a", "b/c", "", (), "", DownloadState.FAILED, error=error)
    assert [action.kind for action in download_actions(failed)] == [ActionKind.OPEN_SETTING, ActionKind.RETRY]


def test_braces_in_a_file_name_are_only_text() -> None:
    words = explain(UserError(ErrorKind.CORRUPT, path="/x/{0}{reason}.gguf", reason="{oops}"))
    assert "{0}{reason}.gguf" in words.text
    assert "{oops}" in words.text


def test_a_damaged_database_offers_its_backup() -> None:
    error = UserError(ErrorKind.DATABASE_CORRUPT, set_aside_path="/d/hearth.db.broken-1", backup_path="/d/b/good.db")
    words = explain(error)
    assert "/d/hearth.db.broken-1" in words.text
    assert words.actions[0].kind is ActionKind.RESTORE_BACKUP
    assert words.actions[0].value == "/d/b/good.db"


@pytest.mark.parametrize("sight", [kind for kind in FileKind if kind is not FileKind.UNKNOWN])
def test_whatever_a_file_looks_like_is_put_in_words(sight: FileKind) -> None:
    plain = explain(UserError(ErrorKind.NOT_A_MODEL, path="/x/a.gguf"))
    told = explain(UserError(ErrorKind.NOT_A_MODEL, path="/x/a.gguf", looks_like=sight.value))
    assert len(told.text) > len(plain.text)


def test_reasons_are_put_in_words() -> None:
    assert "folder" in explain(UserError(ErrorKind.FILE_UNREADABLE, path="/x", reason="folder")).text
    assert "2, 4–7" in explain(UserError(ErrorKind.LEFTOVER_SPLIT, path="/x", missing="2, 4–7")).text
    assert "run out of memory" in explain(UserError(ErrorKind.ENGINE_CRASHED, reason="out_of_memory")).text
    assert "SIGKILL" in explain(UserError(ErrorKind.ENGINE_CRASHED, signal_name="SIGKILL")).text
    assert "9.1" in explain(UserError(ErrorKind.DATABASE_TOO_NEW, app_version="9.1")).text


@pytest.mark.parametrize(
    ("minutes", "why", "words"),
    [
        (3 * 24 * 60, ErrorKind.HUB_UNREACHABLE, "From {day}: the hub cannot be reached."),
        (5 * 60, ErrorKind.OFFLINE, "From 5 h ago: Hearth is set to stay offline."),
        (12, ErrorKind.NO_NETWORK, "From 12 min ago: this computer is not connected."),
        (0, ErrorKind.RATE_LIMITED, "From 1 min ago: the hub asks for a pause."),
    ],
)
def test_old_answers_say_how_old_they_are_and_why(minutes: int, why: ErrorKind, words: str) -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    then = now - timedelta(minutes=minutes)
    day = day_words(then, QLocale.FormatType.LongFormat)
    assert old_answer_words(then, why, now) == words.format(day=day)
    assert old_answer_words(now, None, now) == old_answer_words(None, None, now) == ""
