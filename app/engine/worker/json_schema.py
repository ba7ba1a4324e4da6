"""JSON schemas as grammars: whatever the grammar lets through is valid by the schema.

The reverse need not hold: properties come in the schema's order, objects have no properties beyond those it names
unless it names none, and tuples no items beyond `prefixItems`. Known are type, enum, const, properties, required,
additionalProperties, items, prefixItems, minItems, maxItems, minLength, maxLength, pattern, format (date, time,
date-time, uuid; others say nothing, as the standard has it), minimum and maximum of integers, anyOf, oneOf (as anyOf),
allOf, $ref within the schema. Keywords that cannot be kept are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from app.engine.worker.number_grammar import natural_numbers
from app.engine.worker.pattern_grammar import PatternError, literal, pattern_grammar

Schema = dict[str, Any]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MAX_RULES = 4_000
_MAX_DEPTH = 60
_MAX_REPETITIONS = 2_000  # llama.cpp reads more as endless
_MAX_DIGITS = 16

_BASE = {
    # Blanks are bounded: a model may like them so much that it writes nothing else.
    "ws": r'([ ] | "\n" [ \t]{0,32})?',
    # Listed, not excluded: "all but …" would let through bytes that are no UTF-8.
    "char": r'[ !#-\[\]-~\u0080-\uD7FF\uE000-\uFFFF\U00010000-\U0010FFFF] | "\\" (["\\/bfnrt] | "u" unit)',
    "unit": r"[0-9a-cA-Ce-fE-F] hex hex hex | [dD] [0-7] hex hex",  # no halves of surrogate pairs
    "hex": r"[0-9a-fA-F]",
    "string": r'"\"" char* "\""',
    "integer": r'"-"? ("0" | [1-9] [0-9]{0,15})',
    "number": r'integer ("." [0-9]{1,16})? ([eE] [+-]? [0-9]{1,2})?',
    "boolean": r'"true" | "false"',
    "null": r'"null"',
    "object": r'"{" ws (member ("," ws member)*)? "}"',
    "member": r'string ws ":" ws value ws',
    "array": r'"[" ws (value ws ("," ws value ws)*)? "]"',
    "value": "object | array | string | number | boolean | null",
}
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_REFUSED = _words(
    "not if then else contains minContains maxContains dependentRequired dependentSchemas dependencies "
    "unevaluatedProperties unevaluatedItems propertyNames patternProperties minProperties maxProperties "
    "uniqueItems exclusiveMinimum exclusiveMaximum multipleOf $dynamicRef $recursiveRef"
)
_SILENT = _words(  # they tell people something, or are read elsewhere
    "title description default examples example deprecated readOnly writeOnly $schema $id $comment $defs definitions "
    "$anchor contentMediaType contentEncoding nullable discriminator"
)
_SAY_NOTHING: dict[str, object] = {"uniqueItems": False, "minProperties": 0, "unevaluatedProperties": True}
_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_FORMATS = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}T{_TIME}$",
    "uuid": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
}


class SchemaError(ValueError):
    """Why a schema cannot bind an answer, in words."""


def grammar_of_schema(text: str) -> str:
    """The GBNF grammar of a schema given as JSON; `{}` or `true` lets any JSON through. Raises SchemaError."""
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"it is not JSON: {error}") from None
    return _Converter(schema).grammar()


class _Converter:
    """Writes rules; each method returns an expression or the name of a rule for one place in the schema."""

    def __init__(self, schema: Any) -> None:
        self._root = schema
        self._rules: dict[str, str] = {}
        self._references: dict[str, str] = {}
        self._depth = 0

    def grammar(self) -> str:
        root = self._schema(self._root, "#")
        rules = {"root": root, **self._rules, **_BASE}
        return "".join(f"{name} ::= {body}\n" for name, body in rules.items())

    def _schema(self, schema: Any, place: str) -> str:
        if schema is True or schema == {}:
            return "value"
        if not isinstance(schema, dict):
            raise SchemaError(f"{place}: {'nothing is allowed' if schema is False else 'it is no schema'}")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise SchemaError(f"{place}: it is nested too deeply")
        self._refuse_unknown(schema, place)
        try:
            return self._convert({k: v for k, v in schema.items() if k not in _SILENT or k == "nullable"}, place)
        finally:
            self._depth -= 1

    @staticmethod
    def _refuse_unknown(schema: Schema, place: str) -> None:
        for key in schema.keys() & _REFUSED:
            if key not in _SAY_NOTHING or schema[key] != _SAY_NOTHING[key]:
                raise SchemaError(f"{place}: “{key}” is not supported")

    def _convert(self, schema: Schema, place: str) -> str:
        if schema.pop("nullable", False) is True:  # OpenAPI's
            return self._rule(f"null | {self._convert(schema, place)}")
        if "$ref" in schema:
            return self._reference(schema, place)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                rest = {name: value for name, value in schema.items() if name != key}
                ways = self._list(schema, key, place)
                found = [self._schema(_merged(rest, way, place), f"{place}/{key}/{n}") for n, way in enumerate(ways)]
                return self._rule(" | ".join(dict.fromkeys(found)))
        if "allOf" in schema:
            whole: Any = {name: value for name, value in schema.items() if name != "allOf"}
            for part in self._list(schema, "allOf", place):
                whole = _merged(whole, self._resolved(part, place), place)
            return self._schema(whole, place)
        if "const" in schema:
            return self._literals([schema["const"]])
        if "enum" in schema:
            return self._literals(self._list(schema, "enum", place))
        types = schema.get("type", _implied_type(schema))
        if types is None:
            return "value"
        names = [types] if isinstance(types, str) else types
        if not isinstance(names, list) or not names or any(name not in _TYPES for name in names):
            raise SchemaError(f"{place}: the type {json.dumps(types)[:50]} is unknown")
        found = [self._typed(name, schema, place) for name in names]
        return found[0] if len(found) == 1 else self._rule(" | ".join(dict.fromkeys(found)))

    def _typed(self, name: str, schema: Schema, place: str) -> str:
        makers: dict[str, Callable[[Schema, str], str]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
        }
        return makers[name](schema, place) if name in makers else name

    # -- objects

    def _object(self, schema: Schema, place: str) -> str:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise SchemaError(f"{place}: its properties are no object, or what is required is no list")
        extra = schema.get("additionalProperties", True)
        missing = [name for name in required if name not in properties]
        if missing and extra is False:
            raise SchemaError(f"{place}: “{missing[0]}” is required and not allowed")
        properties = {**properties, **{str(name): extra for name in missing}}
        if properties:
            return self._named_members(properties, frozenset(required), place)
        if extra is False:
            return self._rule('"{" ws "}"')
        if extra is True:
            return "object"
        member = self._rule(f'string ws ":" ws {self._schema(extra, f"{place}/additionalProperties")} ws')
        return self._rule(f'"{{" ws ({member} ("," ws {member})*)? "}}"')

    def _named_members(self, properties: Schema, required: frozenset[str], place: str) -> str:
        """All that are required and any of the others, in order.

        `rests[i]`: what may come from member i on when something has come before it.
        """
        members = [
            self._rule(f'{literal(json.dumps(name, ensure_ascii=False))} ws ":" ws {self._schema(value, at)} ws')
            for name, value in properties.items()
            for at in [f"{place}/properties/{name}"]
        ]
        is_required = [name in required for name in properties]
        rests = [""] * (len(members) + 1)
        for index in reversed(range(1, len(members))):
            more = f'"," ws {members[index]}'
            more = more if is_required[index] else f"({more})?"
            rests[index] = self._rule(f"{more} {rests[index + 1]}".rstrip())
        ways: list[str] = []
        for index, member in enumerate(members):
            ways.append(f"{member} {rests[index + 1]}".rstrip())
            if is_required[index]:
                break
        else:
            ways.append('""')
        return self._rule(f'"{{" ws ({" | ".join(ways)}) "}}"')

    # -- arrays

    def _array(self, schema: Schema, place: str) -> str:
        least, most = self._bounds(schema, "minItems", "maxItems", place)
        first = schema.get("prefixItems", [])
        if not isinstance(first, list):
            raise SchemaError(f"{place}: prefixItems is no list")
        if first:
            return self._tuple(first, schema, least, most, place)
        items = schema.get("items", True)
        if items is False or most == 0:
            if least:
                raise SchemaError(f"{place}: {least} items are wanted where none are allowed")
            return self._rule('"[" ws "]"')
        if items is True and (least, most) == (0, None):
            return "array"
        item = self._rule(f"{self._schema(items, f'{place}/items')} ws")
        more = self._rule(f'"," ws {item}')
        inner = f"{item} {more}{_times(max(least - 1, 0), None if most is None else most - 1)}"
        return self._rule(f'"[" ws {inner if least else f"({inner})?"} "]"')

    def _tuple(self, first: Sequence[Any], schema: Schema, least: int, most: int | None, place: str) -> str:
        length = len(first) if most is None else min(len(first), most)
        parts = [f"{self._schema(each, f'{place}/prefixItems/{n}')} ws" for n, each in enumerate(first[:length])]
        inner = ' "," ws '.join(parts)
        if least > length:
            if schema.get("items", True) is False or (most is not None and most < least):
                raise SchemaError(f"{place}: {least} items are wanted where {length} are allowed")
            more = self._rule(f'"," ws {self._schema(schema.get("items", True), f"{place}/items")} ws')
            inner += f" {more}{_times(least - length, least - length)}"
        return self._rule(f'"[" ws {inner} "]"')

    # -- texts and numbers

    def _string(self, schema: Schema, place: str) -> str:
        pattern = schema.get("pattern") or _FORMATS.get(str(schema.get("format")))
        least, most = self._bounds(schema, "minLength", "maxLength", place)
        if pattern is not None:
            if (least, most) != (0, None):
                raise SchemaError(f"{place}: a pattern together with a length is not supported")
            if not isinstance(pattern, str):
                raise SchemaError(f"{place}: its pattern is no text")
            try:
                return self._rule(f'"\\"" {pattern_grammar(pattern, "char")} "\\""')
            except PatternError as error:
                raise SchemaError(f"{place}: the pattern “{pattern[:80]}”: {error}") from None
        if (least, most) == (0, None):
            return "string"
        return self._rule(f'"\\"" char{_times(least, most)} "\\""')

    def _integer(self, schema: Schema, place: str) -> str:
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is None and high is None:
            return "integer"
        if any(isinstance(each, bool) or not isinstance(each, int | None) for each in (low, high)):
            raise SchemaError(f"{place}: minimum and maximum of an integer must be integers")
        lowest = -(10**_MAX_DIGITS) + 1 if low is None else low
        highest = 10**_MAX_DIGITS - 1 if high is None else high
        if lowest > highest or max(abs(lowest), abs(highest)) >= 10**_MAX_DIGITS:
            raise SchemaError(f"{place}: there is no usable integer from {low} to {high}")
        ways = []
        if lowest < 0:
            ways.append(f'"-" ({natural_numbers(max(1, -highest), -lowest)})')
        if highest >= 0:
            ways.append(natural_numbers(max(0, lowest), highest))
        return self._rule(" | ".join(ways))

    def _number(self, schema: Schema, place: str) -> str:
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is None and high is None:
            return "number"
        if high is None and low == 0:
            return self._rule('("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,16})?')
        if high == 1 and low == 0:
            return self._rule('"0" ("." [0-9]{1,16})? | "1" ("." "0"{1,16})?')
        raise SchemaError(f"{place}: of numbers, minimum and maximum can be 0 and none, or 0 and 1")

    # -- parts

    def _literals(self, values: Sequence[Any]) -> str:
        texts = (json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in values)
        return self._rule(" | ".join(literal(text) for text in dict.fromkeys(texts)))

    def _reference(self, schema: Schema, place: str) -> str:
        pointer = schema["$ref"]
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        if rest:
            return self._schema(_merged(self._target(pointer, place), rest, place), place)
        if pointer not in self._references:
            name = self._references[pointer] = self._rule("")  # before it is converted: it may contain itself
            self._rules[name] = self._schema(self._target(pointer, place), pointer)
        return self._references[pointer]

    def _target(self, pointer: Any, place: str) -> Any:
        """What a JSON pointer (RFC 6901) into this schema means."""
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            raise SchemaError(f"{place}: only references within the schema are supported, not {str(pointer)[:80]!r}")
        found = self._root
        for part in pointer.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, dict) and key in found:
                found = found[key]
            else:
                raise SchemaError(f"{place}: {pointer[:80]!r} is not there")
        return found

    def _resolved(self, schema: Any, place: str) -> Any:
        for _ in range(_MAX_DEPTH):
            if not isinstance(schema, dict) or schema.keys() != {"$ref"}:
                return schema
            schema = self._target(schema["$ref"], place)
        raise SchemaError(f"{place}: its references lead in a circle")

    def _rule(self, body: str) -> str:
        if len(self._rules) >= _MAX_RULES:
            raise SchemaError("it is too large")
        name = f"r{len(self._rules)}"
        self._rules[name] = body
        return name

    @staticmethod
    def _list(schema: Schema, key: str, place: str) -> list[Any]:
        found = schema[key]
        if not isinstance(found, list) or not found:
            raise SchemaError(f"{place}: {key} is no list, or empty")
        return found

    @staticmethod
    def _bounds(schema: Schema, low_key: str, high_key: str, place: str) -> tuple[int, int | None]:
        low, high = schema.get(low_key, 0), schema.get(high_key)
        for key, value in ((low_key, low), (high_key, 0 if high is None else high)):
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_REPETITIONS:
                raise SchemaError(f"{place}: {key} must be 0 to {_MAX_REPETITIONS:,}")
        if high is not None and high < low:
            raise SchemaError(f"{place}: {high_key} is less than {low_key}")
        return low, high


def _implied_type(schema: Schema) -> str | None:
    """What is meant where a schema has keywords of a type but does not name it."""
    keys = {
        "object": {"properties", "required", "additionalProperties"},
        "array": {"items", "prefixItems", "minItems", "maxItems"},
        "string": {"minLength", "maxLength", "pattern"},
        "number": {"minimum", "maximum"},
    }
    return next((name for name, words in keys.items() if schema.keys() & words), None)


def _merged(first: Any, second: Any, place: str) -> Any:
    """A schema of what both say. Raises SchemaError where they say different things of one keyword."""
    if first in (True, {}):
        return second
    if second in (True, {}):
        return first
    if not isinstance(first, dict) or not isinstance(second, dict):
        raise SchemaError(f"{place}: parts of it allow nothing")
    merged = dict(first)
    for key, value in second.items():
        if key not in merged or merged[key] == value or key in _SILENT:
            merged[key] = value
        elif key == "properties":
            both = {name: _merged(merged[key][name], value[name], place) for name in merged[key].keys() & value.keys()}
            merged[key] = {**merged[key], **value, **both}
        elif key == "required":
            merged[key] = [*merged[key], *value]
        else:
            raise SchemaError(f"{place}: two parts of it say different things of “{key}”")
    return merged


def _times(low: int, high: int | None) -> str:
    """The suffix for so many repetitions."""
    if high is None:
        return "*" if low == 0 else f"{{{low},}}"
    return f"{{{low},{high}}}"
