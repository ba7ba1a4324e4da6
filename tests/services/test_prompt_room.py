"""What helps when a text does not fit into the context."""

from __future__ import annotations

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.events import ModelInfo
from app.core.prompt import prompt_limit
from app.services.explain import explain
from app.services.explanation import ActionKind
from app.services.prompt_room import longer_context, with_way_out


def model(context_length: int, trained: int) -> ModelInfo:
    return ModelInfo(
        path="/m.gguf",
        name="m",
        architecture="llama",
        description="",
        size_bytes=1,
        parameters=1,
        context_length=context_length,
        context_length_trained=trained,
        template="chatml",
        recurrent=False,
    )


@pytest.mark.parametrize(
    ("tokens", "context_length", "trained", "expected"),
    [
        (9_000, 8_192, 131_072, 16_384),
        (prompt_limit(16_384, 0), 8_192, 131_072, 16_384),
        (prompt_limit(16_384, 0) + 1, 8_192, 131_072, 32_768),
        (9_000, 8_192, 10_000, 10_000),
        (9_800, 8_192, 10_000, 0),
        (9_000, 8_192, 8_192, 0),
        (9_000, 8_192, 0, 0),
    ],
)
def test_a_length_that_holds_it_is_found_if_the_model_has_one(
    tokens: int, context_length: int, trained: int, expected: int
) -> None:
    assert longer_context(tokens, model(context_length, trained)) == expected


def test_the_card_offers_a_longer_context_or_another_model() -> None:
    error = UserError(ErrorKind.PROMPT_TOO_LONG, tokens=9_000, limit_tokens=7_680)
    card = explain(with_way_out(error, model(8_192, 131_072)))
    assert "let the model see more" in card.text
    (longer,) = [action for action in card.actions if action.kind is ActionKind.USE_CONTEXT_LENGTH]
    assert longer.value == 16_384
    card = explain(with_way_out(error, model(8_192, 8_192)))
    assert "choose a model that sees more" in card.text
    assert ActionKind.CHOOSE_MODEL in [action.kind for action in card.actions]


def test_an_answer_that_cannot_go_on_is_not_called_a_message() -> None:
    error = UserError(ErrorKind.PROMPT_TOO_LONG, tokens=9_000, limit_tokens=7_680)
    card = explain(UserError.from_json(with_way_out(error, None, is_continued=True).to_json()))
    assert card.title == "The answer cannot go on"
    assert ActionKind.EDIT not in [action.kind for action in card.actions]


def test_other_errors_stay_as_they_are() -> None:
    error = UserError(ErrorKind.CORRUPT, reason="made up")
    assert with_way_out(error, model(8_192, 131_072)) is error
