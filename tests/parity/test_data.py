"""The same rows in the same order, whatever holds them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parity import plain
from parity.cases import BATCHES, DROPOUT, MLP, MODELS, STRUCTURES
from parity.compare import assert_parity
from parity.harness import Case
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("name", BATCHES)
def test_batches(name: str, engine: str) -> None:
    assert_parity(BATCHES[name], engine)


def loader(case: Case, rows: int, **options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*case.data(rows)), batch_size=case.batch_size, **options)


def seeded(case: Case) -> DataLoader[Any]:
    return loader(case, case.rows, shuffle=True, generator=torch.Generator().manual_seed(3))


def from_default_generator(case: Case) -> DataLoader[Any]:
    return loader(case, case.rows, shuffle=True)


def with_workers(case: Case) -> DataLoader[Any]:
    return loader(case, case.rows, shuffle=True, num_workers=1)


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize("make", [seeded, from_default_generator])
@pytest.mark.parametrize("model", ["dropout", "cnn", "mlp"])
def test_a_dataloader(model: str, make: Callable[[Case], Any], seed: int | None, engine: str) -> None:
    case = {"dropout": DROPOUT, **MODELS}[model].but(seed=seed, rows=44)  # six batches, the last one short
    assert_parity(case, engine, data=lambda: make(case))


def test_a_dataloader_with_a_worker(engine: str) -> None:
    case = DROPOUT.but(rows=44, epochs=2)
    assert_parity(case, engine, data=lambda: with_workers(case))


def test_a_dataloader_accumulated(engine: str) -> None:
    case = DROPOUT.but(rows=44, accumulate=4, clip_norm=0.1)
    assert_parity(case, engine, data=lambda: seeded(case))


def test_a_dataloader_to_validate_with_draws_as_in_the_plain_loop(engine: str) -> None:
    case = DROPOUT.but(seed=None)
    assert_parity(case, engine, val=lambda: loader(case, 10))


def test_a_dataloader_of_dicts(engine: str) -> None:
    case = STRUCTURES["dict_inputs_dict_targets"]
    inputs, targets = case.train_data()

    class Rows(Dataset[Any]):
        def __len__(self) -> int:
            return case.rows

        def __getitem__(self, row: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
            return {key: x[row] for key, x in inputs.items()}, {key: y[row] for key, y in targets.items()}

    def make() -> DataLoader[Any]:
        return DataLoader(Rows(), case.batch_size, shuffle=True)

    assert_parity(case, engine, data=make)


def arrays(case: Case, folder: Path) -> Any:
    return tuple(part.numpy() for part in case.train_data())


def memory_maps(case: Case, folder: Path) -> Any:
    for name, part in zip("xy", case.train_data(), strict=True):
        np.save(folder / name, part.numpy())
    return tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in "xy")


def tensor_dataset(case: Case, folder: Path) -> Any:
    return TensorDataset(*case.train_data())


def dataset(case: Case, folder: Path) -> Any:
    return torch.utils.data.Subset(tensor_dataset(case, folder), range(case.rows))


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize("make", [arrays, memory_maps, tensor_dataset, dataset])
def test_kinds_of_data(make: Callable[[Case, Path], Any], seed: int | None, tmp_path: Path) -> None:
    case = DROPOUT.but(rows=21, seed=seed)
    assert_parity(case, "graph", same=lambda: make(case, tmp_path))


def test_a_list_of_batches(engine: str) -> None:
    case = DROPOUT.but(shuffle=False)
    batches = list(plain.slices(case.train_data(), case.batch_size))
    assert_parity(case, engine, same=lambda: batches)


def pixels(rows: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(rows)
    return torch.randint(256, (rows, 6), dtype=torch.uint8, generator=g), torch.randint(3, (rows,), generator=g)


class FromBytes(torch.nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float() / 255)


def test_bytes(engine: str) -> None:
    assert_parity(MLP.but(model=lambda: FromBytes(6, 3), data=pixels), engine)


def columns_first(rows: int) -> tuple[Tensor, Tensor]:
    x, y = MLP.data(rows)
    return x.t().contiguous().t(), y.repeat_interleave(2)[::2]


def images_in_channels_last(rows: int) -> tuple[Tensor, Tensor]:
    x, y = MODELS["resnet"].data(rows)
    return x.to(memory_format=torch.channels_last), y


def test_rows_that_are_not_contiguous(engine: str) -> None:
    assert_parity(DROPOUT.but(data=columns_first), engine)


def test_images_in_channels_last(engine: str) -> None:
    assert_parity(MODELS["resnet"].but(data=images_in_channels_last), engine)


def big_rows(rows: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(rows)
    return torch.randn(rows, 1024, generator=g), torch.randint(3, (rows,), generator=g)


@pytest.mark.parametrize("seed", [None, 5])
def test_batches_gathered_by_a_thread(seed: int | None) -> None:
    case = MLP.but(model=lambda: torch.nn.Sequential(torch.nn.Dropout(0.2), torch.nn.Linear(1024, 3)))
    assert_parity(case.but(data=big_rows, rows=150, batch_size=64, seed=seed), "graph")


def test_two_threads(engine: str) -> None:
    torch.set_num_threads(2)
    wide = MLP.but(
        model=lambda: torch.nn.Sequential(torch.nn.Linear(1024, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3))
    )
    assert_parity(wide.but(data=big_rows, rows=150, batch_size=64), engine)
