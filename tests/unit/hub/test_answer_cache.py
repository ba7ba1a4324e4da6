from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.hub.answer_cache import AnswerCache


def answer_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.answer"))


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "new" / "folder", now_s=lambda: 100.0)
    put = cache.put("key", b"body" * 1000, 'W/"x"', "next")
    assert cache.get("key") == put
    assert cache.get("other") is None
    assert AnswerCache(tmp_path / "new" / "folder", now_s=lambda: 160.0).age_s(put) == 60
    assert AnswerCache(None, now_s=lambda: 50.0).age_s(put) == float("inf"), "from the future"


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    cache = AnswerCache(None)
    assert cache.put("key", b"x").body == b"x"
    assert cache.get("key") is None
    file = tmp_path / "file"
    file.write_text("in the way")
    assert AnswerCache(file).put("key", b"x").body == b"x"
    assert AnswerCache(file).get("key") is None


def test_what_was_answered_to_a_token_can_be_removed_alone(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache.put("key", b"for all")
    private = cache.put("key", b"for one", is_private=True)
    cache.put("other", b"for one", is_private=True)
    assert cache.get("key", is_private=True) == private
    cache.remove("other", is_private=True)
    assert cache.get("other", is_private=True) is None
    cache.remove_private()
    assert cache.get("key", is_private=True) is None
    assert [b"for all" in zlib.decompress(path.read_bytes().partition(b"\n")[2]) for path in tmp_path.iterdir()] == [
        True
    ]
    AnswerCache(None).remove_private()
    AnswerCache(tmp_path / "nowhere").remove_private()


@given(data=st.data())
def test_a_damaged_answer_is_none(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("answers")
    cache = AnswerCache(folder, now_s=lambda: 1000.0)
    kept = cache.put("key", b"some body", "etag", "next")
    (file,) = answer_files(folder)
    whole = file.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    how = data.draw(st.sampled_from(["cut", "flip", "insert"]))
    if how == "cut":
        file.write_bytes(whole[:at])
    elif how == "flip":
        file.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << data.draw(st.integers(0, 7)))]) + whole[at + 1 :])
    else:
        file.write_bytes(whole[:at] + data.draw(st.binary(min_size=1, max_size=9)) + whole[at:])
    found = cache.get("key")
    assert found is None or found.body == kept.body


def test_an_answer_under_the_wrong_name_is_none(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache.put("one", b"1")
    cache.put("two", b"2")
    first, second = answer_files(tmp_path)
    first.replace(second)
    assert (cache.get("one"), cache.get("two")) == (None, None)


def test_the_oldest_go_when_there_is_too_much(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, max_bytes=1500)
    for number in range(8):
        cache.put(str(number), os.urandom(300))
        for file in answer_files(tmp_path):  # file times are coarse
            os.utime(file, (file.stat().st_mtime - 10, file.stat().st_mtime - 10))
    kept = [number for number in range(8) if cache.get(str(number))]
    assert kept
    assert kept == list(range(min(kept), 8))
    assert sum(file.stat().st_size for file in answer_files(tmp_path)) <= 1500
