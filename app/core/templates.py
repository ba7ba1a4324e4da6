"""Which chat format a model gets whose file carries no chat template or a broken one, and how its answers end.

Many files of 2023 are such. The format is chosen by what the catalogue says, by the tokens that exist in the
vocabulary, then by words in the model's name; a model that shows none of them gets plain "User:" and "Assistant:"
lines. Every format is a Jinja template too, so that there is one way to render.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from app.core.chat_format import ChatFormat
from app.core.chat_formats import FORMATS, PLAIN, format_named
from app.core.reasoning import marks_of


def choose_format(token_texts: Collection[str], model_name: str, catalog_template: str = "") -> ChatFormat:
    """The format for a model without a usable template.

    `token_texts` are the texts of the control and added tokens, `model_name` is the file's own name or its path's,
    `catalog_template` what the catalogue says of the model, if it knows it. Words in a name that calls itself "base"
    tell nothing.
    """
    named = _named(model_name)
    by_catalog = format_named(catalog_template)
    by_tokens = next((known for known in FORMATS if _has_tokens(known, token_texts)), None)
    general = by_catalog or by_tokens
    if general is None:
        return named or PLAIN
    return named if named is not None and named.variant_of == general.name else general


def _has_tokens(known: ChatFormat, token_texts: Collection[str]) -> bool:
    return bool(known.vocabulary) and all(text in token_texts for text in known.vocabulary)


def _named(model_name: str) -> ChatFormat | None:
    """The format that has the longest of its words in a name: "stable-vicuna" says more than "vicuna"."""
    name = re.sub(r"[\s_]+", "-", model_name.lower())
    if "base" in re.split(r"[^a-z]+", name):
        return None
    found = [(len(word), known) for known in FORMATS for word in known.names if word in name]
    return max(found, key=lambda each: each[0])[1] if found else None


_END_MARKS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|eot|>",
    "<end_of_turn>",
    "<turn|>",
    "<|end|>",
    "<|end_of_turn|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|END_OF_TURN_TOKEN|>",
    "<｜end▁of▁sentence｜>",
    "[|endofturn|]",
)
"""Texts that end a message in common templates. `</s>` is not among them: it is a word of HTML."""


def end_marks_in(template_source: str) -> tuple[str, ...]:
    """End marks that a template uses: a model that spells one out in ordinary tokens has ended its answer too.

    Marks that end only the thinking (<|end|> of gpt-oss) are none.
    """
    closings = {marks.closing for marks in marks_of(template_source)}
    return tuple(mark for mark in _END_MARKS if mark in template_source and mark not in closings)
