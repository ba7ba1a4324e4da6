import struct

import pytest

from app.engine.worker.state_streams import StreamsError, with_number_of_streams, with_streams

HEAD = struct.pack("<Ii", 0xAF143CD8, 1)


def stream(cells: int, *, transposed: bool = False, values: bool = True, layers: int = 2) -> bytes:
    """Cells of a stream as llama.cpp writes them, with rows of 8 bytes."""
    parts = [struct.pack("<I", cells)]
    parts += [struct.pack("<iIi", position, 1, 1) for position in range(cells)]
    parts.append(struct.pack("<II", transposed, layers))
    parts += [struct.pack("<iQ", 1, 8) + bytes(range(8)) * cells for _ in range(layers)]
    if values and transposed:
        parts += [struct.pack("<iII", 1, 2, 4) + bytes(8) * cells for _ in range(layers)]
    elif values:
        parts += [struct.pack("<iQ", 1, 8) + bytes(8) * cells for _ in range(layers)]
    return b"".join(parts)


def cache(streams: int, used: int, content: bytes) -> bytes:
    empty = struct.pack("<I", 0)
    return struct.pack("<I", streams) + b"".join(content if number == used else empty for number in range(streams))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("values", [False, True])
@pytest.mark.parametrize(("before", "after"), [(4, 2), (2, 4), (1, 3), (3, 1), (2, 2)])
def test_only_the_number_of_places_changes(before: int, after: int, values: bool, transposed: bool) -> None:
    content = stream(5, transposed=transposed, values=values)
    state = HEAD + cache(before, before - 1, content)
    assert with_streams(memoryview(state), before, after) == HEAD + cache(after, 0, content)


def test_two_caches_and_what_recurrent_layers_keep() -> None:
    whole, window, recurrent = stream(9), stream(3, layers=5), b"whatever comes behind"
    state = HEAD + cache(4, 2, whole) + cache(4, 2, window) + recurrent
    expected = HEAD + cache(2, 0, whole) + cache(2, 0, window) + recurrent
    assert with_streams(memoryview(state), 4, 2) == expected
    only_recurrent = HEAD + recurrent
    assert with_streams(memoryview(only_recurrent), 4, 2) == only_recurrent


def test_the_count_of_recurrent_states_is_not_taken_for_a_cache() -> None:
    recurrent = struct.pack("<IiI", 1, 77, 0) + bytes(64)
    state = HEAD + cache(1, 0, stream(5)) + recurrent
    assert with_streams(memoryview(state), 1, 3) == HEAD + cache(3, 0, stream(5)) + recurrent


def kept(*sizes: int) -> bytes:
    """What recurrent layers keep, as llama.cpp writes it, of so many bytes each."""
    layers = b"".join(struct.pack("<iQ", 0, size) + bytes(range(size)) for size in sizes)
    return struct.pack("<IiIII", 1, 77, 0, 0, 4) + layers


LATEST_WORDS = struct.pack("<Q", 24) + bytes(24)


@pytest.mark.parametrize("recurrent", [kept(8, 8, 40, 40), kept(0, 16), kept(8) + LATEST_WORDS + kept(8)[20:]])
@pytest.mark.parametrize(("before", "after"), [(4, 2), (2, 4), (1, 3), (3, 1)])
def test_an_index_is_a_cache_behind_what_recurrent_layers_keep(before: int, after: int, recurrent: bytes) -> None:
    whole, index = stream(9, values=False), stream(9, layers=1)
    state = HEAD + cache(before, before - 1, whole) + recurrent + cache(before, before - 1, index)
    expected = HEAD + cache(after, 0, whole) + recurrent + cache(after, 0, index)
    assert with_streams(memoryview(state), before, after) == expected


def test_the_next_cache_does_not_pass_for_values() -> None:
    """Its number of streams for their type, and its number of cells for how long they are."""
    keys, index = stream(5, values=False, layers=1), stream(9, values=False, layers=1)
    state = HEAD + cache(2, 0, keys) + cache(2, 0, index)
    assert with_streams(memoryview(state), 2, 3) == HEAD + cache(3, 0, keys) + cache(3, 0, index)


@pytest.mark.parametrize(("before", "after"), [(4, 2), (2, 4), (1, 3), (3, 1)])
def test_what_is_compressed_stays_as_it_is(before: int, after: int) -> None:
    head = HEAD + struct.pack("<3I", 0x34565344, 1, 0)
    compressed = struct.pack("<4I", 2, 40, 1, 1) + bytes(100)  # begins like a cache of two streams
    state = head + cache(before, before - 1, stream(9, layers=0)) + cache(before, before - 1, stream(3)) + compressed
    expected = head + cache(after, 0, stream(9, layers=0)) + cache(after, 0, stream(3)) + compressed
    assert with_streams(memoryview(state), before, after) == expected
    assert with_number_of_streams(state, after) == expected


def test_nothing_read_stays_nothing() -> None:
    nothing = cache(4, -1, b"")
    assert with_streams(memoryview(HEAD + nothing), 4, 2) == HEAD + cache(2, -1, b"")


def test_what_is_written_otherwise_is_refused() -> None:
    state = HEAD + cache(2, 1, stream(5))
    without_values = len(HEAD + cache(2, 1, stream(5, values=False)))
    for length in range(len(HEAD) + 1, without_values):
        with pytest.raises(StreamsError):
            with_streams(memoryview(state)[:length], 2, 3)
    for broken in (b"", b"\0" * 100):
        with pytest.raises(StreamsError):
            with_streams(memoryview(broken), 2, 1)
    two = HEAD + struct.pack("<I", 2) + stream(1) + stream(1)
    with pytest.raises(StreamsError):
        with_streams(memoryview(two), 2, 1)
