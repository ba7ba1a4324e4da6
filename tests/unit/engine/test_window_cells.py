import struct
from collections.abc import Sequence

import pytest

from app.engine.worker.saved_sequence import Checkpoint, SavedSequence
from app.engine.worker.state_reader import StreamsError
from app.engine.worker.window_cells import WindowState

HEAD = struct.pack("<Ii", 0xAF143CD8, 1)
WINDOW = 4
LAYERS = 3


def cache(positions: Sequence[int], *, transposed: bool = False, streams: int = 1, used: int = 0) -> bytes:
    """A cache with these cells as llama.cpp writes it; every number tells its layer, its kind and its position."""
    parts = [struct.pack("<I", len(positions))]
    parts += [struct.pack("<iIi", position, 1, 1) for position in positions]
    parts.append(struct.pack("<II", transposed, LAYERS))
    for layer in range(LAYERS):
        parts.append(struct.pack("<iQ", 1, 4))
        parts += [struct.pack("<HH", position, layer) for position in positions]
    for layer in range(LAYERS):
        if transposed:
            parts.append(struct.pack("<iII", 1, 4, 5))
            parts += [struct.pack("<HBB", position, layer, row) for row in range(5) for position in positions]
        else:
            parts.append(struct.pack("<iQ", 1, 8))
            parts += [struct.pack("<HHHH", position, layer, 77, 88) for position in positions]
    empty = struct.pack("<I", 0)
    content = [b"".join(parts) if number == used else empty for number in range(streams)]
    return struct.pack("<I", streams) + b"".join(content)


def last(length: int) -> range:
    """What llama.cpp saves of a window after so many tokens."""
    return range(max(0, length - WINDOW), length)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("streams", "used"), [(1, 0), (4, 2)])
@pytest.mark.parametrize(
    ("lengths", "positions"),
    [
        ((20,), [*range(16, 20)]),
        ((18, 20), [*range(14, 20)]),
        ((10, 18, 20), [*range(6, 10), *range(14, 20)]),
        ((2, 4), [*range(4)]),
        ((3, 7), [*range(7)]),
    ],
)
def test_each_cell_is_there_once(
    lengths: Sequence[int], positions: Sequence[int], streams: int, used: int, transposed: bool
) -> None:
    whole = cache(range(lengths[-1]), transposed=transposed, streams=streams, used=used)

    def window(cells: Sequence[int]) -> bytes:
        return cache(cells, transposed=transposed, streams=streams, used=used)

    *earlier, own = (window(last(length)) for length in lengths)
    state = WindowState(HEAD + whole + own, [HEAD + part for part in earlier])
    assert state.joined() == HEAD + whole + window(positions)


@pytest.mark.parametrize(
    ("lengths", "points"),
    [
        ((20,), [19, 20]),
        ((4,), [1, 2, 3, 4]),
        ((18, 20), [17, 18, 19, 20]),
        ((3, 7), [1, 2, 3, 4, 5, 6, 7]),
        ((10, 18, 20), [9, 10, 17, 18, 19, 20]),
        ((16, 20), [15, 16, 17, 18, 19, 20]),
    ],
)
def test_it_can_be_cut_where_nothing_is_missing(lengths: Sequence[int], points: Sequence[int]) -> None:
    *earlier, own = (cache(last(length)) for length in lengths)
    state = WindowState(HEAD + cache(range(lengths[-1])) + own, [HEAD + part for part in earlier])
    assert state.cut_points(WINDOW) == points
    for point in points:  # the token after it sees so many, and itself
        seen = set(range(max(0, point - WINDOW + 1), point))
        assert seen <= {position for length in lengths for position in last(length)}


def test_cells_may_lie_in_any_order() -> None:
    """As where llama.cpp has written over cells that no window sees any more."""
    state = WindowState(HEAD + cache(range(20)) + cache((18, 19, 16, 17)), [HEAD + cache((16, 17, 14, 15))])
    assert state.joined() == HEAD + cache(range(20)) + cache((14, 15, 18, 19, 16, 17))
    assert state.cut_points(WINDOW) == [17, 18, 19, 20]


def test_windows_that_begin_anew_promise_no_more_than_they_hold() -> None:
    """With chunks of four tokens the part after ten has the cells 8 and 9, that after fourteen 12 and 13."""
    state = WindowState(HEAD + cache(range(14)) + cache((12, 13)), [HEAD + cache((8, 9))])
    assert state.cut_points(WINDOW) == [9, 10, 13, 14]


def test_what_is_written_otherwise_is_refused() -> None:
    own = HEAD + cache(range(20)) + cache(last(20))
    for earlier in (b"", HEAD, HEAD + cache(last(18), transposed=True), HEAD + cache(())):
        with pytest.raises(StreamsError):
            WindowState(own, [earlier])
    with pytest.raises(StreamsError):
        WindowState(own + b"more", [])


def test_a_copy_goes_into_a_file_as_one_state() -> None:
    part, state = HEAD + cache(last(18)), HEAD + cache(range(20)) + cache(last(20))
    saved = SavedSequence(range(20), state, (Checkpoint(18, bytearray(part)),), [17, 18, 19, 20])
    data = saved.to_bytes()
    assert data == HEAD + cache(range(20)) + cache(range(14, 20))
    again = SavedSequence.from_bytes(range(20), bytes(data), saved.stored_cut_points, is_recurrent=False)
    assert again.whole_state == data
    assert again.cut_points == [17, 18, 19, 20]


@pytest.mark.parametrize("points", [(), (5,), (5, 9), (1, 5, 9)])
def test_a_recurrent_copy_takes_its_last_two_checkpoints_along(points: Sequence[int]) -> None:
    checkpoints = tuple(Checkpoint(length, bytearray(b"x" * length)) for length in points)
    saved = SavedSequence(range(10), b"state", checkpoints, points, is_recurrent=True)
    again = SavedSequence.from_bytes(range(10), bytes(saved.to_bytes()), saved.stored_cut_points, is_recurrent=True)
    assert again.checkpoints == checkpoints[-2:]
    assert again.cut_points == points[-2:]
    assert again.state == b"state"
