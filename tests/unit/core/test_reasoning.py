from __future__ import annotations

import pytest

from app.core.reasoning import KNOWN_MARKS, Piece, ReasoningSplitter, marks_of, opened_by


def split(pieces: list[str], **options: object) -> tuple[str, str]:
    """Thinking and answer."""
    splitter = ReasoningSplitter(KNOWN_MARKS, **options)
    found: list[Piece] = []
    for piece in pieces:
        found += splitter.feed(piece)
    found += splitter.finish()
    thinking = "".join(piece.text for piece in found if piece.is_reasoning)
    return thinking, "".join(piece.text for piece in found if not piece.is_reasoning)


def cut(text: str, size: int) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("<think>\nHm, well.\n\nYes.\n</think>\n\nForty-two.", "Hm, well.\n\nYes.", "Forty-two."),
        ("[THINK]so[/THINK]then", "so", "then"),
        ("<|START_THINKING|>so<|END_THINKING|><|START_RESPONSE|>then", "so", "then"),
        ("<|channel|>analysis<|message|>so<|end|><|start|>assistant<|channel|>final<|message|>ok", "so", "ok"),
        ("<|channel|>final<|message|>ok", "", "ok"),
        ("\n\n  Hello", "", "Hello"),
        ("Use the <think> tag </think> like this", "", "Use the <think> tag </think> like this"),
        ("<b>bold</b>", "", "<b>bold</b>"),
        ("<think></think>\n\nplain", "", "plain"),
        ("<think>one</think><think>two</think>three", "onetwo", "three"),
        ("<think>never ended", "never ended", ""),
        ("a < b", "", "a < b"),
    ],
)
def test_thinking_is_told_from_answer_however_the_text_is_cut(text: str, thinking: str, answer: str, size: int) -> None:
    assert split(cut(text, size)) == (thinking, answer)


def test_thinking_streams_before_it_ends() -> None:
    splitter = ReasoningSplitter(KNOWN_MARKS)
    assert splitter.feed("<think>I wonder") == [Piece("I wonder", True)]


def test_blank_space_inside_thinking_is_kept() -> None:
    assert split(["<think>a", " ", "b", "\n", "c</think>d"]) == ("a b\nc", "d")


def test_thinking_that_the_prompt_opened() -> None:
    inside = KNOWN_MARKS[0]
    assert split(["\nHm", ".</thi", "nk>\n\nYes"], inside=inside) == ("Hm.", "Yes")


def test_a_continued_answer_is_all_answer() -> None:
    assert split([" and <think>more"], continues_answer=True) == ("", " and <think>more")


def test_which_marks_a_template_speaks_of() -> None:
    assert marks_of("{{ '<|im_start|>' }}") == (KNOWN_MARKS[0],)
    assert any(family.openings == ("[THINK]",) for family in marks_of("... [THINK]{{ x }}[/THINK]"))
    harmony = marks_of("<|start|>assistant<|channel|>final<|message|>x<|end|>")
    assert any("<|channel|>analysis<|message|>" in family.openings for family in harmony)


def test_a_prompt_that_opens_thinking() -> None:
    assert opened_by("<|im_start|>assistant\n<think>\n", KNOWN_MARKS) is KNOWN_MARKS[0]
    assert opened_by("<|im_start|>assistant\n<think>\n\n</think>\n\n", KNOWN_MARKS) is None
