"""Every setting, declared once: type, default, range and place. The words for people are in `app.ui.setting_words`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.core.remote import are_servers
from app.core.sampling import RANGES, Sampling

Value = bool | int | float | str | None


class Section(StrEnum):
    """The sections of the settings page, in order."""

    APPEARANCE = "appearance"
    ANSWERS = "answers"
    MODEL = "model"
    DOWNLOADS = "downloads"
    DATA = "data"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `default` None means "as the model or Hearth chooses"; `expert` ones are folded away at first."""

    key: str
    section: Section
    kind: type[bool] | type[int] | type[float] | type[str]
    default: Value
    minimum: float = -math.inf
    maximum: float = math.inf
    step: float = 1
    choices: tuple[str, ...] = ()
    legal: Callable[[str], bool] | None = None  # of a text: whether it can be used
    expert: bool = False
    lines: int = 1  # of a text: how many are shown at once
    shown: bool = True  # False: remembered, but not on the settings page (window geometry and the like)

    def accepts(self, value: object) -> bool:
        """Whether a stored or typed value is legal."""
        if value is None:
            return self.default is None
        if self.kind is bool or isinstance(value, bool):
            return self.kind is bool and isinstance(value, bool)
        if self.kind is str:
            if not isinstance(value, str) or (self.choices and value not in self.choices):
                return False
            return self.legal is None or self.legal(value)
        if self.kind is int and not isinstance(value, int):
            return False
        return isinstance(value, (int, float)) and self.minimum <= value <= self.maximum


def _sampling_settings() -> tuple[Setting, ...]:
    plain = {"temperature", "top_k", "top_p", "min_p", "repeat_penalty"}
    knobs = tuple(
        Setting(
            f"sampling.{spec.name}",
            Section.ANSWERS,
            int if spec.integer else float,
            None,
            spec.minimum,
            spec.maximum,
            spec.step,
            expert=spec.name not in plain,
        )
        for spec in RANGES
    )
    return (*knobs, Setting("sampling.seed", Section.ANSWERS, int, None, 0, 0xFFFFFFFF, expert=True))


SETTINGS: tuple[Setting, ...] = (
    Setting("appearance.theme", Section.APPEARANCE, str, "system", choices=("system", "light", "dark")),
    Setting("appearance.text_percent", Section.APPEARANCE, int, 100, 70, 200, 10),
    Setting("answers.system_prompt", Section.ANSWERS, str, "", lines=4),
    Setting("answers.max_tokens", Section.ANSWERS, int, 0, 0, 1_000_000, 64),  # 0: as many as the context holds
    *_sampling_settings(),
    Setting("model.context_length", Section.MODEL, int, 0, 0, 10_000_000, 1024),  # 0: chosen from model and memory
    Setting("model.device", Section.MODEL, str, ""),  # ggml's name; empty: the fastest
    Setting("model.idle_minutes", Section.MODEL, int, 15, 0, 1440, 5),  # 0: the model stays loaded
    Setting("model.gpu_layers", Section.MODEL, int, -1, -1, 1000, expert=True),  # -1: as many as fit
    Setting("model.cache_type", Section.MODEL, str, "f16", choices=("f16", "q8_0", "q4_0"), expert=True),
    Setting("model.state_limit_gb", Section.MODEL, int, 4, 0, 1000, expert=True),  # 0: nothing is kept on disk
    Setting("model.threads", Section.MODEL, int, 0, 0, 256, expert=True),  # 0: chosen from the machine
    Setting("engine.rpc_servers", Section.MODEL, str, "", legal=are_servers, expert=True),  # host:port, host:port
    Setting("model.file_devices", Section.MODEL, str, "", shown=False),  # JSON: model files with a device of their own
    Setting("model.file_drafts", Section.MODEL, str, "", shown=False),  # JSON: model files with a draft model
    Setting("model.file_adapters", Section.MODEL, str, "", shown=False),  # JSON: model files with LoRA adapters
    Setting("downloads.folder", Section.DOWNLOADS, str, ""),  # empty: in Hearth's data folder
    Setting("downloads.parallel", Section.DOWNLOADS, int, 1, 1, 4),
    Setting("downloads.limit_mb_per_s", Section.DOWNLOADS, float, 0.0, 0.0, 10_000.0, 0.5),  # 0: no limit
    Setting("downloads.at_night", Section.DOWNLOADS, bool, False),
    Setting("downloads.night_from_hour", Section.DOWNLOADS, int, 23, 0, 23),
    Setting("downloads.night_until_hour", Section.DOWNLOADS, int, 7, 0, 23),
    Setting("downloads.connections", Section.DOWNLOADS, int, 4, 1, 4, expert=True),
    Setting("hub.search_allowed", Section.DOWNLOADS, bool, False, shown=False),  # the person agreed to send words
    Setting("hub.offline", Section.DOWNLOADS, bool, False),
    Setting("hub.endpoint", Section.DOWNLOADS, str, ""),  # empty: HF_ENDPOINT, or the hub itself
    Setting("hub.proxy", Section.DOWNLOADS, str, ""),  # empty: the environment's; "direct": none
    Setting("catalog.url", Section.DOWNLOADS, str, "", expert=True),  # empty: the catalogue that came with Hearth
    Setting("catalog.sha256", Section.DOWNLOADS, str, "", expert=True),
    Setting("hub.token_endpoints", Section.DOWNLOADS, str, "", shown=False),  # whose tokens are in the keyring
    Setting("hub.proxy_password_kept", Section.DOWNLOADS, bool, False, shown=False),  # in the keyring, that is
    Setting("window.geometry", Section.APPEARANCE, str, "", shown=False),  # base64 of QWidget.saveGeometry
    Setting("window.sidebar_visible", Section.APPEARANCE, bool, True, shown=False),
    Setting("window.last_conversation", Section.APPEARANCE, str, "", shown=False),
    Setting("model.last_path", Section.MODEL, str, "", shown=False),  # empty: the built-in model
)
SETTING_OF = {setting.key: setting for setting in SETTINGS}


def read_settings(stored: dict[str, Any]) -> dict[str, Value]:
    """All settings: the stored value where it is legal, the default elsewhere; unknown keys are dropped."""
    return {
        setting.key: stored[setting.key]
        if setting.key in stored and setting.accepts(stored[setting.key])
        else setting.default
        for setting in SETTINGS
    }


def sampling_overrides(values: dict[str, Value]) -> dict[str, float | int | None]:
    """What the person set of the sampler, by the names of `Sampling`."""
    names = Sampling.__dataclass_fields__
    found = {name: values.get(f"sampling.{name}") for name in names}
    return {name: v for name, v in found.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
