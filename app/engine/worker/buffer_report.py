"""What llama.cpp says it has allocated, read from its log, and what the process really took."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection

from app.core.events import HOST
from app.core.plan import DeviceShare
from app.engine import host_memory

# e.g. "load_tensors:   CPU_Mapped model buffer size =   571.85 MiB"
_LINE = re.compile(r"(?P<buffer>\S+)\s+(?P<kind>model|KV|RS|compute|output)\s+buffer size =\s*(?P<mib>[\d.]+) MiB")
_MIB = 1024 * 1024
_WEIGHTS, _CACHES, _COMPUTE = frozenset({"model"}), frozenset({"KV", "RS"}), frozenset({"compute"})
_MAPPED = "_Mapped"  # pages of the file; the system drops those that nobody reads


class BufferReport:
    """Sizes of llama.cpp's buffers, collected while a model is loaded and its context made."""

    def __init__(self) -> None:
        self._bytes: dict[tuple[str, str], int] = defaultdict(int)

    def read_line(self, line: str) -> None:
        """Take a line of the log; those about other things are passed over."""
        found = _LINE.search(line)
        if found is not None:
            self._bytes[found["buffer"], found["kind"]] += int(float(found["mib"]) * _MIB)

    def clear(self) -> None:
        """Forget everything: a model is about to be loaded."""
        self._bytes.clear()

    def clear_context(self) -> None:
        """Forget the buffers of a context: another one is about to be made."""
        for key in [key for key in self._bytes if key[1] not in _WEIGHTS]:
            del self._bytes[key]

    def used_shares(self, planned: tuple[DeviceShare, ...]) -> tuple[DeviceShare, ...]:
        """The same devices with what they really gave, as far as llama.cpp told."""
        gpus = frozenset(share.device for share in planned if share.device != HOST)
        return tuple(self._used_share(share, gpus) for share in planned)

    @property
    def copied_weights_bytes(self) -> int:
        """Weights in main memory that are not pages of the file."""
        return sum(
            size for (buffer, kind), size in self._bytes.items() if kind in _WEIGHTS and not buffer.endswith(_MAPPED)
        )

    def _used_share(self, planned: DeviceShare, gpus: Collection[str]) -> DeviceShare:
        is_host = planned.device == HOST
        # On the host a weight is a page of the file or a copy of it, whichever is read: as planned, unless copies alone
        # are more (a tied output in a layout of its own).
        weights = self._sum(planned.device, gpus, _WEIGHTS)
        return DeviceShare(
            device=planned.device,
            layers=planned.layers,
            weights_bytes=max(planned.weights_bytes, weights) if is_host else weights,
            cache_bytes=self._sum(planned.device, gpus, _CACHES),
            compute_bytes=self._sum(planned.device, gpus, _COMPUTE),
            surrounding_bytes=planned.surrounding_bytes,
        )

    def _sum(self, device: str, gpus: Collection[str], kinds: Collection[str]) -> int:
        """The buffers of a GPU, or of all that is no GPU's; mapped pages aside."""
        return sum(
            size
            for (buffer, kind), size in self._bytes.items()
            if kind in kinds
            and not buffer.endswith(_MAPPED)
            and (buffer == device if device in gpus else buffer not in gpus)
        )


def private_bytes() -> int | None:
    """Memory of this process that is no file's; None where the system does not tell."""
    return host_memory.private_bytes(os.getpid())
