"""What the engine says of a chat template before anybody chats with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.core.chat_formats import format_named
from app.core.errors import ErrorKind, NoticeKind
from app.core.events import Failed, FinishReason, Loaded, Notice, TemplateChecked
from app.core.template_check import Dialogue, RenderedDialogue, TemplateFindingKind, named_template
from app.engine.protocol import CheckTemplate, Generate, Load
from tests.engine.engine_child import EngineChild, user
from tests.fixtures import tiny_gguf as tiny

pytestmark = pytest.mark.engine
Kind = TemplateFindingKind

SILENT = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
TOOLED = (
    tiny.CHATML
    + "{% for t in tools or [] %}{{ t.function.name }}{% endfor %}"
    + "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.function.arguments.town }}{% endfor %}{% endfor %}"
)
ENDLESS = "{% for i in range(10**5) %}{% for j in range(10**5) %}{% endfor %}{% endfor %}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def model(folder: Path, template: str | None, name: str = "m") -> Path:
    return tiny.write_model(folder / f"{name}.gguf", tiny.bpe_vocabulary(), architecture="qwen2", template=template)


def check(child: EngineChild, path: Path | str = "", template: str = "", **more: str) -> TemplateChecked:
    event = child.ask(CheckTemplate(0, str(path), template, **more)).last
    assert isinstance(event, TemplateChecked), event
    return event


def kinds(checked: TemplateChecked) -> set[Kind]:
    return {finding.kind for finding in checked.findings}


def rendered(checked: TemplateChecked, dialogue: Dialogue) -> RenderedDialogue:
    return next(each for each in checked.dialogues if each.dialogue is dialogue)


def test_a_good_template_is_fine(child: EngineChild, folder: Path) -> None:
    checked = check(child, model(folder, TOOLED))
    assert (checked.name, checked.used, checked.source) == ("file", "file", TOOLED)
    assert checked.findings == ()
    assert [each.dialogue for each in checked.dialogues] == list(Dialogue)
    turns = rendered(checked, Dialogue.TURNS)
    assert turns.text.endswith("<|im_start|>assistant\n")
    assert [turns.text[start:end] for start, end in turns.messages][1] == "Jupiter."
    assert "get_weather" in rendered(checked, Dialogue.TOOLS).text
    assert "144." in rendered(checked, Dialogue.REASONING).text


@pytest.mark.parametrize(
    ("template", "kind", "reason", "line"),
    [
        (None, Kind.MISSING, "", 0),
        ("a\nb\n{% if %}", Kind.FAILS, "Expected", 3),
        ("{% for m in messages %}\n{{ m.content.nothing.more }}\n{% endfor %}", Kind.FAILS, "no attribute", 2),
        ("Hello.", Kind.FAILS, "leaves out", 0),
        (ENDLESS, Kind.FAILS, "longer than 2 seconds", 0),
        (SILENT, Kind.NO_GENERATION_PROMPT, "", 0),
    ],
)
def test_what_makes_a_template_unusable_is_told_and_the_right_one_is_chosen(
    child: EngineChild, folder: Path, template: str | None, kind: Kind, reason: str, line: int
) -> None:
    path = model(folder, template)
    checked = check(child, path)
    found = next(finding for finding in checked.findings if finding.kind is kind)
    assert found.kind.makes_unusable
    assert reason in found.reason
    assert found.line == line
    assert checked.used == "chatml"
    loaded = child.load(path).last  # the engine does what the doctor says
    assert loaded.model.template == "chatml"


def test_a_silent_template_is_told_when_it_is_loaded(child: EngineChild, folder: Path) -> None:
    notices = child.load(model(folder, SILENT)).of(Notice)
    assert [(notice.kind, notice.details) for notice in notices] == [
        (NoticeKind.TEMPLATE_SILENT, {"fallback": "chatml"})
    ]


def test_what_fails_on_one_dialogue_only_is_no_reason_to_give_it_up(child: EngineChild, folder: Path) -> None:
    picky = "{% if tools %}\n{{ raise_exception('I use no tools') }}{% endif %}" + tiny.CHATML
    checked = check(child, model(folder, picky))
    (finding,) = checked.findings
    assert (finding.kind, finding.dialogue, finding.reason, finding.line) == (
        Kind.FAILS_ON,
        "tools",
        "I use no tools",
        2,
    )
    assert checked.used == "file"
    assert rendered(checked, Dialogue.TOOLS).reason == "I use no tools"


def test_the_system_prompt_in_the_question_and_no_tools_are_mentioned(child: EngineChild, folder: Path) -> None:
    checked = check(child, model(folder, tiny.GEMMA))
    assert {Kind.SYSTEM_IN_QUESTION, Kind.NO_TOOLS} <= kinds(checked)
    assert checked.used == "file"


def test_a_draft_is_tried_with_and_without_a_file(child: EngineChild, folder: Path) -> None:
    draft = "{{ bos_token }}|{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}>"
    assert rendered(check(child, template=draft), Dialogue.TURNS).text.startswith("<s>|Which")
    checked = check(child, model(folder, tiny.CHATML), draft)
    assert checked.name == "own"
    assert rendered(checked, Dialogue.SYSTEM).text.endswith("<|im_end|>>")


def test_a_broken_draft_gives_way_to_the_file(child: EngineChild, folder: Path) -> None:
    path = model(folder, tiny.CHATML)
    assert check(child, path, "{% if %}").used == "file"
    run = child.ask(Load(0, str(path), 512, template="{% if %}"))
    (notice,) = run.of(Notice)
    assert (notice.kind, notice.details["fallback"]) == (NoticeKind.OWN_TEMPLATE_BROKEN, "file")
    assert run.last.model.template == "file"


def test_a_format_of_the_table_and_the_catalogues_word(child: EngineChild, folder: Path) -> None:
    vicuna = format_named("vicuna")
    assert vicuna is not None
    checked = check(child, template=named_template("vicuna"))
    assert (checked.name, checked.used, checked.source) == ("vicuna", "vicuna", vicuna.source)
    assert check(child, model(folder, None), catalog_template="koala").used == "koala"


def test_a_file_that_is_no_model_is_told(child: EngineChild, folder: Path) -> None:
    (folder / "x.gguf").write_bytes(b"nothing")
    for path, kind in ((folder / "x.gguf", ErrorKind.NOT_A_MODEL), (folder / "y.gguf", ErrorKind.FILE_MISSING)):
        event = child.ask(CheckTemplate(0, str(path))).last
        assert isinstance(event, Failed)
        assert event.error.kind is kind
    assert child.ask(CheckTemplate(0)).last.error.kind is ErrorKind.BAD_REQUEST


def test_another_template_does_not_load_the_model_again(child: EngineChild, folder: Path) -> None:
    path = model(folder, tiny.CHATML)
    child.ask(Load(0, str(path), 512))
    as_file = child.generate([user("Hi")], max_tokens=1).last.usage.prompt_tokens
    run = child.ask(Load(0, str(path), 512, template=named_template("vicuna")))
    assert isinstance(run.last, Loaded)
    assert [type(event) for event in run.events] == [Loaded]  # nothing was read
    assert run.last.model.template == "vicuna"
    as_vicuna = child.generate([user("Hi")], max_tokens=1).last.usage.prompt_tokens
    assert as_vicuna > as_file  # its default system prompt
    own = child.ask(Load(0, str(path), 512, template="{% for m in messages %}{{ m.content }}{% endfor %}:"))
    assert own.last.model.template == "own"
    assert child.generate([user("Hi")], max_tokens=1).last.usage.prompt_tokens < as_file
    assert child.ask(Load(0, str(path), 512)).last.model.template == "file"
    assert child.generate([user("Hi")], max_tokens=1).last.usage.prompt_tokens == as_file


def test_templates_are_looked_at_while_a_model_writes(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"answers": [{"text": "Hm.", "first_token_ms": 600_000}]}), "utf-8")
    child = EngineChild("--backend", f"scripted:{script}", log_path=tmp_path / "engine.log")
    try:
        child.ask(Load(0, "any.gguf"))
        writing = child.send(Generate(0, (user("hello"),)))
        checked = child.send(CheckTemplate(0, template=tiny.CHATML))
        assert isinstance(child.collect(checked).last, TemplateChecked)
        child.stop(writing)
        assert child.collect(writing).last.reason is FinishReason.STOPPED
    finally:
        child.close()
