"""Our renderer against transformers' way of rendering, byte for byte."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import jinja2
import pytest

from app.core.chat_formats import FORMATS
from app.core.messages import Role
from app.engine.protocol import ChatMessage
from app.engine.worker.chat_prompt import PromptRenderer
from app.engine.worker.template_renderer import ChatTemplate, TemplateError
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.transformers_templates import apply_chat_template

NOW = datetime(2026, 2, 3, 4, 5, 6)
BOS, EOS = "<s>", "</s>"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a <town> & its surroundings, “now”",
            "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
        },
    }
]
SYSTEM = {"role": "system", "content": " Be kind & <b>brief</b>. "}


def asks(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def says(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": {"town": "Köln"}}}
TALKS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]] | None]] = {
    "one question": ([asks("Hi")], None),
    "three turns": (
        [SYSTEM, asks(" Hi\n"), says("Hello."), asks("And?"), says(" More. "), asks("{{ messages }} {% raw %}")],
        None,
    ),
    "tool": (
        [SYSTEM, asks("?"), says("", tool_calls=[CALL]), {"role": "tool", "name": "get_weather", "content": "3 °C"}],
        TOOLS,
    ),
    "reasoning": ([asks("2+2?"), says("4", reasoning_content="Two and two."), asks("3+3?")], None),
    "answer first": ([says("<think>\nWell…\n</think>\n\nYes, I am."), asks("Good.")], None),
}

LOOP = "{% for m in messages %}"
TEMPLATES = {
    "chatml": tiny.CHATML,
    "namespace": "{% set n = namespace(last=-1, text='') %}"
    + LOOP
    + "{% if m.role == 'user' %}{% set n.last = loop.index0 %}{% endif %}{% set n.text = n.text ~ m.role[0] %}"
    "{% endfor %}{{ n.last }}{{ n.text }}{{ messages[n.last].content }}",
    "a variable of a loop is not seen outside": "{% set x = 'a' %}" + LOOP + "{% set x = 'b' %}{% endfor %}{{ x }}",
    "loop controls": LOOP
    + "{% if m.role == 'system' %}{% continue %}{% endif %}{{ m.content }}{% if loop.index > 2 %}{% break %}"
    "{% endif %}{% endfor %}",
    "blocks": "a\n  {% if true %}\n    b\n  {% endif %}\n{# c #}\n  {%- if true -%}  d  {%- endif %}\n\n{{ 'e' }}\n",
    "macro": "{% macro show(m, mark='#') %}{{ mark ~ m.role }}: {{ m.content | trim }}\n{{ caller() if caller }}"
    "{% endmacro %}" + LOOP + "{{ show(m) }}{% call show(m, mark='>') %}!{% endcall %}{% endfor %}",
    "json": "{% if tools %}{{ tools | tojson }}{{ tools | tojson(indent=4) }}{{ tools[0] | tojson(sort_keys=true) }}"
    "{{ tools | tojson(separators=(',', ':')) }}{% endif %}{{ {'é': '<&>\\'\"', 'n': none, 't': true} | tojson }}",
    "today": "{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%Y-%m-%d %H:%M') if strftime_now is defined }}",
    "texts": LOOP
    + "{% set c = m.content %}{{ c.split('</think>')[-1].lstrip('\\n') }}|{{ c.strip().upper() }}|{{ c[:2] }}|"
    "{{ c.replace('i', '1') }}|{{ c.startswith('H') }}|{{ c | length }}|{{ c | replace('\\n', ' ') | title }}|"
    "{{ '%s-%d' % (c, loop.index) }}|{{ '{:>4}'.format(loop.index) }}|{{ c * 2 }}|{{ c | string | indent(2) }}"
    "{% endfor %}",
    "tests": LOOP + "{{ m.content is string }}{{ m.tool_calls is defined }}{{ m.nothing is none }}{{ m is mapping }}"
    "{{ 'name' in m }}{{ m.get('name', '-') }}{{ loop.first }}{{ loop.last }}{{ loop.previtem is defined }}{% endfor %}"
    "{{ tools is none }}{{ enable_thinking is defined and enable_thinking }}{{ documents is defined }}",
    "lists": "{{ messages | map(attribute='role') | join(',') }}"
    "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"
    "{{ messages[::-1] | map(attribute='content') | first }}{{ (messages | last).role }}"
    "{{ messages[1:] | length }}{{ range(3) | list }}{{ [3, 1, 2] | sort }}{{ {'b': 1, 'a': 2} | dictsort }}"
    "{{ {'a': 1}.items() | list }}{{ ['x', 'y'] | reject('equalto', 'x') | list }}{{ messages | rejectattr('role', "
    "'in', ['system']) | map(attribute='role') | unique | list }}",
    "generation block": LOOP
    + "{% if m.role == 'assistant' %}{% generation %}{% set seen = 1 %}{{ m.content ~ eos_token }}{% endgeneration %}"
    "{{ seen is defined }}{% else %}{{ m.content }}{% endif %}{% endfor %}",
    "reasoning": LOOP
    + "{% if m.reasoning_content is defined and m.reasoning_content %}<think>{{ m.reasoning_content }}</think>"
    "{% elif '</think>' in m.content %}{{ m.content.split('</think>')[0].rstrip('\\n').split('<think>')[-1] }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ bos_token }}<think>\n{% endif %}",
    "tool calls": LOOP
    + "{% for c in m.tool_calls or [] %}<call>{{ c.function.name }} {{ c.function.arguments | tojson }}"
    "{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }}{% endfor %}</call>\n{% endfor %}"
    "{% if m.role == 'tool' %}<result>{{ m.content }}</result>{% endif %}{% endfor %}",
    "filter block": "{% filter upper %}"
    + LOOP
    + "{{ m.content }}{% endfor %}{% endfilter %}{% set t %}x{% endset %}{{ t }}",
    "raw": "{% raw %}{{ messages }}{% endraw %}{{ '<|im_start|>' }}{{ \"'quoted'\" }}{{ 'new\\nline' }}",
}
FAILING = {
    "wants turns": tiny.GEMMA,
    "refuses a system prompt": "{% if messages[0].role == 'system' %}{{ raise_exception('No system prompt') }}"
    "{% endif %}{{ messages[0].content }}",
    "something missing": "{{ messages[0].tool_calls[0].name }}",
    "no such filter": "{{ messages | nothing }}",
    "changes the messages": "{{ messages.append('x') }}",
    "does not end": "{% if true %}",
    "a break where there is no loop": "{% generation %}{% break %}{% endgeneration %}",
}


@pytest.mark.parametrize("asks_for_answer", [True, False])
@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_renders_as_transformers_does(name: str, talk: str, asks_for_answer: bool) -> None:
    messages, tools = TALKS[talk]
    expected = apply_chat_template(
        TEMPLATES[name],
        messages,
        tools=tools,
        add_generation_prompt=asks_for_answer,
        now=NOW,
        bos_token=BOS,
        eos_token=EOS,
    )
    template = ChatTemplate(TEMPLATES[name], BOS, EOS, now=lambda: NOW)
    assert template.render(messages, asks_for_answer, tools=tools) == expected


@pytest.mark.parametrize("source", FAILING.values(), ids=list(FAILING))
def test_fails_where_transformers_fails(source: str) -> None:
    messages, _ = TALKS["three turns"]
    with pytest.raises((jinja2.TemplateError, SyntaxError)):
        apply_chat_template(source, messages, bos_token=BOS, eos_token=EOS)
    with pytest.raises(TemplateError):
        ChatTemplate(source, BOS, EOS).render(messages, add_generation_prompt=True)


@pytest.mark.parametrize("source", [tiny.CHATML, *(known.source for known in FORMATS)], ids=lambda text: text[4:16])
def test_what_a_model_reads_is_that_text(source: str) -> None:
    """Hiding what people wrote from the template while it renders changes nothing of the result."""
    said = [
        (Role.SYSTEM, "Be kind."),
        (Role.USER, " Hi\n"),
        (Role.ASSISTANT, "Hello."),
        (Role.USER, "And <b>this</b>?"),
    ]
    renderer = PromptRenderer(ChatTemplate(source, BOS, EOS, now=lambda: NOW))
    prompt = renderer.render([ChatMessage(str(place), role, text) for place, (role, text) in enumerate(said)])
    data = [{"role": role.value, "content": text} for role, text in said]
    assert prompt.text.decode() == apply_chat_template(source, data, now=NOW, bos_token=BOS, eos_token=EOS)
