import pytest

from app.core.math_spans import MARKER_BASE, mark_formulas


def found(markdown: str) -> list[str]:
    return [formula.tex for formula in mark_formulas(markdown).formulas]


@pytest.mark.parametrize(
    ("markdown", "tex"),
    [
        ("the root $x_1$ of it", ["x_1"]),
        (r"\(a*b*c\) and \[d_1\]", ["a*b*c", "d_1"]),
        ("$$\\sum_i i$$ inside", ["\\sum_i i"]),
        ("$a$, $b$ and $c$.", ["a", "b", "c"]),
        ("an escaped \\$ and $x$", ["x"]),
        (r"$\$5$", [r"\$5"]),
        ("($x$)", ["x"]),
        ("$|a|$ in | a | table |", ["|a|"]),
        ("\\[a\n+ b\\]", ["a\n+ b"]),
    ],
)
def test_formulas_are_found(markdown: str, tex: list[str]) -> None:
    assert found(markdown) == tex


@pytest.mark.parametrize(
    "markdown",
    [
        "costs $5 and $10",
        "between $5-$10 a month",
        "US$5 or US$6",
        "a lone $ sign",
        "`$x$` is code",
        "``a ` $x$``",
        "$ x $ has spaces",
        "$x$5",
        "no formula at all",
        "https://example.org/things?$filter=a&$top=5",
        "[a](https://example.org/$x$)",
        "$a\n\nb$",
        "$$a\n\nb$$",
        "$$$$",
        "",
    ],
)
def test_other_dollars_are_left_alone(markdown: str) -> None:
    marked = mark_formulas(markdown)
    assert marked.text == markdown
    assert marked.formulas == ()


def test_each_formula_becomes_one_marker_in_order() -> None:
    marked = mark_formulas("a $x$ b $y$ c")
    assert marked.text == f"a {chr(MARKER_BASE)} b {chr(MARKER_BASE + 1)} c"
    assert [formula.source for formula in marked.formulas] == ["$x$", "$y$"]


def test_display_style_is_noted() -> None:
    assert [f.display for f in mark_formulas(r"$a$ \(b\) $$c$$ \[d\]").formulas] == [False, False, True, True]


def test_putting_the_sources_back_gives_the_text() -> None:
    text = r"A $x$ with `$code$`, \$3, \(y\) and $$z$$ for $5."
    marked = mark_formulas(text)
    restored = marked.text
    for index, formula in enumerate(marked.formulas):
        restored = restored.replace(chr(MARKER_BASE + index), formula.source)
    assert restored == text


def test_markers_in_the_text_cannot_pose_as_formulas() -> None:
    marked = mark_formulas(f"{chr(MARKER_BASE)} and $x$")
    assert marked.text == f"\ufffd and {chr(MARKER_BASE)}"
