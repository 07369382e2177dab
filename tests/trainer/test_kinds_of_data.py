"""What may be trained on: every kind gives the numbers that tensors give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from trainer_helpers import assert_same, net, points, state_of, trainer_of

X, Y = points(22)


class Rows(Dataset):
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return X[i], Y[i]


class Stream(IterableDataset):
    """Rows without a length."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(zip(X, Y, strict=True))


def batches(size: int = 8) -> list[tuple[Tensor, Tensor]]:
    return list(zip(X.split(size), Y.split(size), strict=True))


class Batches:
    """An iterable of batches that does not know its length."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(batches())


def on_disk(folder: Path) -> tuple[Any, Any]:
    np.save(folder / "x.npy", X.numpy())
    np.save(folder / "y.npy", Y.numpy())
    return np.load(folder / "x.npy", mmap_mode="r"), np.load(folder / "y.npy", mmap_mode="r")


KINDS: dict[str, Callable[[Path], Any]] = {
    "arrays": lambda _: (X.numpy(), Y.numpy()),
    "a list of two": lambda _: [X, Y],
    "an array and a tensor": lambda _: (X.numpy(), Y),
    "memory-mapped": on_disk,
    "read-only arrays": lambda _: (_read_only(X.numpy()), _read_only(Y.numpy())),
    "of other strides": lambda _: (np.asfortranarray(X.numpy()), Y.numpy().repeat(2)[::2]),
    "backwards": lambda _: (X.numpy()[::-1].copy()[::-1], Y.numpy()[::-1].copy()[::-1]),
    "of other byte order": lambda _: (X.numpy().astype(">f4"), Y.numpy().astype(">i8")),
    "needs a gradient": lambda _: (X.clone().requires_grad_(), Y),
    "TensorDataset": lambda _: TensorDataset(X, Y),
    "Dataset": lambda _: Rows(),
    "DataLoader": lambda _: DataLoader(TensorDataset(X, Y), batch_size=8),
    "IterableDataset": lambda _: Stream(),
    "DataLoader without length": lambda _: DataLoader(Stream(), batch_size=8),
    "list of batches": lambda _: batches(),
    "batches without length": lambda _: Batches(),
    "batches of arrays": lambda _: [(x.numpy(), y.numpy()) for x, y in batches()],
}


def _read_only(array: np.ndarray) -> np.ndarray:
    copied = array.copy()
    copied.flags.writeable = False
    return copied


def run(data: Any, **options: Any) -> dict[str, Any]:
    trainer = trainer_of(**options)
    trainer.fit(data, data, epochs=2, batch_size=8, shuffle=False)
    assert len(trainer.history.batch["loss"]) == 6
    return {**state_of(trainer), "evaluated": trainer.evaluate(data, batch_size=8)}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", KINDS)
def test_as_tensors(kind: str, engine: str, tmp_path: Path) -> None:
    assert_same(run(KINDS[kind](tmp_path), engine=engine), run((X, Y), engine=engine))


@pytest.mark.parametrize("kind", ["arrays", "memory-mapped", "TensorDataset", "Dataset"])
def test_shuffled_in_the_same_order(kind: str, tmp_path: Path) -> None:
    states = []
    for data in (KINDS[kind](tmp_path), (X, Y)):
        trainer = trainer_of()
        trainer.fit(data, epochs=2, batch_size=8)
        states.append(state_of(trainer))
    assert_same(*states)


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_batch_may_be_left_out_where_we_make_the_batches(kind: str, tmp_path: Path) -> None:
    trainer = trainer_of()
    trainer.fit(KINDS[kind](tmp_path), epochs=1, batch_size=8, drop_last=True)
    own = kind in ("DataLoader", "DataLoader without length") or "batches" in kind
    assert len(trainer.history.batch["loss"]) == (3 if own else 2)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = net()

    def forward(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        return {"sum": self.inner(a) + self.inner(b), "difference": self.inner(a) - self.inner(b)}


def both(outputs: dict[str, Tensor], targets: Any) -> Tensor:
    first, second = targets if isinstance(targets, tuple) else (targets["first"], targets["second"])
    return F.cross_entropy(outputs["sum"], first) + F.cross_entropy(outputs["difference"], second)


def test_several_inputs_and_targets(engine: str) -> None:
    second = (Y + 1) % 3
    shapes = [
        (((X, -X), (Y, second))),
        (({"a": X, "b": -X}, {"first": Y, "second": second})),
        (({"b": -X.numpy(), "a": X.numpy()}, (Y.numpy(), second.numpy()))),
        [((x, -x), (y, (y + 1) % 3)) for x, y in batches()],
    ]
    states = []
    for data in shapes:
        trainer = trainer_of(Two(), loss=both, engine=engine)
        trainer.fit(data, epochs=2, batch_size=8, shuffle=False)
        states.append(state_of(trainer))
    for state in states[1:]:
        assert_same(state, states[0])
    outputs = trainer.predict({"a": X, "b": -X}, batch_size=8)
    trainer.model.eval()
    assert set(outputs) == {"sum", "difference"}
    assert torch.allclose(outputs["sum"], trainer.model(X, -X)["sum"])


def test_training_and_validation_may_be_built_differently(engine: str) -> None:
    trainer = trainer_of(Two(), loss=lambda o, t: F.cross_entropy(o["sum"], t), engine=engine)
    result = trainer.fit(((X, -X), Y), ({"b": -X, "a": X}, Y), epochs=1, batch_size=22)
    trainer.model.eval()
    wanted = F.cross_entropy(trainer.model(X, -X)["sum"], Y).item()
    assert result.metrics["val/loss"] == pytest.approx(wanted)


def test_another_structure_in_the_next_fit(engine: str) -> None:
    """The same shapes in the same places, but for other arguments: a plan of the first fit would be wrong."""
    trainer = trainer_of(Two(), loss=lambda o, t: F.cross_entropy(o["difference"], t), engine=engine)
    for first, second in (("a", "b"), ("b", "a")):
        data = [({first: X, second: -2 * X}, Y)]
        trainer.fit(data, epochs=1)
        inputs = {first: X, second: -2 * X}
        before = F.cross_entropy(trainer.model(**inputs)["difference"], Y).item()
        assert trainer.evaluate(data)["loss"] == pytest.approx(before)


def test_no_targets_at_all(engine: str) -> None:
    class Autoencoder(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return (super().forward(x) - x).square().mean()

    trainer = trainer_of(Autoencoder(4, 4), loss=lambda outputs, _: outputs, engine=engine)
    losses = [trainer.fit((X, ()), epochs=1, batch_size=11).metrics["train/loss"] for _ in range(3)]
    assert losses[0] > losses[1] > losses[2]


def test_bytes_become_numbers_in_the_model(engine: str) -> None:
    class FromBytes(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.flatten(1).float() / 255)

    images = torch.randint(256, (22, 2, 2), dtype=torch.uint8).numpy()
    trainer = trainer_of(FromBytes(4, 3), engine=engine)
    result = trainer.fit((images, Y), (images, Y), epochs=2, batch_size=8)
    assert result.epochs_run == 2 and trainer.engine == engine
    assert trainer.predict(images).shape == (22, 3)


def test_the_users_arrays_stay_as_they_are(engine: str) -> None:
    class InPlace(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.mul_(2))

    x, y = X.clone(), Y.clone()
    trainer = trainer_of(InPlace(4, 3), engine=engine)
    trainer.fit((x, y), (x, y), epochs=2, batch_size=8, shuffle=False)
    trainer.predict(x)
    assert torch.equal(x, X) and torch.equal(y, Y)
