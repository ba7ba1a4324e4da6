"""Renders chat templates, which come with model files from strangers: sandboxed, bounded in time and in memory.

The dialect is that of Hugging Face's transformers (`apply_chat_template`), for which templates are written: trimmed
blocks, loop controls, `raise_exception`, `strftime_now`, and `tojson` that escapes nothing for HTML.
"""

from __future__ import annotations

import ctypes
import json
import re
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import psutil
from jinja2.nodes import CallBlock, Node
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.engine.worker.last_resort import LastResort

RENDER_LIMIT_S = 2.0
_STUCK_AFTER_S = 15.0
_TEMPLATE_FILE = "<template>"  # what Jinja calls a template that is no file
_MEMORY_LIMIT_BYTES = 512 * 1024 * 1024
_LARGEST_COUNT = 1_000_000
"""Numbers beyond this are refused where they could blow up a text: repetition, width, indentation, precision."""
_WIDEST_INDENT = 100  # of JSON
_LONGEST_TEXT = 50_000_000  # characters that one step may write
_LAST_RESORT = LastResort(_STUCK_AFTER_S)  # the process has one timer


class TemplateError(Exception):
    """The template cannot be used: the reason, and the line of its source, from 1 (0: not known)."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason, line)
        self.reason = reason
        self.line = line

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}" if self.line else self.reason


class TemplateRefusalError(TemplateError):
    """The template called `raise_exception`: it does not like these messages."""


class TemplateOverrunError(TemplateError):
    """The template took too long; trying it in another way would take as long again."""


class _TimeUpError(BaseException):
    """Thrown into the rendering thread; no `except Exception` of a template's filters may swallow it."""


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, which guards attributes, with bounds on operations that make huge values in one step."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and _is_large(right, 1_000):
            raise TemplateError("power too large")
        if operator == "*" and _repeats(left, right):
            raise TemplateError("text repeated too often")
        if operator == "%" and isinstance(left, str):
            _refuse_wide(left)
            _refuse_long(left.count("%") * _longest(right))
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  # as in Jinja
        # Named like this by Jinja, so that templates may use any keyword.
        _refuse_large(args, kwargs)
        text = getattr(__obj, "__self__", None)
        if isinstance(text, str):
            args = _bounded(__obj.__name__, text, args)
        return super().call(__context, __obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        text = str(value.__self__)
        _refuse_wide(text)

        def format_text(*args: Any, **kwargs: Any) -> str:
            _refuse_long(text.count("{") * _longest((args, kwargs)))
            return wrapped(*args, **kwargs)

        return format_text

    def unsafe_undefined(self, obj: Any, attribute: str) -> NoReturn:
        raise TemplateError(f"{attribute!r} is out of bounds for templates")


def _is_large(value: object, limit: int = _LARGEST_COUNT) -> bool:
    return isinstance(value, (int, float)) and abs(value) > limit


def _repeats(left: object, right: object) -> bool:
    """Whether a product is a sequence that is longer than any sensible one."""
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, (str, bytes, list, tuple)) and isinstance(times, int):
            return len(sequence) * times > _LARGEST_COUNT
    return isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > 4096


def _refuse_large(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if any(_is_large(value) for value in (*args, *kwargs.values())):
        raise TemplateError("number too large")


def _refuse_wide(text: str) -> None:
    """Refuse format strings with a huge field, or one whose width comes from elsewhere."""
    if re.search(r"\d{7}|%[-+ #0]*\*|%[^a-z%]*\.\*|\{[^{}]*:[^{}]*\{", text):
        raise TemplateError("field too wide")


def _refuse_long(characters: int) -> None:
    if characters > _LONGEST_TEXT:
        raise TemplateError("text too long")


def _longest(values: Any) -> int:
    """The length of the longest text among the arguments of a format."""
    match values:
        case str():
            return len(values)
        case tuple():
            return max(map(_longest, values), default=0)
        case dict():
            return max(map(_longest, values.values()), default=0)
    return 0


def _bounded(name: str, text: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a text's method, of those that make a long text of short ones in one step."""
    match name, args:
        case "replace", (str(old), str(new), *_):
            _refuse_long(text.count(old) * len(new))
        case "join", (parts, *rest):
            parts = list(parts)
            _refuse_long(len(parts) * len(text) + sum(len(part) for part in parts if isinstance(part, str)))
            return (parts, *rest)
        case "expandtabs" | "indent", (int(width), *_):
            _refuse_long((text.count("\t") + text.count("\n")) * width)
    return args


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that refuses huge numbers and texts (`center(10**10)` would fill the memory in one step)."""
    given = 1 if hasattr(function, "jinja_pass_arg") else 0  # by Jinja, before the value

    def call(*args: Any, **kwargs: Any) -> Any:
        _refuse_large(args[1:], kwargs)
        before, value, more = args[:given], args[given], args[given + 1 :]
        if name == "join":
            separator = str(more[0] if more else kwargs.get("d", ""))
            (value,) = _bounded(name, separator, (value,))
        elif isinstance(value, str):
            _bounded(name, value, (*more, *kwargs.values()))
        return function(*before, value, *more, **kwargs)

    # Jinja's note of what it must pass first.
    for mark in ("jinja_pass_arg", "jinja_async_variant"):
        if hasattr(function, mark):
            setattr(call, mark, getattr(function, mark))
    return call


def _raise_exception(message: object) -> NoReturn:
    raise TemplateRefusalError(str(message))


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    if _is_large(indent, _WIDEST_INDENT):
        raise TemplateError("number too large")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _format_filter(value: str, *args: Any, **kwargs: Any) -> str:
    _refuse_wide(str(value))
    _refuse_long(str(value).count("%") * _longest((args, kwargs)))
    _refuse_large(args, kwargs)
    return str(value) % (kwargs or args)


class _GenerationBlock(jinja2.ext.Extension):
    """`{% generation %}…{% endgeneration %}`, with which training code finds the answers: here just its content.

    It is a call block as in transformers, so that what is set inside is not seen outside.
    """

    tags = {"generation"}  # noqa: RUF012  # Jinja's own interface

    def parse(self, parser: Parser) -> Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return CallBlock(self.call_method("_content"), [], [], body).set_lineno(line)

    def _content(self, caller: Callable[[], str]) -> str:
        return caller()


def _make_environment(now: Callable[[], datetime]) -> _Environment:
    environment = _Environment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols, _GenerationBlock], cache_size=0
    )
    environment.filters = {name: _guarded(name, function) for name, function in environment.filters.items()}
    environment.filters["tojson"] = _to_json
    environment.filters["format"] = _format_filter
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda pattern: now().strftime(pattern)
    return environment


class ChatTemplate:
    """A chat template, compiled on first use. Not thread-safe."""

    def __init__(self, source: str, bos_text: str, eos_text: str, now: Callable[[], datetime] = datetime.now) -> None:
        self.source = source
        self._now = now
        self._bos_text = bos_text
        self._eos_text = eos_text
        self._compiled: jinja2.Template | None = None

    def render(
        self,
        messages: list[dict[str, Any]],
        add_generation_prompt: bool,
        names_tools: bool = True,
        tools: list[dict[str, Any]] | None = None,
    ) -> str:
        """The prompt text. Raises TemplateError, within RENDER_LIMIT_S and a bit.

        `names_tools`: `tools` is defined, as most templates expect, be it as none; a few expect it undefined.
        """
        given = {"tools": tools, "documents": None} if names_tools else {}

        def work() -> str:
            if self._compiled is None:
                self._compiled = _make_environment(self._now).from_string(self.source)
            return self._compiled.render(
                messages=messages,
                add_generation_prompt=add_generation_prompt,
                bos_token=self._bos_text,
                eos_token=self._eos_text,
                **given,
            )

        return _run_bounded(work, RENDER_LIMIT_S)


def _run_bounded(work: Callable[[], str], limit_s: float) -> str:
    """Run `work` in a thread that is interrupted when it takes too long or makes the process grow too much.

    Python code is interrupted between two of its steps; single steps that could take long are refused by the
    environment, as far as they are known. In one that is not the process ends: better the engine than the computer.
    This needs neither signals nor another process and works on every system.
    """
    outcome: list[str | BaseException] = []

    def run() -> None:
        with suppress(_TimeUpError):  # one that comes just after the work is done
            try:
                outcome.append(work())
            except BaseException as error:
                outcome.append(error)

    thread = threading.Thread(target=run, name="template", daemon=True)
    with _LAST_RESORT.watching():
        thread.start()
        thread.join(0.05)
        if thread.is_alive():
            _watch(thread, outcome, limit_s)
    match outcome[0] if outcome else _TimeUpError():
        case str(text):
            return text
        case TemplateError() as error:
            error.line = _line_of(error)
            raise error
        case _TimeUpError():
            raise TemplateOverrunError(f"took longer than {limit_s:g} seconds or too much memory")
        case MemoryError():
            raise TemplateError("took too much memory")
        case jinja2.TemplateSyntaxError() as error:
            raise TemplateError(error.message or "", error.lineno)
        case error:
            raise TemplateError(f"{type(error).__name__}: {str(error)[:300]}", _line_of(error))


def _line_of(error: BaseException) -> int:
    """The line of the template in which an error happened, the innermost; Jinja puts it into the traceback."""
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == _TEMPLATE_FILE]
    return lines[-1] if lines else 0


def _watch(thread: threading.Thread, outcome: list[str | BaseException], limit_s: float) -> None:
    """Wait for a thread to end; interrupt it when time or memory is used up."""
    process = psutil.Process()
    deadline = time.monotonic() + limit_s
    most_bytes = process.memory_info().rss + _MEMORY_LIMIT_BYTES
    while thread.is_alive() and time.monotonic() < deadline and process.memory_info().rss < most_bytes:
        thread.join(0.02)
    for _ in range(4):  # one is enough unless a destructor swallows it
        if outcome or not thread.is_alive() or thread.ident is None:
            break
        interrupt = ctypes.pythonapi.PyThreadState_SetAsyncExc
        interrupt(ctypes.c_ulong(thread.ident), ctypes.py_object(_TimeUpError))
        thread.join(0.3)
    # A thread that is stuck in a single step is left alone: it is a daemon and ends with the process.
