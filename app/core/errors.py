"""What can go wrong in a person's world, as values.

A `UserError` is the environment's fault or the input's (disk full, broken file, no memory): it is explained and offers
a way out. Any other exception is a bug and ends in the crash window. The words for people are made where they can be
translated (`app.services.explain`); here are only kinds and figures.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

Detail = int | float | str


class ErrorKind(StrEnum):
    """Every situation that a person is told about; the details each carries are named behind it."""

    # model files (all carry path)
    FILE_MISSING = "file_missing"
    FILE_UNREADABLE = "file_unreadable"
    FILE_EMPTY = "file_empty"
    NOT_A_MODEL = "not_a_model"  # wrong magic, e.g. a text or archive that was renamed: looks_like
    OLD_FORMAT = "old_format"  # GGML/GGJT of before GGUF, or GGUF version 1
    UNKNOWN_VERSION = "unknown_version"  # version
    OTHER_ENDIANNESS = "other_endianness"
    TRUNCATED = "truncated"  # needed_bytes, found_bytes
    CORRUPT = "corrupt"  # reason
    UNSUPPORTED_ARCHITECTURE = "unsupported_architecture"  # architecture
    VOCABULARY_ONLY = "vocabulary_only"
    EMBEDDING_MODEL = "embedding_model"  # architecture
    ENCODER_DECODER = "encoder_decoder"  # architecture
    PROJECTOR = "projector"  # an image or audio projector, no language model
    ADAPTER = "adapter"  # a LoRA, no model
    LEFTOVER_SPLIT = "leftover_split"  # a part of a split model, not the first: part, parts, or missing parts
    OLD_MIXTURE = "old_mixture"  # experts in the layout of before April 2024
    NOT_ENOUGH_MEMORY = (
        "not_enough_memory"  # needed_bytes, free_bytes, context_length, suggested_context_length (0: none)
    )
    LOAD_FAILED = "load_failed"  # reason, smaller_plans (how many were tried after the first)
    DEVICE_CRASHED = "device_crashed"  # device (empty: not known), name, reason; no path: it was only being started
    SERVER_ADDRESS_INVALID = "server_address_invalid"  # address: of an RPC server, reason (see app.core.remote)
    SERVER_UNUSABLE = "server_unusable"  # server, problem (a key of app.services.explain_remote), detail
    SERVER_LOST = "server_lost"  # server, reason; path of the file that was being loaded, empty during an answer
    LOAD_STALLED = "load_stalled"  # seconds: nothing was read and nothing said for so long
    # prompts
    EMPTY_PROMPT = "empty_prompt"
    PROMPT_TOO_LONG = "prompt_too_long"  # tokens, limit_tokens; see `app.services.prompt_room` for what is added
    # engine
    ENGINE_CRASHED = "engine_crashed"  # reason, exit_code or signal_name
    ENGINE_UNRESPONSIVE = "engine_unresponsive"
    ENGINE_START_FAILED = "engine_start_failed"  # reason
    DECODE_FAILED = "decode_failed"  # reason
    NO_MODEL = "no_model"
    GRAMMAR_UNUSABLE = "grammar_unusable"  # reason
    SCHEMA_UNUSABLE = "schema_unusable"  # reason
    ADAPTER_UNFIT = "adapter_unfit"  # path, reason: a LoRA that is not for the loaded model, or broken
    NO_EMBEDDING_MODEL = "no_embedding_model"  # path
    NO_RERANKER = "no_reranker"  # path
    TEXT_TOO_LONG = "text_too_long"  # number (from 1), tokens, limit_tokens
    BAD_REQUEST = "bad_request"  # reason; a bug of ours, told in words all the same
    # storage (all carry path)
    DISK_FULL = "disk_full"
    READ_ONLY = "read_only"
    DATABASE_LOCKED = "database_locked"
    DATABASE_CORRUPT = "database_corrupt"  # set_aside_path, backup_path (may be empty)
    DATABASE_TOO_NEW = "database_too_new"  # found_version, known_version
    STORAGE_FAILED = "storage_failed"  # reason
    # the catalogue of models
    CATALOG_INVALID = "catalog_invalid"  # path (a file or an address), where (in it; may be empty), reason
    CATALOG_NOT_PINNED = "catalog_not_pinned"  # url: an address for a catalogue without the SHA-256 that it must have
    # the hub
    OFFLINE = "offline"  # the person, or HF_HUB_OFFLINE, has switched the network off for Hearth
    NO_NETWORK = "no_network"
    HUB_UNREACHABLE = "hub_unreachable"  # endpoint, reason (a code of app.hub.failures)
    PROXY_FAILED = "proxy_failed"  # proxy, reason (a code of app.services.explain_secrets, or what the proxy said)
    CERTIFICATE_REFUSED = "certificate_refused"  # endpoint, reason
    ADDRESS_INVALID = "address_invalid"  # address: of a hub or a proxy, as it was typed
    NOT_A_REFERENCE = "not_a_reference"  # text: neither a repository, nor a file in one, nor the address of either
    RATE_LIMITED = "rate_limited"  # retry_in_s
    GATED = "gated"  # repo, url (of the page with the terms), has_token (0 or 1)
    TOKEN_REJECTED = "token_rejected"  # endpoint
    NOT_ON_HUB = "not_on_hub"  # repo, path (may be empty), revision (may be empty)
    HUB_FAILED = "hub_failed"  # status
    HUB_ANSWER_STRANGE = "hub_answer_strange"  # endpoint, reason: a log-in page of a hotel, or no hub at all
    NO_KEYRING = "no_keyring"  # reason (a code of app.hub.secret_store); the token is held until Hearth ends
    PROXY_PASSWORD_NOT_KEPT = "proxy_password_not_kept"  # reason; it is held until Hearth ends
    KEYRING_CLOSED = "keyring_closed"  # reason: a token or a password is in it and could not be had
    # downloads
    HASH_MISMATCH = "hash_mismatch"  # path
    CHANGED_ON_HUB = "changed_on_hub"  # repo, path
    FILE_IN_USE = "file_in_use"  # path: another program downloads it
    DISK_SPACE = "disk_space"  # needed_bytes, free_bytes, path
    FILE_TOO_LARGE = "file_too_large"  # path, size_bytes: more than the disk's format allows for one file
    FOLDER_READ_ONLY = "folder_read_only"  # path
    WRITE_FAILED = "write_failed"  # path, reason
    NAME_TAKEN = "name_taken"  # path: another file lies where the download would
    UNSAFE_NAME = "unsafe_name"  # path: a name on the hub that leads out of its folder
    # model files on this computer
    TRASH_FAILED = "trash_failed"  # path, reason
    MOVE_FAILED = "move_failed"  # path, reason
    # a bug, which has been reported; whoever waited for a result is told so
    UNEXPECTED = "unexpected"  # reason: the kind of exception
    # the application was ended in the middle of an answer
    APP_ENDED = "app_ended"


class UserError(Exception):
    """Something that a person can understand and act on: a kind with its figures."""

    def __init__(self, kind: ErrorKind, **details: Detail) -> None:
        super().__init__(kind, details)
        self.kind = kind
        self.details: dict[str, Detail] = details

    def __str__(self) -> str:
        figures = ", ".join(f"{name}={value}" for name, value in self.details.items())
        return f"{self.kind.value}({figures})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UserError) and (self.kind, self.details) == (other.kind, other.details)

    def __hash__(self) -> int:
        return hash((self.kind, tuple(sorted(self.details.items()))))

    def integer(self, name: str) -> int:
        """A figure among the details, 0 when absent."""
        value = self.details.get(name, 0)
        return int(value) if isinstance(value, (int, float)) else 0

    def string(self, name: str) -> str:
        """A text among the details, empty when absent."""
        return str(self.details.get(name, ""))

    def to_json(self) -> dict[str, Any]:
        """The form that travels on the pipe and into the database."""
        return {"kind": self.kind.value, "details": self.details}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> UserError:
        """The error that `to_json` wrote; an unknown kind becomes LOAD_FAILED with the kind as reason."""
        raw = data.get("details")
        details = (
            {str(k): v for k, v in raw.items() if isinstance(v, (int, float, str))} if isinstance(raw, dict) else {}
        )
        try:
            kind = ErrorKind(str(data.get("kind")))
        except ValueError:
            return cls(ErrorKind.LOAD_FAILED, reason=str(data.get("kind")))
        return cls(kind, **details)


class NoticeKind(StrEnum):
    """Things worth a line that do not stop anything."""

    TEMPLATE_MISSING = "template_missing"  # fallback: the name of the template used instead
    TEMPLATE_BROKEN = "template_broken"  # reason, fallback
    TEMPLATE_SILENT = "template_silent"  # it never asks for an answer: fallback
    OWN_TEMPLATE_BROKEN = "own_template_broken"  # the person's own: reason, fallback ("file" or a name)
    CONTEXT_REDUCED = "context_reduced"  # wanted, used; failed: what should have fit and did not load before
    CONTEXT_NOT_GROWN = "context_not_grown"  # wanted, used: a chat needs more, but llama.cpp could not have it
    PLAN_REDUCED = "plan_reduced"  # memory was less than told: wanted_context, used_context, wanted_layers, used_layers
    DRAFT_UNUSED = "draft_unused"
    """The draft model is left out: path, reason ("vocabulary", "memory" with needed_bytes and free_bytes, "recurrent",
    "model" when the model itself is, "crashed", "file" with error, a UserError as JSON)."""
    ADAPTERS_UNUSED = "adapters_unused"  # the UserError as JSON that speaks against one of them; none is used then
    SERVER_UNUSED = "server_unused"
    """The model runs on this computer: server, problem (a key of app.services.explain_remote), detail."""
    CACHE_TYPE_UNFIT = "cache_type_unfit"  # wanted: the model's heads cannot be stored so; f16 is used
