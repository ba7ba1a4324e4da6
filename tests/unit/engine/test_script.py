import json
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.events import FinishReason
from app.engine.worker.script import AnswerRule, Crash, LoadRule, read_script, split_tokens


def script_of(tmp_path: Path, data: Any) -> Path:
    path = tmp_path / "script.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_the_first_rule_that_fits_counts(tmp_path: Path) -> None:
    answers = [{"when": "^hi", "text": "a"}, {"when": "h", "text": "b"}, {"when": "never", "text": "c"}]
    script = read_script(script_of(tmp_path, {"answers": answers}))
    assert script.answer_to("hi").text == "a"
    assert script.answer_to("oh").text == "b"
    assert script.answer_to("xyz") == AnswerRule()
    assert script.load_of("/any") == LoadRule()


def test_all_fields(tmp_path: Path) -> None:
    data = {
        "answers": [
            {
                "when": "x",
                "text": "t ",
                "repeat": 2,
                "reasoning": "r",
                "tokens_per_second": 5,
                "first_token_ms": 6,
                "prompt_steps": 7,
                "finish": "context_full",
                "error": {"kind": "decode_failed", "details": {"reason": "z"}},
                "crash": {"at_token": 3, "signal": "SIGKILL"},
                "hang_at_token": 4,
            }
        ],
        "loads": [{"path": "p", "name": "n", "context_length": 8, "duration_ms": 9, "crash": {"exit_code": 2}}],
    }
    script = read_script(script_of(tmp_path, data))
    (answer,), (load,) = script.answers, script.loads
    error = UserError(ErrorKind.DECODE_FAILED, reason="z")
    crash = Crash(3, "SIGKILL")
    assert answer == AnswerRule("x", "t ", 2, "r", 5, 6, 7, FinishReason.CONTEXT_FULL, error, crash, 4)
    assert load == LoadRule("p", "n", 8, 9, None, Crash(exit_code=2))


@pytest.mark.parametrize("data", [[], {"answer": []}, {"answers": [1]}, {"answers": [{"crash": {"when": 1}}]}])
def test_mistakes_are_refused(tmp_path: Path, data: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - which mistake it was is for people
        read_script(script_of(tmp_path, data))


@pytest.mark.parametrize("text", ["", "one", " two words ", "a\n\nb\t c  ", "\n", "😀 ناس 漢字"])
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(split_tokens(text)) == text
    assert split_tokens("a b\nc") == ["a", " b", "\nc"]
