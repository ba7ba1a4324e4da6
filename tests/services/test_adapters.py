"""Which adapters change which model file."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.adapter import Adapter
from app.services.adapter_choices import ADAPTERS, AdapterChoices
from app.services.load_options import LoadOptions
from app.services.profile import Profile
from tests.services.conftest import StartProfile

PAIR = (Adapter("/a.gguf", 0.5), Adapter("/b=1.gguf"))


def test_each_model_file_has_its_own_and_they_are_wanted_with_it(
    start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    profile = start_profile()
    choices = AdapterChoices(profile.settings)
    choices.choose("/model.gguf", PAIR)
    assert choices.of("/other.gguf") == ()
    end_profile(profile)
    again = start_profile()
    wanted = LoadOptions.wanted("/model.gguf", again.settings, again.hardware.choice, "")
    assert wanted.adapters == PAIR
    assert wanted.to_fields()["adapters"] == PAIR
    AdapterChoices(again.settings).choose("/model.gguf", ())
    assert again.settings.string(ADAPTERS) == ""


def test_they_follow_their_model_file(start_profile: StartProfile) -> None:
    profile = start_profile()
    choices = AdapterChoices(profile.settings)
    choices.choose("/model.gguf", PAIR)
    profile.library.moved.emit("/model.gguf", "/drive/model.gguf")
    assert choices.of("/drive/model.gguf") == PAIR
    assert choices.of("/model.gguf") == ()


@pytest.mark.parametrize("stored", ["nonsense", "[]", '{"/m.gguf": "x"}', '{"/m.gguf": "[[1]]"}', '{"/m.gguf": "3"}'])
def test_choices_that_make_no_sense_are_none(start_profile: StartProfile, stored: str) -> None:
    settings = start_profile().settings
    settings.set_value(ADAPTERS, stored)
    assert AdapterChoices(settings).of("/m.gguf") == ()
