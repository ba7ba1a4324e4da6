import pytest

from app.cli.arguments import parse


def test_no_words_open_the_window() -> None:
    parsed = parse([])
    assert (parsed.command, parsed.data_dir, parsed.model, parsed.file) == ("window", None, None, None)


def test_a_file_is_opened_in_the_window() -> None:
    assert parse(["model.gguf"]).file == "model.gguf"
    assert parse(["--model", "ask"]).model == "ask"


@pytest.mark.parametrize(
    "words",
    [["--data-dir", "d", "ask", "why?"], ["ask", "--data-dir", "d", "why?"], ["ask", "why?", "--data-dir", "d"]],
)
def test_the_data_folder_may_stand_anywhere(words: list[str]) -> None:
    parsed = parse(words)
    assert (parsed.command, parsed.data_dir, parsed.question) == ("ask", "d", "why?")


def test_the_question_may_be_a_command_word() -> None:
    assert parse(["ask", "doctor"]).question == "doctor"
    assert parse(["ask", "ask"]).question == "ask"
    odd = parse(["--model", "ask", "ask", "why?"])
    assert (odd.command, odd.model, odd.question) == ("ask", "ask", "why?")


def test_a_folder_may_be_called_like_a_command() -> None:
    parsed = parse(["--data-dir", "ask", "doctor", "--json"])
    assert (parsed.command, parsed.data_dir, parsed.json) == ("doctor", "ask", True)


@pytest.mark.parametrize(
    "words",
    [
        ["ask"],
        ["ask", "q", "--temperature", "9"],
        ["ask", "q", "--temperature", "nan"],
        ["ask", "q", "--max-tokens", "-1"],
        ["ask", "q", "--seed", "x"],
        ["ask", "q", "--seed", str(2**32)],
        ["ask", "q", "--context", "9" * 20],
        ["ask", "q", "--max-tokens", "9" * 20],
        ["doctor", "extra"],
        ["--nonsense"],
    ],
)
def test_mistakes_end_with_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
    assert "usage: hearth" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["ask", "q", "--temperature", "warm"],
        ["ask", "q", "--max-tokens", "many"],
        ["models", "search", "x", "--limit", "all"],
        ["models", "search", "x", "--limit", "9" * 5000],
    ],
)
def test_what_is_no_number_is_told_what_it_may_be(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(words)
    said = capsys.readouterr().err
    assert "must be " in said
    assert " between " in said


def test_models_has_commands_of_its_own() -> None:
    found = parse(["models", "search", "tiny", "--max-size", "1.5 GB", "--data-dir", "d"])
    assert (found.command, found.action, found.text, found.max_size, found.data_dir) == (
        "models",
        "search",
        "tiny",
        1_500_000_000,
        "d",
    )
    assert parse(["--data-dir", "d", "models", "list"]).data_dir == "d"
    assert parse(["models", "rm", "models"]).name == "models"


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["search", "--max-size", "big"], ["search", "--max-size", "0"], ["search", "--limit", "0"]]
)
def test_mistakes_after_models_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parse(["models", *words])
    assert refused.value.code == 2
