"""Templates from strangers: what the sandbox refuses, and that it refuses in time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.core.errors import NoticeKind
from app.core.events import Finished, Loaded, Notice
from app.engine.worker.template_renderer import (
    ChatTemplate,
    TemplateError,
    TemplateRefusalError,
)
from tests.engine.engine_child import EngineChild, assistant, system, user
from tests.fixtures import tiny_gguf as tiny

pytestmark = pytest.mark.engine
ENDLESS = "{% for i in range(10**5) %}{% for j in range(10**5) %}{% endfor %}{% endfor %}"


def render(source: str, **message: str) -> str:
    data = [{"role": "user", "content": "Hi", **message}]
    return ChatTemplate(source, "<s>", "</s>").render(data, add_generation_prompt=True)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% if %}", "line 1"),
        ("{{ messages[0].nothing.more }}", "UndefinedError"),
        ("{{ ''.__class__ }}", "__class__"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "__class__"),
        ("{{ messages.append(1) }}", "append"),
        ("{{ cycler.__init__.__globals__ }}", "__init__"),
        ("{{ 'x' * 2**40 }}", "repeated"),
        ("{{ [0] * 10**9 }}", "repeated"),
        ("{{ 'x'|center(10**10) }}", "too large"),
        ("{{ 'x'.ljust(10**10) }}", "too large"),
        ("{{ '%9999999999d' % 1 }}", "too wide"),
        ("{{ '%*d' % (9999999999, 1) }}", "too wide"),
        ("{{ '%9999999999d'|format(1) }}", "too wide"),
        ("{{ '{:>9999999999}'.format(1) }}", "too wide"),
        ("{{ '{:>{}}'.format(1, 9999999999) }}", "too"),
        ("{{ (['x' * 1000] * 100000) | join }}", "too long"),
        ("{{ ('x' * 1000).join(['y'] * 100000) }}", "too long"),
        ("{{ ([1] * 100000) | join('x' * 1000) }}", "too long"),
        ("{{ ('x' * 100000) | replace('x', 'y' * 1000) }}", "too long"),
        ("{{ ('x' * 100000).replace('x', 'y' * 1000) }}", "too long"),
        ("{{ ('\\t' * 100000).expandtabs(1000) }}", "too long"),
        ("{{ ('\\n' * 100000) | indent(1000) }}", "too long"),
        ("{{ ('\\n' * 100000) | indent(width=1000) }}", "too long"),
        ("{{ ('%(a)s' * 100000) % {'a': 'x' * 1000} }}", "too long"),
        ("{{ ('%s' * 100000) | format('x' * 1000) }}", "too long"),
        ("{{ ('{0}' * 100000).format('x' * 1000) }}", "too long"),
        ("{{ messages | tojson(indent=100000) }}", "too large"),
        ("{{ 9**(9**9) }}", "power"),
        ("{{ range(10**8)|list }}", "too large"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("{% include 'file' %}", "loader"),
        ("{{ raise_exception('System role not supported') }}", "System role not supported"),
    ],
)
def test_what_a_template_may_not_do(source: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=reason):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        ENDLESS,
        "{% set n = namespace(s='x' * 1000) %}{% for i in range(64) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "{% for i in range(10**5) %}{% for j in range(10**5) %}{{ i ~ j }}{% endfor %}{% endfor %}",
    ],
)
def test_endless_templates_end(source: str) -> None:
    """Left alone, each would run for hours or fill the memory: that the test ends is what it shows."""
    with pytest.raises(TemplateError, match="seconds"):
        render(source)


def test_refusal_is_told_from_failure() -> None:
    with pytest.raises(TemplateRefusalError):
        render("{{ raise_exception('roles must alternate') }}")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ {'a': 'é<&>', 'b': [1, true, none]} | tojson }}", '{"a": "é<&>", "b": [1, true, null]}'),
        ("{{ {'a': 1} | tojson(indent=2) }}", '{\n  "a": 1\n}'),
        ("a\n  {% if true %}\nb\n  {% endif %}\nc", "a\nb\nc"),
        ("{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "1"),
        ("{% generation %}x{% endgeneration %}", "x"),
        ("{{ bos_token }}{{ eos_token }}", "<s></s>"),
        ("{{ '%s-%d' % ('a', 3) }}{{ '{:>3}'.format(1) }}{{ 'ab' * 2 }}{{ 2 ** 3 }}", "a-3  1abab8"),
        ("{{ 'x'|center(3) }}{{ messages|length }}{{ messages[0].get('content', '') }}", " x 1Hi"),
        ("{{ tools is none }}{{ enable_thinking is defined }}", "TrueFalse"),
    ],
)
def test_the_dialect_of_transformers(source: str, expected: str) -> None:
    assert render(source) == expected


def test_today() -> None:
    assert render("{{ strftime_now('%Y') }}") == time.strftime("%Y")


@pytest.fixture
def vocabulary() -> tiny.TinyVocabulary:
    return tiny.bpe_vocabulary()


def load_with(child: EngineChild, folder: Path, template: str | None, name: str = "m") -> list[object]:
    path = tiny.write_model(folder / f"{name}.gguf", tiny.bpe_vocabulary(), architecture="qwen2", template=template)
    return child.load(path).events


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% if %}", "line 1"),
        ("{{ ''.__class__ }}", "__class__"),
        (ENDLESS, "longer than 2 seconds"),
        ("Hello.", "leaves out"),
        ("{% for m in messages %}{{ m.content[:20] }}{% endfor %}", "apart"),
    ],
)
def test_a_broken_template_gives_way_to_a_known_one_with_a_notice(
    child: EngineChild, tmp_path: Path, template: str, reason: str
) -> None:
    start = time.monotonic()
    events = load_with(child, tmp_path, template)
    assert time.monotonic() - start < 60
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert notice.kind is NoticeKind.TEMPLATE_BROKEN
    assert reason in notice.details["reason"]
    assert notice.details["fallback"] == "chatml"
    assert events[-1].model.template == "chatml"
    assert child.generate([user("Hi")], sampling={"temperature": 0.0}, max_tokens=3).last.usage.completion_tokens == 3


def test_a_missing_template_is_told(child: EngineChild, tmp_path: Path) -> None:
    events = load_with(child, tmp_path, None)
    notices = [event for event in events if isinstance(event, Notice)]
    assert [notice.kind for notice in notices] == [NoticeKind.TEMPLATE_MISSING]
    assert isinstance(events[-1], Loaded)


def test_a_template_that_fails_on_one_conversation_only(child: EngineChild, tmp_path: Path) -> None:
    picky = "{% if messages|length > 1 %}{{ nothing.here }}{% endif %}" + tiny.CHATML
    assert not [event for event in load_with(child, tmp_path, picky) if isinstance(event, Notice)]
    run = child.generate([user("a"), assistant("b"), user("c")], max_tokens=2)
    (notice,) = run.of(Notice)
    assert (notice.kind, notice.details["fallback"]) == (NoticeKind.TEMPLATE_BROKEN, "chatml")
    assert isinstance(run.last, Finished)
    assert not child.generate([user("a")], max_tokens=2).of(Notice)


def test_a_refused_system_prompt_still_reaches_the_model(child: EngineChild, models: Path) -> None:
    child.load(models / "gemma.gguf")
    alone = child.generate([user("Hi")], max_tokens=1).last.usage.prompt_tokens
    told = child.generate([system("Be kind to cats."), user("Hi")], max_tokens=1)
    assert told.last.usage.prompt_tokens > alone + 4
    assert not told.of(Notice)
