"""Makes the state of a conversation fit a context with another number of conversations.

llama.cpp writes the state of one sequence with a place for every sequence of the context, all empty but one (see
`state_reader`), and refuses it where their number is another. In what recurrent layers keep the number does not show.
"""

from __future__ import annotations

from app.engine.worker.state_reader import U32, StateReader, StreamsError

__all__ = ["StreamsError", "with_number_of_streams", "with_streams"]


def with_streams(state: memoryview, before: int, after: int) -> bytes:
    """The same state for a context of `after` conversations, from one of `before`. The state must be whole.

    Raises StreamsError when there is something in it that neither is a cache nor can be what recurrent layers keep.
    """
    reader = StateReader(state)
    caches = reader.head()
    empty = U32.pack(0)
    parts: list[bytes | memoryview] = [state[: reader.at]]
    while caches and not reader.is_at_end:
        if reader.peek() == before:
            try:
                stream = reader.cache().stream
                parts += [U32.pack(after), stream.content if stream else empty, *[empty] * (after - 1)]
                caches -= 1
                continue
            except StreamsError:
                if before > 1:  # else it may be the count of recurrent states
                    raise
        try:
            parts.append(reader.recurrent(before))
        except StreamsError:
            break
    parts.append(state[reader.at :])
    return b"".join(parts)


def with_number_of_streams(state: bytes | bytearray, streams: int) -> bytes | bytearray:
    """The state as a context of `streams` conversations takes it; as it is where that cannot be told."""
    whole = memoryview(state)
    reader = StateReader(whole)
    try:
        reader.head()
        before = reader.peek()
        return state if before == streams else with_streams(whole, before, streams)
    except StreamsError:
        return state
