from __future__ import annotations

import logging
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from app.engine.worker import state_folder, state_store
from app.engine.worker.state_file import StateError, StateHead, TransferCancelledError
from app.engine.worker.state_folder import disk_reserve_bytes
from app.engine.worker.state_store import StateKey, StateStore, StoredState

KEY = StateKey("model", "engine", "f16")
GIB = 1024**3
ROOMY = 1_000_000


class Disk(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "states"


@pytest.fixture
def store(folder: Path) -> StateStore:
    return StateStore(folder, ROOMY)


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def put(store: StateStore, tokens: list[int], data: bytes, conversation: str = "c", **options: bool) -> Path:
    """Save a state; returns its file."""
    folder = store._folder._path
    before = set(files(folder))
    assert store.put(KEY, conversation, tokens, data, **options)
    (path,) = set(files(folder)) - before
    return path


def find(store: StateStore, tokens: list[int], **options: bool) -> StoredState:
    """What is found, which must be something."""
    found = store.find(KEY, tokens, **options)
    assert found is not None
    return found


class TestFinding:
    def test_nothing_in_a_folder_that_does_not_exist(self, store: StateStore, folder: Path) -> None:
        assert store.find(KEY, [1, 2, 3], can_cut=True) is None
        assert not folder.exists()

    def test_the_longest_state_that_the_tokens_go_on_after(self, store: StateStore) -> None:
        put(store, [1, 2], b"short", "a")
        put(store, [1, 2, 3, 4], b"long", "b")
        put(store, [1, 2, 9, 9, 9], b"other", "c")
        found = find(store, [1, 2, 3, 4, 5])
        assert (list(found.tokens), found.shared_tokens, found.read()) == ([1, 2, 3, 4], 4, b"long")

    def test_a_state_of_all_the_tokens_leaves_none_to_read(self, store: StateStore) -> None:
        put(store, [1, 2, 3], b"x")
        assert store.find(KEY, [1, 2, 3]) is None
        found = find(store, [1, 2, 3], can_cut=True)
        assert found.shared_tokens == 2

    def test_a_state_that_can_be_cut_counts_by_what_it_shares(self, store: StateStore) -> None:
        put(store, [1, 2, 3, 7, 7, 7, 7], b"cut me", "a")
        put(store, [1, 2], b"whole", "b")
        found = find(store, [1, 2, 3, 4], can_cut=True)
        assert (found.shared_tokens, found.read()) == (3, b"cut me")
        assert find(store, [1, 2, 3, 4], can_cut=False).read() == b"whole"

    def test_the_smaller_of_two_that_share_equally_much(self, store: StateStore) -> None:
        put(store, [1, 2, 3, 7, 7, 7, 7], b"much to load", "a")
        put(store, [1, 2, 3, 8], b"little", "b")
        assert find(store, [1, 2, 3, 4], can_cut=True).read() == b"little"

    def test_only_what_beats_memory(self, store: StateStore) -> None:
        put(store, [1, 2, 3], b"x")
        assert store.find(KEY, [1, 2, 3, 4], better_than=3) is None
        assert store.find(KEY, [1, 2, 3, 4], better_than=2) is not None

    def test_nothing_shared_is_nothing_found(self, store: StateStore) -> None:
        put(store, [5, 6], b"x")
        assert store.find(KEY, [1, 2, 3], can_cut=True) is None
        assert store.find(KEY, [5], can_cut=True) is None
        assert store.find(KEY, [], can_cut=True) is None

    @pytest.mark.parametrize(
        "other",
        [
            replace(KEY, model_hash="another"),
            replace(KEY, engine_version="another"),
            replace(KEY, cache_type="q8_0"),
            replace(KEY, flash_attention=True),
            replace(KEY, adapters=(("hash", 1.0),)),
            replace(KEY, adapters=(("hash", 0.5),)),
            replace(KEY, details=("rope 2.0",)),
        ],
    )
    def test_only_states_with_the_same_key(self, store: StateStore, other: StateKey) -> None:
        put(store, [1, 2], b"x")
        assert store.find(other, [1, 2, 3]) is None

    def test_another_store_on_the_folder_sees_it(self, store: StateStore, folder: Path) -> None:
        other = StateStore(folder, ROOMY)
        assert other.find(KEY, [1, 2, 3]) is None
        put(store, [1, 2], b"from the first")
        assert find(other, [1, 2, 3]).read() == b"from the first"

    def test_long_conversations(self, store: StateStore) -> None:
        tokens = [(7 * index) % 32_000 for index in range(100_000)]
        put(store, tokens, b"x")
        for cut in (1, 4095, 4096, 65_537, 99_999):
            found = find(store, [*tokens[:cut], -1, -1], can_cut=True)
            assert found.shared_tokens == cut


class TestReplacing:
    def test_the_state_of_a_longer_conversation_replaces_the_shorter(self, store: StateStore, folder: Path) -> None:
        put(store, [1, 2], b"old")
        put(store, [1, 2, 3, 4], b"new")
        assert len(files(folder)) == 1
        assert find(store, [1, 2, 3, 4, 5]).read() == b"new"

    def test_not_that_of_another_conversation(self, store: StateStore, folder: Path) -> None:
        put(store, [1, 2], b"old", "a")
        put(store, [1, 2, 3, 4], b"new", "b")
        assert len(files(folder)) == 2

    def test_a_branch_of_its_own_is_kept(self, store: StateStore, folder: Path) -> None:
        put(store, [1, 2, 3, 4, 5, 6], b"one")
        put(store, [1, 2, 3, 9, 9, 9], b"other")
        assert len(files(folder)) == 2

    def test_a_branch_that_differs_at_its_very_end_is_not(self, store: StateStore, folder: Path) -> None:
        shared = list(range(100))
        put(store, [*shared, 1, 2, 3], b"one")
        put(store, [*shared, 7, 8, 9], b"other")
        assert len(files(folder)) == 1

    def test_what_a_stored_state_contains_is_not_written_again(self, store: StateStore, folder: Path) -> None:
        path = put(store, [1, 2, 3, 4], b"long")
        age(path, 1000)
        assert store.put(KEY, "c", [1, 2, 3], b"short")
        assert store.put(KEY, "c", [1, 2, 3, 4], b"again")
        assert files(folder) == [path]
        assert path.stat().st_mtime > time.time() - 500  # it was of use just now

    def test_states_that_cannot_be_cut_leave_some_earlier_ones(self, store: StateStore, folder: Path) -> None:
        for length in range(1, 8):
            put(store, list(range(length)), bytes([length]), can_cut=False)
        assert len(files(folder)) == 4  # the newest and three before it
        for cut, expected in ((7, 7), (6, 6), (4, 4)):
            found = find(store, [*range(cut), -1])
            assert found.read() == bytes([expected])
        assert store.find(KEY, [*range(3), -1]) is None

    def test_of_versions_of_an_answer_the_last_is_kept(self, store: StateStore, folder: Path) -> None:
        talk = list(range(1000))
        for answer in range(5):
            points = [900, 999, 1000, 1020]
            assert store.put(KEY, "c", [*talk, *[answer] * 20], bytes([answer]), can_cut=False, cut_points=points)
        assert find(store, [*talk, *[4] * 20, 7]).read() == b"\4"
        assert len(files(folder)) == 1
        other = [*talk[:950], *[9] * 20]  # the new state cannot take its place: it can be cut to 900 only
        assert store.put(KEY, "c", other, b"x", can_cut=False, cut_points=[900])
        assert len(files(folder)) == 2

    def test_a_state_can_be_cut_where_it_has_checkpoints(self, store: StateStore) -> None:
        tokens = list(range(100))
        assert store.put(KEY, "c", tokens, b"x", can_cut=False, cut_points=[40, 80])
        for shared, usable in ((100, 100), (99, 80), (80, 80), (79, 40), (40, 40)):
            assert find(store, [*tokens[:shared], -1, -1]).shared_tokens == usable
        assert store.find(KEY, [*tokens[:39], -1]) is None

    def test_a_checkpoint_is_preferred_to_a_state_that_shares_more_but_cannot_be_cut(self, store: StateStore) -> None:
        assert store.put(KEY, "a", [1, 2, 3, 4, 9, 9], b"cannot be cut", can_cut=False)
        assert store.put(KEY, "b", [1, 2, 3, 8, 8], b"can", can_cut=False, cut_points=[2])
        found = find(store, [1, 2, 3, 4, 5])
        assert (found.shared_tokens, found.read()) == (2, b"can")

    def test_with_checkpoints_one_older_state_is_enough(self, store: StateStore, folder: Path) -> None:
        for length in range(2, 8):
            assert store.put(KEY, "c", list(range(length)), b"x", can_cut=False, cut_points=[length - 1])
        assert len(files(folder)) == 2

    def test_the_same_state_with_more_checkpoints_replaces_it(self, store: StateStore, folder: Path) -> None:
        old = put(store, [1, 2, 3], b"x", can_cut=False)
        assert store.put(KEY, "c", [1, 2, 3], b"y", can_cut=False, cut_points=[2])
        assert store.put(KEY, "c", [1, 2, 3], b"z", can_cut=False)
        assert not old.exists()
        assert find(store, [1, 2, 3, 4]).read() == b"y"
        assert len(files(folder)) == 1

    def test_a_conversation_without_an_id_could_not_be_forgotten(self, store: StateStore, folder: Path) -> None:
        assert not store.put(KEY, "", [1, 2], b"x")
        store.put_soon(KEY, "", [1, 2], b"x")
        assert store.wait(5)
        assert files(folder) == []


@pytest.mark.logs_warnings
class TestDamage:
    @pytest.mark.parametrize("part", ["magic", "head", "tokens", "data", "end"])
    def test_a_flipped_bit_is_noticed(self, store: StateStore, folder: Path, part: str) -> None:
        path = put(store, list(range(50)), bytes(range(256)) * 40)
        content = bytearray(path.read_bytes())
        place = {"magic": 0, "head": 30, "tokens": 150, "data": 2000, "end": len(content) - 1}[part]
        content[place] ^= 4
        path.write_bytes(content)
        found = StateStore(folder, ROOMY).find(KEY, list(range(51)))
        if found is not None:
            with pytest.raises(StateError):
                found.read()
        assert files(folder) == []

    @pytest.mark.parametrize("kept", [0, 5, 70, 200, -1])
    def test_a_torn_file_is_noticed_before_it_is_read(self, store: StateStore, folder: Path, kept: int) -> None:
        path = put(store, list(range(50)), bytes(1000))
        path.write_bytes(path.read_bytes()[:kept])
        assert StateStore(folder, ROOMY).find(KEY, list(range(51))) is None
        assert files(folder) == []

    def test_pages_that_never_reached_the_disk(self, store: StateStore, folder: Path) -> None:
        path = put(store, list(range(50)), b"\x01" * 100_000)
        content = path.read_bytes()
        path.write_bytes(content[:-8192] + bytes(8192))  # right size, zeros at the end
        found = find(store, list(range(51)))
        with pytest.raises(StateError):
            found.read()
        assert files(folder) == []

    def test_torn_after_it_was_found(self, store: StateStore) -> None:
        path = put(store, [1, 2], bytes(1000))
        found = find(store, [1, 2, 3])
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(StateError):
            found.read()
        assert store.find(KEY, [1, 2, 3]) is None

    def test_reading_that_is_not_wanted_any_more_harms_nothing(self, store: StateStore) -> None:
        put(store, [1, 2], b"x")
        found = find(store, [1, 2, 3])
        with pytest.raises(TransferCancelledError):
            found.read(lambda: True)
        assert found.read() == b"x"

    def test_gone_after_it_was_found(self, store: StateStore) -> None:
        path = put(store, [1, 2], b"x")
        found = find(store, [1, 2, 3])
        path.unlink()
        with pytest.raises(StateError):
            found.read()

    def test_other_files_in_the_folder_are_nobodys_business(self, store: StateStore, folder: Path) -> None:
        put(store, [1, 2], b"x")
        others = [folder / "notes.txt", folder / "a.state", folder / ("0" * 16 + "-x.state")]
        for other in others:
            other.write_text("mine")
        store.find(KEY, [1, 2, 3])
        store.forget("c")
        StateStore(folder, 0)
        assert files(folder) == sorted(others)

    @pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
    def test_links_are_not_followed(self, store: StateStore, folder: Path, tmp_path: Path) -> None:
        path = put(store, [1, 2], b"x")
        outside = tmp_path / "outside"
        path.rename(outside)
        path.symlink_to(outside)
        assert store.find(KEY, [1, 2, 3]) is None
        store.forget("c")
        assert outside.exists()


class TestRoom:
    def test_the_state_unused_for_longest_goes_first(self, folder: Path) -> None:
        store = StateStore(folder, 3500)
        paths = [put(store, [n, n], bytes(1000), str(n)) for n in range(3)]
        for path, seconds in zip(paths, (300, 200, 100), strict=True):
            age(path, seconds)
        find(store, [0, 0, 0]).read()  # used now
        put(store, [9, 9], bytes(1000), "new")
        assert not paths[1].exists()
        assert paths[0].exists()
        assert paths[2].exists()
        assert store.used_bytes() <= 3500

    def test_a_state_from_the_future_goes_before_all_others(self, folder: Path) -> None:
        """A clock that was wrong must not keep it for ever, nor take what is saved now away first."""
        store = StateStore(folder, 3500)
        paths = [put(store, [n, n], bytes(1000), str(n)) for n in range(3)]
        age(paths[0], 300)
        age(paths[1], -400 * 24 * 3600)
        put(store, [9, 9], bytes(1000), "new")
        assert [path.exists() for path in paths] == [True, False, True]

    def test_a_state_larger_than_the_limit_takes_nothing_away(self, folder: Path) -> None:
        store = StateStore(folder, 3000)
        path = put(store, [1, 2], bytes(1000))
        assert not store.put(KEY, "big", [3, 4], bytes(4000))
        assert files(folder) == [path]

    def test_a_lower_limit_holds_at_once(self, store: StateStore, folder: Path) -> None:
        for n in range(5):
            age(put(store, [n, n], bytes(1000), str(n)), 100 - n)
        assert StateStore(folder, 2500).used_bytes() <= 2500
        assert store.find(KEY, [4, 4, 4]) is not None
        assert StateStore(folder, 0).used_bytes() == 0

    def test_the_replaced_state_makes_room_before_others_do(self, folder: Path) -> None:
        store = StateStore(folder, 3000)
        age(put(store, [5, 5], bytes(1000), "old, of another conversation"), 1000)
        put(store, [1, 2], bytes(1000))
        put(store, [1, 2, 3], bytes(1500))
        assert store.find(KEY, [5, 5, 5]) is not None
        assert len(files(folder)) == 2

    def test_a_low_disk_gets_our_space_back(
        self, store: StateStore, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(store, [1, 2], bytes(1000))
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(100 * GIB, 96 * GIB, 4 * GIB))
        assert not store.put(KEY, "other", [3, 4], bytes(1000))
        assert files(folder) == []

    @pytest.mark.parametrize(
        ("disk_gib", "reserve_gib"), [(8, 2), (40, 2), (100, 5), (256, 12.8), (400, 20), (4000, 20)]
    )
    def test_what_stays_free(self, disk_gib: int, reserve_gib: float) -> None:
        assert disk_reserve_bytes(disk_gib * GIB) == int(reserve_gib * GIB)

    @pytest.mark.logs_warnings
    def test_a_full_disk_leaves_no_half_file(
        self, store: StateStore, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: object) -> None:
            next(iter(files(folder))).stat()  # the half file is there
            raise OSError(28, "No space left on device", "/secret/path")

        monkeypatch.setattr(Path, "replace", fail)
        assert not store.put(KEY, "c", [1, 2], b"x")
        assert files(folder) == []
        assert "No space left on device" in caplog.text
        assert "secret" not in caplog.text

    @pytest.mark.logs_warnings
    def test_a_folder_that_cannot_be_made(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "file").write_text("in the way")
        store = StateStore(tmp_path / "file" / "states", ROOMY)
        assert not store.put(KEY, "c", [1, 2], b"x")
        assert store.find(KEY, [1, 2, 3]) is None
        store.forget("c")
        assert [record for record in caplog.records if record.levelno >= logging.WARNING]

    def test_what_killed_processes_left_is_removed_in_time(self, store: StateStore, folder: Path) -> None:
        path = put(store, [1, 2], b"x")
        old, young = path.with_suffix(".part"), folder / (path.stem[:-1] + ".part")
        for part in (old, young):
            part.write_bytes(b"half")
        age(old, 1000)
        StateStore(folder, ROOMY)
        assert young.exists() or young == old
        assert not old.exists()


class TestPrivacy:
    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
    def test_only_the_owner_may_read(self, store: StateStore, folder: Path) -> None:
        path = put(store, [1, 2], b"x")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    @pytest.mark.logs_warnings
    def test_neither_names_nor_log_tell_anything(
        self, store: StateStore, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        path = put(store, [31337, 42], b"x", "conversation-7")
        assert b"conversation-7" not in path.read_bytes()
        path.write_bytes(b"broken")
        assert StateStore(folder, ROOMY).find(KEY, [31337, 42, 1]) is None
        told = path.name + caplog.text
        assert "conversation-7" not in told
        assert "31337" not in told
        assert str(folder) not in caplog.text

    def test_a_deleted_conversation_takes_its_states_with_it(self, store: StateStore, folder: Path) -> None:
        put(store, [1, 2, 3], b"x", "gone")
        put(store, [1, 9, 9], b"x", "gone")
        assert store.put(replace(KEY, model_hash="another"), "gone", [1, 2, 3], b"x")
        kept = put(store, [4, 5], b"x", "kept")
        store.forget("gone")
        assert files(folder) == [kept]


class TestThread:
    def test_a_state_is_written_in_the_background(self, store: StateStore) -> None:
        store.put_soon(KEY, "c", [1, 2], b"x" * 1000)
        assert store.wait(5)
        assert find(store, [1, 2, 3]).read() == b"x" * 1000
        assert store.close(5)

    def test_of_each_conversation_the_newest_waits(self, store: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
        written = self.note_writing(monkeypatch)
        begun, go_on = self.hold_writing(monkeypatch)
        store.put_soon(KEY, "first", [1, 1], b"first")
        assert begun.wait(5)
        store.put_soon(KEY, "second", [2, 2], b"second")
        store.put_soon(KEY, "third", [3, 3], b"third")
        store.put_soon(KEY, "second", [2, 2, 2], b"second, newer")
        go_on.set()
        assert store.wait(5)
        assert written == [b"first", b"third", b"second, newer"]
        store.close(5)

    def test_a_conversation_with_two_models_waits_with_both(
        self, store: StateStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written = self.note_writing(monkeypatch)
        begun, go_on = self.hold_writing(monkeypatch)
        store.put_soon(KEY, "other", [1, 1], b"other")
        assert begun.wait(5)
        store.put_soon(KEY, "c", [2, 2], b"one model")
        store.put_soon(replace(KEY, model_hash="another"), "c", [2, 2], b"another model")
        go_on.set()
        assert store.wait(5)
        assert written == [b"other", b"one model", b"another model"]
        store.close(5)

    def test_what_waits_does_not_fill_the_memory(self, store: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(state_store, "_MAX_WAITING_BYTES", 250)
        written = self.note_writing(monkeypatch)
        begun, go_on = self.hold_writing(monkeypatch)
        store.put_soon(KEY, "0", [0, 0], b"")
        assert begun.wait(5)
        for number in (b"1", b"2", b"3"):
            store.put_soon(KEY, number.decode(), [int(number)] * 2, number * 100)
        go_on.set()
        assert store.wait(5)
        assert written == [b"", b"2" * 100, b"3" * 100]
        store.close(5)

    @pytest.mark.parametrize("delete", [lambda store: store.forget("c"), lambda store: store.set_limit(0)])
    def test_what_is_deleted_while_it_is_written_does_not_come_back(
        self,
        store: StateStore,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        delete: Callable[[StateStore], None],
    ) -> None:
        begun, go_on = self.hold_writing(monkeypatch)
        store.put_soon(KEY, "c", [1, 1], b"being written")
        assert begun.wait(5)
        store.put_soon(KEY, "c", [1, 1, 1], b"waiting")
        delete(store)
        go_on.set()
        assert store.wait(5)
        assert files(folder) == []
        store.close(5)

    def test_closing_gives_up_after_a_time(
        self, store: StateStore, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, go_on = self.hold_writing(monkeypatch)
        store.put_soon(KEY, "c", [1, 1], b"slow")
        assert begun.wait(5)
        assert not store.close(0.01)
        go_on.set()
        assert store.wait(5)
        assert files(folder) == []
        store.put_soon(KEY, "c", [1, 1], b"late")
        assert store.wait(0)

    @staticmethod
    def note_writing(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
        """The data of what is written from now on, in order."""
        written, write = [], state_store.write_state

        def noted(path: Path, head: StateHead, data: memoryview, is_cancelled: Callable[[], bool]) -> None:
            written.append(bytes(data))
            write(path, head, data, is_cancelled)

        monkeypatch.setattr(state_store, "write_state", noted)
        return written

    @staticmethod
    def hold_writing(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
        """Writing says when it has begun, and waits to be told to go on."""
        begun, go_on, write = threading.Event(), threading.Event(), state_store.write_state

        def held(path: Path, head: StateHead, data: memoryview, is_cancelled: Callable[[], bool]) -> None:
            begun.set()
            go_on.wait(5)
            write(path, head, data, is_cancelled)

        monkeypatch.setattr(state_store, "write_state", held)
        return begun, go_on


CROWD = """
import random, sys
from pathlib import Path
from app.engine.worker.state_file import StateError, StateHead
from app.engine.worker.state_store import StateKey, StateStore, StoredState
store, key, own = StateStore(Path(sys.argv[1]), 60_000), StateKey("m", "e", "t", "f16"), random.Random(sys.argv[2])
read = 0
for turn in range(150):
    length, start = own.randrange(1, 30), own.randrange(5)
    tokens = [start] * length
    store.put(key, str(own.randrange(4)), tokens, bytes([start, length]) * own.randrange(1, 5000))
    found = store.find(key, [own.randrange(5)] * 40)
    if found is not None:
        try:
            data = found.read()
        except StateError as error:
            assert "No such file" in str(error), error
            continue
        assert set(data) == {found.tokens[0], len(found.tokens)}
        read += 1
    if turn % 20 == 19:
        store.forget(str(own.randrange(4)))
assert read
"""


FULL = """
import resource, signal, sys
from pathlib import Path
from app.engine.worker.state_store import StateKey, StateStore
store, key = StateStore(Path(sys.argv[1]), 10**9), StateKey("m", "e", "t", "f16")
assert store.put(key, "c", [1, 2], bytes(100_000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
assert not store.put(key, "c", [1, 2, 3], bytes(9_000_000))
assert not store.put(key, "c", [1, 2, 3], bytes(1_000_000))  # all of it in the last bytes, which closing writes
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert store.find(key, [1, 2, 3]).read() == bytes(100_000)
assert store.put(key, "c", [1, 2, 3], bytes(9_000_000))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the size of files is limited in another way there")
def test_a_write_that_fails_half_way_leaves_what_was_there(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [path.suffix for path in files(folder)] == [".state"]


def test_several_processes_on_one_folder(folder: Path) -> None:
    crowd = [
        subprocess.Popen([sys.executable, "-c", CROWD, str(folder), str(n)], stderr=subprocess.PIPE, text=True)
        for n in range(3)
    ]
    for process in crowd:
        assert process.communicate(timeout=60)[1].count("Error") == 0
        assert process.returncode == 0
    assert {path.suffix for path in files(folder)} <= {".state"}


def test_a_process_killed_while_writing_leaves_no_state(folder: Path, store: StateStore) -> None:
    code = (
        "import sys; from pathlib import Path; from app.engine.worker import state_store\n"
        "from app.engine.worker.state_store import *\n"
        "def stuck(self, target): print('half', flush=True); sys.stdin.read()\n"
        "Path.replace = stuck\n"
        "StateStore(Path(sys.argv[1]), 10**9).put(StateKey('model', 'engine', 'f16'), 'c', [1, 2], b'x')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.kill()
    assert [path.suffix for path in files(folder)] == [".part"]
    assert store.find(KEY, [1, 2, 3]) is None
    age(files(folder)[0], 1000)
    StateStore(folder, ROOMY)
    assert files(folder) == []


def test_the_disk_is_asked_where_the_folder_will_be(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> Disk:
        asked.append(path)
        return Disk(100 * GIB, 0, 100 * GIB)

    monkeypatch.setattr(state_folder.shutil, "disk_usage", usage)
    StateStore(folder / "deep" / "er", ROOMY)
    assert asked[0] == folder.parent
