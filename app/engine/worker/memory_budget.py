"""How long a context this computer has the memory for, now."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

from app.core.errors import ErrorKind, UserError
from app.core.memory import CONTEXT_STEP_TOKENS, ContextPlan, memory_need, round_up
from app.core.model_shape import ModelShape
from app.engine.worker.inspection import ModelFacts

DEFAULT_CONTEXT_LENGTH = 8192
MIN_CONTEXT_LENGTH = 512  # below this no conversation is possible
_RESERVE_BYTES = 512 * 1024 * 1024  # for the window and everything else the person does
_CGROUP_ROOT = Path("/sys/fs/cgroup")


def choose_context_length(facts: ModelFacts, wanted: int, plan: ContextPlan) -> int:
    """The context length to load a model with, in tokens.

    `wanted` 0: as long as the model was trained for, at most 8,192, reduced to what fits. `plan` is how the
    context will be made, its length aside.

    Raises:
        UserError: NOT_ENOUGH_MEMORY when the wanted length, or any useful one, does not fit.
    """
    free_bytes = usable_bytes()
    trained = max(facts.context_length_trained, MIN_CONTEXT_LENGTH)
    asked = wanted or min(trained, DEFAULT_CONTEXT_LENGTH)
    fits = longest_context(facts.shape, plan.with_length(max(asked, trained)), free_bytes)
    if fits >= asked:
        return asked
    if not wanted and fits >= MIN_CONTEXT_LENGTH:
        return fits
    smallest = asked if wanted else MIN_CONTEXT_LENGTH
    raise UserError(
        ErrorKind.NOT_ENOUGH_MEMORY,
        path=str(facts.path),
        needed_bytes=memory_need(facts.shape, plan.with_length(smallest)).total_bytes,
        free_bytes=free_bytes,
        context_length=smallest,
        suggested_context_length=min(fits, round_up(trained, CONTEXT_STEP_TOKENS)) if fits >= MIN_CONTEXT_LENGTH else 0,
    )


def longest_context(shape: ModelShape, plan: ContextPlan, budget_bytes: int) -> int:
    """The longest context up to the plan's that fits into the budget, a multiple of 256 tokens; 0 if none does."""
    low, high = 0, round_up(plan.context_length, CONTEXT_STEP_TOKENS) // CONTEXT_STEP_TOKENS
    while low < high:
        middle = (low + high + 1) // 2
        if memory_need(shape, plan.with_length(middle * CONTEXT_STEP_TOKENS)).total_bytes <= budget_bytes:
            low = middle
        else:
            high = middle - 1
    return low * CONTEXT_STEP_TOKENS


def usable_bytes() -> int:
    """Memory that a model may take without pushing out the rest: what is available, less a reserve."""
    available = psutil.virtual_memory().available
    limited = _cgroup_free_bytes() if sys.platform == "linux" else None
    if limited is not None:
        available = min(available, limited)
    # A computer that is nearly full must still run the smallest model.
    return int(available - min(_RESERVE_BYTES, available // 8))


def _cgroup_free_bytes() -> int | None:
    """What the control group (a container, a session with a limit) leaves to this process; None: no limit."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        number, controllers, name = line.split(":", 2)
        if number == "0" and not controllers:
            return _least_free(_CGROUP_ROOT, name, "memory.max", "memory.current", "inactive_file")
        if "memory" in controllers.split(","):
            root = _CGROUP_ROOT / "memory"
            usage = "memory.usage_in_bytes"
            return _least_free(root, name, "memory.limit_in_bytes", usage, "total_inactive_file")
    return None


def _least_free(root: Path, name: str, limit_file: str, usage_file: str, cache_key: str) -> int | None:
    """The tightest of the limits of a group and its parents, less what is used and cannot be dropped."""
    folder = root / name.lstrip("/")
    least: int | None = None
    for group in (folder, *folder.parents):
        try:
            limit = int((group / limit_file).read_text())  # "max" where there is none
            used = int((group / usage_file).read_text())
            statistics = (group / "memory.stat").read_text().split()
            cached = int(statistics[statistics.index(cache_key) + 1])
        except (OSError, ValueError, IndexError):
            pass
        else:
            free = max(0, limit - max(0, used - cached))
            least = free if least is None else min(least, free)
        if group == root:
            break
    return least
