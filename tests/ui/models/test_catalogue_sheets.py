"""What the details of a model in the catalogue hold."""

from __future__ import annotations

import pytest

from app.core.catalog import Catalog
from app.hub.catalog_file import load_catalog
from app.paths import resources
from app.ui.models.catalogue_sheets import sheet_of_row


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
