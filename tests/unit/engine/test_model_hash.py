from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from app.core.errors import UserError
from app.core.gguf_reader import read_header
from app.engine.worker.model_hash import model_hash
from tests.fixtures import tiny_gguf as tiny


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny.write_model(tmp_path / "model.gguf", tiny.bpe_vocabulary(), template=tiny.CHATML)


def change(path: Path, place: Callable[[bytes], int]) -> None:
    content = bytearray(path.read_bytes())
    content[place(bytes(content))] ^= 1
    path.write_bytes(content)


def test_neither_name_nor_time_count(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "other name.gguf"
    copy.parent.mkdir()
    shutil.copy(model, copy)
    os.utime(copy, (1, 1))
    assert model_hash(copy) == model_hash(model)
    assert len(model_hash(model)) == 32


def test_other_weights_are_another_model(model: Path, tmp_path: Path) -> None:
    other = tiny.write_model(tmp_path / "other.gguf", tiny.bpe_vocabulary(), template=tiny.CHATML, seed=1)
    assert other.stat().st_size == model.stat().st_size
    assert model_hash(other) != model_hash(model)


def test_another_template_is_another_model(model: Path) -> None:
    before = model_hash(model)
    change(model, lambda content: content.index(b"<|im_start|>assistant"))
    assert model_hash(model) != before


@pytest.mark.parametrize("index", range(5))
def test_a_change_inside_any_tensor(model: Path, index: int) -> None:
    before = model_hash(model)
    header = read_header(model.read_bytes())
    tensor = header.tensors[index]
    change(model, lambda content: header.data_offset + tensor.offset + tensor.size_bytes // 2)
    assert model_hash(model) != before


def test_a_longer_file(model: Path) -> None:
    before = model_hash(model)
    with model.open("ab") as stream:
        stream.write(bytes(32))
    assert model_hash(model) != before


def test_all_parts_of_a_split_model_count(tmp_path: Path) -> None:
    for number in (1, 2):
        write_part(tmp_path / f"big-{number:05d}-of-00002.gguf", number - 1, float(number))
    first, second = sorted(tmp_path.iterdir())
    before = model_hash(first)
    write_part(second, 1, 3.0)
    assert model_hash(first) != before
    second.unlink()
    with pytest.raises(FileNotFoundError):
        model_hash(first)


def write_part(path: Path, number: int, value: float) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint16("split.no", number)
    writer.add_uint16("split.count", 2)
    writer.add_tensor(f"blk.{number}.attn_q.weight", np.full((64, 64), value, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_what_is_no_model_has_no_hash(tmp_path: Path) -> None:
    path = tmp_path / "notes.gguf"
    path.write_text("no model")
    with pytest.raises(UserError):
        model_hash(path)
