import json
import os
import zlib

import pytest
import torch
from safetensors.torch import load_file, save_file

from pyhooks import checkpoint
from pyhooks.atomic import replacing
from pyhooks.checkpoint import CheckpointError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "last.safetensors"


def round_trip(path, tensors):
    checkpoint.save(path, tensors, {})
    return checkpoint.load(path)[0]


def test_tensors_and_metadata_go_round(path):
    meta = {"epoch": 3, "lr": 0.1, "name": "grün", "none": None, "list": [1, {"a": float("inf")}]}
    tensors = {"weight": torch.randn(3, 4), "count": torch.tensor(7), "empty": torch.empty(0, 5)}
    checkpoint.save(path, tensors, meta)
    loaded, loaded_meta = checkpoint.load(path)
    assert loaded_meta == meta
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor)
        assert loaded[name].dtype == tensor.dtype


@pytest.mark.parametrize(
    "dtype",
    [torch.bfloat16, torch.float16, torch.float64, torch.complex64, torch.bool, torch.uint8, torch.int64],
)
def test_types(path, dtype):
    tensor = torch.ones(2, 3).to(dtype)
    loaded = round_trip(path, {"t": tensor})["t"]
    assert loaded.dtype == dtype
    assert torch.equal(loaded, tensor)


def test_views_shared_and_transposed_tensors_are_written_out(path):
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "base": base,
        "same": base,
        "row": base[1],
        "turned": base.t(),
        "last": base.to(memory_format=torch.preserve_format),
    }
    tensors["image"] = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    tensors["conj"] = torch.tensor([1 + 2j]).conj()
    tensors["parameter"] = torch.nn.Parameter(base.clone())
    loaded = round_trip(path, tensors)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_any_safetensors_reader_can_open_it(path):
    checkpoint.save(path, {"w": torch.ones(2)}, {})
    assert torch.equal(load_file(path)["w"], torch.ones(2))


def test_a_flipped_bit_anywhere_is_found(path):
    checkpoint.save(path, {"first": torch.randn(5), "second": torch.randn(7)}, {"epoch": 1})
    good = path.read_bytes()
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1 << position % 8]) + good[position + 1 :])
        with pytest.raises(CheckpointError):
            checkpoint.load(path)


def test_the_error_names_the_tensor_and_the_way_out(path):
    checkpoint.save(path, {"first": torch.zeros(4), "second": torch.zeros(4)}, {})
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"last\.safetensors is damaged.*'second'.*Use another checkpoint"):
        checkpoint.load(path)


def test_a_truncated_and_an_empty_file(path):
    checkpoint.save(path, {"w": torch.randn(100)}, {})
    whole = path.read_bytes()
    for size in (0, 4, 50, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match="damaged"):
            checkpoint.load(path)


def test_a_stranger_and_a_newer_format(path):
    save_file({"w": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="not a pyhooks checkpoint"):
        checkpoint.load(path)
    text = json.dumps({"format": 99, "crc32": {}, "meta": {}})
    save_file({}, path, {"pyhooks": text, "pyhooks_crc32": str(zlib.crc32(text.encode()))})
    with pytest.raises(CheckpointError, match=r"format 99.*upgrade"):
        checkpoint.load(path)


def test_a_missing_file(path):
    with pytest.raises(FileNotFoundError):
        checkpoint.load(path)


def test_refused_tensors_and_metadata(path):
    with pytest.raises(CheckpointError, match=r"'s' is torch.sparse_coo"):
        checkpoint.save(path, {"s": torch.eye(2).to_sparse()}, {})
    with pytest.raises(CheckpointError, match="'n' is int"):
        checkpoint.save(path, {"n": 3}, {})
    with pytest.raises(CheckpointError, match="cannot be JSON"):
        checkpoint.save(path, {}, {"t": torch.ones(1)})
    assert not list(path.parent.iterdir())


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(path, monkeypatch):
    checkpoint.save(path, {"w": torch.ones(1)}, {"epoch": 1})

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(path, {"w": torch.zeros(1)}, {"epoch": 2})
    assert checkpoint.load(path)[1] == {"epoch": 1}
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_synced_before_the_rename_and_the_folder_after(path, monkeypatch):
    order = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(handle):
        order.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        real_sync(handle)

    def replace(source, target):
        order.append("rename")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    with replacing(path) as temporary:
        assert temporary.parent == path.parent
        temporary.write_text("x")
    assert order == ["file", "rename", "folder"]
