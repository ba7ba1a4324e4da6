"""How long to wait after a failure, and when to give up."""

from __future__ import annotations

import random

from app.hub.download.trouble import Trouble

_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
_JITTER = 0.2  # so that a thousand Hearths do not come back at the same moment
_HOPELESS_ATTEMPTS = 5
_FRESH_LINK_ATTEMPTS = 3


class Patience:
    """Counts failures since something last arrived. A network that is away is waited for without end."""

    def __init__(self) -> None:
        self._failures = 0
        self._hopeless = 0

    def reset(self) -> None:
        """Bytes have come."""
        self._failures = self._hopeless = 0

    def delay_s(self, trouble: Trouble) -> float:
        """How long to wait before the next attempt. Raises the trouble's UserError when there should be none."""
        self._failures += 1
        self._hopeless += trouble.is_hopeless
        if not trouble.reason or self._hopeless > _HOPELESS_ATTEMPTS:
            raise trouble.error
        delay_s = min(_FIRST_DELAY_S * (1 << min(self._failures - 1, 16)), _LONGEST_DELAY_S)
        return max(delay_s * random.uniform(1 - _JITTER, 1 + _JITTER), trouble.retry_after_s)

    @property
    def wants_fresh_link(self) -> bool:
        """Whether another address may help, since this one has failed several times."""
        return self._failures >= _FRESH_LINK_ATTEMPTS
