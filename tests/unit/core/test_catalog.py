from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.catalog import CommercialUse, ModelKind, parse_catalog
from app.core.errors import ErrorKind, UserError
from tests.fixtures.catalog_json import COMMIT, SHA256, catalog_json

CHANGED_MODEL = 1


def refused(data: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        parse_catalog(data)
    assert caught.value.kind is ErrorKind.CATALOG_INVALID
    assert caught.value.string("reason")
    return caught.value


def test_a_row_is_read_whole() -> None:
    catalog = parse_catalog(catalog_json())
    model = catalog.model("tern-7b-chat")
    assert model is not None
    assert (catalog.version, catalog.updated.isoformat()) == (1, "2026-11-21")
    assert (model.kind, model.year, model.languages) == (ModelKind.CHAT, 2024, ("en", "fr"))
    assert (model.licence, model.commercial_use) == ("Apache 2.0", CommercialUse.YES)
    assert model.licence_url == "https://www.apache.org/licenses/LICENSE-2.0"
    assert model.runs
    assert [file.quantization for file in model.confirmed_files] == ["Q4_K_M"]
    assert catalog.model("unheard-of") is None


def test_rows_know_their_descendants() -> None:
    catalog = parse_catalog(catalog_json())
    assert [child.id for child in catalog.children("tern-7b")] == ["tern-7b-chat"]
    assert catalog.children("tern-7b-chat") == ()


def test_facts_that_are_not_known_stay_empty() -> None:
    model = parse_catalog(catalog_json()).models[0]
    assert (model.parameters, model.context_length, model.template, model.limits) == (None, None, "", "")
    assert model.nearest == "tern-7b-chat"


def test_a_file_is_confirmed_by_size_hash_and_commit_together() -> None:
    data = catalog_json()
    file = data["models"][1]["files"][0]
    for name in ("size_bytes", "sha256", "commit"):
        kept = file.pop(name)
        data["models"][1]["recommended"] = False
        assert not parse_catalog(data).models[1].confirmed_files, name
        file[name] = kept


def test_a_file_can_be_checked_by_hash_and_commit_though_its_size_is_not_known() -> None:
    data = catalog_json()
    data["models"][1]["recommended"] = False
    file = data["models"][1]["files"][0]
    del file["size_bytes"]
    assert parse_catalog(data).models[1].files[0].is_pinned
    for name in ("sha256", "commit"):
        kept = file.pop(name)
        assert not parse_catalog(data).models[1].files[0].is_pinned, name
        file[name] = kept


def test_a_split_file_is_confirmed_by_all_its_parts() -> None:
    data = catalog_json()
    split = data["models"][1]["files"][1]
    split["commit"] = COMMIT
    for part in split["parts"]:
        part.update(size_bytes=5, sha256=SHA256)
    split["size_bytes"] = 10
    file = parse_catalog(data).models[1].files[1]
    assert file.is_confirmed
    assert file.shown_bytes == 10
    del split["parts"][1]["sha256"]
    assert not parse_catalog(data).models[1].files[1].is_confirmed
    assert not parse_catalog(data).models[1].files[1].is_pinned
    split["size_bytes"] = 11
    assert refused(data).string("where") == "models[1].files[1].size_bytes"


def test_an_estimate_is_shown_where_the_size_is_not_known() -> None:
    file = parse_catalog(catalog_json()).models[1].files[1]
    assert (file.size_bytes, file.shown_bytes) == (None, 7_000_000_000)


def changed(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["models"][CHANGED_MODEL].update(fields)


def changed_file(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["models"][CHANGED_MODEL]["files"][0].update(fields)


@pytest.mark.parametrize(
    ("change", "where", "reason"),
    [
        (lambda data: data.update(version=2), "version", "is 2, and this Hearth reads 1"),
        (lambda data: data.update(updated="21.11.2026"), "updated", "a day as YYYY-MM-DD"),
        (lambda data: data.update(models={}), "models", "must be a list, not an object"),
        (lambda data: data.update(models=[]), "models", "must not be empty"),
        (lambda data: data["models"].append("Tern"), "models[2]", "must be an object, not a text"),
        (lambda data: data["licences"].append(dict(data["licences"][0])), "licences", "names apache-2.0 twice"),
        (lambda data: data["licences"][0].update(url="http://x.example/"), "licences[0].url", "https://"),
        (lambda data: data["licences"][0].update(url="javascript:x"), "licences[0].url", "https://"),
        (changed(id="Tern 7B"), "models[1].id", "small letters"),
        (changed(id="tern-7b"), "models[1].id", "models[0]"),
        (changed(name=""), "models[1].name", "must not be empty"),
        (changed(name=7), "models[1].name", "must be a text, not a number"),
        (changed(name="<b>Tern</b>"), "models[1].name", "plain text"),
        (changed(summary="one\ntwo"), "models[1].summary", "on one line"),
        (changed(summary="turned \u202eround"), "models[1].summary", "\\u202e"),
        (changed(summary="x" * 161), "models[1].summary", "longer than 160 characters, and has 161"),
        (changed(summary="Continues any English text."), "models[1].summary", "same as that of tern-7b"),
        (changed(kind="talker"), "models[1].kind", "one of chat, base, code, vision"),
        (changed(parameters=7.5), "models[1].parameters", "whole number"),
        (changed(parameters=True), "models[1].parameters", "true or false"),
        (changed(context_length=-1), "models[1].context_length", "between 16 and"),
        (changed(languages=["English"]), "models[1].languages[0]", "ISO 639"),
        (changed(languages=["en", "en"]), "models[1].languages[1]", "twice"),
        (changed(licence="mit"), "models[1].licence", "not among the licences"),
        (changed(runs="yes"), "models[1].runs", "true or false"),
        (changed(runs=False), "models[1].why_not", "must say why tern-7b-chat"),
        (changed(nearest="tern-7b"), "models[1].runs", "and yet"),
        (lambda data: data["models"][0].update(nearest="tern-7b"), "models[0].nearest", "a row that runs"),
        (lambda data: data["models"][0].update(nearest=""), "models[0].nearest", "a row that runs"),
        (changed(year=2022), "models[1].parents", "older than its parent"),
        (changed(year=1999), "models[1].year", "between 2018 and"),
        (changed(parents=["tern-9b"]), "models[1].parents", "has no row"),
        (lambda data: data["models"][0].update(parents=["tern-7b-chat"], year=2024), "models", "from themselves"),
        (changed(parents=["tern-7b-chat"]), "models", "from themselves"),
        (changed(files=[]), "models[1].recommended", "no confirmed file"),
        (changed_file(repo="tern"), "models[1].files[0].repo", "owner/name"),
        (changed_file(path="../tern.gguf"), "models[1].files[0].path", "inside its repository"),
        (changed_file(path="/etc/tern.gguf"), "models[1].files[0].path", "inside its repository"),
        (changed_file(path="c:\\tern.gguf"), "models[1].files[0].path", "inside its repository"),
        (changed_file(path="tern.exe"), "models[1].files[0].path", ".gguf"),
        (changed_file(sha256=SHA256.upper()), "models[1].files[0].sha256", "64 hexadecimal digits"),
        (changed_file(commit="main"), "models[1].files[0].commit", "40 hexadecimal digits"),
        (changed_file(size_bytes=0), "models[1].files[0].size_bytes", "between 1 and"),
        (changed_file(parts=[{"path": "other.gguf"}]), "models[1].files[0].parts[0].path", "path of the file"),
    ],
)
def test_a_broken_file_is_refused_with_words(change: Callable[[Any], None], where: str, reason: str) -> None:
    data = catalog_json()
    change(data)
    error = refused(data)
    assert error.string("where") == where
    assert reason in error.string("reason")


def test_what_a_later_version_adds_is_left_alone() -> None:
    data = catalog_json(colours=["blue"])
    data["models"][1]["sound"] = "a tern's"
    assert len(parse_catalog(data).models) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a JSON document."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


@given(data=st.data(), put=JSON)
def test_any_value_in_any_place_is_read_or_refused_in_words(data: st.DataObject, put: Any) -> None:
    document = catalog_json()
    *way, last = data.draw(st.sampled_from(places(document)[1:]))
    holder: Any = document
    for key in way:
        holder = holder[key]
    holder[last] = put
    error = None
    try:
        catalog = parse_catalog(document)
    except UserError as caught:
        error = caught
    if error is None:
        assert all(model.summary and model.name for model in catalog.models)
    else:
        assert error.kind is ErrorKind.CATALOG_INVALID
        assert error.string("reason")


@given(JSON)
def test_any_document_is_refused_in_words(document: Any) -> None:
    refused(document)
