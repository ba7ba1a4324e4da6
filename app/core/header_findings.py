"""What a model file's header tells before anything is loaded: whether the model can chat, and what to know if it can.

The engine's child refuses files by these rules, and the same hold before a download, when perhaps only the first bytes
of the header are known: a finding that needs more is then left out, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.core.architectures import refusal
from app.core.chat_formats import PLAIN
from app.core.errors import ErrorKind, UserError
from app.core.file_kinds import FileKind
from app.core.gguf import GgufHeader, TensorInfo
from app.core.templates import choose_format
from app.core.tokenizers import BYTE_PAIR_TOKENIZERS, PRE_TOKENIZERS, TOKENIZERS

TEMPLATE_KEY = "tokenizer.chat_template"

# Until April 2024 every expert was a tensor of its own; llama.cpp wants them stacked.
_SINGLE_EXPERT = re.compile(r"blk\.\d+\.ffn_(gate|down|up)\.\d+\.weight")
_OWN_PRE_TOKENIZER = "gemma4"  # llama.cpp gives it one
_SEES_IMAGES = frozenset(["cogvlm", "deepseek2-ocr", "hunyuan_vl", "paddleocr", "qwen2vl", "qwen3vl", "qwen3vlmoe"])
_IMAGE_WORDS = frozenset(["internvl", "llava", "minicpmv", "moondream", "pixtral", "smolvlm", "vision", "vl"])
_BASE_WORDS = frozenset({"base", "pretrained", "pt"})
# Chosen by the name of a base model as well.
_FORMATS_OF_FOUNDATIONS = frozenset(
    {PLAIN.name, "llama-2", "mistral", "falcon", "deepseek-coder", "deepseek-llm", "decilm", "gemma", "persimmon"}
    | {"redpajama", "solar", "xgen"}
)
_CHAT_WORDS = frozenset(["assistant", "chat", "dpo", "instruct", "it", "orpo", "rlhf", "sft", "thinking"])


class FindingKind(StrEnum):
    """What may be found; the details are named behind it."""

    # The model cannot chat.
    ADAPTER = "adapter"  # a LoRA, which changes a model and is none
    PROJECTOR = "projector"  # images or sound for a model, no model
    IMPORTANCE_MATRIX = "importance_matrix"  # a by-product of quantizing
    UNSUPPORTED_ARCHITECTURE = "unsupported_architecture"  # architecture
    ENCODER_DECODER = "encoder_decoder"  # architecture
    EMBEDDING_MODEL = "embedding_model"  # architecture: it compares texts, it does not write
    UNKNOWN_TOKENIZER = "unknown_tokenizer"  # name
    VOCABULARY_ONLY = "vocabulary_only"
    OLD_MIXTURE = "old_mixture"  # experts in the layout of before April 2024
    # It can, and this is good to know.
    OLD_MIXTURE_LIKELY = "old_mixture_likely"  # its age speaks for that layout; the whole header would tell
    MISSING_PRE_TOKENIZER = "missing_pre_tokenizer"  # answers are worse than they should be
    MISSING_TEMPLATE = "missing_template"  # format: which of Hearth's own is used
    BASE_MODEL = "base_model"  # it continues texts and was never taught to answer
    NEEDS_PROJECTOR = "needs_projector"  # to see images it needs a second file

    @property
    def blocks(self) -> bool:
        """Whether it keeps the model from chatting."""
        return self in _BLOCKING


_BLOCKING = frozenset(
    {
        FindingKind.ADAPTER,
        FindingKind.PROJECTOR,
        FindingKind.IMPORTANCE_MATRIX,
        FindingKind.UNSUPPORTED_ARCHITECTURE,
        FindingKind.ENCODER_DECODER,
        FindingKind.EMBEDDING_MODEL,
        FindingKind.UNKNOWN_TOKENIZER,
        FindingKind.VOCABULARY_ONLY,
        FindingKind.OLD_MIXTURE,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the header tells; `detail` is the architecture, the name or the format it is about."""

    kind: FindingKind
    detail: str = ""

    @property
    def blocks(self) -> bool:
        """Whether it keeps the model from chatting."""
        return self.kind.blocks

    def as_error(self) -> UserError:
        """The error for a finding that blocks, without `path`, which only the caller knows."""
        match self.kind:
            case FindingKind.IMPORTANCE_MATRIX:
                return UserError(ErrorKind.NOT_A_MODEL, looks_like=FileKind.IMPORTANCE_MATRIX.value)
            case FindingKind.UNSUPPORTED_ARCHITECTURE | FindingKind.ENCODER_DECODER | FindingKind.EMBEDDING_MODEL:
                return UserError(ErrorKind(self.kind.value), architecture=self.detail)
            case FindingKind.UNKNOWN_TOKENIZER:
                return UserError(ErrorKind.CORRUPT, reason=f"its tokenizer {self.detail!r} is not known")
        return UserError(ErrorKind(self.kind.value))


def find_in_header(header: GgufHeader, *, has_template: bool | None = None) -> tuple[Finding, ...]:
    """Everything worth telling: what blocks, alone if it is there, else the warnings.

    `has_template` is what another source, such as the hub, says where the header is known in part.
    """
    blocking = kind_finding(header) or chat_finding(header) or _tokenizer_finding(header)
    is_whole = header.is_complete and (header.integer("split.count") or 0) <= 1
    if blocking is None and is_whole:  # the tensors of a split model may all be in its further parts
        blocking = tensor_finding(header.tensors)
    if blocking is not None:
        return (blocking,)
    if header.is_complete and TEMPLATE_KEY in header.metadata:
        has_template = True
    elif header.is_complete and has_template is None:
        has_template = False
    found = (
        _old_mixture_likely(header),
        _missing_pre_tokenizer(header),
        _base_model(header, has_template),
        _missing_template(header, has_template),
        Finding(FindingKind.NEEDS_PROJECTOR) if _sees_images(header) else None,
    )
    return tuple(finding for finding in found if finding is not None)


def kind_finding(header: GgufHeader) -> Finding | None:
    """Files that are whole and yet no language model."""
    kind = header.text("general.type")
    if kind == "adapter" or header.text("adapter.type") is not None:
        return Finding(FindingKind.ADAPTER)
    if kind == "mmproj":
        return Finding(FindingKind.PROJECTOR)
    if kind == "imatrix":
        return Finding(FindingKind.IMPORTANCE_MATRIX)
    return None


def chat_finding(header: GgufHeader) -> Finding | None:
    """Language models that do not chat."""
    architecture = header.architecture
    if not architecture and not header.is_complete:
        return None
    shown = header.line("general.architecture")
    refused = refusal(architecture)
    if refused is not None:
        return Finding(FindingKind(refused.value), "" if refused is ErrorKind.PROJECTOR else shown)
    # Embedding models made from chat models keep the architecture and say how to pool.
    pools = header.integer(f"{architecture}.pooling_type") or 0
    if pools > 0 or header.metadata.get(f"{architecture}.attention.causal") is False:
        return Finding(FindingKind.EMBEDDING_MODEL, shown)
    return None


def tensor_finding(tensors: Sequence[TensorInfo]) -> Finding | None:
    """What the tensors of all parts of a model tell."""
    if not tensors:
        return Finding(FindingKind.VOCABULARY_ONLY)
    if any(_SINGLE_EXPERT.fullmatch(tensor.name) for tensor in tensors):
        return Finding(FindingKind.OLD_MIXTURE)
    return None


def _tokenizer_finding(header: GgufHeader) -> Finding | None:
    model, pre = header.text("tokenizer.ggml.model"), header.text("tokenizer.ggml.pre")
    if model is not None and model not in TOKENIZERS:
        return Finding(FindingKind.UNKNOWN_TOKENIZER, header.line("tokenizer.ggml.model"))
    is_cut = model in BYTE_PAIR_TOKENIZERS and model != _OWN_PRE_TOKENIZER
    if is_cut and pre and pre not in PRE_TOKENIZERS:
        return Finding(FindingKind.UNKNOWN_TOKENIZER, header.line("tokenizer.ggml.pre"))
    return None


def _missing_pre_tokenizer(header: GgufHeader) -> Finding | None:
    model = header.text("tokenizer.ggml.model")
    if model not in BYTE_PAIR_TOKENIZERS or model == _OWN_PRE_TOKENIZER or header.text("tokenizer.ggml.pre"):
        return None
    # It stands before the vocabulary: whoever got that far has not overlooked it.
    is_known = header.is_complete or "tokenizer.ggml.tokens" in header.metadata
    return Finding(FindingKind.MISSING_PRE_TOKENIZER) if is_known else None


def _old_mixture_likely(header: GgufHeader) -> Finding | None:
    """Experts in a file that names neither its type (since July 2024) nor a pre-tokenizer (since April)."""
    is_old = "general.type" not in header.metadata and "tokenizer.ggml.pre" not in header.metadata
    is_known = "tokenizer.ggml.tokens" in header.metadata and not header.is_complete
    experts = header.integer(f"{header.architecture}.expert_count") or 0
    return Finding(FindingKind.OLD_MIXTURE_LIKELY) if experts and is_known and is_old else None


def _base_model(header: GgufHeader, has_template: bool | None) -> Finding | None:
    words = _words(header)
    if words & _CHAT_WORDS:
        return None
    is_named_so = bool(words & _BASE_WORDS)
    is_silent = has_template is False and choose_format((), _name(header)).name in _FORMATS_OF_FOUNDATIONS
    return Finding(FindingKind.BASE_MODEL) if is_named_so or is_silent else None


def _missing_template(header: GgufHeader, has_template: bool | None) -> Finding | None:
    if has_template is not False:
        return None
    return Finding(FindingKind.MISSING_TEMPLATE, choose_format((), _name(header)).name)


def _sees_images(header: GgufHeader) -> bool:
    return header.architecture in _SEES_IMAGES or bool(_words(header) & _IMAGE_WORDS)


def _name(header: GgufHeader) -> str:
    return " ".join(header.line(f"general.{key}") for key in ("name", "finetune", "basename"))


def _words(header: GgufHeader) -> frozenset[str]:
    """The words of the model's name; "MiniCPM-V" is one."""
    name = _name(header).lower().replace("minicpm-v", "minicpmv").replace("minicpm v", "minicpmv")
    return frozenset(re.split(r"[^a-z]+", name))
