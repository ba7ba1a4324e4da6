"""What has to hold for the catalogue that comes with Hearth. `app.hub.check_catalog` compares it with the hub."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import jsonschema
import pytest

from app.core.architectures import CHAT_ARCHITECTURES, EMBEDDING_ARCHITECTURES
from app.core.catalog import Catalog, CatalogModel, CommercialUse, ModelKind, parse_catalog
from app.core.errors import UserError
from app.hub.catalog_file import encode_catalog, load_catalog
from app.paths import resources
from tests.fixtures.catalog_json import catalog_json

CATALOG = resources() / "catalog.json"
MAX_BYTES = 1_200_000
GIB = 1 << 30
# Every family that the first texts about this project name.
FAMILIES = (
    *("LLaMA", "Alpaca", "Vicuna", "Koala", "Open Assistant", "OpenLLaMA", "Llama 2", "Code Llama", "TinyLlama"),
    *("Falcon", "MPT", "StableLM", "Pythia", "Dolly", "XGen", "Qwen", "Yi", "Mistral", "Mixtral", "DeciLM", "Phi"),
    *("SOLAR", "DeepSeek", "GPT-NeoX", "GPT-J", "OPT", "BLOOM", "GLM", "Galactica", "Zephyr", "OpenHermes", "Notus"),
    *("Starling", "OpenChat", "Orca", "Neural Chat", "OpenBuddy", "UltraLM", "Guanaco", "Baize", "Stable Beluga"),
    *("Persimmon", "Mamba", "StripedHyena", "CAMEL", "Gorilla", "WizardLM", "Airoboros", "Nous Hermes"),
    *("Nous Capybara", "RedPajama", "MetaMath", "LLaMA-Adapter", "ColossalChat", "GPT-Neo", "GPT-2", "T5"),
)
COMMERCIAL_USE = {
    CommercialUse.YES: "apache-2.0 mit cc-by-sa-3.0 cc-by-sa-4.0",
    CommercialUse.NO: "llama-1 cc-by-nc-4.0 cc-by-nc-sa-4.0 stability stable-beluga opt-175b glm-130b qwen-research "
    "microsoft-research mnpl unreleased-llama-i unreleased-orca",
    CommercialUse.CONDITIONS: "llama-2 llama-3 llama-3.1 llama-3.2 llama-3.3 llama-4 mit-llama-3.1 gemma "
    "stablelm-alpha falcon-180b falcon-2.0 bigscience-rail chatglm tongyi qwen yi deepseek lfm-1.0 starling xgen",
}
# They stand for a whole family, are too large for a home, or lie where the hub is not, and say so.
WITHOUT_FILES = {"llama-3.1", "qwen2.5", "qwen3", "deepseek-r1", "gpt4all-13b-snoozy", "gpt4all-falcon"}
MARKUP = re.compile(r"[<>`*_\[\]{}|\\]|https?:|  |\.\.")


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(CATALOG.read_bytes())


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads((resources() / "catalog.schema.json").read_bytes())


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(CATALOG)


def test_it_is_read_whole_and_small_enough(catalog: Catalog, document: Any) -> None:
    assert len(catalog.models) == len(document["models"])
    assert CATALOG.stat().st_size <= MAX_BYTES


def test_it_fits_its_schema(document: Any, schema: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    jsonschema.validate(catalog_json(), schema)


def test_it_has_the_layout_that_the_checker_writes(document: Any) -> None:
    assert encode_catalog(document) == CATALOG.read_bytes()


@pytest.mark.parametrize("kind", ["licence", "model", "file", "part"])
def test_schema_and_reader_know_and_require_the_same_fields(schema: Any, kind: str) -> None:
    document = catalog_json()
    licence, model = document["licences"][0], document["models"][1]
    split = model["files"][1]
    model["recommended"] = False  # else a confirmed file is required too
    fields = {"licence": licence, "model": model, "file": split, "part": split["parts"][0]}[kind]
    required = set(schema["$defs"][kind]["required"])
    assert set(fields) <= set(schema["$defs"][kind]["properties"])
    for name in list(fields):
        kept = fields.pop(name)
        assert is_read(copy.deepcopy(document)) == (name not in required), name
        fields[name] = kept


def is_read(document: Any) -> bool:
    try:
        parse_catalog(document)
    except UserError:
        return False
    return True


def test_every_family_has_a_row(catalog: Catalog) -> None:
    known = {model.family for model in catalog.models}
    assert [family for family in FAMILIES if family not in known] == []


def test_texts_are_plain_sentences(catalog: Catalog) -> None:
    for model in catalog.models:
        for text in (model.summary, model.novelty, model.limits, model.why_not):
            if text:
                plain = text.replace("search_query", "").replace("search_document", "")
                assert not MARKUP.search(plain), f"{model.id}: {text}"
                assert text[0].isupper() or text[0].isdigit(), f"{model.id}: {text}"
                assert text.endswith("."), f"{model.id}: {text}"
        assert len(model.summary) >= 30, model.id
        assert model.novelty, model.id
        assert model.limits, model.id


def test_no_two_rows_say_the_same_of_what_was_new(catalog: Catalog) -> None:
    said = [model.novelty for model in catalog.models]
    assert sorted({text for text in said if said.count(text) > 1}) == []


def test_every_row_has_a_licence_and_languages(catalog: Catalog) -> None:
    for model in catalog.models:
        assert model.commercial_use is not CommercialUse.UNKNOWN, model.id
        assert model.licence_url.startswith("https://"), model.id
        assert model.languages, model.id


def test_every_licence_has_been_read(document: Any) -> None:
    """Whether one may earn money with a model is too grave to change by accident."""
    found = {(licence["id"], licence["commercial_use"]) for licence in document["licences"]}
    assert found == {(name, use.value) for use, names in COMMERCIAL_USE.items() for name in names.split()}
    for licence in document["licences"]:
        if re.search(r"non-commercial|non-production|\bnc\b|research licen[cs]e$", licence["name"], re.IGNORECASE):
            assert licence["commercial_use"] != "yes", licence["id"]


def test_texts_can_be_read_without_knowing_formats(catalog: Catalog) -> None:
    for model in catalog.models:
        for text in (model.name, model.summary, model.novelty, model.limits, model.why_not):
            assert "GGUF" not in text, f"{model.id}: {text}"


def test_what_runs_is_of_a_kind_that_the_engine_knows_and_can_be_had(catalog: Catalog) -> None:
    for model in catalog.models:
        if model.runs:
            is_search = model.kind in (ModelKind.EMBEDDING, ModelKind.RERANKER)
            known = CHAT_ARCHITECTURES | EMBEDDING_ARCHITECTURES if is_search else CHAT_ARCHITECTURES
            assert model.architecture in known, model.id
            assert bool(model.files) != (model.id in WITHOUT_FILES), model.id
        else:
            assert not model.files, model.id


def test_experts_are_a_part_of_the_model(catalog: Catalog) -> None:
    for model in catalog.models:
        if model.active_parameters and model.parameters:
            assert model.active_parameters < model.parameters, model.id


def test_a_chat_model_that_runs_names_its_template(catalog: Catalog) -> None:
    kinds = (ModelKind.CHAT, ModelKind.CODE, ModelKind.VISION)
    assert [model.id for model in catalog.models if model.runs and model.kind in kinds and not model.template] == []


def test_no_file_stands_in_a_row_twice_and_sizes_are_likely(catalog: Catalog) -> None:
    for model in catalog.models:
        places = [(file.repo, file.path) for file in model.files]
        assert len(set(places)) == len(places), model.id
        for file in model.files:
            if file.shown_bytes is not None and model.parameters is not None:
                bits = file.shown_bytes * 8 / model.parameters
                assert 1.5 < bits < 20, f"{model.id}: {file.path}: {bits:.1f} bits a parameter"


def test_a_file_is_confirmed_with_everything_that_a_download_needs(catalog: Catalog) -> None:
    confirmed = [file for model in catalog.models for file in model.confirmed_files]
    assert len(confirmed) >= 100
    for file in confirmed:
        assert file.size_bytes
        assert file.commit
        assert re.fullmatch(r"[0-9a-f]{40}", file.commit)
        hashes = [part.sha256 for part in file.parts] or [file.sha256]
        assert all(sha256 and re.fullmatch(r"[0-9a-f]{64}", sha256) for sha256 in hashes)


def test_one_hash_is_that_of_one_file(catalog: Catalog) -> None:
    seen: dict[str, str] = {}
    for model in catalog.models:
        for file in model.files:
            for sha256 in [part.sha256 for part in file.parts] or [file.sha256]:
                if sha256 is not None:
                    assert seen.setdefault(sha256, model.id) == model.id, f"{file.path} is of {seen[sha256]} too"


def test_recommended_models_serve_every_size_of_machine_and_purpose(catalog: Catalog) -> None:
    recommended = [model for model in catalog.models if model.recommended]
    assert 8 <= len(recommended) <= 13

    def smallest(model: CatalogModel) -> int:
        return min(file.size_bytes or 0 for file in model.confirmed_files)

    for machine_gib in (2, 4, 8, 16, 24, 32, 64):
        room = machine_gib * 0.7 * GIB
        assert [model.id for model in recommended if room / 4 < smallest(model) <= room], f"{machine_gib} GiB"
    assert sum(model.kind is ModelKind.CODE for model in recommended) >= 2
    assert sum(len(model.languages) >= 10 for model in recommended) >= 3


def test_the_history_can_be_walked(catalog: Catalog) -> None:
    def ancestors(model_id: str) -> set[str]:
        model = catalog.model(model_id)
        assert model is not None
        return {model_id}.union(*(ancestors(parent) for parent in model.parents))

    assert "llama-1-7b" in ancestors("alpaca-7b")
    assert {"zephyr-7b-beta", "mistral-7b"} <= ancestors("notus-7b-v1")
    assert "llama-1-13b" in ancestors("stable-vicuna-13b")
    assert {"openchat-3.5", "mistral-7b"} <= ancestors("starling-lm-7b-alpha")
    roots = {model.id for model in catalog.models if not model.parents}
    for model in catalog.models:
        assert ancestors(model.id) & roots, model.id


def test_what_the_engine_cannot_run_says_why_and_names_what_can(catalog: Catalog) -> None:
    for name in ("opt", "gpt-j-6b", "galactica", "glm-130b", "stripedhyena-7b", "persimmon-8b"):
        model = catalog.model(name)
        assert model is not None
        assert not model.runs
        assert "engine" in model.why_not or "architecture" in model.why_not
    for model in catalog.models:
        if not model.runs:
            nearest = catalog.model(model.nearest)
            assert nearest is not None
            assert nearest.files, f"{model.id}: {nearest.id} cannot be had either"
