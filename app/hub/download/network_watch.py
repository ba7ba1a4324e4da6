"""Notices that connections made before are dead: the computer slept, or is on another network now."""

from __future__ import annotations

import socket
import time

_ASLEEP_S = 10.0  # longer than any pause between two looks that is not told with `note_awake`
_LOOK_INTERVAL_S = 2.0
# Addresses reserved for documentation (RFC 5737, RFC 3849). Nothing is sent: connecting a datagram socket only asks
# the system from which address it would send.
_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


class NetworkWatch:
    """Looked at several times a second by one thread."""

    def __init__(self) -> None:
        self._looked_s = time.time()
        self._asked_s = time.monotonic()
        self._addresses = _own_addresses()

    def note_awake(self) -> None:
        """The time since the last look was spent on something: a slow disk is no sleep."""
        self._looked_s = time.time()

    def has_changed(self) -> bool:
        """Whether, since the last look, the computer slept or got another address."""
        now_s = time.time()  # of the day: on some systems the monotonic clock sleeps too
        slept = now_s - self._looked_s > _ASLEEP_S
        self._looked_s = now_s
        if not slept and time.monotonic() - self._asked_s < _LOOK_INTERVAL_S:
            return False
        self._asked_s = time.monotonic()
        addresses, self._addresses = self._addresses, _own_addresses()
        return slept or addresses != self._addresses


def _own_addresses() -> tuple[str, ...]:
    """From where this computer would reach the world; empty without a network."""
    found: list[str] = []
    for family, address in _ELSEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, 9))
                found.append(str(probe.getsockname()[0]))
        except OSError:
            continue
    return tuple(found)
