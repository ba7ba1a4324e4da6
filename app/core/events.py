"""What the engine says: one frozen value per kind of event. The wire form is in `app.engine.protocol`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.core.errors import NoticeKind, UserError
from app.core.messages import Usage
from app.core.template_check import RenderedDialogue, TemplateFinding

HOST = "CPU"  # ggml's name for the device whose memory is the computer's


class FinishReason(StrEnum):
    """Why an answer ended."""

    END = "end"  # the model ended its turn, or a stop string was met
    LENGTH = "length"  # max_tokens reached
    CONTEXT_FULL = "context_full"  # no room left in the context
    STOPPED = "stopped"  # the person pressed Stop


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a loaded model says of itself and how it was loaded."""

    path: str
    name: str
    architecture: str
    description: str  # llama.cpp's own short line, e.g. "llama 1B Q4_K - Medium"
    size_bytes: int
    parameters: int
    context_length: int  # as loaded, tokens
    context_length_trained: int
    template: str  # "file", "own", or the name of the known template in use
    recurrent: bool = False
    sampling: dict[str, float | int | None] = field(default_factory=dict)  # the file's own suggestions
    context_length_limit: int = 0  # up to which it grows by itself when a chat needs that, as memory was; 0: not at all
    plan: dict[str, Any] = field(default_factory=dict)  # `core.plan.EnginePlan` as JSON, with used_bytes per device,
    # and what there is besides: "draft", "heads", "adapters", and "beside", a model that stays in memory unused


@dataclass(frozen=True, slots=True)
class Device:
    """One device that ggml sees."""

    name: str
    description: str
    kind: str  # "cpu", "gpu", "igpu", "accel", or "remote": another computer's
    free_bytes: int
    total_bytes: int
    driver: str = ""  # its version, where the backend tells
    problem: str = ""  # why it cannot be used: a key of `app.services.explain_devices`, empty when it works
    detail: str = ""  # the same in the system's words
    flash_attention: bool = False  # of a processor: whether it is the faster way there
    bus: str = ""  # its address, by which a card is known that two backends offer; empty if unknown


@dataclass(frozen=True, slots=True)
class Ready:
    """The child listens."""

    protocol: int
    engine: str  # "llama.cpp (0.3.36 0.25.3 4release)": version, ggml's, build
    pid: int


@dataclass(frozen=True, slots=True)
class Loading:
    """A model is being read; `fraction` is 0 to 1."""

    request_id: int
    fraction: float


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model is ready."""

    request_id: int
    model: ModelInfo
    load_ms: float


@dataclass(frozen=True, slots=True)
class LoadCancelled:
    """The person cancelled; the model that was loaded before, if any, is gone only if `unloaded`."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth telling that did not stop the request."""

    request_id: int
    kind: NoticeKind
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PromptStarted:
    """The prompt is fixed: how long it is, how much is reused, and which message is the first that the model sees.

    `first_visible_id` is None when the model sees everything.
    """

    request_id: int
    prompt_tokens: int
    reused_tokens: int
    first_visible_id: str | None


@dataclass(frozen=True, slots=True)
class PromptProgress:
    """Prompt reading goes on: tokens read so far of those to read; `remaining_ms` is an estimate."""

    request_id: int
    done_tokens: int
    total_tokens: int
    remaining_ms: float


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the answer; never ends inside a character."""

    request_id: int
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More text of the model's thinking."""

    request_id: int
    text: str


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that could have come at some place, and the logarithm of its probability there."""

    token: int
    text: str
    log_probability: float


@dataclass(frozen=True, slots=True)
class TokenScored:
    """A token of the answer with its log-probability and the likeliest others, likeliest first."""

    request_id: int
    chosen: Alternative
    others: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is over; `context_tokens` is what the KV cache now holds of this conversation."""

    request_id: int
    reason: FinishReason
    usage: Usage
    context_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class Counted:
    """Answer to a count request."""

    request_id: int
    tokens: int
    context_length: int


@dataclass(frozen=True, slots=True)
class Adapted:
    """Answer to an adapt request."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """Answer to an embed request: one vector of length 1 for each text, and how many tokens were read."""

    request_id: int
    vectors: tuple[tuple[float, ...], ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """Answer to a rank request: one score for each document, higher is better."""

    request_id: int
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DeviceTested:
    """Answer to a test of a device: tokens per second of reading and writing."""

    request_id: int
    device: str
    prompt_tokens_per_second: float
    generation_tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Answer to a request to forget conversations."""

    request_id: int


@dataclass(frozen=True, slots=True)
class DevicesListed:
    """Answer to a devices request; `system_info` is llama.cpp's line of CPU features."""

    request_id: int
    devices: tuple[Device, ...]
    system_info: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class TemplateChecked:
    """Answer to a check of a chat template: what was found, and how it writes the fixed dialogues down.

    `name` is "file", "own" or that of a known format. `used` is what a model is talked to with in the end: another
    name where the template cannot be used. `source` is the template that was looked at, empty when there is none.
    """

    request_id: int
    name: str
    used: str
    source: str
    findings: tuple[TemplateFinding, ...]
    dialogues: tuple[RenderedDialogue, ...]


@dataclass(frozen=True, slots=True)
class ModelLost:
    """The model loaded before is gone: it made room for what the request wanted, which did not come.

    The closing event of the request follows.
    """

    request_id: int


@dataclass(frozen=True, slots=True)
class ContextGrown:
    """The context of the loaded model has become longer by itself, for a chat that needs it; what was read stays.

    `request_id` is 0: it is about the whole child.
    """

    request_id: int
    model: ModelInfo


@dataclass(frozen=True, slots=True)
class ModelBesideClosed:
    """The model that was kept in memory beside the loaded one, see ModelInfo, is so no more: the room is needed.

    `request_id` is 0: it is about the whole child.
    """

    request_id: int


@dataclass(frozen=True, slots=True)
class Unloaded:
    """Answer to an unload request."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The request ended without a result; the engine goes on."""

    request_id: int
    error: UserError


Event = (
    Ready
    | Loading
    | Loaded
    | LoadCancelled
    | Notice
    | PromptStarted
    | PromptProgress
    | TextDelta
    | ReasoningDelta
    | Finished
    | Counted
    | TokenScored
    | Adapted
    | Embedded
    | Ranked
    | DeviceTested
    | Forgotten
    | DevicesListed
    | TemplateChecked
    | ModelLost
    | ContextGrown
    | ModelBesideClosed
    | Unloaded
    | Failed
)

CLOSING_EVENTS = (
    Loaded,
    LoadCancelled,
    Finished,
    Counted,
    Adapted,
    Embedded,
    Ranked,
    DeviceTested,
    Forgotten,
    DevicesListed,
    TemplateChecked,
    Unloaded,
    Failed,
)
"""With one of these a request is over."""
