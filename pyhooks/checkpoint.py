"""The checkpoint file: one safetensors file with JSON and checksums inside, never a pickle.

safetensors carries no checksum, so a flipped bit would load as a slightly wrong model. The file's
``__metadata__`` therefore holds a CRC-32 of every tensor (its name, type and shape included) and of the JSON
itself; ``load`` verifies them all. Any safetensors reader can still open the file.
"""

from __future__ import annotations

import json
import os
import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pyhooks.atomic import replacing
from pyhooks.errors import PyhooksError

FORMAT = 1
_KEY, _CRC_KEY = "pyhooks", "pyhooks_crc32"


class CheckpointError(PyhooksError):
    """A checkpoint could not be written, or the file is damaged or not one of ours."""


def save(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write tensors and metadata as one file, atomically: temporary name, sync, rename, sync of the folder.

    Args:
        path: where to; an existing file is replaced, missing folders are made.
        tensors: dense tensors of any shape and device; views and tensors that share memory are written out in
            full.
        meta: anything JSON can hold.

    Raises:
        CheckpointError: a tensor that is not dense, or ``meta`` that JSON cannot hold.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/last.safetensors"
        >>> save(path, {"weight": torch.ones(2, 3)}, {"epoch": 4})
        >>> load(path)[1]
        {'epoch': 4}
    """
    with replacing(path) as temporary:
        write(temporary, tensors, meta)


def write(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write the file in place, as :func:`save` does under a temporary name."""
    plain = _alone({name: _plain(name, tensor) for name, tensor in tensors.items()})
    sums = {name: _crc(name, tensor) for name, tensor in plain.items()}
    try:
        text = json.dumps({"format": FORMAT, "crc32": sums, "meta": dict(meta)})
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"the checkpoint's metadata cannot be JSON: {error}; keep to str, int, float, bool, None, lists "
            "and dicts, "
            "and hand tensors over as tensors"
        ) from error
    save_file(plain, path, {_KEY: text, _CRC_KEY: str(zlib.crc32(text.encode()))})


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint and verify every checksum.

    Args:
        path: a file written by :func:`save`.

    Returns:
        The tensors, on the CPU, and the metadata.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged (the message names the tensor) or was not written by pyhooks.

    Example:
        See :func:`save`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise _damaged(path, f"it is not a whole safetensors file ({error})") from error
    document = _document(path, metadata)
    _verify(path, tensors, document["crc32"])
    return tensors, document["meta"]


def _document(path: str | os.PathLike[str], metadata: Mapping[str, str]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise CheckpointError(
            f"{os.fspath(path)} is a safetensors file, but not a pyhooks checkpoint; for bare weights use "
            "safetensors.torch.load_file and model.load_state_dict"
        )
    text = metadata[_KEY]
    if metadata.get(_CRC_KEY) != str(zlib.crc32(text.encode())):
        raise _damaged(path, "the checksum of its metadata does not match")
    document: dict[str, Any] = json.loads(text)
    if document["format"] > FORMAT:
        raise CheckpointError(
            f"{os.fspath(path)} has checkpoint format {document['format']}, this pyhooks reads up to "
            f"{FORMAT}; upgrade pyhooks"
        )
    return document


def _verify(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], sums: Mapping[str, int]) -> None:
    for name in sorted(sums.keys() ^ tensors.keys()):
        raise _damaged(path, f"tensor {name!r} is {'missing' if name in sums else 'not in its list of checksums'}")
    for name, tensor in tensors.items():
        if _crc(name, tensor) != sums[name]:
            raise _damaged(path, f"the checksum of tensor {name!r} does not match")


def _damaged(path: str | os.PathLike[str], what: str) -> CheckpointError:
    return CheckpointError(
        f"checkpoint {os.fspath(path)} is damaged: {what}; nothing was loaded. Use another checkpoint "
        "(best.safetensors or "
        "last.safetensors beside it) or copy this one again from where it was written"
    )


def _plain(name: str, tensor: Tensor) -> Tensor:
    """The tensor on the CPU, contiguous."""
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_quantized:
        came = str(tensor.layout) if isinstance(tensor, Tensor) else type(tensor).__name__
        raise CheckpointError(
            f"{name!r} is {came}, wanted a dense tensor; convert it first (.to_dense(), .dequantize())"
        )
    return tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()


def _alone(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor in a storage of its own, as safetensors wants them: those that share one and views are copied."""
    holders = Counter(tensor.untyped_storage().data_ptr() for tensor in tensors.values())

    def is_alone(tensor: Tensor) -> bool:
        storage = tensor.untyped_storage()
        return holders[storage.data_ptr()] == 1 and storage.nbytes() == tensor.nbytes

    return {name: tensor if is_alone(tensor) else tensor.clone() for name, tensor in tensors.items()}


def _crc(name: str, tensor: Tensor) -> int:
    seed = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
    if not tensor.numel():
        return seed
    data: Any = tensor.reshape(-1).view(torch.uint8).numpy()
    return zlib.crc32(data, seed)
