"""Grammars made of JSON schemas, as llama.cpp itself understands them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.engine.worker.gbnf import GrammarError, check_grammar
from app.engine.worker.json_schema import SchemaError, grammar_of_schema
from tests.fixtures.grammar_matcher import GrammarMatcher

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "email": {"type": "string"},
    },
    "required": ["name"],
    "additionalProperties": False,
}
TREE = {
    "$defs": {"node": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}}}},
    "$ref": "#/$defs/node",
}


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrammarMatcher]:
    found = GrammarMatcher(tmp_path_factory.mktemp("words"))
    yield found
    found.close()


CASES: dict[str, tuple[Any, list[str], list[str]]] = {
    "anything": (
        {},
        ["1", '"x"', "null", "[]", "{}", '{"a": [1, {"b": null}], "c": -1.5e-3}', "true", '"\\u00e9 \\n é 猫"'],
        ["", "{", "[1,]", "{'a':1}", "nul", '"\n"', "01", "1.", "+1", '{"a"}', '"\\x"', '"\\ud800"', "1 2"],
    ),
    "true": (True, ["1", "{}"], ["x"]),
    "an object": ({"type": "object"}, ["{}", '{"a":1}', '{ "a" : {} }'], ["[]", "1"]),
    "properties": (
        PERSON,
        [
            '{"name":"A"}',
            '{"name":"A","age":150}',
            '{"name":"A","email":""}',
            '{ "name": "A", "age": 0, "email": "b" }',
        ],
        ["{}", '{"age":1}', '{"name":"A","age":151}', '{"name":"A","x":1}', '{"name":"A",}', '{"name":1}'],
    ),
    "only optional": (
        {"properties": {"a": {"type": "null"}, "b": {"type": "null"}}},
        ["{}", '{"a":null}', '{"b":null}', '{"a":null,"b":null}'],
        ['{"b":null,"a":null}', '{"c":null}', '{"a":null "b":null}', '{,"b":null}'],
    ),
    "optional around required": (
        {"properties": {k: {"type": "null"} for k in "abcd"}, "required": ["b", "d"]},
        ['{"b":null,"d":null}', '{"a":null,"b":null,"c":null,"d":null}', '{"b":null,"c":null,"d":null}'],
        ['{"b":null}', '{"d":null}', '{"a":null,"d":null}', '{"a":null,"b":null,"c":null}'],
    ),
    "required without a description": (
        {"type": "object", "required": ["a"]},
        ['{"a":1}', '{"a":{}}'],
        ["{}", '{"b":1}'],
    ),
    "a map": (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        ["{}", '{"a":1,"b":-2}'],
        ['{"a":"x"}'],
    ),
    "nothing in it": ({"type": "object", "additionalProperties": False}, ["{}", "{ }"], ['{"a":1}']),
    "strange names": (
        {"type": "object", "properties": {'a"b\\c\n猫': {"const": 1}}, "required": ['a"b\\c\n猫']},
        [json.dumps({'a"b\\c\n猫': 1}, ensure_ascii=False)],
        ['{"a":1}'],
    ),
    "an array": ({"type": "array", "items": {"type": "integer"}}, ["[]", "[1]", "[1, 2,3]"], ['["x"]', "[1,]", "[,1]"]),
    "bounds of an array": (
        {"type": "array", "items": {"const": 1}, "minItems": 2, "maxItems": 4},
        ["[1,1]", "[1,1,1,1]"],
        ["[]", "[1]", "[1,1,1,1,1]"],
    ),
    "at most one": ({"type": "array", "items": {"const": 1}, "maxItems": 1}, ["[]", "[1]"], ["[1,1]"]),
    "at least one": ({"type": "array", "items": {"const": 1}, "minItems": 1}, ["[1]", "[1,1,1]"], ["[]"]),
    "an empty array": ({"type": "array", "maxItems": 0}, ["[]"], ["[1]"]),
    "a tuple": (
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}]},
        ["[1,true]"],
        ["[1]", "[true,1]", "[1,true,2]"],
    ),
    "a tuple with more": (
        {"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 3},
        ["[1,2,2]"],
        ["[1]", "[1,2]", "[1,1,1]"],
    ),
    "an enumeration": ({"enum": ["a", 1, None, [1, "x"]]}, ['"a"', "1", "null", '[1,"x"]'], ['"b"', "2", "[1]"]),
    "a constant": ({"const": {"a": "é\n"}}, ['{"a":"é\\n"}'], ['{"a":"e"}', "{}"]),
    "types": ({"type": ["string", "null"]}, ['"x"', "null"], ["1"]),
    "nullable": ({"type": "integer", "nullable": True}, ["1", "null"], ['"x"']),
    "integers": ({"type": "integer"}, ["0", "-1", "123456"], ["1.0", "01", "-", "1e3", "1" * 40]),
    "numbers": ({"type": "number"}, ["0", "-1.5", "1e10", "2E-3", "0.1"], [".5", "1.", "-", "1e", "00"]),
    "from 7 to 1234": (
        {"type": "integer", "minimum": 7, "maximum": 1234},
        ["7", "9", "10", "99", "100", "999", "1000", "1199", "1200", "1229", "1230", "1234"],
        ["6", "0", "-7", "1235", "1240", "1300", "2000", "9999", "12340"],
    ),
    "from -15 to 3": (
        {"type": "integer", "minimum": -15, "maximum": 3},
        ["-15", "-10", "-9", "-1", "0", "3"],
        ["-16", "-20", "4", "-0", "10", "-150"],
    ),
    "negative only": ({"type": "integer", "maximum": -5}, ["-5", "-6", "-100"], ["-4", "0", "5", "-05"]),
    "at least 0": ({"type": "number", "minimum": 0}, ["0", "0.5", "12"], ["-1", "-0.1"]),
    "a share": ({"type": "number", "minimum": 0, "maximum": 1}, ["0", "1", "0.25", "1.0"], ["1.1", "2", "-0"]),
    "lengths": (
        {"type": "string", "minLength": 2, "maxLength": 3},
        ['"ab"', '"abc"', '"\\n猫"', '"\\u00e9x"'],
        ['""', '"a"', '"abcd"'],
    ),
    "a pattern": (
        {"type": "string", "pattern": "^[A-Z]{2}-\\d+(\\.\\d*)?$"},
        ['"AB-1"', '"XY-12.5"', '"XY-1."'],
        ['"aB-1"', '"AB-"', '"AB-1x"', '"xAB-1"'],
    ),
    "a pattern somewhere": ({"type": "string", "pattern": "cat|dog"}, ['"cat"', '"my dogs"'], ['"cow"']),
    "a pattern with quotes": (
        {"type": "string", "pattern": '^"[^"\\\\]*"\\n$'},
        ['"\\"abc\\"\\n"', '"\\"\\"\\n"'],
        ['""abc"\\n"', '"\\"a\\"b\\"\\n"', '"\\"\\\\\\"\\n"'],
    ),
    "a pattern of classes": (
        {"type": "string", "pattern": "^\\w+\\s\\S.(?:x|y)[^a-y\\]^-]$"},
        ['"ab_1 !?xz"', '"a\\t\\\\.y0"'],
        ['"é a.xz"', '"a a.xa"', '"a  .xz"', '"a a.x]"', '"a a.x^"', '"a a.x-"'],
    ),
    "a date": ({"type": "string", "format": "date"}, ['"2026-11-21"'], ['"2026-13-01"', '"26-1-1"']),
    "a moment": ({"type": "string", "format": "date-time"}, ['"2026-11-21T04:05:06.7Z"'], ['"2026-11-21"']),
    "a uuid": ({"type": "string", "format": "uuid"}, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123"']),
    "another format": ({"type": "string", "format": "hostname"}, ['"anything"'], ["1"]),
    "any of": ({"anyOf": [{"type": "integer"}, {"type": "array"}]}, ["1", "[]"], ['"x"']),
    "one of, with parts in common": (
        {"type": "object", "required": ["k"], "oneOf": [{"properties": {"k": {"const": v}}} for v in ("a", "b")]},
        ['{"k":"a"}', '{"k":"b"}'],
        ['{"k":"c"}', "{}"],
    ),
    "all of": (
        {
            "allOf": [
                {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"properties": {"b": {"type": "null"}}, "required": ["b"]},
            ]
        },
        ['{"a":1,"b":null}'],
        ['{"a":1}', '{"b":null}'],
    ),
    "all of one reference": (
        {"$defs": {"n": {"type": "integer"}}, "allOf": [{"$ref": "#/$defs/n"}], "title": "N"},
        ["1"],
        ['"x"'],
    ),
    "recursion": (TREE, ["{}", '{"v":1,"next":{"v":2,"next":{}}}'], ['{"next":1}', '{"v":"x"}']),
    "the root in itself": (
        {"type": "array", "items": {"$ref": "#"}},
        ["[]", "[[],[[]]]"],
        ["[1]"],
    ),
    "a reference with escapes": (
        {"$defs": {"a/b~c": {"const": 1}}, "properties": {"x": {"$ref": "#/$defs/a~1b~0c"}}, "required": ["x"]},
        ['{"x":1}'],
        ['{"x":2}'],
    ),
    "words about it": (
        {"title": "T", "description": "D", "examples": [1], "default": 1, "$schema": "s", "type": "null"},
        ["null"],
        ["1"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_schema_lets_through(name: str, matcher: GrammarMatcher) -> None:
    schema, valid, invalid = CASES[name]
    grammar = grammar_of_schema(json.dumps(schema))
    for text in valid:
        assert matcher.accepts(grammar, text), text
    for text in invalid:
        assert not matcher.accepts(grammar, text), text


def test_every_integer_of_a_range(matcher: GrammarMatcher) -> None:
    grammar = grammar_of_schema(json.dumps({"type": "integer", "minimum": -23, "maximum": 118}))
    accepted = [number for number in range(-130, 1300) if matcher.accepts(grammar, str(number))]
    assert accepted == list(range(-23, 119))


REFUSED: dict[str, Any] = {
    "not JSON": "{",
    "nested JSON without end": "[" * 100_000,
    "a list": "[]",
    "nothing": "false",
    "an unknown type": {"type": "datetime"},
    "no types": {"type": []},
    "not": {"not": {"type": "string"}},
    "if": {"if": {}, "then": {}},
    "unique items": {"type": "array", "uniqueItems": True},
    "multiples": {"type": "integer", "multipleOf": 5},
    "open bounds": {"type": "integer", "exclusiveMinimum": 0},
    "bounds of numbers": {"type": "number", "minimum": 0.5},
    "broken bounds": {"type": "integer", "minimum": 1.5},
    "no integer": {"type": "integer", "minimum": 5, "maximum": 4},
    "too many digits": {"type": "integer", "maximum": 10**30},
    "lengths that cannot be": {"type": "string", "minLength": 3, "maxLength": 2},
    "lengths that are none": {"type": "string", "maxLength": -1},
    "long texts": {"type": "string", "maxLength": 100_000},
    "required and forbidden": {"type": "object", "required": ["a"], "additionalProperties": False},
    "an empty enumeration": {"enum": []},
    "no list": {"anyOf": {}},
    "a reference to elsewhere": {"$ref": "https://example.org/schema"},
    "a reference to nothing": {"$ref": "#/$defs/x"},
    "parts that differ": {"allOf": [{"type": "string"}, {"type": "integer"}]},
    "allOf in a circle": {"$defs": {"a": {"$ref": "#/$defs/a"}}, "allOf": [{"$ref": "#/$defs/a"}]},
    "look-ahead": {"type": "string", "pattern": "^(?=a)a$"},
    "a back reference": {"type": "string", "pattern": "^(a)\\1$"},
    "word borders": {"type": "string", "pattern": "^\\ba$"},
    "a lazy repetition": {"type": "string", "pattern": "^a+?$"},
    "an open group": {"type": "string", "pattern": "^(a$"},
    "a closed group": {"type": "string", "pattern": "^a)$"},
    "an open class": {"type": "string", "pattern": "^[a$"},
    "a loose anchor": {"type": "string", "pattern": "^a$|^b$"},
    "a pattern that is none": {"type": "string", "pattern": 5},
    "a pattern and a length": {"type": "string", "pattern": "a", "maxLength": 3},
    "deep": json.loads('{"items":' * 200 + "{}" + "}" * 200),
    "large": {"type": "object", "properties": {f"p{n}": {"enum": [n]} for n in range(3000)}},
    "properties that are none": {"type": "object", "properties": [1]},
    "a part that is none": {"type": "object", "properties": {"a": 5}},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_kept_is_refused_with_words(name: str) -> None:
    schema = REFUSED[name]
    with pytest.raises(SchemaError) as caught:
        grammar_of_schema(schema if isinstance(schema, str) else json.dumps(schema))
    assert str(caught.value)


def test_a_schema_that_only_refers_to_itself() -> None:
    with pytest.raises(GrammarError, match="itself"):
        check_grammar(grammar_of_schema('{"$ref": "#"}'))


def test_every_grammar_is_usable(matcher: GrammarMatcher) -> None:
    for schema, _, _ in CASES.values():
        grammar = grammar_of_schema(json.dumps(schema))
        check_grammar(grammar)
        assert matcher.is_usable(grammar)
