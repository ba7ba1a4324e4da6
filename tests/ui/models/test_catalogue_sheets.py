"""What the details of a model in the catalogue hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.core.catalog import Catalog
from app.core.header_findings import Finding, FindingKind
from app.hub.catalog_file import load_catalog
from app.paths import resources
from app.services.explain_fit import finding_words
from app.ui.models.catalogue_sheets import file_choices, sheet_of_row
from app.ui.models.hub_sheets import sheet_of_repository
from tests.ui.models.values import hub_details, hub_model


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(resources() / "catalog.json")


@pytest.mark.parametrize(
    ("model_id", "words"),
    [
        ("qwen3-8b", "Qwen/Qwen3-8B-GGUF"),
        ("qwen3", "Qwen3"),  # of a family itself no file is listed
        ("pythia-12b", "Pythia"),  # the engine could run it: perhaps somebody offers it by now
        ("opt", ""),
        ("bert", ""),
    ],
)
def test_what_the_engine_can_run_is_to_be_found_on_the_hub(
    qapp: object, catalog: Catalog, model_id: str, words: str
) -> None:
    model = catalog.model(model_id)
    assert model is not None
    assert sheet_of_row(model, catalog).repo == words


def test_what_can_be_checked_by_its_hash_is_one_press_away(catalog: Catalog) -> None:
    """Of many files of 2023 the hash is known and the exact size is not; the hub tells it."""
    model = catalog.model("vicuna-13b-v1.5")
    assert model is not None
    suggested = next(choice for choice in file_choices(model.files) if choice.is_suggested)
    (file,) = suggested.parts
    assert (suggested.quantization, len(file.sha256), len(file.commit), file.size_bytes) == ("Q4_K_M", 64, 40, 0)
    assert suggested.size_bytes > 7_000_000_000
    assert not suggested.is_size_exact


def test_a_file_with_a_size_is_suggested_before_one_without(catalog: Catalog) -> None:
    model = catalog.model("stablelm-zephyr-3b")
    assert model is not None
    suggested = next(choice for choice in file_choices(model.files) if choice.is_suggested)
    assert suggested.size_bytes


def test_the_chat_template_is_told_where_there_is_one(catalog: Catalog) -> None:
    def told(model_id: str) -> list[str]:
        model = catalog.model(model_id)
        assert model is not None
        return [fact.text for fact in sheet_of_row(model, catalog).facts if fact.label == "Chat template"]

    assert told("vicuna-13b-v1.5") == ["vicuna"]
    assert told("llama-2-7b") == []  # it continues texts


def test_nobody_is_promised_that_images_can_be_shown(qapp: object, catalog: Catalog) -> None:
    """There are no images in a chat yet; the help says so, and so must what leads to a download."""
    model = catalog.model("gemma-3-4b-it")
    assert model is not None
    assert "Hearth cannot show it any yet" in sheet_of_row(model, catalog).facts[0].text
    assert "Hearth cannot show it" in finding_words(Finding(FindingKind.NEEDS_PROJECTOR))
    details = replace(hub_details(hub_model(1)), projectors=hub_details(hub_model(1)).files[:1])
    told = {fact.label: fact.text for fact in sheet_of_repository(details, "https://mirror.test/x").facts}
    assert "Hearth cannot use" in told["Images"]
