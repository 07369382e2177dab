"""From what the user calls data to a native source of batches."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from pyhooks import _C
from pyhooks.step import BatchSpec
from pyhooks.wording import kind

PREFETCH_BYTES = 1 << 18
"""Batches of at least so many bytes are gathered by a thread of their own, if a core is free for it."""

_PAIR = "a pair (inputs, targets), where inputs or targets may be tuples or dicts of tensors, as ((x1, x2), y)"


class Data:
    """A source of batches and what is known of its structure.

    Args:
        source: the native source.
        spec: says how a batch is rebuilt; None as long as no batch of an iterable has been seen.
        examples: one batch of each shape to come, where that is known.
        sampler: what draws the order from a generator whose state belongs into a checkpoint, if there is one.
    """

    def __init__(
        self,
        source: _C.BatchSource,
        spec: Callable[[], BatchSpec | None],
        examples: Sequence[list[Tensor]] = (),
        sampler: _C.TensorSource | _Sampler | None = None,
    ) -> None:
        self.source = source
        self.spec = spec
        self.examples = list(examples)
        self.sampler = sampler


def to_tensor(value: Any, name: str) -> Tensor:
    """A tensor for an array-like leaf; numpy arrays (memory-mapped ones too) share their memory.

    Raises:
        TypeError: neither a tensor nor a numeric array; the message names it.
    """
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        try:
            return _from_numpy(array)
        except TypeError:
            raise TypeError(
                f"{name} is a numpy array of {array.dtype}, which no tensor can hold: convert it to numbers first, "
                "as array.astype('float32')"
            ) from None
    if isinstance(value, bool | int | float):
        return torch.as_tensor(value)
    raise TypeError(f"{name} is {kind(value)}; wanted a tensor or a numpy array")


def _from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    if any(stride < 0 for stride in array.strides):
        array = array.copy()  # torch knows no negative strides
    if array.flags.writeable:
        return torch.from_numpy(array)
    # A read-only memory map: nothing here writes to it, so torch's warning that somebody could is not for the user.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)


def flatten_batch(batch: Any, what: str) -> tuple[list[Tensor], BatchSpec]:
    """Take a batch ``(inputs, targets)`` apart.

    Raises:
        TypeError: it is no pair, or holds something that is no tensor.
    """
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        came = kind(batch) + (f" of {len(batch)}" if isinstance(batch, tuple | list | dict) else "")
        raise TypeError(f"{what} is {came}; wanted {_PAIR}")
    inputs, targets = batch
    tensors: list[Tensor] = []
    for part, value in (("inputs", inputs), ("targets", targets)):
        for path, leaf in pytree.tree_flatten_with_path(value)[0]:
            tensors.append(to_tensor(leaf, f"{what}: {part}{pytree.keystr(path)}"))
    return tensors, BatchSpec.of(inputs, targets)


class _Sampler:
    """The generator from which a DataLoader draws its order."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    @property
    def generator_state(self) -> Tensor | None:
        return self._generator.get_state()

    @generator_state.setter
    def generator_state(self, state: Tensor) -> None:
        self._generator.set_state(state)


class _LoaderBatches:
    """Pulls batches from an iterable for the native loop: what `_C.PythonSource` wants."""

    def __init__(self, loader: Iterable[Any], what: str, on_spec: Callable[[], None]) -> None:
        self._loader, self._what, self._on_spec = loader, what, on_spec
        self._iterator: Iterator[Any] | None = None
        self.spec: BatchSpec | None = None
        self._number = 0
        try:
            self.batches = len(loader)  # type: ignore[arg-type]
        except TypeError:
            self.batches = -1

    def begin_epoch(self) -> None:
        self._iterator = iter(self._loader)
        self._number = 0

    def next(self) -> list[Tensor] | None:
        assert self._iterator is not None
        try:
            batch = next(self._iterator)
        except StopIteration:
            if self._number == 0:
                raise ValueError(f"{self._what} gave no batch: it is empty, or can be read only once") from None
            return None
        what = f"batch {self._number} of {self._what}"
        tensors, spec = flatten_batch(batch, what)
        self._check(tensors, spec, what)
        self._number += 1
        return tensors

    def end_epoch(self) -> None:
        self._iterator = None  # ends a DataLoader's workers

    def _check(self, tensors: list[Tensor], spec: BatchSpec, what: str) -> None:
        if self.spec is None:
            self.spec = spec
            self._on_spec()
        elif spec != self.spec:
            raise ValueError(f"{what} is built differently from the first one: {spec} instead of {self.spec}")
        _check_inputs(spec, what)
        if any(tensor.dim() == 0 for tensor in tensors):
            raise ValueError(f"{what} holds a tensor without rows (0-d); wanted the batch as first dimension")
        if tensors[0].shape[0] == 0:
            raise ValueError(f"{what} is empty: it has 0 rows")
        for tensor in tensors:
            if tensor.device.type != "cpu":
                raise ValueError(f"{what} holds a tensor on {tensor.device}, the model is on the CPU: move it there")


def from_loader(
    loader: Iterable[Any], what: str, draws_random: Callable[[], bool], on_spec: Callable[[], None]
) -> Data:
    """Batches from a DataLoader or any iterable of batches.

    A DataLoader with workers reads ahead by itself, and waiting for it in the loop's own thread lets Ctrl-C through.
    Any other is read ahead in a thread, but only when the step draws no random numbers: its batches may be drawn from
    the same generator, and reading ahead would change whose number is whose.
    """
    generator = getattr(loader, "generator", None)
    if generator is None:
        generator = getattr(getattr(loader, "sampler", None), "generator", None)
    batches = _LoaderBatches(loader, what, on_spec)
    if batches.batches == 0:
        raise ValueError(f"{what} is empty: it has no batch")
    workers = getattr(loader, "num_workers", 0) > 0
    source: _C.BatchSource = _C.PythonSource(batches)
    if not workers:
        source = _C.Prefetch(source, lambda: not draws_random())
    sampler = _Sampler(generator) if isinstance(generator, torch.Generator) else None
    return Data(source, lambda: batches.spec, sampler=sampler)


def from_tensors(
    tensors: list[Tensor],
    spec: BatchSpec,
    *,
    batch_size: int,
    shuffle: bool,
    drop_last: bool,
    seed: int | None,
    quiet: bool,
) -> Data:
    """Batches from tensors in memory."""
    native = _C.TensorSource(tensors, batch_size, shuffle=shuffle, drop_last=drop_last, quiet=quiet, seed=seed)
    rows = tensors[0].shape[0]
    sizes = {min(batch_size, rows)}
    if rows % batch_size and not drop_last:
        sizes.add(rows % batch_size)
    examples = [[tensor[:size].contiguous().clone() for tensor in tensors] for size in sorted(sizes, reverse=True)]
    source: _C.BatchSource = native
    if native.batch_bytes >= PREFETCH_BYTES and (os.cpu_count() or 1) > torch.get_num_threads():
        source = _C.Prefetch(native, lambda: True)
    return Data(source, lambda: spec, examples, native if seed is not None and not quiet else None)


def make_data(
    value: Any,
    what: str,
    *,
    batch_size: int,
    shuffle: bool = False,
    drop_last: bool = False,
    seed: int | None = None,
    training: bool,
    draws_random: Callable[[], bool],
    on_spec: Callable[[], None] = lambda: None,
) -> Data:
    """Recognise the user's data.

    Args:
        value: ``(inputs, targets)``, a ``TensorDataset``, another ``Dataset``, a ``DataLoader``, or an iterable of
            batches.
        what: its name in errors: "train" or "val".
        batch_size: rows a batch, where we do the batching.
        shuffle: draw a new order each epoch, where we do the batching.
        drop_last: leave out a short last batch, where we do the batching.
        seed: of the order.
        training: whether these are training batches (validation draws no random numbers).
        draws_random: whether the step draws from the default generator.
        on_spec: called when a loader has given its first batch, whose structure is known only then.

    Raises:
        TypeError: not recognised; the message says what is.
        ValueError: no rows, or different numbers of rows.
    """
    if isinstance(value, TensorDataset):
        value = tuple(value.tensors)
    if isinstance(value, DataLoader):
        return from_loader(value, what, draws_random, on_spec)
    if isinstance(value, IterableDataset):
        return from_loader(DataLoader(value, batch_size=batch_size, drop_last=drop_last), what, draws_random, on_spec)
    if isinstance(value, Dataset):
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        loader = DataLoader(value, batch_size=batch_size, shuffle=shuffle, drop_last=drop_last, generator=generator)
        return from_loader(loader, what, draws_random, on_spec)
    if isinstance(value, tuple) or (isinstance(value, list) and _holds_arrays(value)):
        tensors, spec = flatten_batch(value, what)
        _check_inputs(spec, what)
        _check_rows(value, tensors, what, batch_size=batch_size, training=training)
        return from_tensors(
            tensors, spec, batch_size=batch_size, shuffle=shuffle, drop_last=drop_last, seed=seed, quiet=not training
        )
    if isinstance(value, Tensor | np.ndarray | dict | str | type) or not hasattr(value, "__iter__"):
        raise TypeError(
            f"{what} is {kind(value)}; wanted {_PAIR}, a TensorDataset, a DataLoader, or an iterable of batches"
        )
    if iter(value) is value:
        raise TypeError(
            f"{what} is {kind(value)}, which can be read only once; wanted something that "
            "starts anew each epoch: a list or a DataLoader"
        )
    return from_loader(value, what, draws_random, on_spec)


def _holds_arrays(values: Sequence[Any]) -> bool:
    return any(isinstance(value, Tensor | np.ndarray) for value in values)


def _check_inputs(spec: BatchSpec, what: str) -> None:
    if spec.n_inputs == 0:
        raise ValueError(f"{what}: inputs holds no tensor; wanted {_PAIR}")


def _check_rows(value: Any, tensors: list[Tensor], what: str, *, batch_size: int, training: bool) -> None:
    names = [
        f"{part}{pytree.keystr(path)}"
        for part, tree in zip(("inputs", "targets"), value, strict=True)
        for path, _ in pytree.tree_flatten_with_path(tree)[0]
    ]
    for name, tensor in zip(names, tensors, strict=True):
        if tensor.dim() == 0:
            raise ValueError(f"{what}: {name} is a single number (0-d); wanted one row a sample")
    rows = {name: tensor.shape[0] for name, tensor in zip(names, tensors, strict=True)}
    if len(set(rows.values())) > 1:
        lengths = ", ".join(f"{name} has {count}" for name, count in rows.items())
        raise ValueError(f"{what}: inputs and targets must have the same number of rows, but {lengths}")
    count = next(iter(rows.values()))
    if count == 0:
        raise ValueError(f"{what} is empty: it has 0 rows")
    if training and batch_size > count:
        raise ValueError(
            f"batch_size is {batch_size}, but {what} has only {count} rows: use a batch_size of at most {count}"
        )
