import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from app.core.events import Finished, FinishReason, Loaded, TextDelta
from app.engine.protocol import decode_event
from tests.cli.hearth import Hearth, engines_of, files_under


def events_of(output: str) -> list[Any]:
    """What --json printed: every line is one event of the protocol."""
    return [decode_event(line.encode()) for line in output.splitlines()]


def text_of(output: str) -> str:
    return "".join(event.text for event in events_of(output) if isinstance(event, TextDelta))


def test_a_question_is_answered_by_the_built_in_model(hearth: Hearth) -> None:
    done = hearth.run("ask", "Does Hearth need the internet?")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
    assert done.stdout.endswith("\n")


def test_a_question_may_come_from_standard_input(hearth: Hearth, emoji_model: str) -> None:
    done = hearth.run("ask", "-", "--model", emoji_model, stdin="Was heißt das?\n".encode())
    assert (done.returncode, done.stdout, done.stderr) == (0, "é😀שלום\n", "")


def test_json_has_one_event_in_each_line(hearth: Hearth, noise_model: str) -> None:
    done = hearth.run("ask", "hi", "--json", "--max-tokens", "9", "--temperature", "0", "--model", noise_model)
    events = events_of(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert [type(event) for event in events if isinstance(event, Loaded | Finished)] == [Loaded, Finished]
    assert events[-1].reason is FinishReason.LENGTH
    assert events[-1].usage.completion_tokens == 9


def test_temperature_zero_and_a_seed_give_the_same_answer_again(hearth: Hearth, noise_model: str) -> None:
    def answer(*options: str) -> str:
        return text_of(hearth.run("ask", "hi", "--json", "--max-tokens", "24", "--model", noise_model, *options).stdout)

    assert answer("--temperature", "0") == answer("--temperature", "0", "--seed", "5")
    assert answer("--temperature", "2", "--seed", "5") == answer("--temperature", "2", "--seed", "5")
    assert answer("--temperature", "2", "--seed", "5") != answer("--temperature", "2", "--seed", "6")


@pytest.mark.parametrize(
    "question",
    [b"caf\xc3\xa9 \xf0\x9f\x98\x80", "מה שלומך?".encode(), b"not \xff\xfe UTF-8", b"two\nlines", b" -- "],
    ids=["emoji", "right to left", "not UTF-8", "two lines", "dashes"],
)
def test_any_question_is_answered(hearth: Hearth, emoji_model: str, question: bytes) -> None:
    done = hearth.run("ask", question, "--model", emoji_model)
    assert (done.returncode, done.stdout, done.stderr) == (0, "é😀שלום\n", "")


def test_nul_and_broken_utf_8_from_standard_input_are_answered(hearth: Hearth, emoji_model: str) -> None:
    done = hearth.run("ask", "-", "--model", emoji_model, stdin=b"a\0b\xff\xed\xa0\x80c\r\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "é😀שלום\n", "")


@pytest.mark.parametrize("question", ["", " \n\t"])
def test_an_empty_question_is_refused(hearth: Hearth, question: str) -> None:
    done = hearth.run("ask", question)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "There is nothing to send. Type a message first.\n"
    assert files_under(hearth.data.parent) == ["home"], "nothing was started"


@pytest.mark.parametrize("stdin", [subprocess.DEVNULL, None], ids=["empty", "closed"])
def test_no_standard_input_is_an_empty_question(hearth: Hearth, stdin: int | None) -> None:
    closed = {} if stdin is not None else {"preexec_fn": lambda: os.close(0)}
    done = hearth.run("ask", "-", "--json", **closed)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["kind"] == "empty_prompt"
    assert "Traceback" not in done.stderr


def test_five_megabytes_do_not_fit_and_are_said_to_be_too_long(hearth: Hearth, noise_model: str) -> None:
    done = hearth.run("ask", "-", "--model", noise_model, stdin=b"ab cd\n" * 840_000)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("This message is too long for the model.")
    assert "Traceback" not in done.stderr


def _broken_files(folder: Path, good: Path) -> dict[str, Path]:
    whole = good.read_bytes()
    contents = {"empty": b"", "text": b"hello " * 100, "truncated": whole[: len(whole) // 2], "header only": whole[:64]}
    paths = {"missing": folder / "missing.gguf", "a folder": folder}
    for name, content in contents.items():
        paths[name] = folder / f"{name}.gguf"
        paths[name].write_bytes(content)
    return paths


@pytest.mark.parametrize("kind", ["missing", "a folder", "empty", "text", "truncated", "header only"])
def test_a_file_that_is_no_model_is_named_in_plain_words(
    hearth: Hearth, noise_model: str, tmp_path: Path, kind: str
) -> None:
    path = _broken_files(tmp_path, Path(noise_model))[kind]
    done = hearth.run("ask", "hi", "--json", "--model", str(path))
    assert done.returncode == 1
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()].count("failed") == 1
    assert json.loads(done.stdout.splitlines()[-1])["type"] == "failed"
    assert path.name in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_stops_the_answer_and_keeps_what_was_said(hearth: Hearth, endless_model: str) -> None:
    with hearth.start("ask", "hi", "--model", endless_model) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"a"
        engines = engines_of(process)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        took_s = time.monotonic() - started
    assert process.returncode == 130
    assert err == b""
    assert out.strip(b"a") == b"\n"  # the stop may come before the second "a"
    assert took_s < 3
    assert len(engines) == 1
    assert not engines[0].is_running()


def test_ctrl_c_before_the_answer_ends_quietly(hearth: Hearth, endless_model: str) -> None:
    with hearth.start("ask", "-", "--model", endless_model, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"more than a pipe holds: now it is reading " * 50_000)
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_ctrl_c_while_a_long_question_is_read(hearth: Hearth, endless_model: str) -> None:
    options = ("--json", "--context", "32768", "--model", endless_model)
    with hearth.start("ask", "-", *options, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"word " * 5_000)
        process.stdin.close()
        process.stdin = None
        assert any(b"prompt_started" in line for line in iter(process.stdout.readline, b""))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == b""
    assert json.loads(out.splitlines()[-1])["reason"] == "stopped"


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_a_reader_that_leaves_early_ends_it_quietly(hearth: Hearth, endless_model: str, options: list[str]) -> None:
    with hearth.start("ask", "hi", "--model", endless_model, *options) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        err = process.stderr.read()
        process.wait(20)
    assert (process.returncode, err) == (1, b"")


def test_closed_output_is_a_failure_without_a_traceback(hearth: Hearth, endless_model: str) -> None:
    done = hearth.run("ask", "hi", "--model", endless_model, stdout=None, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_is_named(hearth: Hearth, emoji_model: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = hearth.run("ask", "hi", "--model", emoji_model, stdout=full)
    assert (done.returncode, done.stderr) == (1, "The output cannot be written: No space left on device\n")


@pytest.mark.parametrize(
    "environment",
    [{"LANG": "C", "LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "cp1252"}],
    ids=["C", "ascii", "cp1252"],
)
def test_a_terminal_without_the_letters_gets_an_answer(
    hearth: Hearth, emoji_model: str, environment: dict[str, str]
) -> None:
    with hearth.start("ask", "héllo 😀", "--model", emoji_model, environment=environment) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"Traceback" not in err  # Qt itself may remark on the locale
    with contextlib.suppress(UnicodeDecodeError):
        assert "?" in out.decode("ascii")
    done = hearth.run("ask", "hi", "--json", "--model", emoji_model, environment=environment)
    assert text_of(done.stdout) == "é😀שלום", "JSON is UTF-8 everywhere"


def test_everything_is_kept_under_the_data_folder(hearth: Hearth, emoji_model: str) -> None:
    hearth.run("ask", "hi", "--model", emoji_model)
    assert files_under(hearth.data) == ["logs", "logs/engine.log"]


def test_the_log_holds_neither_question_nor_answer(hearth: Hearth, emoji_model: str) -> None:
    hearth.run("ask", "Schnabeltier", "--model", emoji_model)
    log = (hearth.data / "logs" / "engine.log").read_text("utf-8")
    assert "Schnabeltier" not in log
    assert "😀" not in log


def test_a_data_folder_that_cannot_be_made_does_not_matter_for_a_question(
    hearth: Hearth, emoji_model: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    blocked = Hearth(hearth.home, tmp_path / "file" / "data")
    done = blocked.run("ask", "hi", "--model", emoji_model)
    assert (done.returncode, done.stdout, done.stderr) == (0, "é😀שלום\n", "")
