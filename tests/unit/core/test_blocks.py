import random

import pytest

from app.core.blocks import (
    LINE_LIMIT_CHARS,
    LIST_LIMIT_CHARS,
    PROSE_LIMIT_CHARS,
    TABLE_LIMIT_LINES,
    WORD_LIMIT_CHARS,
    Block,
    BlockKind,
    BlockSplitter,
    split,
)

SAMPLES = {
    "paragraphs": "One.\nStill one.\n\nTwo.\n\n\nThree.",
    "code": "Look:\n```python\nx = 1\n\ny = 2\n```\nDone.",
    "tilde fence": "~~~js\nlet a = `b`;\n~~~\n",
    "fence in fence": "````md\n```py\nx\n```\n````\nafter",
    "code in a list": "1. First:\n   ```sh\n   ls\n     -l\n   ```\n   and then\n\n   more\n2. Second\n   - inner\n",
    "table": "Intro:\n| a | b |\n|---|:-:|\n| 1 | 2 |\n\nafter",
    "formulas": "$$ x^2 $$\n$$\na\n= b\n$$\n\\[\ny\n\\]\n\\begin{align}\na &= b\n\\end{align}\nend",
    "setext": "Title\n=====\n\nSub\n---\n\ntext",
    "open code": "text\n```c\nint x;\n",
    "open formula": "text\n$$\nx +\n",
    "no formula": "$$\nx is money\n\nand more\n\n$$\n",
    "quotes": "> a\n> b\n\n> c\n",
    "windows line ends": "a\r\n```py\r\nx\r\n```\r\nb\r\n",
    "tabs": "-\titem\n\n\t```\n\tcode\n\t```\n",
    "blank only": "\n\n  \n",
    "nothing": "",
    "back to back": "```\na\n```\n```\nb\n```",
}


def shown(text: str) -> list[tuple[str, str]]:
    return [(block.kind.value, block.text) for block in split(text)]


@pytest.mark.parametrize("name", SAMPLES)
def test_feeding_in_pieces_gives_the_same_blocks_as_feeding_the_whole(name: str) -> None:
    text = SAMPLES[name]
    whole = split(text)
    for seed in range(5):
        rng = random.Random(seed)
        splitter = BlockSplitter()
        start = 0
        while start < len(text):
            end = start + (1 if seed == 0 else rng.randint(1, 7))
            splitter.feed(text[start:end])
            splitter.blocks()  # looking must change nothing
            start = end
        splitter.finish()
        assert splitter.blocks() == whole


@pytest.mark.parametrize("name", SAMPLES)
def test_the_sources_joined_are_the_text_at_every_moment(name: str) -> None:
    text = SAMPLES[name]
    splitter = BlockSplitter()
    for index, char in enumerate(text):
        splitter.feed(char)
        joined = "".join(block.source for block in splitter.done) + splitter.tail.source
        assert joined == text[: index + 1]


@pytest.mark.parametrize("name", SAMPLES)
def test_done_blocks_never_change(name: str) -> None:
    splitter = BlockSplitter()
    before: list[Block] = []
    for char in SAMPLES[name]:
        splitter.feed(char)
        assert splitter.done[: len(before)] == before
        before = list(splitter.done)


def test_random_texts_keep_every_character() -> None:
    pieces = [
        "```",
        "~~~",
        "\n",
        "\n\n",
        "- a",
        "1. b",
        "   ",
        "| a | b |",
        "|---|---|",
        "$$",
        "\\[",
        "\\]",
        "word ",
        "====",
        "\t",
    ]
    for seed in range(300):
        rng = random.Random(seed)
        text = "".join(rng.choice(pieces) for _ in range(rng.randint(1, 40)))
        whole = BlockSplitter()
        whole.feed(text)
        single = BlockSplitter()
        for char in text:
            single.feed(char)
        assert single.blocks() == whole.blocks()
        assert "".join(block.source for block in whole.done) + whole.tail.source == text


def test_code_is_shown_without_its_fences_and_with_its_language() -> None:
    (block,) = split("```python title=x\na\n  b\n```\n")
    assert (block.kind, block.text, block.language, block.closed) == (BlockKind.CODE, "a\n  b", "python", True)


def test_a_longer_fence_holds_a_shorter_one() -> None:
    assert shown(SAMPLES["fence in fence"]) == [("code", "```py\nx\n```"), ("prose", "after")]


def test_an_empty_code_block_is_shown() -> None:
    assert shown("```\n```") == [("code", "")]


def test_a_fence_needs_its_own_line_and_no_backtick_behind_it() -> None:
    assert shown("use ```x``` here") == [("prose", "use ```x``` here")]
    assert shown("```x``` here") == [("prose", "```x``` here")]


def test_code_inside_a_list_is_taken_out_and_the_list_goes_on() -> None:
    blocks = split(SAMPLES["code in a list"])
    assert [(b.kind.value, b.text, b.indent) for b in blocks] == [
        ("prose", "1. First:", 0),
        ("code", "ls\n  -l", 3),
        ("prose", "and then\n\nmore", 3),
        ("prose", "2. Second\n   - inner", 0),
    ]


def test_indented_code_outside_lists_is_no_fence() -> None:
    assert [block.kind for block in split("text\n\n    ```\n    x\n    ```\n")] == [BlockKind.PROSE]


def test_a_table_is_kept_whole_and_may_follow_a_sentence_directly() -> None:
    assert shown(SAMPLES["table"]) == [
        ("prose", "Intro:"),
        ("table", "| a | b |\n|---|:-:|\n| 1 | 2 |"),
        ("prose", "after"),
    ]


def test_an_empty_first_or_last_cell_counts() -> None:
    for head in ("|| a | b |", "| a | b ||", "|| a ||"):
        assert [block.kind for block in split(f"{head}\n|---|---|---|\n| 1 | 2 | 3 |")] == [BlockKind.TABLE]


def test_a_rule_under_a_sentence_with_a_bar_is_no_table() -> None:
    assert [block.kind for block in split("a | b\n---\n")] == [BlockKind.PROSE]


def test_a_very_long_table_goes_on_under_the_same_head() -> None:
    rows = [f"| {i} | x |" for i in range(TABLE_LIMIT_LINES * 2)]
    blocks = split("\n".join(["| n | t |", "|---|---|", *rows]))
    assert {block.kind for block in blocks} == {BlockKind.TABLE}
    assert all(block.text.startswith("| n | t |\n|---|---|\n") for block in blocks)
    assert [row for block in blocks for row in block.text.split("\n")[2:]] == rows


def test_display_formulas_lose_their_delimiters() -> None:
    assert [text for kind, text in shown(SAMPLES["formulas"]) if kind == "math"] == [
        "x^2",
        "a\n= b",
        "y",
        "\\begin{align}\na &= b\n\\end{align}",
    ]


def test_a_formula_inside_a_sentence_stays_in_it() -> None:
    assert shown("$$x$$ is the root") == [("prose", "$$x$$ is the root")]


def test_a_formula_that_never_ends_becomes_text_again() -> None:
    blocks = split("$$\nx is money\n\nand more\n")
    assert [block.kind for block in blocks] == [BlockKind.PROSE]
    assert "x is money" in blocks[0].text


def test_a_formula_that_the_text_ends_in_is_shown_as_written() -> None:
    assert shown("$$ is the number of the process") == [("prose", "$$ is the number of the process")]
    assert shown("text\n\n$$\nx +") == [("prose", "text"), ("prose", "$$\nx +")]


def test_a_math_fence_is_a_formula() -> None:
    assert shown("```math\n\\pi\n```") == [("math", "\\pi")]


def test_headings_stay_with_their_underline() -> None:
    assert shown(SAMPLES["setext"]) == [("prose", SAMPLES["setext"])]


def test_beginnings_of_fences_and_formulas_are_not_shown() -> None:
    for start in ("```", "```py", "~~~", "$$", "\\["):
        splitter = BlockSplitter()
        splitter.feed("text\n\n" + start)
        assert splitter.tail.text == "text"
    splitter = BlockSplitter()
    splitter.feed("```py\nx = 1\n``")
    assert splitter.tail.text == "x = 1"


def test_long_prose_is_cut_at_paragraphs() -> None:
    text = "\n\n".join(f"Paragraph {i} " + "word " * 40 for i in range(30))
    blocks = split(text)
    assert len(blocks) > 3
    assert all(len(block.text) < PROSE_LIMIT_CHARS + 300 for block in blocks)


def test_a_long_list_goes_on_with_its_numbers() -> None:
    text = "\n".join(f"1. item {i} " + "word " * 10 for i in range(120))
    blocks = split(text)
    assert len(blocks) >= 3
    assert [block.continues_list for block in blocks] == [False] + [True] * (len(blocks) - 1)
    assert all(len(block.text) < LIST_LIMIT_CHARS + 200 for block in blocks)
    item = 1
    for block in blocks:
        assert block.text.startswith(f"{item}. ")
        item += block.text.count("\n") + 1


@pytest.mark.parametrize("between", ["# New\n", "---\n", "```\nx\n```\nNew:\n"])
def test_a_list_behind_a_heading_a_rule_or_words_of_its_own_begins_at_one(between: str) -> None:
    assert split(f"1. a\n2. b\n{between}```\ny\n```\n1. c")[-1].text == "1. c"


def test_a_list_goes_on_behind_code_without_indentation() -> None:
    assert split("1. a\n```\nx\n```\n1. b")[-1].text == "2. b"


def test_short_lists_are_one_block_even_with_blank_lines_between_items() -> None:
    text = "- a\n\n- b\n\n  more of b\n\n- c"
    assert shown(text) == [("prose", text)]


def test_an_endless_line_is_cut_behind_a_sentence() -> None:
    text = "This is one sentence. " * (LINE_LIMIT_CHARS // 5)
    blocks = split(text)
    assert len(blocks) > 2
    assert all(len(block.source) <= LINE_LIMIT_CHARS for block in blocks)
    assert all(block.text.rstrip().endswith(".") for block in blocks)


def test_an_endless_word_is_cut_anywhere() -> None:
    text = "x" * (WORD_LIMIT_CHARS * 2 + 5)
    assert [len(block.text) for block in split(text)] == [WORD_LIMIT_CHARS, WORD_LIMIT_CHARS, 5]
    splitter = BlockSplitter()
    for char in text:
        splitter.feed(char)
    assert [block.text for block in splitter.blocks()] == [block.text for block in split(text)]


def test_a_quote_without_end_is_cut_at_a_line() -> None:
    blocks = split("> words of a quote\n" * 1_000)
    assert len(blocks) > 3
    assert all(block.text.startswith("> words") for block in blocks)


def test_a_list_that_only_grows_inwards_is_cut_at_an_inner_item() -> None:
    blocks = split("- top\n" + "".join(f"  - inner {i} and some words\n" for i in range(600)))
    assert len(blocks) > 2
    assert all(block.continues_list and block.indent == 2 for block in blocks[1:])
    assert "".join(block.source for block in blocks).count("inner") == 600
