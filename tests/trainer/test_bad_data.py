"""Data that cannot be trained on: refused with what came, what was wanted and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from trainer_helpers import arrays, points, trainer_of

X, Y = points()
AX, AY = arrays()


def generator() -> Iterator[Any]:
    yield points(8)


class Unlike:
    """No data at all."""


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        ((X, Y[:19]), ValueError, "train: .* same number of rows, but inputs has 20, targets has 19"),
        (((X, X[:3]), Y), ValueError, r"inputs\[0\] has 20, inputs\[1\] has 3, targets has 20"),
        (({"a": X, "b": X[:3]}, Y), ValueError, r"inputs\['a'\] has 20, inputs\['b'\] has 3"),
        ((X[:0], Y[:0]), ValueError, "train is empty: it has 0 rows"),
        ((X, torch.tensor(1)), ValueError, r"train: targets is a single number \(0-d\); wanted one row a sample"),
        ((X, 3), ValueError, r"targets is a single number \(0-d\)"),
        ((X, AY.astype(object)), TypeError, "train: targets is a numpy array of object, which no tensor can hold"),
        ((AX.astype(str), Y), TypeError, "train: inputs is a numpy array of <U32, which no tensor can hold"),
        ((X, AY.astype("datetime64[s]")), TypeError, "targets is a numpy array of datetime64"),
        ((AX.astype(np.longdouble), Y), TypeError, "inputs is a numpy array of float128, which no tensor can hold"),
        ((X, "labels"), TypeError, "train: targets is a str; wanted a tensor or a numpy array"),
        ((X, None), TypeError, "train: targets is None; wanted a tensor"),
        ((X, Y, X), TypeError, r"train is a tuple of 3; wanted a pair \(inputs, targets\).*as \(\(x1, x2\), y\)"),
        ((X,), TypeError, "train is a tuple of 1; wanted a pair"),
        ([X, Y, X], TypeError, "train is a list of 3; wanted a pair"),
        (((), Y), ValueError, "train: inputs holds no tensor"),
        (X, TypeError, "train is a Tensor; wanted a pair"),
        (AX, TypeError, "train is a ndarray; wanted a pair"),
        ({"x": X, "y": Y}, TypeError, "train is a dict; wanted a pair"),
        ("data.npy", TypeError, "train is a str; wanted a pair"),
        (3, TypeError, "train is an int; wanted a pair"),
        (None, TypeError, "train is None; wanted a pair"),
        (Unlike(), TypeError, "train is an Unlike; wanted a pair"),
        (DataLoader, TypeError, "train is the class DataLoader; wanted"),
        (generator(), TypeError, "train is a generator, which can be read only once; wanted .* a list or a DataLoader"),
        (generator, TypeError, "train is a function; wanted a pair"),
        (iter([points(8)]), TypeError, "train is a list_iterator, which can be read only once"),
        ([], ValueError, "train is empty: it has no batch"),
        (TensorDataset(X), TypeError, "train is a tuple of 1; wanted a pair"),
        ((X.to("meta"), Y), ValueError, "on the CPU; one is on meta"),
        ((X.to_sparse(), Y), ValueError, r"wants dense tensors; one is sparse: call \.to_dense\(\)"),
    ],
)
def test_at_once(data: Any, error: type[Exception], says: str) -> None:
    trainer = trainer_of()
    with pytest.raises(error, match=says):
        trainer.fit(data, epochs=1, batch_size=8)
    assert trainer.history.batch == {}


def test_of_validation_and_evaluation_too() -> None:
    trainer = trainer_of()
    with pytest.raises(ValueError, match="val: inputs and targets must have the same number of rows"):
        trainer.fit((X, Y), (X, Y[:1]), epochs=1, batch_size=8)
    with pytest.raises(ValueError, match="data: inputs and targets must have the same number of rows"):
        trainer.evaluate((X, Y[:1]))


def test_a_batch_larger_than_the_set() -> None:
    with pytest.raises(
        ValueError, match="batch_size is 21, but train has only 20 rows: use a batch_size of at most 20"
    ):
        trainer_of().fit((X, Y), epochs=1, batch_size=21)
    trainer = trainer_of()
    assert trainer.fit((X, Y), (X[:3], Y[:3]), epochs=1, batch_size=20).epochs_run == 1, "of validation it may be"
    assert set(trainer.evaluate((X, Y), batch_size=1000)) == {"loss"}


class Torn(IterableDataset):
    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)


@pytest.mark.parametrize(
    ("batches", "error", "says"),
    [
        ([points(8), (X[:8], Y[:8], X[:8])], TypeError, "batch 1 of train is a list of 3; wanted a pair"),
        ([points(8), X], TypeError, "batch 1 of train is a Tensor; wanted a pair"),
        ([points(8), None], TypeError, "batch 1 of train is None; wanted a pair"),
        ([points(8), ((X[:8], X[:8]), Y[:8])], ValueError, "batch 1 of train is built differently from the first one"),
        ([({"a": X}, Y), ({"b": X}, Y)], ValueError, "batch 1 of train is built differently from the first one"),
        ([points(8), (X[:8], "no")], TypeError, "batch 1 of train: targets is a str; wanted a tensor or a numpy array"),
        ([(X[0, 0], Y[0])], ValueError, r"batch 0 of train holds a tensor without rows \(0-d\)"),
        ([points(8), (X[:0], Y[:0])], ValueError, "batch 1 of train is empty: it has 0 rows"),
        (
            [points(8), (X[:8].to("meta"), Y[:8])],
            ValueError,
            "batch 1 of train holds a tensor on meta, the model is on the CPU",
        ),
    ],
)
def test_at_a_batch(batches: list[Any], error: type[Exception], says: str) -> None:
    trainer = trainer_of(engine="python")
    trainer.model.forward = lambda a=None, b=None: torch.nn.Linear.forward(trainer.model, a if b is None else b)
    with pytest.raises(error, match=says):
        trainer.fit(DataLoader(Torn(batches), batch_size=None), epochs=1)
    assert len(trainer.history.batch.get("loss", ())) == (1 if "batch 1" in says else 0)


def test_what_can_be_read_only_once_in_disguise() -> None:
    class Disguised:
        def __init__(self) -> None:
            self.batches = iter([points(8)])

        def __iter__(self) -> Iterator[Any]:
            return self.batches

    trainer = trainer_of()
    with pytest.raises(ValueError, match="train gave no batch: it is empty, or can be read only once"):
        trainer.fit(Disguised(), epochs=2)
    assert len(trainer.history.epochs) == 1


def test_a_loader_that_is_empty() -> None:
    with pytest.raises(ValueError, match="train is empty"):
        trainer_of().fit(DataLoader(TensorDataset(X[:3], Y[:3]), batch_size=8, drop_last=True), epochs=1)
    with pytest.raises(ValueError, match="val is empty"):
        trainer_of().fit((X, Y), [], epochs=1, batch_size=8)


@pytest.mark.parametrize(
    ("x", "error", "says"),
    [
        (X[:0], ValueError, "at least one"),
        ((X, X[:3]), ValueError, r"same number of rows.*x\[0\] has 20, x\[1\] has 3"),
        (torch.tensor(1.0), ValueError, "at least one"),
        ("x", TypeError, "x is a str; wanted a tensor or a numpy array"),
        (None, TypeError, "x is None; wanted a tensor or a numpy array"),
        (AX.astype(object), TypeError, "x is a numpy array of object"),
    ],
)
def test_predict(x: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        trainer_of().predict(x)


def test_inputs_of_another_shape_than_the_model_takes(engine: str) -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied") as caught:
        trainer_of(engine=engine).fit((X[:, :3], Y), epochs=1, batch_size=8)
    assert "pyhooks" in "".join(getattr(caught.value, "__notes__", ["pyhooks"]))
